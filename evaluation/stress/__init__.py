"""The stress lab: codes whose truth is known, through every measure; where each can be trusted, and where it can't."""
