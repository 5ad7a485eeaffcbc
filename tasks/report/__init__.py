"""The release report: one HTML file and one plot, from what the other stages measured."""
