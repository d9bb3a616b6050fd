"""Reading the file, and saying in one line what is wrong with it."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, ScalarEvent

from mult.errors import UserError
from mult.params.fields import shown
from mult.params.whole import Params

LONGEST = 400  # characters of a message
DEEPEST = 100  # sections in one another
DIGITS = 1000  # of a number


def load(path: Path | str = "params.yaml", scale: str | None = None) -> Params:
    """Read and check a params file; ``scale`` names one to take in place of the one that the file chooses.

    Raises:
        UserError: the file is missing, is no YAML, or breaks the schema; the text names file, key, value and mend.
    """
    path = Path(path)
    try:
        settings = Params.model_validate(_read(path))
    except ValidationError as error:
        raise UserError(f"{path}: {complaint(error)}") from None
    except RecursionError:
        raise UserError(f"{path}: a section that is within itself, or thousands in one another; untie it") from None
    if scale is None:
        return settings
    if scale not in settings.scales:
        raise UserError(f"{path}: scale {scale!r} is none of scales ({', '.join(settings.scales)})")
    return settings.model_copy(update={"scale": settings.scales[scale]})


def _read(path: Path) -> Any:
    """The file's content as DVC's own parser has it, so that a number means one thing to both."""
    try:
        text = path.read_text(encoding="utf-8")
        _look_over(path, text)
        return YAML(typ="safe").load(text)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder, or name the file") from None
    except DuplicateKeyError as error:
        key = re.search(r'duplicate key "(.*?)"', error.problem or "")
        raise UserError(
            f"{path}: {shown(key[1]) if key else 'a key'} stands twice in one section, the second time in line "
            f"{error.problem_mark.line + 1}; keep one"
        ) from None
    except RecursionError:
        raise
    except Exception as error:  # a tag such as !!int before what is no integer ends in nearly any of them
        raise UserError(f"{path}: cannot be read as YAML: {_cut(' '.join(str(error).split()))}") from None


def _look_over(path: Path, text: str) -> None:
    """Raises: UserError: what a parser would end the process for, or name without its place."""
    depth = 0
    for event in YAML(typ="safe").parse(text):  # event by event, where loading calls itself for each section
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            where = f"line {event.start_mark.line + 1}: more than {DEEPEST} sections in one another"
            raise UserError(f"{path}: {where}; close them")
        if isinstance(event, ScalarEvent) and re.fullmatch(rf"[-+]?[\d_]{{{DIGITS},}}", event.value):
            where = f"line {event.start_mark.line + 1}: a number of {len(event.value)} digits"
            raise UserError(f"{path}: {where}; write a shorter one")


def complaint(error: ValidationError) -> str:
    """The first complaint as ``key: value: what is allowed``, and how many more there are."""
    details = error.errors(include_url=False)
    # `scale` is one of `scales` over again, with the same mistakes.
    details = [of for of in details if of["loc"][:1] != ("scale",)] or details
    # A misspelt key shows up as unknown and as missing: the first says more.
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    parts = [str(part) or "''" for part in first["loc"] if part not in ("embedded", "real", "[key]")]
    key = ".".join(parts) or "(the file)"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key; remove it, or see the comments in params.yaml for the keys there are"
    elif first["type"] == "missing":
        message = "missing; it has no default"
    elif first["type"] in ("model_type", "dict_type"):
        message = f"{shown(first['input'])}: it must be a section, keys with values below it"
    elif not first["type"].startswith("value_error"):
        message = f"{shown(first['input'])}: {message}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    text = _cut(" ".join(message.split())) + more
    if not parts and first["type"] == "value_error":  # it names its key itself
        return text
    return f"{_cut(' '.join(key.split()))}: {text}"


def _cut(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
