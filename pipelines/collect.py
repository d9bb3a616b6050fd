"""Bring the scores of every run together in reports/results.csv.

python -m pipelines collect
"""

from mult import params, runs
from mult.evaluation.results import collect
from mult.files import atomic


def main() -> None:
    settings = params.load()
    results = collect(runs.names(settings), settings.scale.name)
    with atomic("reports/results.csv", "w") as file:
        results.to_csv(file, index=False)
    print(f"reports/results.csv: {len(results)} rows of {results['run'].nunique()} runs")
