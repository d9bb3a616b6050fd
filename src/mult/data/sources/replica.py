"""Replica (Straub et al. 2019) in place, rendered by Omnidata (Eftekhar et al., ICCV 2021): Taskonomy's file names.

A scene is a group; the scenes' split is Omnidata's. The pictures have the geometric labels and no segment_semantic.
"""

from types import MappingProxyType

from mult.data.sources.taskonomy import STORED, Taskonomy
from mult.errors import UserError

USUAL = "scenes"
SCENES = {
    "train": (
        "frl_apartment_0", "frl_apartment_1", "apartment_0", "apartment_1", "office_1", "office_3", "office_4",
        "room_0", "room_2", "hotel_0",
    ),
    "val": ("apartment_2", "office_0", "frl_apartment_2", "frl_apartment_3"),
    "test": ("room_1", "office_2", "frl_apartment_4", "frl_apartment_5"),
}  # fmt: skip


class Replica(Taskonomy):
    """See ``Source``."""

    domain = "replica"
    classes = ()
    stored = MappingProxyType({kind: of for kind, of in STORED.items() if kind != "segment_semantic"})
    usual = USUAL
    forbidden = MappingProxyType({})

    def _built_in(self, partition: str) -> dict[str, str]:
        if partition != USUAL:
            raise UserError(f"{self.domain}: no partition {partition!r}; there is {USUAL}, or a .csv file")
        return {scene: split for split, scenes in SCENES.items() for scene in scenes}
