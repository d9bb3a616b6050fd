"""Data sets that the user has, read where they lie: one module a data set, each with one subclass of ``Source``.

``open_source`` finds the layout below a root; ``mult.data.index`` writes down which views there are, and
``mult.data.lazy`` reads them as training wants them. ``open_data`` opens prepared data in the same way. Packed shards
(``mult data pack``) are one more layout of every data set.
"""

from importlib import import_module
from pathlib import Path

from mult.data.sources.packed import Packed, is_packed
from mult.data.sources.prepared import Prepared
from mult.data.sources.source import Source, View
from mult.data.store import read_index
from mult.errors import UserError

__all__ = ["SOURCES", "Source", "View", "check_splits", "open_data", "open_source"]

EXPORT_FILE = "export.json"  # at the root of what `mult data export` wrote
# Domain -> module and class.
SOURCES = {
    "taskonomy": ("taskonomy", "Taskonomy"),
    "replica": ("replica", "Replica"),
    "nyuv2": ("nyu", "Nyu"),
    "cocodoom": ("cocodoom", "CocoDoom"),
}


def open_source(domain: str, root: Path | str, partition: str | None = None) -> Source:
    """The data set ``domain`` in folder ``root``.

    Args:
        partition: which of its splits' versions is meant, where it has several (Taskonomy's ``tiny`` … ``fullplus``,
            CocoDoom's ``run`` and ``map``); None: its usual one.

    Raises:
        UserError: no such data set, no such folder, or a folder in none of the layouts that are known (they are named);
            or a building in two splits, for then what is tested has been trained on.
    """
    source = _open_source(domain, root, partition)
    check_splits(source)
    return source


def check_splits(source: Source) -> None:
    """Raises: UserError: a building in two splits."""
    split_of: dict[str, str] = {}
    for split, group in source.groups():
        if split_of.setdefault(group, split) != split:
            raise UserError(f"{source.root}: {group} is in {split_of[group]} and in {split}; keep it in one of them")


def _open_source(domain: str, root: Path | str, partition: str | None) -> Source:
    if not isinstance(root, str | Path):  # in an index.json that is not ours
        raise UserError(f"{domain}: root {root!r} is no folder's name")
    root = Path(root)
    if is_packed(root):
        return Packed(root, partition, domain)
    if domain not in SOURCES:
        raise UserError(f"domain {domain!r}: there is no reader for it; there are {', '.join(SOURCES)}")
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; {domain} should be there, see `root` in params.yaml")
    module, name = SOURCES[domain]
    return getattr(import_module(f"mult.data.sources.{module}"), name)(root, partition)


def open_data(domain: str, root: Path | str, partition: str | None = None) -> Source:
    """The domain in folder ``root``, in whichever form it is there.

    That may be what the prepare stage wrote (arrays, or the index of a data set in place), the data set itself, an
    export (``mult data export``) or packed shards. It is for looking at: a building may be in two splits.

    Raises:
        UserError: as ``open_source``, but for that; or the folder holds another domain.
    """
    root = Path(root)
    if is_packed(root):
        return _open_source(domain, root, partition)
    if (root / "index.json").is_file():
        index = read_index(root)
        if index["domain"] != domain:
            raise UserError(f"{root}: this is {index['domain']}, not {domain}")
        if "root" in index:
            return _open_source(domain, index["root"], partition or index["partition"])
        return Prepared(root)
    exported = (root / EXPORT_FILE).is_file()
    if domain in SOURCES and not exported:
        return _open_source(domain, root, partition)
    if not exported and not (root / "rgb").is_dir():
        raise UserError(
            f"{root}: no prepared data of {domain} here, nor an export of it; `dvc repro` writes data/{domain}"
        )
    source = _open_source("taskonomy", root, partition)
    source.domain = domain
    return source
