"""dvc.lock, written quickly and never in part.

DVC writes a stage's entry with a parser that would keep comments, over the whole file and in place. With the entries of
170 stages that takes four seconds, in which every other stage waits for the lock, and a kill leaves half a file. Here
the same text is written by libyaml beside the file, which then takes its name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mult.files import atomic

NAME = "dvc.lock"


@contextmanager
def modify(path: Path | str = NAME, fs: object = None) -> Iterator[dict]:
    """The content of a lock file, to be changed in the block and written after it; ``{}`` where there is none.

    Takes the place of ``dvc.utils.serialize.modify_yaml``; ``fs``, which is always the local one, is not used.
    """
    path = Path(path)
    data = _yaml().load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}
    yield data
    with atomic(path, "w") as file:
        _yaml().dump(_plain(data), file)


def write_lock_quickly() -> None:
    """Have DVC, in this process, write its lock file by ``modify``."""
    import dvc.dvcfile

    usual = dvc.dvcfile.modify_yaml
    dvc.dvcfile.modify_yaml = lambda path, fs=None: (modify if Path(path).name == NAME else usual)(path, fs=fs)


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
