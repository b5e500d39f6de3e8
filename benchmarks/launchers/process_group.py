"""Imported by the fork server alone: it and the cells leave the launcher's process group.

A signal to the group (Ctrl-C, `timeout`, a closed terminal) then reaches the launcher only, which stops the cells and
waits for their checkpoints; were the fork server hit as well, nobody could tell how a cell ended.
"""

import os

os.setpgid(0, 0)
