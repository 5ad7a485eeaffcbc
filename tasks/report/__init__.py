"""The release report: an HTML page, a model card and plots, from what other stages measured."""
