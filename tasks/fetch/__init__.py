"""Fetch: weights and raw data, pinned by content hash."""
