"""Metrics: arrays in, floats out. None of them trains an encoder, keeps state or draws from a global generator.

One score a file. `probes`, `clustering`, `disentanglement` and `invariance` offer theirs by name
(`evaluation.metrics.probes.linear_probe`); `retrieval` and `intrinsic` are single files; `torchmetrics` has classes
that collect the rows for them. Nothing is imported before it is asked for: the command line and the tables read no more
than the error below.
"""

from disentangle_bench.evaluation.metrics.errors import MetricUndefined

__all__ = ["MetricUndefined"]
