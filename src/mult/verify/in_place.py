"""The files of a data set in place, by their marks: as they were when the data set was indexed, or not."""

import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from mult.data.index import AT_A_TIME, THREADS, mark
from mult.errors import UserError
from mult.progress import progress
from mult.verify.fault import Fault

Known = tuple[str, int, str]  # path below the root, bytes, mark


def faults_of_files(folder: Path, index: Mapping) -> Iterator[Fault]:
    """Compare each file's length, beginning and end with the index in ``folder``; a thousand views at a time."""
    root, domain = Path(index["root"]), index["domain"]
    anew = f"dvc repro --force --single-item {shlex.quote(f'prepare@{domain}')}"
    mend = f"put it back, or index what is there: {anew}"
    if not root.is_dir():
        yield Fault(root, f"no such folder; {domain} was there", "put it back, or change `root` in params.yaml")
        return
    total = sum(-(-views // AT_A_TIME) for of in index["splits"].values() for _, views in of["groups"])
    with ThreadPoolExecutor(THREADS) as pool:
        parts = _parts(folder / "views.arrow", list(index["files"]))
        for part in progress(parts, f"verify files of {domain}", total, "part"):
            for (path, _, _), what in zip(part, pool.map(lambda known: _what(root, known), part), strict=True):
                if what:
                    yield Fault(root / path, what, mend)


def _parts(table: Path, kinds: list[str]) -> Iterator[list[Known]]:
    """What the index says of files, in lists of at most a thousand views' each, each file of a list once."""
    with pa.memory_map(str(table)) as memory, pa.ipc.open_file(memory) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for start in range(0, len(batch), AT_A_TIME):
                some = batch.slice(start, AT_A_TIME)
                columns = ([some[f"{kind}_{of}"].to_pylist() for of in ("path", "bytes", "mark")] for kind in kinds)
                known = dict.fromkeys(file for of_kind in columns for file in zip(*of_kind, strict=True) if file[0])
                yield list(known)


def _what(root: Path, known: Known) -> str | None:
    path, length, marked = known
    try:
        found = mark(root / path)
    except UserError:
        return "missing, or it cannot be read"
    if found[0] != length:
        return f"{found[0]} bytes, not the {length} that it had when it was indexed"
    return None if found[1] == marked else "altered since it was indexed"
