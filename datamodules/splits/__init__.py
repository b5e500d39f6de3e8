"""Who is in which split, and what differs between them."""
