"""CocoDoom as its conversion writes it: a corridor of known geometry, palette pictures, COCO lists."""

import json
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from mult.data import labels
from mult.data.sources.cocodoom import HEIGHT, WIDTH
from tests.data.sources.miniature import write_png

VOID, WALL, FLOOR, CEILING, DOOR, SKY, MONSTER, PICKUP, DECORATION = range(9)
SKY_NUMBER, HORIZONTAL, VERTICAL = 2**23, 2**23 + 1, 2**23 + 2
EYE, HEADROOM, HALF_WIDTH, END, OPEN_FROM = 41, 87, 160, 1500, 700  # map units
# Number in the run, category's number and name, class; rows and columns; distance in map units.
THINGS = [
    (77, 1, "POSSESSED", MONSTER, slice(90, 120), slice(100, 120), 200),
    (5, 78, "MISC29", PICKUP, slice(120, 130), slice(200, 215), 150),  # a super shotgun, in the table without INV
    (2**23 + 1_234_567, 30, "BARREL", DECORATION, slice(100, 118), slice(60, 75), 250),
    (12, 33, "ROCKET", VOID, slice(60, 66), slice(150, 158), 180),
    (13, 1, None, VOID, slice(130, 134), slice(30, 36), 120),  # too small for the lists
]
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def corridor() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z-depth in map units (inf in the sky), normals, and numbers of objects of a view along a corridor."""
    x, y, _ = np.moveaxis(labels.pixel_rays(HEIGHT, WIDTH, np.pi / 2), -1, 0)
    flat = np.where(y > 0, EYE, HEADROOM) / np.abs(y)
    planes = np.stack([flat, HALF_WIDTH / np.abs(x), np.full(x.shape, float(END))])
    nearest = planes.argmin(0)
    depth = planes.min(0)
    facing = np.zeros((3, *x.shape, 3))
    facing[0, ..., 1], facing[1, ..., 0], facing[2, ..., 2] = -np.sign(y), -np.sign(x), -1
    normal = np.take_along_axis(facing, nearest[None, ..., None], 0)[0]
    numbers = np.where(nearest == 0, HORIZONTAL, VERTICAL)
    sky = (nearest == 0) & (y < 0) & (depth > OPEN_FROM)
    depth[sky], normal[sky], numbers[sky] = np.inf, 0, SKY_NUMBER
    for number, *_, rows, columns, distance in THINGS:
        depth[rows, columns], normal[rows, columns] = distance, (0, 0, -1)
        numbers[rows, columns] = number % 2**23
    return depth, normal, numbers


def write_frame(root: Path, run: int, level: int, tic: int, kinds=("rgb", "depth", "objects")) -> None:
    depth, _, numbers = corridor()
    name = f"{tic:06d}.png"
    folder = root / f"run{run}" / f"map{level:02d}"
    if "rgb" in kinds:
        (folder / "rgb").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(indices(tic), "P")
        picture.putpalette(PALETTE.tobytes())
        picture.save(folder / "rgb" / name, bits=8)
    if "depth" in kinds:
        write_png(folder / "depth" / name, np.minimum(depth * 64, 65535).astype(np.uint16))
    if "objects" in kinds:
        write_png(folder / "objects" / name, coloured(numbers))


def coloured(numbers: np.ndarray) -> np.ndarray:
    return np.stack([numbers >> bits & 255 for bits in (0, 8, 16)], -1).astype(np.uint8)


def indices(tic: int) -> np.ndarray:
    return np.random.default_rng(tic).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


def image_number(run: int, level: int, tic: int) -> int:
    return run * 10**9 + level * 10**7 + tic


def listed(frames: list[tuple[int, int, int]]) -> dict:
    """A list of ``frames``, (run, map, tic) each, in which all that is big enough is annotated."""
    annotations = [
        {
            "id": image_number(*frame) * 10**6 + number,
            "image_id": image_number(*frame),
            "category_id": category,
            "segmentation": [[1, 1, 2.5, 1, 2.5, 3]],
            "area": 300,
            "bbox": [1, 1, 2, 2],
            "iscrowd": 0,
        }
        for frame in frames
        for number, category, name, *_ in THINGS
        if name
    ]
    return {
        "info": {"year": 2016, "description": "ResearchDoom [1] {}"},
        "images": [
            {"id": image_number(*frame), "width": 320, "height": 200, "file_name": path(*frame), "license": 1}
            for frame in frames
        ],
        "annotations": annotations,
        "categories": [{"id": id_, "name": name, "supercategory": ""} for _, id_, name, *_ in THINGS if name],
        "licenses": [],
    }


def path(run: int, level: int, tic: int) -> str:
    return f"run{run}/map{level:02d}/rgb/{tic:06d}.png"


FRAMES = {
    "train": [(1, 1, 35), (1, 1, 40), (1, 12, 90)],
    "val": [(2, 1, 7)],
    "test": [(3, 1, 20), (3, 4, 9)],
}


def write_cocodoom(root: Path) -> Path:
    """Frames of three runs, lists by run that leave some of them out."""
    for frame in [*chain(*FRAMES.values()), (1, 1, 36), (2, 1, 8)]:
        write_frame(root, *frame)
    for split, frames in FRAMES.items():
        (root / f"run-{split}.json").write_text(json.dumps(listed(frames)))
    return root
