"""Pretrained encoders that normalise and resize images by themselves.

In: a file of weights that a run of this suite wrote (`load_encoder`), or a network. Out: an `Encoder`, a plain
`nn.Module` from images to named spaces.
"""
