"""Commands that ask something of suites or measures: which options to run with, whether the papers' claims hold, and
where a measure can be trusted.
"""
