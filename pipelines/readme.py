"""Make the made parts of README.md anew: the picture of the pipeline from dvc.yaml, the main tables from reports/.

python -m pipelines readme
"""

from pathlib import Path

from mult.files import atomic
from mult.reports.readme import fill, main_tables, picture


def main() -> None:
    path = Path("README.md")
    text = fill(path.read_text(encoding="utf-8"), "pipeline", picture(needs()))
    text = fill(text, "tables", main_tables())
    with atomic(path, "w") as file:
        file.write(text)


def needs(folder: Path | str = ".") -> list[tuple[str, str]]:
    """Pairs of stages of dvc.yaml, the second of which needs the first."""
    from dvc.repo import Repo  # late: slow

    with Repo(str(folder)) as repo:
        return [(needed.addressing, stage.addressing) for stage, needed in repo.index.graph.edges]
