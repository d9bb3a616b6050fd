"""Small data sets in the layouts of the real ones, and the real samples where they are."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from mult.data import labels

SAMPLES = Path(os.environ.get("MULT_SAMPLES", Path(__file__).parents[3] / "../shared/samples")).resolve()
KINDS = {
    "rgb": (np.uint8, 3),
    "segment_semantic": (np.uint8, 1),
    "depth_zbuffer": (np.uint16, 1),
    "normal": (np.uint8, 3),
    "reshading": (np.uint8, 3),
    "keypoints2d": (np.uint16, 1),
    "edge_texture": (np.uint16, 1),
}
FOV = 1.0
# Layout -> path of a file; {end} is _domain_<word> and the suffix.
PATHS = {
    "components": "{kind}/taskonomy/{building}/{view}{end}",
    "buildings": "{kind}/{building}/{view}{end}",
    "bare": "{kind}/{building}/{view}.png",
    "flat": "{kind}/{view}{end}",
    "pairs": "{building}_{kind}/{kind}/{view}{end}",
    "splits": "{split}/{building}/{kind}/{view}{end}",
}


def write_png(path: Path, picture: np.ndarray) -> None:
    """``picture``: grey, or in the order R, G, B."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def values_of(kind: str, building: str, view: str, size: int = 12) -> np.ndarray:
    """What is in the file of ``kind``: other values for every view, building and kind, none of them unknown."""
    dtype, channels = KINDS[kind]
    rng = np.random.default_rng(list(f"{kind} {building} {view}".encode()))
    values = rng.integers(1, 18 if kind == "segment_semantic" else 120, (size, size), dtype)
    if kind in ("rgb", "normal"):
        return rng.integers(0, 120, (size, size, 3), np.uint8)
    return np.repeat(values[..., None], 3, -1) if channels == 3 else values


def write_taskonomy(
    root: Path,
    layout: str,
    buildings: dict[str, str],
    views: Iterable[str] = ("point_0_view_1", "point_2_view_0", "point_10_view_3"),
    kinds: Iterable[str] = KINDS,
    size: int = 12,
) -> Path:
    """``buildings``: name -> split, which is in the paths of the layout ``splits`` only."""
    for building, split in buildings.items():
        for view in views:
            place = {"building": building, "split": split, "view": view}
            for kind in kinds:
                end = f"_domain_{kind.replace('segment_semantic', 'segmentsemantic')}.png"
                write_png(
                    root / PATHS[layout].format(kind=kind, end=end, **place), values_of(kind, building, view, size)
                )
            end = f"_domain_{'fixatedpose' if view == 'point_2_view_0' else 'point_info'}.json"
            path = root / PATHS[layout].removesuffix(".png").format(kind="point_info", end=end, **place)
            path = path if path.suffix else path.with_name(path.name + ".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"field_of_view_rads": FOV}))
    return root


def metres(code: np.ndarray) -> np.ndarray:
    return labels.decode_depth(code)[0]
