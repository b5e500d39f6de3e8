"""Encoders with weights, ready for anybody's images: they normalise and resize by themselves.

In: a file that a run of this suite left (`load_encoder`), or a network. Out: an `Encoder`, a plain `nn.Module` from
images to named spaces.
"""
