"""What is run: the `bench` command, from a suite's name to records and tables.

In: words of a command line. Out: a folder a run, its record last. Down only: `__main__`; `commands`, `completion` and
`parsing_errors`; `launchers`; `execution`; `runs`; `planning`; `signals`, `machine`, `own_code`, `plain_yaml` and
`terminal`; `errors`.
"""
