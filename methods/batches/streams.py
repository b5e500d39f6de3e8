"""Random streams by name."""

import hashlib


def stream_seed(seed: int, name: str) -> int:
    """Seed of one named random stream: streams of different names are independent, adding one moves no other."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).digest())
