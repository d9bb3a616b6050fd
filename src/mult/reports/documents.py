"""What the parts of the report hand to each other as JSON, and reading it with one line where it is damaged."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mult.errors import UserError

LONGEST_NUMBER = 30  # characters of a number with its interval


class Document(BaseModel):
    """A part of a JSON file; values are not coerced from other types."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Cell(Document):
    """A table's cell: inline Markdown, the number to sort by, names of the runs it comes from, best of its row."""

    text: str
    sort: float | None = None
    runs: list[str] = []
    best: bool = False


class Grid(Document):
    """A table as it is shown."""

    kind: Literal["table"]
    columns: list[str]
    rows: list[list[Cell]]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers: something to sort by, and no text that merely begins with a number."""
        columns = [[row[place] for row in self.rows] for place in range(len(self.columns))]
        return [
            any(cell.sort is not None for cell in column) and max(len(cell.text) for cell in column) <= LONGEST_NUMBER
            for column in columns
        ]

    @model_validator(mode="after")
    def _rectangular(self) -> "Grid":
        for place, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {place} has {len(row)} cells, not {len(self.columns)}")
        return self


class Paragraph(Document):
    """A paragraph of inline Markdown, or a line ``### Heading``."""

    kind: Literal["text"]
    text: str


class Table(Document):
    """reports/tables/<name>.json."""

    name: str
    caption: str
    blocks: list[Annotated[Grid | Paragraph, Field(discriminator="kind")]]

    @property
    def empty(self) -> bool:
        """Whether it has no row at all: what it is about is not studied at this scale."""
        return not any(block.rows for block in self.blocks if isinstance(block, Grid))


class Sample(Document):
    """One image of a gallery; errors by model and task, None where the image has no valid pixel."""

    image: int
    group: str
    role: Literal["best", "median", "worst", ""]
    error: float | None
    errors: dict[str, dict[str, float | None]]


class Attention(Document):
    """One decoder stage's maps for one sample: see ``mult.reports.album`` for the array."""

    sample: int
    variant: str
    stage: int
    owners: list[str]
    heads: int
    height: int
    width: int
    cells: list[list[int]]
    array: str


class Gallery(Document):
    """gallery/<domain>/gallery.json."""

    domain: str
    split: str
    image_size: int
    tasks: list[str]
    models: list[str]
    classes: list[str]
    samples: list[Sample] = Field(min_length=1)
    attention: list[Attention]

    @model_validator(mode="after")
    def _whole(self) -> "Gallery":
        for place, sample in enumerate(self.samples):
            if not all(set(self.tasks) <= set(sample.errors.get(model, ())) for model in self.models):
                raise ValueError(f"samples.{place}.errors lack a model or a task")
        if any(not 0 <= of.sample < len(self.samples) for of in self.attention):
            raise ValueError("attention of a sample that is not there")
        return self


Kind = TypeVar("Kind", bound=Document)


def load(path: Path, kind: type[Kind]) -> Kind:
    """The document at ``path``.

    Raises:
        UserError: it cannot be read, is no JSON, or is not of that kind; the text names the file and the first fault.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        reason = " ".join(first["msg"].split())
        raise UserError(f"{path}: {where}: {reason}; `make repro` writes it anew") from None
