"""Prepared data: one memory-mapped array a split and label, and an index that knows each one's digest.

    data/<domain>/index.json
    data/<domain>/<split>/<label>.npy      (images, H, W[, 3]) in Taskonomy's encoding (mult.data.labels)

A data set in place has an index of its own kind there (``mult.data.index``), which ``open_split`` opens as well.
`mult bench data` compares reading them with decoding PNG files.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mult.errors import UserError
from mult.files import flushed, intact, read_json, sha256, write_json
from mult.outs import MEND

INDEX_KIND = "index"  # `kind` in the index.json of a data set in place
# Labels of a sample with their array type; the third axis of rgb and normal has three channels.
LABELS: dict[str, type] = {
    "rgb": np.uint8,
    "segment_semantic": np.uint8,
    "depth_zbuffer": np.uint16,
    "normal": np.uint8,
    "reshading": np.uint8,
    "keypoints2d": np.uint16,
    "edge_texture": np.uint16,
    "mask_valid": np.uint8,
    "instance": np.uint16,
}


class Writer:
    """Writes one domain's folder; it appears under its name only when it is complete."""

    def __init__(self, folder: Path | str, domain: str, classes: Sequence[str], image_size: int, **facts):
        """``facts`` are kept in the index beside what the readers need, e.g. edge_sigma."""
        self.folder = Path(folder)
        self.partial = self.folder.with_name(f".{self.folder.name}.partial")
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        self.index = {"domain": domain, "classes": list(classes), "image_size": image_size, **facts, "splits": {}}

    def add(self, split: str, images: int, samples: Iterable[tuple[dict[str, np.ndarray], str, float]]) -> None:
        """Write one split from ``(labels, group, horizontal field of view in radians)`` of each image, in order."""
        groups, fovs = [], []
        (self.partial / split).mkdir()
        files = {label: self._path(split, label) for label in LABELS}
        with ExitStack() as stack:
            # Written in order, not through a memory map: on a full disk that would end the process without a word.
            opened = {label: stack.enter_context(flushed(path)) for label, path in files.items()}
            for labels, group, fov in samples:
                for label, file in opened.items():
                    if not groups:
                        _write_header(file, LABELS[label], (images, *labels[label].shape))
                    file.write(np.ascontiguousarray(labels[label], LABELS[label]).data)
                groups.append(group)
                fovs.append(round(float(fov), 6))
        if len(groups) != images:
            raise RuntimeError(f"{self.folder}: {split} has {len(groups)} images, not the {images} announced")
        self.index["splits"][split] = {
            "images": images,
            "groups": groups,
            "fov": fovs,
            "files": {k: {"sha256": sha256(f), "bytes": f.stat().st_size} for k, f in files.items()},
        }

    def close(self) -> None:
        """Write the index and give the folder its name."""
        write_json(self.partial / "index.json", self.index)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.replace(self.partial, self.folder)

    def _path(self, split: str, label: str) -> Path:
        return self.partial / split / f"{label}.npy"


def _write_header(file: IO[bytes], dtype: type, shape: tuple[int, ...]) -> None:
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)


@dataclass(frozen=True)
class Split:
    """One split of a domain, memory-mapped. ``arrays[label][i]`` is label ``label`` of image ``i``."""

    domain: str
    split: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    fov: np.ndarray
    arrays: dict[str, np.ndarray]
    digest: str  # of the whole domain: the index holds every file's own

    def __len__(self) -> int:
        return len(self.groups)


def read_index(folder: Path) -> dict[str, Any]:
    """The index.json of a prepared domain or of a data set in place.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise UserError(f"{folder}: no prepared data here; run `dvc repro` on its prepare stage")
    try:
        index = read_json(path)
        index["domain"], index["classes"], index["splits"].keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not a whole index; {MEND}") from None
    return index


def open_split(folder: Path | str, split: str) -> Split:
    """Open one split and check every file of it against the index.

    Raises:
        UserError: no such folder or split, an index that names more than labels, or a file that is missing, truncated
            or altered (it is named).
    """
    folder = Path(folder)
    index = read_index(folder)
    if split not in index["splits"]:
        raise UserError(f"{folder}: no split {split!r}; it has {', '.join(index['splits'])}")
    if index.get("kind") == INDEX_KIND:
        from mult.data.lazy import open_index  # late: its readers give labels as this module lists them

        return open_index(folder, index, split)
    entry = index["splits"][split]
    if strange := sorted(entry["files"].keys() - LABELS.keys()):  # they name files
        raise UserError(f"{folder}: {strange[0]!r} in its index is no label; {MEND}")
    arrays = {}
    for label, facts in entry["files"].items():
        path = folder / split / f"{label}.npy"
        if not intact(path, facts["sha256"], facts["bytes"]):
            raise UserError(f"{path}: missing, truncated or altered (its digest is not the index's); {MEND}")
        arrays[label] = np.load(path, mmap_mode="r", allow_pickle=False)
    return Split(
        domain=index["domain"],
        split=split,
        classes=tuple(index["classes"]),
        groups=tuple(entry["groups"]),
        fov=np.asarray(entry["fov"], np.float32),
        arrays=arrays,
        digest=sha256(folder / "index.json")[:12],
    )


def splits_of(folder: Path | str) -> list[str]:
    """The splits that a prepared domain has.

    Raises:
        UserError: as ``read_index``.
    """
    return list(read_index(Path(folder))["splits"])
