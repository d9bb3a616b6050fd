import pandas as pd
import pytest

from mult.evaluation.affinity import affinity_matrix
from mult.evaluation.compare import gain, main_figures, paired_gains
from mult.evaluation.results import COLUMNS
from mult.evaluation.studies import (
    cost,
    cross_domain,
    flows,
    half_width,
    probes,
    six_task,
    subset_losses,
    task_count,
    trivial,
)
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
    rows = []
    for domain in ("home", "away"):
        rows += rows_of("constant", "constant", every, dict.fromkeys(TASKS, 1.0), domain=domain)
        rows += rows_of("constant-mean", "constant", every, dict.fromkeys(TASKS, 0.9), domain=domain)
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
    assert str(gain(0.5, 0.5, "depth")) == "0.0", "and nothing has no sign"


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
    assert list(table.index) == [*TASKS, "delta_m"]
    assert table.loc["depth", "trivial"] == 0.9
    assert table.loc["semseg", "trivial"] == 1.0
    assert table.loc["delta_m", "shared gain"] == pytest.approx((5 * 40 - 40) / 6)
    assert table.loc["depth", "shared"] == pytest.approx(0.3)
    assert table.loc["depth", "shared gain"] == pytest.approx(40)
    assert table.loc["semseg", "shared gain"] == pytest.approx(-40)
    assert bool(table.loc["depth", "shared beats trivial"])
    assert not table.loc["semseg", "shared beats trivial"]


def test_a_task_that_a_domain_cannot_test_has_no_figures(results):
    untested = results[(results["domain"] != "home") | (results["task"] != TASKS["semseg"].name)]
    table = six_task(untested, "home")
    row = table.set_index("task").loc["semseg"]
    assert row[["trivial", "single", "shared", "shared gain"]].isna().all()
    assert not row["shared beats trivial"]


def test_subset_losses_are_percent_worse_than_one_task(results):
    three = rows_of("set-depth+normal+edges", "set", "depth+normal+edges", {"depth": 0.25, "normal": 0.5, "edges": 1.0})
    table = subset_losses(pd.concat([results, pd.DataFrame(three)]), "home", "shared")
    assert list(table.index) == [*TASKS, "depth+normal", "semseg+depth", "depth+normal+edges", "all six"]
    assert table.loc["depth+normal+edges"].dropna().to_dict() == pytest.approx(
        {"depth": -50, "normal": 0, "edges": 100}
    )
    assert table.loc["depth+normal"].dropna().to_dict() == pytest.approx({"depth": -20, "normal": 20})
    assert table.loc["semseg+depth"].dropna().to_dict() == pytest.approx({"semseg": -20, "depth": 0})
    assert table.loc["all six"].to_dict() == pytest.approx(dict.fromkeys(TASKS, -40) | {"semseg": 40})
    assert table.loc["depth"].dropna().to_dict() == {"depth": 0}
    assert "all six" not in subset_losses(results, "home", None).index


def test_trivial_predictors_and_the_best_of_them(results):
    table = trivial(results).set_index(["domain", "task"])
    row = table.loc[("home", "depth")]
    assert (row["constant"], row["constant-mean"], row["best"], row["single"]) == (1.0, 0.9, 0.9, 0.5)
    assert table.loc[("home", "semseg"), "best"] == 1.0
    assert pd.isna(table.loc[("away", "depth"), "single"])


def test_more_tasks_are_compared_on_those_that_all_have(results):
    some = rows_of("set-depth+normal+edges", "set", "depth+normal+edges", {"depth": 0.25, "normal": 0.5, "edges": 1.0})
    table = task_count(pd.concat([results, pd.DataFrame(some)]), "mult-shared", "home").set_index("tasks")
    assert list(table.index) == [3, 6]
    assert table.loc[3, "common gain"] == pytest.approx((50 + 0 - 100) / 3)
    assert table.loc[6, "common gain"] == pytest.approx((20 + 60) / 2)
    assert pd.isna(table.loc[3, "low gain"])
    assert table.loc[6, "high gain"] - 40 == pytest.approx(12.706 * 20, rel=1e-4)  # Student's t of one degree
    assert pd.isna(table.loc[3, "semseg gain"])


def test_half_widths_are_student_s():
    assert half_width(pd.Series([1.0, 2.0, 3.0])) == pytest.approx(4.3027 / 3**0.5, rel=1e-4)


def test_cost_of_six_one_task_models_is_their_sum(results):
    results = results.assign(params_m=2.0, gmacs=3.0, wall_s=10.0)
    table = cost(results, images=100).set_index("model")
    assert list(table.index) == ["single, six of them", "self", "shared"]
    assert table.loc["single, six of them"].tolist() == [6, 12, 18, pytest.approx(100 / 60)]
    assert table.loc["shared"].tolist() == [6, 2, 3, 10]


def test_cross_domain_table(results):
    table = cross_domain(results, "home").set_index(["domain", "task"])
    assert table.loc[("away", "depth"), "self drop"] == pytest.approx(100)
    assert table.loc[("away", "semseg"), "self drop"] == pytest.approx(-100)
    assert table.loc[("home", "depth"), "self drop"] == 0
    assert pd.isna(table.loc[("away", "depth"), "self gain"]), "no one-task model was scored there"


def test_a_domain_without_a_task_has_no_row_of_it(results):
    lacking = results[~((results["domain"] == "away") & (results["task"] == TASKS["semseg"].name))]
    table = cross_domain(lacking, "home")
    assert set(table.loc[table["domain"] == "home", "task"]) == set(TASKS)
    assert set(table.loc[table["domain"] == "away", "task"]) == set(TASKS) - {"semseg"}


def probed(run, changes):
    """Rows of a probes.csv: ``changes`` of each probe a task, in percent; the model as it is scores 2."""
    return pd.DataFrame(
        [
            (run, probe, task, 2 * (1 - of.get(task, 0) / 100), of.get(task, 0.0), task not in of)
            for probe, of in ({"none": {}} | changes).items()
            for task in TASKS
        ],
        columns=["run", "probe", "task", "value", "change", "same"],
    )


def test_probes_table_and_what_flows():
    rows = pd.concat(
        [
            probed("mult-shared-s0", {"uniform": {"depth": -4.0}, "without depth": {"depth": -50.0}}),
            probed("mult-shared-s1", {"uniform": {}, "without depth": {"depth": -60.0}}),
            probed("mult-joint-s0", {"without depth": {"depth": -50.0, "edges": 0.0}, "uniform": {"edges": 1.0}}),
        ]
    )
    table = probes(rows).set_index(["variant", "probe"])
    assert list(table.index) == [
        ("shared", "none"), ("shared", "uniform"), ("shared", "without depth"), ("joint", "none"),
        ("joint", "without depth"), ("joint", "uniform"),
    ]  # fmt: skip
    row = table.loc[("shared", "uniform")]
    assert (row["depth %"], row["depth"], row["edges %"], row["seeds"]) == pytest.approx((-2, 2.04, 0, 2))
    assert (row["depth same"], row["edges same"]) == (False, True)
    assert flows(rows) == {"shared": (0, 10), "joint": (1, 5)}, "predictions that move count, not figures"
