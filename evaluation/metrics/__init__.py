"""Metrics: arrays in, floats out. None of them trains an encoder, keeps state or draws from a global generator."""

from disentangle_bench.evaluation.metrics.errors import MetricUndefined

__all__ = ["MetricUndefined"]
