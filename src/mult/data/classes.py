"""Semantic classes of the domains, and how a domain's classes are scored in another domain's terms.

A class without a counterpart among the classes that a model was trained on is ignored in the metric, not scored as
wrong. Names that mean the same thing in two domains are equal; ALIASES adds the rest.
"""

from collections.abc import Sequence

import numpy as np

VOID = 0

# Class of an evaluation domain -> class of a training domain, where the names differ.
ALIASES: dict[str, str] = {
    "couch": "sofa",
    "dining table": "table",
    "potted plant": "plant",
    "vase": "object",
    "bottle": "object",
}


def class_map(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Look-up table, uint8 (256,): id in ``source`` to id in ``target``; VOID where there is no counterpart."""
    table = np.full(256, VOID, np.uint8)
    for index, name in enumerate(source):
        if index == VOID:
            continue
        if name in target:
            table[index] = target.index(name)
        elif ALIASES.get(name) in target:
            table[index] = target.index(ALIASES[name])
    return table
