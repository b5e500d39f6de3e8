"""Measures: which metric is taken on which split, space and targets, under a name and a version."""
