"""The index of a data set in place: which views there are, their files, and a mark of each file.

    data/<domain>/index.json       what readers must know, and each split's size
    data/<domain>/views.parquet    a row a view: split, group, name, fov, place, and each file's path, bytes and mark
    data/<domain>/views.arrow      the same, for reading by memory map: a training touches the rows it needs

Nothing of the data set is copied. A file's mark is a digest of its length, its beginning and its end: it tells a
truncated, replaced or rewritten file without reading all of it. Groups that are finished are kept aside, so an indexing
that was interrupted goes on with the next one. What is trained on depends on the readers as well, which decode the
files; so the index names their code by a digest, and is another one when they change.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mult import leftovers
from mult.data.sources import Source, View
from mult.data.sources.source import SPLITS
from mult.data.store import INDEX_KIND
from mult.data.survey import nothing_in
from mult.data.workers import in_batches
from mult.errors import UserError, in_one_line
from mult.files import atomic, flushed, sha256, write_json
from mult.paths import below
from mult.process import STATE
from mult.progress import progress

TABLES = ("views.parquet", "views.arrow")
MARKED = 4096  # bytes of a file's beginning and of its end
THREADS = 16  # that wait for the disk or the network at the same time
AT_A_TIME = 1000  # views whose rows are Python objects, which take far more room than a table's
REMEMBERED = 64  # marks of files: one is asked for again by the next views, if at all
FIXED = {"split": pa.string(), "group": pa.string(), "name": pa.string(), "fov": pa.float32(), "place": pa.int32()}
OF_A_FILE = {"path": pa.string(), "bytes": pa.int64(), "mark": pa.string()}
# Whose code decides the pixels.
DECODERS = ("sources/*.py", "sources/*.csv", "labels.py", "encoding.py", "fit.py", "lazy.py", "damage.py")


def build(
    source: Source,
    folder: Path,
    image_size: int,
    aside: Path = STATE / "index",
    most: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Write the index of ``source`` into ``folder``; returns the number of views of each split.

    Args:
        most: split -> how many views of it at most: the same number of each group, evenly spread over it, and less
            than asked for where groups have not as many. A group is a place, so many of them say more than many views.

    Raises:
        UserError: a split without a view, a file that cannot be read, pictures that were made for another size.
    """
    source.check_size(image_size)
    groups = sorted(source.groups(), key=lambda of: (SPLITS.index(of[0]), of[1]))  # readers count on the splits' order
    most = most or {}
    shares = _shares([split for split, _ in groups], most)
    kept = aside / f"{source.domain}-{_fingerprint(source, most)}"
    for other in kept.parent.glob(f"{source.domain}-*"):  # of another root or layout, never to be finished
        if other != kept:
            shutil.rmtree(other)
    kept.mkdir(parents=True, exist_ok=True)
    parts = [kept / f"{split}-{hashlib.sha256(group.encode()).hexdigest()[:16]}.parquet" for split, group in groups]
    todo = [of for of in zip(parts, groups, shares, strict=True) if not of[0].exists()]
    print(f"{source.domain}: {source.layout}; {len(groups)} groups, {len(todo)} of them to be indexed")
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(lambda of: _index_group(source, *of), todo)
        for _ in progress(done, f"index {source.domain}", total=len(todo), unit="group"):
            pass
    counts = _join(parts, folder, source, image_size)
    leftovers.ended(kept, folder)
    return counts


def mark(path: Path) -> tuple[int, str]:
    """Length of a file and the mark of its content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(length.to_bytes(8, "little"), digest_size=8)
            digest.update(file.read(MARKED))
            if length > 2 * MARKED:
                file.seek(-MARKED, os.SEEK_END)
            digest.update(file.read())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the index has to see every file") from None
    return length, digest.hexdigest()


def is_of_a_view(column: str) -> bool:
    """Whether ``view_of`` needs this column of the index."""
    return column in FIXED or column.endswith("_path")


def view_of(row: Mapping[str, object]) -> View:
    """A row of the index as the view that it was made from.

    Raises:
        UserError: a path in it leads out of the data set.
    """
    paths = ((name, path) for name, path in row.items() if name.endswith("_path") and path)
    files = {name.removesuffix("_path"): below(path, "views.arrow") for name, path in paths}
    return View(row["split"], row["group"], row["name"], files, row["fov"], row["place"])


def _shares(splits: Sequence[str], most: Mapping[str, int]) -> list[int | None]:
    """How many views of each group, whose splits are given, are wanted; None: all."""
    of_split: dict[str, Iterator[int]] = {}
    for split in set(splits) & most.keys():
        bounds = np.arange(splits.count(split) + 1) * most[split] // splits.count(split)
        of_split[split] = iter(np.diff(bounds).tolist())
    return [next(of_split[split]) if split in of_split else None for split in splits]


def _fingerprint(source: Source, most: Mapping[str, int]) -> str:
    of = (source.root.resolve(), source.layout, source.partition, sorted(most.items()), _code(), *source.groups())
    return hashlib.sha256("\n".join(map(str, of)).encode()).hexdigest()[:12]


def _code() -> str:
    """Digest of what decodes the files."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in DECODERS for path in here.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _index_group(source: Source, part: Path, of: tuple[str, str], share: int | None) -> None:
    marks = lru_cache(REMEMBERED)(mark)  # a file of many views is looked at once
    tables = [_schema(()).empty_table()]
    for some in in_batches(_chosen(source, of, share), AT_A_TIME):
        kinds = sorted(set().union(*(view.files for view in some)))
        rows = [_row(source, view, marks) for view in some]
        tables.append(pa.Table.from_pylist(rows, _schema(kinds)))
    with atomic(part) as file:
        pq.write_table(pa.concat_tables(tables, promote_options="default"), file, write_page_checksum=True)


