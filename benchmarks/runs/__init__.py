"""What lies in a run's folder.

In: a folder. Out: the names and typed contents of its files, the state of the run, its lock; weights and features.
"""
