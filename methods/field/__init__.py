"""The rest of the field: methods that readers of a table look for beside its first rows, one a file."""
