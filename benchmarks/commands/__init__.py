"""The commands behind `bench`, one function each; signatures and docstrings are the command line and its help."""
