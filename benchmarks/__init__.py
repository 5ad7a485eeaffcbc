"""The measurements that README quotes, each made by one command."""
