"""Sends each request to the cheapest model that is good enough: the content of a Bento."""
