"""Where measurements of speed are kept: reports/bench/<name>.csv and .md, with the machine they were made on."""

import os
import platform
from pathlib import Path

import pandas as pd

from mult.files import atomic
from mult.reports.tables import markdown

FOLDER = Path("reports/bench")


def write_bench(name: str, table: pd.DataFrame, about: str, command: str) -> None:
    """Print the table, what it is ``about`` and the machine, and keep them."""
    text = f"{markdown(table)}\n\n{about} Measured on {machine()} by `{command}`."
    with atomic(FOLDER / f"{name}.csv", "w") as file:
        table.to_csv(file, index=False, float_format="%.6g")
    with atomic(FOLDER / f"{name}.md", "w") as file:
        file.write(text + "\n")
    print(text)


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
