"""A request becomes cells.

In: the name of a suite or a YAML file, and the command line's choices. Out: resolved cells, known by their hashes, or a
RequestError that says in a line what is wrong.
"""
