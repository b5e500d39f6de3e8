"""The one named outcome besides a number."""


class MetricUndefined(ValueError):
    """The data leave the metric without a value; the message is the reason to record beside a null."""
