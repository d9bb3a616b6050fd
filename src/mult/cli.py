"""The command line: ``mult --help``. Heavy imports wait until a command needs them."""

import argparse
import sys
from collections.abc import Sequence

from mult.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake becomes one line on stderr and exit code 1."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        sys.exit(chosen.run(chosen))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; what was finished is kept, the same command goes on from there")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mult", description="Multitask learning for dense vision.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, text: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        sub.set_defaults(run=run)
        return sub

    params = command("params", _params, "Check a params file and print the chosen scale's settings.", "mult params")
    params.add_argument("file", nargs="?", default="params.yaml")

    repro = command(
        "repro", _repro, "Bring every stage up to date, side by side on this machine.", "mult repro --scale smoke"
    )
    repro.add_argument("--scale", choices=("smoke", "laptop", "gpu", "paper"), help="default: what params.yaml says")
    repro.add_argument("--jobs", type=int, help="stages at a time; default: one a core, or one a GPU")

    ui = command("ui", _ui, "Open MLflow's UI on this machine.", "mult ui --port 5000")
    ui.add_argument("--port", type=int, default=5000)
    return parser


def _params(chosen: argparse.Namespace) -> None:
    import yaml

    from mult.params import load

    settings = load(chosen.file).model_dump(exclude={"scales"}, exclude_none=True)
    print(yaml.safe_dump(settings, sort_keys=False, width=120), end="")


def _repro(chosen: argparse.Namespace) -> int:
    from mult.repro import repro

    if chosen.jobs is not None and chosen.jobs < 1:
        raise UserError(f"--jobs: {chosen.jobs} is below 1")
    return repro(chosen.jobs, chosen.scale)


def _ui(chosen: argparse.Namespace) -> int:
    from mult.ui import serve

    return serve(chosen.port)
