"""The 6 x 6 table of which task helps which: reports/tables/affinity.csv and .md.

python -m pipelines affinity
"""

import pandas as pd

from mult import params
from mult.evaluation.affinity import affinity_matrix
from mult.evaluation.results import load_results
from mult.reports import tables
from mult.tasks import TASKS


def main() -> None:
    scale = params.load().scale
    results = load_results()
    matrix = affinity_matrix(results, scale.train_domain).add_prefix("with ").add_suffix(" %")
    table = matrix.rename_axis("on").reset_index()
    title = tables.caption(
        f"Pairwise training: gain over the one-task model on {scale.train_domain}'s test split, + is better",
        tables.facts(scale),
    )
    tables.write_table("affinity", table, title, [_published()])


def _published() -> str:
    cells = tables.published("affinity").groupby(["row", "column"], sort=False)
    lines = [
        "Published, in percent: MulT's two known cells (second-hand), and Standley et al. 2020 (CNN, three settings):",
        "",
    ]
    matrix = pd.DataFrame("–", index=list(TASKS), columns=list(TASKS))
    for (row, column), group in cells:
        paper = [f"**{v:+.1f}**" for v, s in zip(group["value"], group["source"], strict=True) if s.startswith("MulT")]
        cnn = [f"{v:+.1f}" for v, s in zip(group["value"], group["source"], strict=True) if not s.startswith("MulT")]
        matrix.loc[row, column] = " ".join([*paper, " / ".join(cnn)]).strip()
    return "\n".join([*lines, tables.markdown(matrix.add_prefix("with ").rename_axis("on").reset_index())])
