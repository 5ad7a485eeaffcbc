"""Prepare: raw rows become clean, distinct, split and rendered records."""
