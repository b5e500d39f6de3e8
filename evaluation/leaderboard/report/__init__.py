"""The page: tables, statistics and pictures that work offline."""
