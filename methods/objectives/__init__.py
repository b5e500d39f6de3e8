"""The maths of each paper as pure functions of tensors.

No function here keeps state, changes its inputs or needs Lightning; a method's module only wires them.
"""
