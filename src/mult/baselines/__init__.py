"""Multitask networks from the literature that MulT is compared with, by name.

All have one interface: ``Model(channels, image_size, encoder, options, seed)``, where ``channels`` gives the outputs a
task, ``encoder`` is that section of params.yaml and ``options`` holds ``width`` (channels of a decoder at its finest
level) and ``dropout`` (of whole channels before a head); images (B, 3, H, W) in [0, 1] become (B, channels, H, W) a
task, for any H and W. Published sizes are not copied: every model has the same encoder and decoders of one width.
"""

from mult.baselines.grouped import BASES, Grouped

BASELINES = BASES | {"grouped": Grouped}
