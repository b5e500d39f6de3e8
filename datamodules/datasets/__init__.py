"""The data sets, one family a file.

In: options. Out: the three splits, their targets and what people call the values; everything else is `base`'s.
"""
