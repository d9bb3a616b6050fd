"""Names that come from outside, and where they may lead: nowhere but below the folder that they are looked for in."""

from pathlib import Path, PurePosixPath

from mult.errors import UserError


def one_name(name: object, said_by: Path | str) -> str:
    """``name``, if it can be nothing but a file or folder within another; ``said_by``: where it stands, for messages.

    Raises:
        UserError: it is empty, is no text, has a separator or a character that cannot be seen, or is ``.`` or ``..``.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or not name.isprintable():
        raise UserError(f"{said_by}: {str(name)[:100]!r} is no name of one file or folder; take it out")
    return name


def below(path: object, said_by: Path | str) -> str:
    """``path``, with /, if it leads down from a folder and not out of it.

    Raises:
        UserError: it is absolute, has ``..`` in it, or is no path at all.
    """
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    if not parts or parts[0].startswith("/") or ".." in parts or not str(path).isprintable():
        raise UserError(
            f"{said_by}: {str(path)[:100]!r} leads out of the folder that it is in, or nowhere; take it out"
        )
    return path


def no_way_out(file: Path) -> None:
    """See that ``file``, which a list names, is no link out of its folder; the folder itself may be one, its owner's.

    Raises:
        UserError: it is.
    """
    if file.is_symlink() and not file.resolve().is_relative_to(file.parent.resolve()):
        raise UserError(f"{file}: a link to {file.resolve()}, out of its folder; put the file itself there")
