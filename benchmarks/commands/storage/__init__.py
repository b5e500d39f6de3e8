"""Commands about the room that runs take: how much it is, giving it back, and bringing folders of runs together."""
