"""Where measurements of speed are kept: reports/bench/<name>.json and .md, with the machine they were made on."""

import json
import os
import platform
from pathlib import Path

import pandas as pd

from mult.files import atomic, write_json
from mult.reports.tables import Shown, cells

FOLDER = Path("reports/bench")


def write_bench(name: str, table: pd.DataFrame, about: str, command: str) -> None:
    """Print the table, what it is ``about`` and the machine, and keep them."""
    text = f"{_markdown(table)}\n\n{about} Measured on {machine()} by `{command}`."
    rows = [{key: float(f"{v:.6g}") if isinstance(v, float) else v for key, v in row.items()} for row in _rows(table)]
    write_json(FOLDER / f"{name}.json", {"command": command, "machine": machine(), "about": about, "rows": rows})
    with atomic(FOLDER / f"{name}.md", "w") as file:
        file.write(text + "\n")
    print(text)


def _markdown(table: pd.DataFrame) -> str:
    rows = [[cell.text for cell in row] for row in cells(Shown(table))]
    lines = [[str(column) for column in table], ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(table: pd.DataFrame) -> list[dict]:
    return json.loads(table.to_json(orient="records", double_precision=15))


def machine() -> str:
    """The processor and the number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores of {model}"
