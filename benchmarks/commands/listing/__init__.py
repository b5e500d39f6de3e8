"""`bench list`: tables of what there is, which import none of it, and a card of each thing that is named."""
