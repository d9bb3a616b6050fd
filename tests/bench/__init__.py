import json
from pathlib import Path

import pandas as pd


def read_bench(folder: Path, name: str) -> pd.DataFrame:
    """The rows of a benchmark that was run in ``folder``."""
    return pd.DataFrame(json.loads((folder / "reports" / "bench" / f"{name}.json").read_text())["rows"])
