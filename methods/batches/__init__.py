"""Batches of anybody's loader as methods take them, and what is known of data that nobody has described."""
