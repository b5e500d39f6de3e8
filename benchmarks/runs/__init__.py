"""A run's folder and its files.

In: a folder. Out: the names and typed contents of its files, the state of the run, its lock; weights; what the files
take, and which may go.
"""
