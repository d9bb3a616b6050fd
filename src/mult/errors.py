"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake of the user's: its text is one line that says what, where and the mend.

    Command-line entry points print it on stderr without a traceback and exit with code 1.
    """


class Paused(Exception):
    """Time is up; what was done is kept, and the same command goes on from there."""
