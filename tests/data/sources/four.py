"""The paper's four data sets in miniature, each as its reader finds it on a disk."""

from pathlib import Path

from tests.data.sources import nyu_miniature
from tests.data.sources.cocodoom_miniature import write_cocodoom
from tests.data.sources.miniature import write_taskonomy

# Buildings of Taskonomy's partition fullplus, and scenes of Replica that are to be tested on, the others not fetched.
BUILDINGS = {
    "train": ("adairsville", "airport", "albertville"),
    "val": ("almota", "artois"),
    "test": ("akiak", "aldine"),
}
SCENES = {"test": ("room_1", "office_2")}


def write_four(root: Path) -> dict[str, Path]:
    """Write them below ``root``; returns each domain's folder."""
    folders = {name: root / name for name in ("taskonomy", "replica", "nyuv2", "cocodoom")}
    views = [f"point_{point}_view_{view}" for point in range(3) for view in range(2)]
    write_taskonomy(folders["taskonomy"], "buildings", _split_of(BUILDINGS), views, size=48)
    write_taskonomy(folders["replica"], "components", _split_of(SCENES), views, size=48)
    nyu_miniature.labelled(folders["nyuv2"])
    write_cocodoom(folders["cocodoom"])
    return folders


def _split_of(members: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: split for split, names in members.items() for name in names}
