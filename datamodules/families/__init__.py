"""What several data sets have in common: files on disk, folders of classes, grids of factors.

In: what a data set says about its files. Out: its three splits and their targets.
"""
