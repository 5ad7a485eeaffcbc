"""Serves one workload's model behind an OpenAI-compatible API: the content of a Bento."""
