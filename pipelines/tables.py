"""The six-task table, and reports/README.md with every table in it.

python -m pipelines tables
"""

from pathlib import Path

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import six_models, six_task
from mult.files import atomic
from mult.reports import tables

SECTIONS = {
    "six_task": "Six tasks at once",
    "affinity": "Which task helps which",
    "ablation": "With and without shared attention",
    "cross_domain": "On other domains",
    "balancing": "How the tasks' losses are weighed",
}


def main() -> None:
    scale = params.load().scale
    results = load_results()
    table = six_task(results, scale.train_domain)
    table["published gain %"] = table["task"].map(_published_gain()).astype(float)
    models = list(six_models(results))
    beaten = {name: int(table[f"{name} beats constant"].sum()) for name in models}
    title = tables.caption(f"Six-task models on {scale.train_domain}'s test split", tables.facts(scale))
    notes = [
        "In parentheses: gain in percent over the one-task model, + is better. L1 of keypoints and edges is in "
        "Taskonomy's ranges (0.005 and 0.08 of the 16-bit code).",
        "Better than the constant predictor with every seed: "
        + ", ".join(f"`{v}` in {n} of {len(table)} tasks" for v, n in beaten.items())
        + ".",
        "Published: MulT over 1-task Swin on Taskonomy, second-hand; only the largest gain could be found.",
    ]
    tables.write_table("six_task", table, title, notes, tables.value_and_gain(table, models))
    _page(scale.name)


def _published_gain() -> dict[str, float]:
    rows = tables.published("six_task")
    rows = rows[rows["column"] == "mult over 1-task Swin"]
    return dict(zip(rows["row"], rows["value"], strict=True))


def _page(scale: str) -> None:
    parts = [f"# Results at scale `{scale}`", "Made by `make repro`; numbers come from results.csv and published.csv."]
    for name, title in SECTIONS.items():
        parts += [f"## {title}", (tables.FOLDER / f"{name}.md").read_text(encoding="utf-8").strip()]
    with atomic(Path("reports/README.md"), "w") as file:
        file.write("\n\n".join(parts) + "\n")
