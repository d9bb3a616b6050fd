"""NYUv2 as folders of pictures and arrays: the copies that multitask papers train on.

The official test frames are our split test, whatever a copy calls them; a copy with lists for both val and test keeps
its val. Semantic edges, which some copies hold, are no edge_texture and are not read.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mult.data.sources import nyu_decode as decode
from mult.data.sources.nyu_tables import FRAMES, official_split
from mult.data.sources.picture import read_bytes
from mult.data.sources.source import SPLITS, View
from mult.errors import UserError
from mult.paths import no_way_out, one_name

TRIPLES = "nyu_v2_3task.json"  # AdaShare's lists of files, a split each
NO_ECHO = (0, 10_000)  # millimetres in raw depth where Kinect measured nothing: no answer, or beyond its range

# (split's name in the copy, frame's name) of all frames.
Frames = list[tuple[str, str]]


@dataclass(frozen=True)
class Layout:
    """A copy's form.

    Attributes:
        text: what it looks like below the root, in words.
        files: label to the path of its files, with {split} and {name}. ``measured`` is depth before holes were filled.
        frames: finds the frames below a root.
        classes: how many there are without void.
        lowest: id of the first class in the files, where 0 would be void.
    """

    text: str
    files: Mapping[str, str]
    frames: Callable[[Path, str], Frames]
    classes: int = 40
    lowest: int = 1


def listed(root: Path, _: str) -> Frames:
    """The frames that gt_sets/<split>.txt names, a line each."""
    lists = [path for split in SPLITS if (path := root / "gt_sets" / f"{split}.txt").is_file()]
    if not lists:
        raise UserError(f"{root / 'gt_sets'}: no train.txt and val.txt that name the frames; fetch the copy again")
    named = ((path, name) for path in lists for name in read_bytes(path).decode("utf-8", "replace").split())
    return [(path.stem, one_name(name, path)) for path, name in named]


def in_folders(root: Path, files: str) -> Frames:
    """The frames in the folders of the splits."""
    found = {split: root.glob(files.format(split=split, name="*")) for split in SPLITS}
    return [(split, path.stem) for split, paths in found.items() for path in sorted(paths, key=_natural)]


def numbered(root: Path, files: str) -> Frames:
    """The frames of AdaShare's lists; without these by the number in the name, which counts from 0.

    So do Eigen and Fergus's files, from which the normals are.
    """
    path = root / TRIPLES
    if path.is_file():
        try:
            lists = json.loads(read_bytes(path))
            return [(split, one_name(Path(of[0]).stem, path)) for split in SPLITS for of in lists.get(split, ())]
        except (ValueError, TypeError, AttributeError, IndexError, KeyError):
            raise UserError(f"{path}: not lists of files by split; fetch it again, or take it away") from None
    names = sorted(path.stem for path in root.glob(files.format(name="*")))
    for name in names:
        if not (name.isdecimal() and int(name) < FRAMES):
            raise UserError(
                f"{root / files.format(name=name)}: not the number of a frame, 0000 to {FRAMES - 1}; put {TRIPLES} "
                "into the folder, which says what trains and what tests"
            )
    return [(official_split()[int(name) + 1], name) for name in names]


LAYOUTS = (
    Layout(
        "images/*.jpg, segmentation/*.png, normals/*.npy, depth/*.npy, gt_sets/*.txt: MTL-PyTorch's NYUD_MT",
        {
            "rgb": "images/{name}.jpg",
            "segment_semantic": "segmentation/{name}.png",
            "normal": "normals/{name}.npy",
            "depth_zbuffer": "depth/{name}.npy",
        },
        listed,
    ),
    Layout(
        "images/*.png, segmentation/*.png, normals/*.png, depth/*.npy, gt_sets/*.txt: ATRC's NYUDv2",
        {
            "rgb": "images/{name}.png",
            "segment_semantic": "segmentation/{name}.png",
            "normal": "normals/{name}.png",
            "depth_zbuffer": "depth/{name}.npy",
        },
        listed,
    ),
    Layout(
        "<train or val>/{image,label,depth,normal}/<N>.npy: MTAN's, LibMTL's",
        {
            "rgb": "{split}/image/{name}.npy",
            "segment_semantic": "{split}/label/{name}.npy",
            "normal": "{split}/normal/{name}.npy",
            "depth_zbuffer": "{split}/depth/{name}.npy",
        },
        in_folders,
        classes=13,
        lowest=0,
    ),
    Layout(
        "img/*.png, seg/*.png, normal_mask/*.png, depth/*.npy: AdaShare's",
        {
            "rgb": "img/{name}.png",
            "segment_semantic": "seg/{name}.png",
            "normal": "normal_mask/{name}.png",
            "depth_zbuffer": "depth/{name}.npy",
        },
        numbered,
        lowest=0,
    ),
    Layout(
        "<train or test>/{rgb,semantic_40,normal,depth,depth_raw}/*.png: nicr-scene-analysis-datasets'",
        {
            "rgb": "{split}/rgb/{name}.png",
            "segment_semantic": "{split}/semantic_40/{name}.png",
            "normal": "{split}/normal/{name}.png",
            "depth_zbuffer": "{split}/depth/{name}.png",
            "measured": "{split}/depth_raw/{name}.png",
        },
        in_folders,
    ),
)


class Bundle:
    """A copy of NYUv2 in one of ``LAYOUTS``: its views, and their labels as they are in the files.

    Attributes:
        layout, classes: see ``Layout``.
        own: labels that there are files of.
        views: all of them; their field of view is not known here and 0.
    """

    def __init__(self, root: Path, layout: Layout):
        """Raises: UserError: the frames of the splits cannot be told, or a file of them is a link out of its folder."""
        self.root, self.layout, self.classes = root, layout.text, layout.classes
        self._lowest = layout.lowest
        files = {label: path for label, path in layout.files.items() if any(_search(root, path))}
        self.own = frozenset(files) - {"measured"}
        frames = layout.frames(root, layout.files["rgb"])
        names = {split: split for split, _ in frames}
        if "test" not in names:
            names["val"] = "test"
        again = len({name for _, name in frames}) < len(frames)  # numbered anew in each split
        group = "{split}-{name}" if again else "{name}"
        self.views = [
            View(
                names[split],
                group.format(split=names[split], name=name),
                name,
                {k: p.format(split=split, name=name) for k, p in files.items()},
                0.0,
            )
            for split, name in frames
        ]
        for view in self.views:
            for file in view.files.values():
                no_way_out(root / file)

    def rgb(self, view: View) -> np.ndarray:
        """uint8 (H, W, 3)."""
        return decode.rgb(self.root / view.files["rgb"])

    def ids(self, view: View) -> np.ndarray:
        """uint8 (H, W): classes, 0 void."""
        return decode.classes(self.root / view.files["segment_semantic"], self._lowest, self.classes)

    def metres(self, view: View) -> np.ndarray:
        """Depth (H, W), float; 0 where it is unknown."""
        depth = decode.metres(self.root / view.files["depth_zbuffer"])
        if "measured" not in view.files:
            return depth
        path = self.root / view.files["measured"]
        return decode.where_measured(depth, decode.millimetres(path), NO_ECHO, path)

    def normals(self, view: View) -> np.ndarray:
        """Unit vectors (H, W, 3), float, with the axes of the files; 0 where unknown."""
        return decode.normals(self.root / view.files["normal"])


def find_bundle(root: Path) -> Bundle | None:
    """The copy below ``root``; None where it has none of the forms."""
    return next((Bundle(root, layout) for layout in LAYOUTS if any(_search(root, layout.files["rgb"]))), None)


def _search(root: Path, path: str) -> Iterator[Path]:
    return (found for split in SPLITS for found in root.glob(path.format(split=split, name="*")))


def _natural(path: Path) -> tuple[int, str]:
    return len(path.stem), path.stem
