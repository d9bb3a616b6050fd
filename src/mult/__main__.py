"""``python -m mult``: the same as the command ``mult``."""

from mult.cli import main

if __name__ == "__main__":
    main()
