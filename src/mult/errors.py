"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake of the user's: its text is one line that says what, where and the mend.

    Command-line entry points print it on stderr without a traceback and exit with code 1.
    """


class Paused(Exception):
    """Time is up; what was done is kept, and the same command goes on from there."""


def in_one_line(error: Exception, most: int = 300) -> str:
    """What somebody else's code has raised, its kind and text, in one line of at most ``most`` characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:most]
