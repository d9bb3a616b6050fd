"""NYUv2 in miniature: few made-up frames, of full size, written in every layout in which the data set is handed on."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np

from mult.data import labels
from mult.data.sources import Source, View
from mult.data.sources.nyu_axes import EIGEN, Axes
from mult.data.sources.nyu_tables import classes_of_labels

FOCAL = 518.86
WHOLE, SEEN = (480, 640), (slice(44, 471), slice(40, 601))

# How the stored channels are made of x right, y down, z forward, by another name than the reader's.
EIGEN_OF_CAMERA = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


class Frame:
    """What a copy's frame should be read as: a floor, a slanted wall that turns with ``seed``, and holes."""

    def __init__(self, seed: int, size: tuple[int, int] = (427, 561), classes: int = 40):
        height, width = size
        rays = labels.pixel_rays(height, width, 2 * np.arctan((560 if width == 560 else 561) / 2 / FOCAL))
        wall = np.array([0.25 + 0.1 * seed, -0.2, -0.9]) / np.linalg.norm([0.25 + 0.1 * seed, -0.2, -0.9])
        floor = np.array([0.02, -np.cos(0.3), -np.sin(0.3)]) / np.linalg.norm([0.02, -np.cos(0.3), -np.sin(0.3)])
        ahead, below = (normal @ at / (rays @ normal) for normal, at in ((wall, [0, 0, 3.0]), (floor, [0, 1.2, 0])))
        on_floor = (below > 0) & (below < ahead)
        self.depth = np.where(on_floor, below, ahead)
        self.normal = np.where(on_floor[..., None], floor, wall)
        self.hole = np.zeros(size, bool)  # where Kinect saw nothing
        self.hole[20:60, 30:90] = True
        self.far = self.hole & (np.arange(height)[:, None] >= 40)  # a part of it: what is beyond its range is 10 m
        self.ids = np.where(on_floor, 2, 1 + (np.arange(width) // 40 + seed) % classes)
        self.ids[:, :5] = 0
        across, down = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
        self.rgb = np.rint(np.stack([across, down, np.full(size, 60.0 * seed)], -1)).astype(np.uint8)

    def stored_normal(self, axes_of_camera: np.ndarray = EIGEN_OF_CAMERA) -> np.ndarray:
        """(H, W, 3) in the copy's axes, 0 in the hole."""
        return np.where(self.hole[..., None], 0, self.normal @ axes_of_camera.T)


def whole(values: np.ndarray, beside: float) -> np.ndarray:
    """In a frame of 480x640 whose borders have another value."""
    frame = np.full((*WHOLE, *values.shape[2:]), beside, values.dtype)
    frame[SEEN] = values
    return frame


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values[..., ::-1] if values.ndim == 3 else values
    assert cv2.imwrite(str(path), values, [cv2.IMWRITE_JPEG_QUALITY, 98] if path.suffix == ".jpg" else [])


def array(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def as_bytes(normal: np.ndarray, unknown: int) -> np.ndarray:
    code = np.rint((normal + 1) / 2 * 255).astype(np.uint8)
    return np.where(np.abs(normal).max(-1, keepdims=True) > 0, code, np.uint8(unknown))


def gt_sets(root: Path) -> None:
    (root / "gt_sets").mkdir(parents=True)
    (root / "gt_sets/train.txt").write_text("0003\n0004\n")
    (root / "gt_sets/val.txt").write_text("0001\n")


def mtl_pytorch(root: Path, axes_of_camera: np.ndarray = EIGEN_OF_CAMERA) -> dict[str, Frame]:
    gt_sets(root)
    frames = {f"{number:04d}": Frame(number) for number in (1, 3, 4)}
    for name, frame in frames.items():
        picture(root / f"images/{name}.jpg", whole(frame.rgb, 255))
        picture(root / f"segmentation/{name}.png", whole(frame.ids.astype(np.uint8), 0))
        array(root / f"normals/{name}.npy", whole(frame.stored_normal(axes_of_camera).astype(np.float32), 0))
        array(root / f"depth/{name}.npy", whole(frame.depth.astype(np.float32), 0))
        array(root / f"edge/{name}.npy", np.ones(WHOLE, np.float32))
    return frames


def atrc(root: Path, axes_of_camera: np.ndarray = EIGEN_OF_CAMERA) -> dict[str, Frame]:
    gt_sets(root)
    frames = {f"{number:04d}": Frame(number, (425, 560)) for number in (1, 3, 4)}
    for name, frame in frames.items():
        picture(root / f"images/{name}.png", frame.rgb)
        picture(root / f"segmentation/{name}.png", frame.ids.astype(np.uint8))
        picture(root / f"normals/{name}.png", as_bytes(frame.stored_normal(axes_of_camera), 128))
        array(root / f"depth/{name}.npy", frame.depth.astype(np.float32))
        picture(root / f"edge/{name}.png", np.full((425, 560), 255, np.uint8))
    return frames


def mtan(root: Path) -> dict[str, Frame]:
    frames = {
        f"{split}/{number}": Frame(number, (288, 384), 13) for split, number in (("train", 0), ("train", 1), ("val", 0))
    }
    for name, frame in frames.items():
        split, number = name.split("/")
        array(root / f"{split}/image/{number}.npy", frame.rgb / 255)
        array(root / f"{split}/label/{number}.npy", frame.ids - 1.0)
        array(root / f"{split}/normal/{number}.npy", frame.stored_normal())
        array(root / f"{split}/depth/{number}.npy", frame.depth[..., None])
    return frames


def adashare(root: Path) -> dict[str, Frame]:
    frames = {f"{number:04d}": Frame(number) for number in (0, 2, 3)}
    for name, frame in frames.items():
        picture(root / f"img/{name}.png", whole(frame.rgb, 255))
        picture(root / f"seg/{name}.png", whole((frame.ids - 1).astype(np.uint8), 255))
        picture(root / f"normal_mask/{name}.png", whole(as_bytes(frame.stored_normal(), 255), 255))
        array(root / f"depth/{name}.npy", whole(frame.depth.astype(np.float32), 0))
    return frames


def nicr(root: Path) -> dict[str, Frame]:
    frames = {f"{split}/{number:04d}": Frame(number) for split, number in (("train", 2), ("train", 3), ("test", 0))}
    for name, frame in frames.items():
        split, number = name.split("/")
        depth = np.rint(frame.depth * 1000).astype(np.uint16)
        picture(root / f"{split}/rgb/{number}.png", whole(frame.rgb, 255))
        picture(root / f"{split}/semantic_40/{number}.png", whole(frame.ids.astype(np.uint8), 0))
        picture(root / f"{split}/normal/{number}.png", whole(as_bytes(frame.stored_normal(), 127), 127))
        picture(root / f"{split}/depth/{number}.png", whole(depth, 0))
        picture(
            root / f"{split}/depth_raw/{number}.png",
            whole(np.where(frame.hole, 10_000 * frame.far, depth).astype(np.uint16), 0),
        )
    return frames


def labelled(root: Path, scenes: bool = True) -> dict[str, Frame]:
    """MATLAB's arrays as HDF5 has them, the axes in reverse; frames 1 to 4, of which 1 and 2 test."""
    frames = {f"{number:04d}": Frame(number) for number in (1, 2, 3, 4)}
    label_of = {int(id_): label for label, id_ in reversed(list(enumerate(classes_of_labels())))}
    of_ids = np.vectorize(label_of.__getitem__)
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:

        def store(name: str, of: Callable[[Frame], np.ndarray], beside: float) -> None:
            stacked = np.stack([whole(of(frame), beside) for frame in frames.values()], -1)  # MATLAB's H x W [x 3] x N
            file.create_dataset(name, data=stacked.transpose(), compression="lzf")

        raw = lambda frame: np.where(frame.hole, 10 * frame.far, frame.depth)  # noqa: E731
        store("images", lambda frame: frame.rgb, 255)
        store("depths", lambda frame: frame.depth.astype(np.float32), 1)
        store("rawDepths", lambda frame: raw(frame).astype(np.float32), 0)
        store("labels", lambda frame: of_ids(frame.ids).astype(np.uint16), 0)
        if scenes:
            names = ("kitchen_0001", "kitchen_0001", "study_0007", "bedroom_0002")
            texts = [
                file.create_dataset(f"#refs#/{i}", data=np.array([[ord(letter)] for letter in name], np.uint16))
                for i, name in enumerate(names)
            ]
            file["scenes"] = np.array([[text.ref for text in texts]], h5py.ref_dtype)
    return frames


def adashare_lists(root: Path, **splits: list[str]) -> None:
    entries = {
        split: [[f"img/{n}.png", f"seg/{n}.png", f"normal_mask/{n}.png", f"depth/{n}.npy"] for n in names]
        for split, names in splits.items()
    }
    (root / "nyu_v2_3task.json").write_text(json.dumps(entries))


def views(source: Source) -> list[View]:
    return [view for group in source.groups() for view in source.views(*group)]


def axes_of(matrix: np.ndarray) -> Axes:
    """The reader's notation of the axes that ``matrix``, stored from camera, stands for."""
    return tuple((int(np.abs(column).argmax()), int(column.sum())) for column in matrix.T)


assert axes_of(EIGEN_OF_CAMERA) == EIGEN
