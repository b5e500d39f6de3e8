"""One cell, from its configuration to its record: build, train, measure, write.

In: a run's folder with its `config.json`. Out: the record, and what led to it cleared away; or the reason why not.
"""
