"""Evaluate a model that runs elsewhere and is paid by the token."""
