"""The encoder as it is before training: the floor of every learned representation."""

from disentangle_bench.methods.base import Method


class RandomInit(Method):
    """The untrained encoder.

    ```
    image -> backbone, initial weights
    ```
    """

    name = "random_init"
    source = "the untrained encoder"
    trains = False
