"""Metrics: arrays in, floats out. None of them trains an encoder, keeps state or draws from a global generator."""

from evaluation.metrics.errors import MetricUndefined

__all__ = ["MetricUndefined"]
