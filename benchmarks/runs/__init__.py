"""What lies in a run's folder.

In: a folder. Out: the names and typed contents of its files, the state of the run, its lock; weights; what the files
take, and which may go.
"""
