"""Judging encoders that exist already: where they come from (`sources`, `downloads`), or their features alone.

In: `--encoder` or `--features` as a user writes them. Out: a record, as of a run that was trained here.
"""
