"""The commands behind `bench`: one a file, whose function `command` gives options and help by signature and docstring.

In: the words after the command's name. Out: what it prints, and an exit code. Parameters before a `*` stand on the
command line without a name, `*names` takes any number of words, and a bool may stand without a value. What a command
needs is imported when it runs, so that `bench --help` answers at once. Several share `preconditions`, what is asked
before anything is written, and `carry_out`, a request from its checks to its table.
"""
