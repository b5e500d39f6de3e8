"""Who is in which split, and what differs between them.

In: labels, a seed, a shift's name. Out: rows of the training, validation and test split, hues of painted images, and
the probe splits, in which content and domain are independent.
"""
