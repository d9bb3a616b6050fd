"""Semantic classes of the domains, and how a domain's classes are scored in another domain's terms.

A class without a counterpart among the classes that a model was trained on is ignored in the metric, not scored as
wrong. Names that mean the same thing in two domains are equal; COUNTERPARTS adds the rest. Taskonomy's ``background``
is all that is none of its sixteen things, so a class may be scored as background only where no such thing hides in it:
a bookshelf is books and a wall's worth of other things, and has no counterpart.
"""

from collections.abc import Sequence

import numpy as np

VOID = 0

# Class of an evaluation domain -> classes of a training domain that it may be scored as, the best first.
COUNTERPARTS: dict[str, tuple[str, ...]] = {
    # Taskonomy's (those of COCO) and the rendered rooms'
    "couch": ("sofa",),
    "sofa": ("couch",),
    "dining table": ("table",),
    "table": ("dining table",),
    "potted plant": ("plant",),
    "plant": ("potted plant",),
    "vase": ("object",),
    "bottle": ("object",),
    # NYUv2's
    "books": ("book",),
    "book": ("books",),
    "television": ("tv",),
    "tv": ("television",),
    "refridgerator": ("refrigerator",),
    "refrigerator": ("refridgerator",),
    "desk": ("table",),
    "dresser": ("cabinet", "background"),
    "night stand": ("cabinet", "background"),
    # parts of buildings, and furniture that COCO has no name for
    **dict.fromkeys(
        (
            "wall", "floor", "ceiling", "door", "window", "cabinet", "lamp", "picture", "counter", "blinds", "curtain",
            "floor mat", "towel", "shower curtain", "whiteboard", "bathtub",
        ),
        ("background",),
    ),
}  # fmt: skip


def class_map(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Look-up table, uint8 (256,): id in ``source`` to id in ``target``; VOID where there is no counterpart."""
    table = np.full(256, VOID, np.uint8)
    for index, name in enumerate(source):
        if index != VOID:
            found = (target.index(of) for of in (name, *COUNTERPARTS.get(name, ())) if of in target)
            table[index] = next(found, VOID)
    return table


def comparable(source: Sequence[str], target: Sequence[str]) -> bool:
    """Whether ``source`` can be scored in terms of ``target``: with a single class in common there is no choice."""
    return len(set(class_map(source, target).tolist()) - {VOID}) > 1
