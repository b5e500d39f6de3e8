"""Many cells: each in a process of its own here, or as jobs of a cluster; and what has become of them."""
