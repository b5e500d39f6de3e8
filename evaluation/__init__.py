"""How a representation is judged: encode once, measure by protocol, record, rank."""
