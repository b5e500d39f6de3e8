"""Batches for methods: the label firewall, users' own loaders, random streams, and passes over the training split."""
