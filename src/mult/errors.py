"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake of the user's: its text is one line that says what, where and the mend.

    Command-line entry points print it on stderr without a traceback and exit with code 1.
    """
