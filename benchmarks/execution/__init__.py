"""One cell, from its resolved configuration to its record: build, train, measure, write."""
