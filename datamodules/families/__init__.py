"""Base classes of data sets: files on disk, class folders, grids of factors.

In: a data set's declaration of its files. Out: its three splits and their targets.
"""
