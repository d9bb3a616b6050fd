"""A folder that is written piece by piece says in a file of its own what it is for, so that two are never mixed."""

from pathlib import Path

from mult.data.sources import Source
from mult.errors import UserError
from mult.files import read_json, sha256, write_json


def claim(source: Source, out: Path, size: int | None, name: str, what: str) -> None:
    """Write down that ``out`` is for ``source`` in ``size`` pixels, or see that it is for the same.

    Args:
        name: the file that says so.
        what: of which kind the folder is, in messages.

    Raises:
        UserError: ``out`` is for something else, or holds something else.
    """
    index = source.root / "index.json"
    facts = {
        "domain": source.domain,
        "root": str(source.root.absolute()),
        "layout": source.layout,
        "partition": source.partition,
        "index": sha256(index) if index.is_file() else None,  # prepared data may be prepared anew
        "size": size,
    }
    if (out / name).is_file():
        begun = read_json(out / name)
        if differing := [key for key in facts if begun.get(key) != facts[key]]:
            key = differing[0]
            raise UserError(
                f"{out}: another {what} is here ({name}), with {key} {begun.get(key)}, not {facts[key]}; take an empty "
                "folder"
            )
    elif out.exists() and any(out.iterdir()):
        raise UserError(f"{out}: not empty, and no {what}; take an empty folder")
    else:
        write_json(out / name, facts)
