"""The studies over runs, each one function from results.csv to a table of numbers."""

from collections.abc import Sequence

import pandas as pd

from mult.evaluation.compare import gain, main_figures, paired_gains, without_seed
from mult.tasks import TASKS


def six_models(results: pd.DataFrame) -> dict[str, str]:
    """Models of all six tasks: the name of their column (a variant, a baseline) and their runs' name less its seed."""
    variants = dict.fromkeys(without_seed(results[results["study"] == "six"]))
    baselines = dict.fromkeys(without_seed(results[results["study"] == "baseline"]))
    return {stem.removeprefix("mult-"): stem for stem in variants} | {
        stem.removesuffix("-six"): stem for stem in baselines if stem.endswith("-six")
    }


def _single_baselines(results: pd.DataFrame) -> list[str]:
    """Keys of the baselines that are trained for single tasks as well."""
    stems = without_seed(results[results["study"] == "baseline"])
    return list(dict.fromkeys(stem.split("-single-")[0] for stem in stems if "-single-" in stem))


def six_task(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Main metric a task: constant predictor, one-task model and each six-task model, means over seeds; gains in %.

    ``<model> gain`` is over the one-task model, and ``<model> beats constant`` says whether every seed does.
    """
    rows = main_figures(results, domain)
    stems = without_seed(rows)

    def values(stem: str, task: str) -> pd.Series:
        return rows.loc[(stems == stem) & (rows["short"] == task), "value"]

    table = []
    for task in TASKS:
        constant, single = values("constant", task).mean(), values(f"single-{task}", task).mean()
        row = {"task": task, "metric": TASKS[task].metric, "constant": constant, "single": single}
        for key in _single_baselines(results):
            row[f"{key} single"] = values(f"{key}-single-{task}", task).mean()
        for name, stem in six_models(results).items():
            row[name] = values(stem, task).mean()
        for name, stem in six_models(results).items():
            row[f"{name} gain"] = paired_gains(rows[rows["short"] == task], stem, "single-{task}")["gain"].mean()
        for name, stem in six_models(results).items():
            row[f"{name} beats constant"] = all(gain(v, constant, task) > 0 for v in values(stem, task))
        table.append(row)
    return pd.DataFrame(table)


def ablation(results: pd.DataFrame, comparisons: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Gain in % of one variant over another a domain and task: mean, least and greatest of the paired seeds."""
    rows = main_figures(results)
    table = []
    for variant, base in comparisons:
        gains = paired_gains(rows, f"mult-{variant}", f"mult-{base}")
        for domain in dict.fromkeys(rows["domain"]):
            for task in TASKS:
                g = gains.loc[(gains["domain"] == domain) & (gains["short"] == task), "gain"]
                table.append((f"{variant} over {base}", domain, task, g.mean(), g.min(), g.max(), g.count()))
    return pd.DataFrame(table, columns=["comparison", "domain", "task", "gain", "least", "greatest", "seeds"])


def balancing(results: pd.DataFrame, variant: str, domain: str) -> pd.DataFrame:
    """Gain in % a task of each balancing method over the variant as it is: means over seeds, and their mean over tasks.

    Columns: balancing, one a task, mean, seeds.
    """
    rows = main_figures(results, domain)
    table = []
    for stem in dict.fromkeys(without_seed(rows[rows["study"] == "balancing"])):
        gains = paired_gains(rows, stem, f"mult-{variant}")
        of_task = gains.groupby("short")["gain"].mean().reindex(list(TASKS))
        row = {"balancing": stem.removeprefix("balance-")} | {f"{task} gain": g for task, g in of_task.items()}
        table.append(row | {"mean gain": of_task.mean(), "seeds": gains["seed"].nunique()})
    return pd.DataFrame(table, columns=["balancing", *(f"{task} gain" for task in TASKS), "mean gain", "seeds"])


def verdict(table: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    """Of each comparison in an ablation table: in how many rows every seed gains, every seed loses, and neither."""
    out = {}
    for comparison, rows in table.groupby("comparison", sort=False):
        better, worse = int((rows["least"] > 0).sum()), int((rows["greatest"] < 0).sum())
        out[comparison] = (better, worse, len(rows) - better - worse)
    return out


def cross_domain(results: pd.DataFrame, home: str) -> pd.DataFrame:
    """Main metric on every domain: constant, one-task and six-task models; the drop from ``home``; gains over one-task.

    Depth on a domain without the training domain's metric scale is better read from rmse_aligned in results.csv.
    """
    rows = main_figures(results)
    stems = without_seed(rows)
    models = six_models(results)
    table = []
    for domain in dict.fromkeys(rows["domain"]):
        here = rows["domain"] == domain
        for task in TASKS:
            of_task = rows["short"] == task

            def mean(stem: str, where: pd.Series, of_task: pd.Series = of_task) -> float:
                return rows.loc[(stems == stem) & where & of_task, "value"].mean()

            single = mean(f"single-{task}", here)
            row = {"domain": domain, "task": task, "metric": TASKS[task].metric}
            row |= {"constant": mean("constant", here), "single": single}
            row |= {name: mean(stem, here) for name, stem in models.items()}
            for name, stem in models.items():
                at_home = mean(stem, rows["domain"] == home)
                row[f"{name} drop"] = -gain(row[name], at_home, task) if domain != home else 0.0
                row[f"{name} gain"] = paired_gains(rows[here & of_task], stem, "single-{task}")["gain"].mean()
            table.append(row)
    return pd.DataFrame(table)
