"""A data set as packed shards, which are read many times faster than its own files.

    OUT/shards/<split>-<number>/<label>.npy    (images, size, size[, 3]): the middle squares, in Taskonomy's encoding
    OUT/shards/<split>-<number>/shard.json     the images' groups, names, fields of view, labels that they lack; digests
    OUT/index.json                             what readers must know, and the digest of each shard.json; written last
    OUT/pack.json                              what is packed here, and how

The images are those that training would have of the data set in place, in the same order and equal to the last bit;
``sources/packed.py`` reads them. A shard is written aside and named when it is whole, so a packing that was interrupted
goes on with the next one.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mult.data.claim import claim
from mult.data.lazy import open_views
from mult.data.sources import Source, View, check_splits
from mult.data.sources.packed import KIND, PACK_FILE, SHARD_FILE, altered, shard_path
from mult.data.sources.source import SPLITS
from mult.data.survey import Survey, spread, whole_survey
from mult.data.workers import in_batches, in_processes
from mult.errors import UserError
from mult.files import read_json, sha256, write_json
from mult.progress import progress

SHARD = 1024  # images, at most
BATCH = 16  # images that a process is given at a time


@dataclass(frozen=True)
class Piece:
    """Consecutive images of a shard, ``rest`` of which are at the shard's end, these included."""

    shard: str
    views: Sequence[View]
    rest: int


def pack(source: Source, out: Path, size: int, processes: int | None = None) -> int:
    """Write every view of ``source`` into shards below ``out``; returns their number.

    Args:
        size: pixels of the squares.
        processes: None: one a core.

    Raises:
        UserError: a file of the data set that cannot be read, or a group in two splits; ``out`` holds something else,
            or shards of what the data set was before it changed; no room on the disk.
    """
    check_splits(source)
    source.check_size(size)
    found = whole_survey(source)
    found.groups.sort(key=lambda of: (SPLITS.index(of[0]), of[1]))  # an index has the same order
    claim(source, out, size, PACK_FILE, "packed copy")
    if found.images() <= BATCH:
        processes = 1  # before another has started, they are written
    splits = {split: found.images(split) for split in SPLITS if found.images(split)}
    try:
        _write_shards(source, found, splits, out, size, processes)
    except OSError as error:
        kept = "the finished shards are kept, the same command goes on from there"
        raise UserError(f"{error.filename or out}: {error.strerror or error}; {kept}") from None
    index = {
        "kind": KIND,
        "domain": source.domain,
        "classes": list(source.classes),
        "labels": list(source.labels),
        "edge_sigma": source.edge_sigma,
        "image_size": size,
        "shard_images": SHARD,
        "partition": source.partition,
        "layout": source.layout,
        "splits": {split: _about_split(out, found, split, images) for split, images in splits.items()},
    }
    write_json(out / "index.json", index)
    return found.images()


def _write_shards(
    source: Source, found: Survey, splits: dict[str, int], out: Path, size: int, processes: int | None
) -> None:
    pieces = _pieces(source, found, splits, out, size)
    written = in_processes(_write, (source, out, size), pieces, processes)
    finished = sum(
        min(SHARD, images - first)
        for split, images in splits.items()
        for first in range(0, images, SHARD)
        if (out / shard_path(split, first // SHARD)).is_dir()
    )
    done = _finish_shards(source, written, out, size)
    for _ in progress(done, f"pack {source.domain}", total=found.images(), unit="image", done=finished):
        pass


def _pieces(source: Source, found: Survey, splits: dict[str, int], out: Path, size: int) -> Iterator[Piece]:
    """What is to be written, in order; the files of a shard are there before its first piece."""
    views = spread(source, found)
    for split, images in splits.items():
        for number, of_shard in enumerate(in_batches(islice(views, images), SHARD)):
            shard = shard_path(split, number)
            if (out / shard).is_dir():
                _see_unchanged(source, out / shard, of_shard, size)
                continue
            _begin_shard(source, _aside(out, shard), of_shard, size)
            for first in range(0, len(of_shard), BATCH):
                yield Piece(shard, of_shard[first : first + BATCH], len(of_shard) - first)


def _begin_shard(source: Source, folder: Path, views: Sequence[View], size: int) -> None:
    """Make the files of a shard, in their full length."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for label, array in open_views(source, views, size).arrays.items():
        np.lib.format.open_memmap(folder / f"{label}.npy", "w+", array.dtype, array.shape)


def _write(kept: tuple[Source, Path, int], piece: Piece) -> Piece:
    source, out, size = kept
    arrays = open_views(source, piece.views, size).arrays
    with ExitStack() as stack:
        files = {}
        for label, array in arrays.items():
            file = stack.enter_context(open(_aside(out, piece.shard) / f"{label}.npy", "r+b"))
            file.seek(-piece.rest * array.dtype.itemsize * int(np.prod(array.shape[1:])), os.SEEK_END)
            files[label] = file
        for row in range(len(piece.views)):
            for label, array in arrays.items():
                # Not through a memory map: on a full disk that would end the process without a word.
                files[label].write(np.ascontiguousarray(array[row], array.dtype).data)
    return piece


def _finish_shards(source: Source, written: Iterable[Piece], out: Path, size: int) -> Iterator[View]:
    """Give each shard its name when its last piece is written; yields every view that is written."""
    views: list[View] = []
    for piece in written:
        yield from piece.views
        views += piece.views
        if piece.rest == len(piece.views):
            _finish_shard(source, out, piece.shard, views, size)
            views = []


def _finish_shard(source: Source, out: Path, shard: str, views: Sequence[View], size: int) -> None:
    folder, files = _aside(out, shard), {}
    for label in source.labels:
        path = folder / f"{label}.npy"
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        files[label] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    write_json(folder / SHARD_FILE, _about_shard(source, views, size) | {"files": files})
    os.replace(folder, out / shard)


def _about_shard(source: Source, views: Sequence[View], size: int) -> dict[str, Any]:
    """What shard.json says of the images; ``lacking``: rows by labels that those images have not got."""
    lacking = {label: [row for row, v in enumerate(views) if not source.available(v, label)] for label in source.labels}
    return {
        "groups": [view.group for view in views],
        "names": [view.name for view in views],
        "fovs": open_views(source, views, size).fov.tolist(),
        "lacking": {label: rows for label, rows in lacking.items() if rows},
    }


def _see_unchanged(source: Source, folder: Path, views: Sequence[View], size: int) -> None:
    """See that a finished shard has the images that it would be given now."""
    path = folder / SHARD_FILE
    try:
        shard = read_json(path)
        files = set(shard.pop("files"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise altered(path) from None
    if shard != _about_shard(source, views, size) or files != set(source.labels):
        raise UserError(
            f"{folder}: not the images that {source.root} has now; it has changed since: pack it into an empty folder"
        )


def _about_split(out: Path, found: Survey, split: str, images: int) -> dict[str, Any]:
    shards = [shard_path(split, first // SHARD) for first in range(0, images, SHARD)]
    return {
        "images": images,
        "groups": [[group, number] for of, group, number in found.groups if of == split and number],
        "shards": [sha256(out / shard / SHARD_FILE) for shard in shards],
    }


def _aside(out: Path, shard: str) -> Path:
    """Where a shard is until it is whole."""
    folder = out / shard
    return folder.with_name(f".{folder.name}.partial")
