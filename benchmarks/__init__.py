"""What is run: suites, cells, the matrix, and the `bench` command."""