def _chosen(source: Source, of: tuple[str, str], share: int | None) -> Iterator[View]:
    if share is None:
        yield from source.views(*of)
    elif share:
        views = list(source.views(*of))
        places = np.linspace(0, len(views) - 1, min(share, len(views))).round().astype(int)
        yield from (views[place] for place in places)


def _row(source: Source, view: View, marks: Callable[[Path], tuple[int, str]]) -> dict[str, object]:
    row = {"split": view.split, "group": view.group, "name": view.name, "fov": view.fov, "place": view.place}
    for kind, path in view.files.items():
        length, found = marks(source.root / path)
        row |= {f"{kind}_path": path, f"{kind}_bytes": length, f"{kind}_mark": found}
    return row


def _schema(kinds: Sequence[str]) -> pa.Schema:
    of_files = {f"{kind}_{of}": type_ for kind in kinds for of, type_ in OF_A_FILE.items()}
    return pa.schema(list((FIXED | of_files).items()))


def _join(parts: Sequence[Path], folder: Path, source: Source, image_size: int) -> dict[str, int]:
    """Write the folder of an index from the parts of its groups, one after the other; see ``build``."""
    kinds = sorted({name[: -len("_path")] for part in parts for name in _columns(part) if name.endswith("_path")})
    schema, present = _schema(kinds), dict.fromkeys(kinds, 0)
    groups: dict[str, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tables = [partial / name for name in TABLES]
    with (
        flushed(tables[0]) as first,
        flushed(tables[1]) as second,
        pq.ParquetWriter(first, schema) as parquet,
        pa.ipc.new_file(second, schema) as arrow,
    ):
        for batch in _batches(parts, schema):
            parquet.write_batch(batch)
            arrow.write_batch(batch)
            groups[batch["split"][0].as_py()].append((batch["group"][0].as_py(), len(batch)))
            for kind in kinds:
                present[kind] += len(batch) - batch[f"{kind}_path"].null_count
    splits = {split: {"images": sum(n for _, n in of), "groups": of} for split, of in groups.items() if of}
    if not splits:
        raise nothing_in(source)
    index = {
        "kind": INDEX_KIND,
        "domain": source.domain,
        "root": str(source.root.absolute()),
        "layout": source.layout,
        "partition": source.partition,
        "classes": list(source.classes),
        "labels": list(source.labels),
        "code": _code(),
        "image_size": image_size,
        "edge_sigma": source.edge_sigma,
        "files": present,
        "left_out": dict(source.left_out()),
        "splits": splits,
        "tables": {table.name: {"sha256": sha256(table), "bytes": table.stat().st_size} for table in tables},
    }
    write_json(partial / "index.json", index)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return {split: of["images"] for split, of in splits.items()}


def _batches(parts: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The views of each group, in one batch; groups without views are left out."""
    for part in parts:
        with _whole(part):
            table = pq.read_table(part, page_checksum_verification=True)
        for name in set(schema.names) - set(table.column_names):
            table = table.append_column(schema.field(name), pa.nulls(len(table), schema.field(name).type))
        yield from table.select(schema.names).combine_chunks().to_batches()


def _columns(part: Path) -> list[str]:
    with _whole(part):
        return pq.read_schema(part).names


@contextmanager
def _whole(part: Path) -> Iterator[None]:
    """Raises: UserError: the disk has not kept a group's part as it was written; it is removed."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        part.unlink()
        raise UserError(f"{part}: damaged ({in_one_line(error)}); run the command again, which makes it anew") from None
