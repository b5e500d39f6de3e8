"""Commands that take a suite apart: which settings to run it with, and what its runs say of the papers' claims."""
