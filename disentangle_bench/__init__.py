"""Train, judge and rank methods that claim disentangled or invariant image representations.

The four packages lie beside this folder, which holds links to them: that makes `disentangle_bench` the only name that
is installed, so that a `methods/` or an `evaluation.py` of the user's own never meets ours.
"""
