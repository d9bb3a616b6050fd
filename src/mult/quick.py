"""DVC, quick on pipelines of 170 stages.

DVC parses params.yaml once a stage and the whole of dvc.lock three times, by a parser in Python, and looks for each
parameter by walking through all of them: `dvc status` takes ten seconds and a stage four beside its work. In a process
that has called ``quicken`` files are parsed once while they do not change. What DVC does stays the same, and so do its
files; plain `dvc repro` is not touched. The functions replaced are no documented ones: dvc is pinned, and tests hold
them against DVC's own.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mult import lockfile

_parsed: dict[str, tuple[tuple[int, int, int], Any]] = {}  # by path: what the file was like, its content


def quicken() -> None:
    """Have DVC in this process parse files once, and write dvc.lock by ``lockfile.modify``."""
    import dvc.dependency.param
    import dvc.dvcfile

    if getattr(dvc.dvcfile.Lockfile._load_yaml, "quick", False):
        return
    usual_modify, usual_load = dvc.dvcfile.modify_yaml, dvc.dvcfile.Lockfile._load_yaml
    usual_read = dvc.dependency.param.read_param_file

    def modify(path, fs=None):
        return (lockfile.modify if Path(path).name == lockfile.NAME else usual_modify)(path, fs=fs)

    def load(self, **options):
        found = None if options.get("round_trip") else lockfile.read(self.path)
        return found or usual_load(self, **options)

    def read(fs, path, key_paths=None, flatten=False, **options):
        if not (key_paths and flatten) or options or fs.protocol != "local":
            return usual_read(fs, path, key_paths, flatten, **options)
        content = _parse(path, lambda: usual_read(fs, path))
        return {key: deepcopy(found[0]) for key in key_paths if (found := _look_up(content, key))}

    load.quick = True
    dvc.dvcfile.modify_yaml, dvc.dvcfile.Lockfile._load_yaml = modify, load
    dvc.dependency.param.read_param_file = read


def _parse(path: str, parse) -> Any:
    """The file's content, parsed anew only when the file has changed."""
    about = os.stat(path)
    state = (about.st_mtime_ns, about.st_size, about.st_ino)
    if path not in _parsed or _parsed[path][0] != state:
        _parsed[path] = (state, parse())
    return _parsed[path][1]


def _look_up(content: Any, key: str) -> list[Any]:
    """The value at ``key``, names with dots between them, in a list; an empty one where there is none."""
    for name in key.split("."):
        if not isinstance(content, Mapping) or name not in content:
            return []
        content = content[name]
    return [content]
