import pandas as pd
import pytest

from mult.evaluation.affinity import affinity_matrix
from mult.evaluation.compare import gain, main_figures, paired_gains
from mult.evaluation.results import COLUMNS
from mult.evaluation.studies import ablation, cross_domain, six_task, verdict
from mult.tasks import TASKS


def rows_of(run, study, tasks, values, seed=0, domain="home"):
    """Results of one run: ``values`` a task's main figure."""
    base = dict.fromkeys(COLUMNS, "") | {
        "shift": "none",
        "run": f"{run}-s{seed}",
        "study": study,
        "tasks": tasks,
        "seed": seed,
    }
    return [
        base | {"domain": domain, "task": TASKS[t].name, "metric": TASKS[t].metric, "value": v}
        for t, v in values.items()
    ] + [base | {"domain": domain, "task": TASKS[t].name, "metric": "other", "value": -1.0} for t in values]


@pytest.fixture
def results():
    every = "+".join(TASKS)
    rows = rows_of("constant", "constant", every, dict.fromkeys(TASKS, 1.0))
    for task in TASKS:
        rows += rows_of(f"single-{task}", "single", task, {task: 0.5})
    rows += rows_of("pair-depth+normal", "pair", "depth+normal", {"depth": 0.4, "normal": 0.6})
    rows += rows_of("pair-semseg+depth", "pair", "semseg+depth", {"depth": 0.5, "semseg": 0.6})
    for seed, value in ((0, 0.4), (1, 0.2)):
        rows += rows_of("mult-self", "six", every, dict.fromkeys(TASKS, 0.4), seed)
        rows += rows_of("mult-shared", "six", every, dict.fromkeys(TASKS, value), seed)
        rows += rows_of("mult-self", "six", every, dict.fromkeys(TASKS, 0.8), seed, "away")
        rows += rows_of("mult-shared", "six", every, dict.fromkeys(TASKS, 0.6), seed, "away")
    return pd.DataFrame(rows)


def test_gains_have_the_paper_s_sign():
    assert gain(0.4, 0.5, "depth") == pytest.approx(20)
    assert gain(0.6, 0.5, "depth") == pytest.approx(-20)
    assert gain(0.6, 0.5, "semseg") == pytest.approx(20)
    assert pd.isna(gain(0.6, 0.0, "semseg"))


def test_affinity_rows_are_evaluated_tasks_and_columns_partners(results):
    matrix = affinity_matrix(results, "home")
    assert matrix.loc["depth", "normal"] == pytest.approx(20)
    assert matrix.loc["normal", "depth"] == pytest.approx(-20)
    assert matrix.loc["depth", "semseg"] == pytest.approx(0)
    assert matrix.loc["semseg", "depth"] == pytest.approx(20)
    assert matrix.notna().sum().sum() == 4


def test_pairs_of_the_same_seed_are_compared(results):
    gains = paired_gains(main_figures(results, "home"), "mult-shared", "mult-self")
    depth = gains[gains["short"] == "depth"].set_index("seed")["gain"]
    assert depth.to_dict() == pytest.approx({0: 0, 1: 50})


def test_six_task_table(results):
    table = six_task(results, "home").set_index("task")
    assert list(table.index) == list(TASKS)
    assert table.loc["depth", "shared"] == pytest.approx(0.3)
    assert table.loc["depth", "shared gain"] == pytest.approx(40)
    assert table.loc["semseg", "shared gain"] == pytest.approx(-40)
    assert bool(table.loc["depth", "shared beats constant"])
    assert not table.loc["semseg", "shared beats constant"]


def test_ablation_table(results):
    table = ablation(results, [("shared", "self")])
    assert verdict(table) == {"shared over self": (5, 1, 6)}
    table = table.set_index(["domain", "task"])
    assert set(table["comparison"]) == {"shared over self"}
    row = table.loc[("home", "depth")]
    assert (row["gain"], row["least"], row["greatest"], row["seeds"]) == pytest.approx((25, 0, 50, 2))


def test_cross_domain_table(results):
    table = cross_domain(results, "home").set_index(["domain", "task"])
    assert table.loc[("away", "depth"), "self drop"] == pytest.approx(100)
    assert table.loc[("away", "semseg"), "self drop"] == pytest.approx(-100)
    assert table.loc[("home", "depth"), "self drop"] == 0
    assert pd.isna(table.loc[("away", "depth"), "self gain"]), "no one-task model was scored there"
