"""The studies over runs, each one function from results.csv to a table of numbers."""

import numpy as np
import pandas as pd
from scipy.stats import t

from mult.evaluation.compare import gain, main_figures, paired_gains, without_seed
from mult.evaluation.shifts import NONE
from mult.tasks import TASKS


def six_models(results: pd.DataFrame) -> dict[str, str]:
    """Models of all six tasks: the name of their column (a variant, a baseline) and their runs' name less its seed."""
    variants = dict.fromkeys(without_seed(results[results["study"] == "six"]))
    baselines = dict.fromkeys(without_seed(results[results["study"] == "baseline"]))
    return {stem.removeprefix("mult-"): stem for stem in variants} | {
        stem.removesuffix("-six"): stem for stem in baselines if stem.endswith("-six")
    }


def subset_losses(results: pd.DataFrame, domain: str, six: str | None) -> pd.DataFrame:
    """Percent by which each network is worse than the task's one-task network, + is worse: means over seeds.

    Args:
        results: of results.csv.
        domain: on whose test split.
        six: a six-task variant whose network takes part; None: none does.

    Returns:
        A row for each one-task network (all 0), each pair, each larger set and ``all six``; a column for each task,
        NaN where the network lacks it or the one-task figure is 0.
    """
    rows = main_figures(results, domain)
    table = pd.DataFrame(0.0, index=list(TASKS), columns=list(TASKS)).where(np.eye(len(TASKS), dtype=bool))
    trained = rows[rows["study"].isin(["pair", "set"])].drop_duplicates("tasks")
    stems = dict(zip(trained["tasks"], trained["study"] + "-" + trained["tasks"], strict=True))
    for name, stem in (stems | ({"all six": f"mult-{six}"} if six else {})).items():
        gains = paired_gains(rows, stem, "single-{task}").groupby("short")["gain"].mean()
        table.loc[name] = 0 - gains.reindex(list(TASKS))
    return table.dropna(how="all")


def _single_baselines(results: pd.DataFrame) -> list[str]:
    """Keys of the baselines that are trained for single tasks as well."""
    stems = without_seed(results[results["study"] == "baseline"])
    return list(dict.fromkeys(stem.split("-single-")[0] for stem in stems if "-single-" in stem))


def trivial(results: pd.DataFrame) -> pd.DataFrame:
    """The predictors that do not look at the image: main metric a domain and task.

    Columns: domain, task, metric, one a predictor, ``best`` of them, ``single`` (one-task models, mean of the seeds).
    """
    every = main_figures(results)
    rows = every[every["study"] == "constant"]
    table = rows.assign(model=without_seed(rows)).pivot_table("value", ["domain", "short"], "model", sort=False)
    table.columns.name = None
    higher = [TASKS[task].higher_is_better for _, task in table.index]
    table["best"] = table.max(axis=1).where(higher, table.min(axis=1))
    table["single"] = every[every["study"] == "single"].groupby(["domain", "short"])["value"].mean()
    table = table.rename_axis(["domain", "task"]).reset_index()
    table.insert(2, "metric", table["task"].map(lambda task: TASKS[task].metric))
    return table


