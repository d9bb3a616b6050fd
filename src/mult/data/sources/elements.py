"""Elements of the lists in a JSON file that is too big to be held in memory, one after the other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mult.errors import UserError

PIECE = 1 << 22  # characters read at a time
LONGEST = 1 << 26  # characters of a value; a longer one is a bracket that nobody closed
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def elements(path: Path) -> Iterator[tuple[str, Any]]:
    """(name, element) of every list in the JSON object that ``path`` holds, in the file's order; other values are left.

    Raises:
        UserError: the file cannot be read, or is not whole.
    """
    try:
        with open(path, encoding="utf-8") as file:
            yield from _Text(file).elements()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError:  # of JSON and of UTF-8
        raise UserError(f"{path}: truncated or damaged JSON; fetch it again") from None


class _Text:
    """A place in a text that is read piece by piece. All methods raise ValueError where the text is not JSON."""

    def __init__(self, file: IO[str]):
        self._file, self._held, self._at = file, "", 0

    def elements(self) -> Iterator[tuple[str, Any]]:
        self._take("{")
        while True:
            name = self._value()
            self._take(":")
            if self._next() == "[":
                yield from ((name, element) for element in self._list())
            else:
                self._value()
            if self._take(",}") == "}":
                return

    def _list(self) -> Iterator[Any]:
        self._take("[")
        if self._next() == "]":
            self._take("]")
            return
        while True:
            yield self._value()
            if self._take(",]") == "]":
                return

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._at)
                if end < len(self._held):  # else it may go on in the next piece
                    self._at = end
                    return value
            except ValueError:
                if len(self._held) - self._at > LONGEST:
                    raise
            if not self._read():
                raise ValueError("the text ends within a value")

    def _take(self, allowed: str) -> str:
        found = self._next()
        if not found or found not in allowed:
            raise ValueError(f"one of {allowed} is missing")
        self._at += 1
        return found

    def _next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._held, self._at).end()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read():
                return ""

    def _read(self) -> bool:
        piece = self._file.read(PIECE)
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)
