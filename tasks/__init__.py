"""The stages of a release, one package each: `python -m tasks.<stage> [VARIANT]`."""