def six_task(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Main metric a task: best trivial predictor, one-task model and each six-task model, means over seeds; gains in %.

    ``<model> gain`` is over the one-task model of the same seed, and ``<model> beats trivial`` says whether every seed
    does. The last row, ``delta_m``, has the mean of the gains over the tasks (Maninis et al. 2019), no other number.
    """
    rows = main_figures(results, domain)
    stems = without_seed(rows)
    best = trivial(results).set_index(["domain", "task"])["best"]

    def values(stem: str, task: str) -> pd.Series:
        return rows.loc[(stems == stem) & (rows["short"] == task), "value"]

    table = []
    for task in TASKS:
        nothing = best.get((domain, task), np.nan)  # the domain may have no label of the task to be tested on
        row = {"task": task, "metric": TASKS[task].metric, "trivial": nothing}
        row["single"] = values(f"single-{task}", task).mean()
        for key in _single_baselines(results):
            row[f"{key} single"] = values(f"{key}-single-{task}", task).mean()
        for name, stem in six_models(results).items():
            row[name] = values(stem, task).mean()
        for name, stem in six_models(results).items():
            row[f"{name} gain"] = paired_gains(rows[rows["short"] == task], stem, "single-{task}")["gain"].mean()
        for name, stem in six_models(results).items():
            found = values(stem, task)
            row[f"{name} beats trivial"] = len(found) > 0 and all(gain(v, nothing, task) > 0 for v in found)
        table.append(row)
    table = pd.DataFrame(table)
    gains = {f"{name} gain": table[f"{name} gain"].mean() for name in six_models(results)}
    return pd.concat([table, pd.DataFrame([{"task": "delta_m"} | gains])], ignore_index=True)


def task_count(results: pd.DataFrame, stem: str, domain: str) -> pd.DataFrame:
    """Models of more and more tasks, ``stem`` being the one of all six: gain in % over one-task models of equal seed.

    Columns: tasks (how many), of (which), one a task, common (mean over the tasks that all of these models have), low
    and high (its 95 % interval over seeds, by Student's t; NaN for one seed), seeds.
    """
    rows = main_figures(results, domain)
    sets = list(dict.fromkeys(without_seed(rows[rows["study"] == "set"])))
    members = {of: of.removeprefix("set-").split("+") for of in sets} | {stem: list(TASKS)}
    common = [task for task in TASKS if all(task in of for of in members.values())]
    table = []
    for of, tasks in sorted(members.items(), key=lambda item: len(item[1])):
        gains = paired_gains(rows, of, "single-{task}")
        by_task = gains.groupby("short")["gain"].mean().reindex(list(TASKS))
        by_seed = gains[gains["short"].isin(common)].groupby("seed")["gain"].mean()
        mean, half = by_seed.mean(), half_width(by_seed)
        row = {"tasks": len(tasks), "of": "+".join(tasks)} | {f"{task} gain": g for task, g in by_task.items()}
        row |= {"common gain": mean, "low gain": mean - half, "high gain": mean + half, "seeds": len(by_seed)}
        table.append(row)
    return pd.DataFrame(table)


def half_width(values: pd.Series, level: float = 0.95) -> float:
    """Half of the mean's interval by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan")
    return float(t.ppf((1 + level) / 2, len(values) - 1) * values.std() / len(values) ** 0.5)


def cost(results: pd.DataFrame, images: int) -> pd.DataFrame:
    """What each model costs: parameters (millions), multiply-accumulates an image (billions), training speed.

    ``images``: how many a training sees. Columns: model, tasks, params_m, gmacs, images_per_s (median over seeds; runs
    beside each other share a machine), and the sum over the six one-task models as ``single, six of them``.
    """
    runs = results[~results["study"].isin(["constant", "pair", "control", "balancing", "fine_tune"])]
    runs = runs.drop_duplicates("run").copy()
    runs["model_"] = without_seed(runs).str.replace("mult-", "")
    runs["count"] = runs["tasks"].str.count(r"\+") + 1
    columns = ["count", "params_m", "gmacs", "wall_s"]
    table = runs.groupby("model_", sort=False)[columns].median()
    single = table[table.index.str.match("single-")]
    together = single.sum().to_frame("single, six of them").T
    table = pd.concat([together, table[~table.index.str.match("single-")]]) if len(single) else table
    table["images_per_s"] = images / table["wall_s"]
    table = table.rename_axis("model").reset_index().rename(columns={"count": "tasks"})
    return table.astype({"tasks": int})[["model", "tasks", "params_m", "gmacs", "images_per_s"]]


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


def tuned(results: pd.DataFrame, home: str) -> pd.DataFrame:
    """Results in which tuned runs stand in the place of the runs that they were made from.

    Elsewhere only they and the trivial predictors remain; on ``home``, unshifted, what they were made from.
    """
    after = results[results["study"] == "fine_tune"]
    run = after["run"].str.removeprefix("tuned-")
    after = after.assign(run=run, study=run.str.startswith("single-").map({True: "single", False: "six"}))
    at_home = (results["domain"] == home) & (results["shift"] == NONE) & results["run"].isin(set(run))
    return pd.concat([results[(results["study"] == "constant") | at_home], after], ignore_index=True)


def probes(rows: pd.DataFrame) -> pd.DataFrame:
    """Main metric a task and its change in % by each probe of each variant, means over seeds; from ``load_probes``.

    Columns: variant, probe, one a task, ``<task> %`` a task, ``<task> same`` a task (whether no prediction of any seed
    has changed by a bit), seeds.
    """
    table = []
    for (stem, probe), group in rows.groupby([without_seed(rows), "probe"], sort=False):
        of_task = group.groupby("task").agg({"value": "mean", "change": "mean", "same": "all"}).loc[list(TASKS)]
        row = {"variant": stem.removeprefix("mult-"), "probe": probe}
        row |= {task: of_task.loc[task, "value"] for task in TASKS}
        row |= {f"{task} %": of_task.loc[task, "change"] for task in TASKS}
        row |= {f"{task} same": bool(of_task.loc[task, "same"]) for task in TASKS}
        table.append(row | {"seeds": group["run"].nunique()})
    return pd.DataFrame(table)


def flows(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Of each variant: how often taking a task's stream away moved another task's predictions, and of how many."""
    others = rows[rows["probe"].str.startswith("without ") & (rows["probe"] != "without " + rows["task"])]
    moved = (~others["same"]).groupby(without_seed(others).str.removeprefix("mult-"), sort=False)
    return {variant: (int(cells.sum()), len(cells)) for variant, cells in moved}


def cross_domain(results: pd.DataFrame, home: str) -> pd.DataFrame:
    """Main metric on every domain: trivial, one-task and six-task models; the drop from ``home``; gains over one-task.

    Depth on a domain without the training domain's metric scale is better read from rmse_aligned in results.csv.
    """
    rows = main_figures(results)
    models = six_models(results)
    best = trivial(results).set_index(["domain", "task"])["best"]
    means = rows.assign(stem=without_seed(rows)).groupby(["stem", "domain", "short"])["value"].mean().to_dict()
    gains = {name: paired_gains(rows, stem, "single-{task}") for name, stem in models.items()}
    gains = {name: of.groupby(["domain", "short"])["gain"].mean().to_dict() for name, of in gains.items()}
    table = []
    for domain in dict.fromkeys(rows["domain"]):
        for task in (task for task in TASKS if (domain, task) in best.index):
            row = {"domain": domain, "task": task, "metric": TASKS[task].metric}
            row |= {"trivial": best[(domain, task)], "single": means.get((f"single-{task}", domain, task), np.nan)}
            row |= {name: means.get((stem, domain, task), np.nan) for name, stem in models.items()}
            for name, stem in models.items():
                at_home = means.get((stem, home, task), np.nan)
                row[f"{name} drop"] = -gain(row[name], at_home, task) if domain != home else 0.0
                row[f"{name} gain"] = gains[name].get((domain, task), np.nan)
            table.append(row)
    return pd.DataFrame(table)
