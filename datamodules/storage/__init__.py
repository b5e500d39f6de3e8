"""Files on disk: found, unpacked, decoded once, kept as memory maps."""
