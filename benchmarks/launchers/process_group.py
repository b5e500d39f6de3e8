"""Imported by the fork server alone: it and the cells leave the launcher's process group.

A signal to the group (Ctrl-C, `timeout`, a closed terminal) then reaches the launcher only, which stops the cells and
waits for their checkpoints; were the fork server hit as well, nobody could tell how a cell ended.

What it imports it doesn't search for garbage again and again meanwhile, and the cells (`local._child`) never do.
"""

import gc
import os

os.setpgid(0, 0)
USUAL = gc.get_threshold()
"""Python's default thresholds of garbage collection."""
gc.set_threshold(20_000, 50, 50)
