"""One family of data sets a file."""
