"""How a representation is judged: encode once, measure by protocol, record, rank.

In: splits and what embeds their images; then records, with their outcomes by image. Out: figures under a name and a
version; tables, pages and boards that anybody can check.
"""
