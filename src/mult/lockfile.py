"""dvc.lock, read and written quickly and never in part.

DVC parses the whole file three times a stage and writes it in place, by a parser that would keep comments. With the
entries of 170 stages that takes five seconds, in which every other stage waits for the lock, and a kill leaves half a
file. Here the same text is put together from the entries' own texts, of which only a changed one is made anew, and
written beside the file, which then takes its name. What was written is kept as JSON as well, which is read a hundred
times faster; it is used only while its digest is that of the file, and to put a damaged file back.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mult.files import atomic
from mult.process import STATE

NAME = "dvc.lock"
Pieces = dict[str, list[str]]  # a stage's entry as JSON, and its text


@contextmanager
def modify(path: Path | str = NAME, fs: object = None) -> Iterator[dict]:
    """The content of a lock file, to be changed in the block and written after it; ``{}`` where there is none.

    Takes the place of ``dvc.utils.serialize.modify_yaml`` (mult.quick); ``fs``, always the local one, is not used.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = _kept(path, text)
    data = json.loads(kept["data"]) if kept else _yaml().load(text) or {}
    yield data
    data = _plain(data)
    changed, pieces = _text(data, kept["pieces"] if kept else {})
    if changed == text:
        return
    with atomic(path, "w") as file:
        file.write(changed)
    with atomic(kept_beside(path), "w") as file:
        json.dump({"sha256": _digest(changed), "data": json.dumps(data), "pieces": pieces}, file)


def read(path: Path | str) -> tuple[dict, str] | None:
    """Content and text of a lock file that ``modify`` wrote and nobody has changed since; None for any other."""
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    kept = _kept(path, text)
    return (json.loads(kept["data"]), text) if kept else None


def stages(path: Path | str = NAME) -> dict[str, dict]:
    """The entry of each stage; none of a file that cannot be read, which `mult repro` mends. Not to be changed."""
    try:
        seen = os.stat(path)
    except OSError:
        return {}
    return _stages(Path(path).absolute(), seen.st_ino, seen.st_mtime_ns, seen.st_size)


@lru_cache(4)
def _stages(path: Path, *_: int) -> dict[str, dict]:
    try:
        kept = read(path)
        data = kept[0] if kept else yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        return {name: entry for name, entry in data["stages"].items() if isinstance(entry, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}


def complaint(path: Path | str = NAME) -> str | None:
    """What is wrong with a lock file, in a few words; None where it is whole, or not there.

    Each writer ends it with a line's end, so one that was cut in the middle of a line is told; one that was cut between
    two lines may be a whole one with fewer entries, which DVC then looks up among its earlier runs.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return "no text"
    if _kept(path, text):
        return None
    if not text.strip():
        return "empty"
    return "cut off" if not text.endswith("\n") else _unfit(text)


def repair(path: Path | str = NAME) -> str | None:
    """Put a damaged lock file back as ``modify`` wrote it last, or away where that is not known; says what was done.

    Without it DVC finds each stage's results in its cache by what they were made from, so nothing is trained again.
    """
    path = Path(path)
    fault = complaint(path)
    if fault is None:
        return None
    aside = path.parent / STATE / f"{path.name}.damaged"
    aside.parent.mkdir(exist_ok=True)
    os.replace(path, aside)
    if text := _last_written(path):
        with atomic(path, "w") as file:
            file.write(text)
        return f"{path}: {fault}; it is as it was written last again (the damaged one is {aside})"
    return f"{path}: {fault}; it is made anew from what DVC's cache knows (the damaged one is {aside})"


def kept_beside(path: Path) -> Path:
    """Where what was last written to the lock file ``path`` is kept."""
    return path.parent / STATE / f"{path.name}.json"


def _kept(path: Path, text: str) -> dict | None:
    """What is kept of the lock file's content, if ``text`` is what was written last."""
    try:
        kept = json.loads(kept_beside(path).read_text(encoding="utf-8"))
        return kept if kept["sha256"] == _digest(text) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _last_written(path: Path) -> str | None:
    try:
        kept = json.loads(kept_beside(path).read_text(encoding="utf-8"))
        text, _ = _text(json.loads(kept["data"]), kept["pieces"])
        return text if _digest(text) == kept["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _unfit(text: str) -> str | None:
    """Why DVC would not take it."""
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from ruamel.yaml.error import YAMLError

    try:
        Lockfile.validate(_yaml().load(text))
    except (YAMLError, DvcException) as error:
        return f"not what DVC writes ({type(error).__name__})"
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(data: dict, pieces: Pieces) -> tuple[str, Pieces]:
    """The whole text, and each stage's piece of it; of ``pieces`` those are taken whose entries have not changed."""
    parts, made = [], {}
    for key, value in data.items():
        if key != "stages" or not isinstance(value, dict) or not value:
            parts.append(_dump({key: value}))
            continue
        for name, entry in value.items():
            entry_json = json.dumps(entry)  # not ==, for which 1 and true are the same
            old = pieces.get(name)
            same = old is not None and old[0] == entry_json
            made[name] = old if same else [entry_json, _dump({key: {name: entry}}).removeprefix("stages:\n")]
        parts += ["stages:\n", *(piece for _, piece in made.values())]
    return "".join(parts) or "{}\n", made


def _dump(value: dict) -> str:
    text = io.StringIO()
    _yaml().dump(value, text)
    return text.getvalue()


def _yaml():
    from ruamel.yaml import YAML  # DVC's own: another library quotes other texts

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 1000
    return yaml


def _plain(value: Any) -> Any:
    """The same in the types that a safe writer knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(of) for of in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
