from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.cli import main
from mult.errors import UserError
from mult.evaluation.grouping import frontier, select
from mult.evaluation.subsets import higher_order, pairs, predicted, read_table, relative_to_single, singles
from mult.params import load
from mult.reports import published, tables
from mult.tasks import TASKS
from pipelines import grouping
from tests.conftest import ROOT
from tests.evaluation.test_studies import rows_of
from tests.reference.grouping import choose

NAN = float("nan")
BUDGETS = [1 + step / 2 for step in range(9)]
SETTINGS = get_args(published.Setting)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def small():
    """Three tasks; the pair helps depth and harms normals."""
    rows = {
        "depth": [1.0, NAN, NAN],
        "normal": [NAN, 0.5, NAN],
        "edges": [NAN, NAN, 0.2],
        "depth+normal": [0.9, 0.6, NAN],
        "all": [1.2, 0.55, 0.3],
    }
    return pd.DataFrame(rows, ["depth", "normal", "edges"]).T


def tried(table, costs, budgets):
    """What trying everything finds, by the networks' names."""
    rows = table.fillna(np.inf).to_numpy().tolist()
    found = choose(rows, [1.0] * len(rows) if costs is None else list(costs), budgets)
    return {b: (total, cost, tuple(table.index[list(chosen)])) for b, (total, cost, chosen) in found.items()}


def searched(table, costs, budgets):
    return {b: (s.total, s.cost, s.networks) for b, s in frontier(table, costs, budgets).items()}


@st.composite
def problems(draw):
    """A table in which every task has a network and every network a task, and costs; losses often tie."""
    count, tasks = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    loss = draw(st.sampled_from([st.integers(-1, 2), st.floats(-1e3, 1e3), st.sampled_from([0.1, 0.2, 0.3, 0.7])]))
    cost = draw(st.sampled_from([st.just(1.0), st.sampled_from([0.5, 1.0]), st.floats(0.1, 2), st.just(0.1)]))
    table = pd.DataFrame(
        [[float(draw(loss)) if draw(st.booleans()) else NAN for _ in range(tasks)] for _ in range(count)],
        [f"network {i}" for i in range(count)],
        [f"task {t}" for t in range(tasks)],
    )
    table.loc["all"] = [float(draw(loss)) for _ in range(tasks)]
    table = table.dropna(how="all")
    return table, pd.Series([draw(cost) for _ in range(len(table))], table.index)


@given(problems(), st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 9.0]), min_size=1))
@settings(max_examples=300, deadline=None)
def test_the_search_finds_what_trying_everything_finds(problem, budgets):
    table, costs = problem
    assert searched(table, costs, budgets) == tried(table, costs, budgets)


@given(st.integers(0, 2**32), st.sampled_from([[1.0], [0.5, 1.0], [1.0, 1.3, 2.0]]))
@settings(max_examples=60, deadline=None)
def test_and_with_a_network_for_every_subset(seed, prices):
    rng = np.random.default_rng(seed)
    has = (np.arange(1, 16)[:, None] >> np.arange(4)) % 2 == 1
    table = pd.DataFrame(np.where(has, rng.normal(1, 0.1, has.shape), NAN), [f"{i:04b}" for i in range(1, 16)])
    costs = pd.Series(rng.choice(prices, len(table)), table.index)
    assert searched(table, costs, BUDGETS) == tried(table, costs, BUDGETS)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_and_on_the_published_tables(setting, split):
    table, costs = published.subset_losses(setting, split)
    assert searched(table, costs, BUDGETS) == tried(table, costs, BUDGETS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_published_totals_come_out(setting):
    """All 54 but one: the one network that has all tasks, the only choice at budget 1, has another total."""
    validation, costs = published.subset_losses(setting, "validation")
    test, _ = published.subset_losses(setting, "test")
    for choice, losses in (("optimal", validation), ("higher order", predicted(validation))):
        said = published.totals(setting, choice)
        assert list(said.index) == BUDGETS
        ours = pd.Series({b: s.on(test).total for b, s in frontier(losses, costs, BUDGETS).items()})
        wrong = said[(ours - said).abs() > 5.1e-6]
        assert wrong.to_dict() == ({1.0: 0.50273} if (setting, choice) == ("default", "optimal") else {})


def test_published_losses_and_published_gains_agree():
    gains = tables.published("affinity")
    compared = 0
    for setting in SETTINGS:
        table, costs = published.subset_losses(setting, "test")
        assert table.shape == (36, 5)
        assert (costs == 0.5).sum() == 5
        assert table.notna().sum().tolist() == [17] * 5
        gain = -100 * (pairs(table).div(singles(table), axis=0) - 1)
        for row in gains[gains["source"].str.endswith(f"({setting} files)")].itertuples():
            assert round(gain.loc[row.row, row.column], 1) == row.value, (setting, row.row, row.column)
            compared += 1
    assert compared == 60


def test_tag_rows_receive():
    affinity, cosine = published.tag("affinity"), published.tag("gradient cosine")
    assert affinity.loc["depth", "semseg"] == 0.41355850961858076
    assert affinity.loc["semseg", "depth"] == 0.11537429894122785
    assert cosine.equals(cosine.T)
    for matrix in (affinity, cosine):
        assert matrix.shape == (6, 6)
        assert matrix.notna().sum().sum() == 25
        assert matrix["reshading"].isna().all()


def test_each_task_is_read_from_the_best_chosen_network_that_has_it(small):
    one, two, three = (select(small, None, budget) for budget in (1, 2, 3))
    assert (one.networks, one.total, one.cost) == (("all",), pytest.approx(2.05), 1)
    assert two.networks == ("edges", "depth+normal")
    assert two.losses == {"depth": 0.9, "normal": 0.6, "edges": 0.2}
    assert three.serves == {"depth": "depth+normal", "normal": "normal", "edges": "edges"}
    assert three.split(small) == "normal; edges; depth+normal (for depth)"
    assert select(small, None, 1).split(small) == "all"


def test_budget_counts_costs(small):
    costs = pd.Series(1.0, small.index) + (small.index == "all")
    assert select(small, costs, 2).networks == ("edges", "depth+normal")
    assert list(frontier(small, costs, [1, 1.5, 2])) == [2]
    with pytest.raises(UserError, match="budget 1: no choice of networks within it has all of depth, normal, edges"):
        select(small, costs, 1)
    tenths = select(small, dict.fromkeys(small.index, 0.1), 0.3)
    assert len(tenths.networks) == 3, "three times 0.1 is 0.3 here"


def test_ties_go_to_the_cheapest_then_the_fewest_then_the_first():
    table = pd.DataFrame({"a": [1.0, 1.0, NAN, 1.0], "b": [1.0, NAN, 1.0, 1.0]}, ["first", "a", "b", "last"])
    assert select(table, None, 9).networks == ("first",)
    assert select(table, {"first": 1, "a": 0.5, "b": 0.5, "last": 2}, 9).networks == ("first",)
    assert select(table, {"first": 1, "a": 0.4, "b": 0.5, "last": 2}, 9).networks == ("a", "b")
    assert select(table, {"first": 1, "a": 1, "b": 1, "last": 0.9}, 9).networks == ("last",)


def test_a_choice_is_reported_on_other_losses(small):
    choice = select(small, None, 2).on(small * 2)
    assert choice.losses["depth"] == pytest.approx(1.8)
    assert choice.total == pytest.approx(3.4)
    assert choice.networks == ("edges", "depth+normal")


@pytest.mark.parametrize(
    ("spoil", "costs", "said"),
    [
        (lambda t: t.iloc[:0], None, "it needs a row for each network"),
        (lambda t: pd.concat([t, t[:1]]), None, "network 'depth' is there twice"),
        (lambda t: t.replace(0.2, np.inf), None, "a loss is infinite"),
        (lambda t: t.assign(semseg=NAN), None, "no network has semseg"),
        (lambda t: t.replace(0.2, NAN), None, "edges has no task"),
        (lambda t: t, {"depth": 1}, "cost of normal: nan is not a number above 0"),
        (lambda t: t, dict.fromkeys(["depth", "normal", "edges", "depth+normal", "all"], -1), "cost of depth: -1"),
    ],
)
def test_bad_tables_are_named(small, spoil, costs, said):
    with pytest.raises(UserError, match=said):
        select(spoil(small), costs, 9)


def test_relative_losses_count_from_the_first_one_task_network(small):
    small.loc["half edges"] = [NAN, NAN, 0.4]
    worse = relative_to_single(small)
    assert worse.loc["all"].tolist() == pytest.approx([20, 10, 50])
    assert worse.loc["half edges", "edges"] == pytest.approx(100)
    with pytest.raises(UserError, match="edges: no network has this task alone"):
        relative_to_single(small.drop(index=["edges", "half edges"]))
    with pytest.raises(UserError, match="edges: its one-task loss is 0"):
        relative_to_single(small.replace(0.2, 0.0))


def test_larger_networks_are_predicted_by_the_mean_of_their_pairs():
    names = ["a", "b", "c"]
    rows = {"a": [1, NAN, NAN], "b": [NAN, 2, NAN], "c": [NAN, NAN, 3], "ab": [4, 5, NAN], "ac": [6, NAN, 7]}
    table = pd.DataFrame(rows | {"bc": [NAN, 8, 9]}, names).T.astype(float)
    assert higher_order(singles(table), pairs(table), ["a"]).to_dict() == {"a": 1}
    assert higher_order(singles(table), pairs(table), ["a", "b"]).to_dict() == {"a": 4, "b": 5}
    guess = predicted(table)
    assert guess.loc["a+b+c"].tolist() == [5, 6.5, 8]
    assert guess.iloc[:6].equals(table)
    table.loc["whole"] = [0.0, 0.0, 0.0]
    assert predicted(table).loc["whole"].tolist() == [5, 6.5, 8], "under its own name, and not as it was measured"
    assert list(predicted(table).index) == [*rows, "bc", "whole"]
    lacking = predicted(table.drop(index=["ab", "whole"]))
    assert lacking.loc["a+b+c"].isna().tolist() == [True, True, False]


def test_a_file_is_read_and_its_mistakes_are_named(tmp_path, small):
    path = tmp_path / "losses.csv"
    path.write_text("network,depth,cost,normal\nfirst, 1.5,1,\nsecond,2,0.5,3e-1\n")
    table, costs = read_table(path)
    assert table["depth"].to_dict() == {"first": 1.5, "second": 2}
    assert table["normal"].dropna().to_dict() == {"second": 0.3}
    assert costs.to_dict() == {"first": 1, "second": 0.5}
    small.to_csv(path)
    table, costs = read_table(path)
    pd.testing.assert_frame_equal(table, small)
    assert costs is None
    for text, said in (
        ("", "no CSV table"),
        ("network,depth\na,b\n", "a, depth: 'b' is no number"),
        ("network,depth,depth\na,1,2\n", "column 'depth' is there twice"),
        ("network,depth\na,1\na,2\n", "network 'a' is there twice"),
        ("network,depth\n,1\n", "a network has no name"),
        ("network,depth\na,1,2\n", "no CSV table"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_table(path)


def test_the_command_says_which_networks_serve_what(tmp_path, small, capsys):
    small.to_csv(tmp_path / "losses.csv")
    with pytest.raises(SystemExit) as ended:
        main(["group", str(tmp_path / "losses.csv"), "--budget", "1", "2"])
    assert not ended.value.code
    assert capsys.readouterr().out.splitlines() == [
        "budget 1: losses add up to 2.05, networks cost 1",
        "  all: depth 1.2, normal 0.55, edges 0.3",
        "budget 2: losses add up to 1.7, networks cost 2",
        "  edges: edges 0.2",
        "  depth+normal: depth 0.9, normal 0.6",
    ]
    with pytest.raises(SystemExit):
        main(["group", str(tmp_path / "losses.csv"), "--budget", "1", "--relative"])
    assert "add up to 80," in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: budget: 0 is not above 0"):
        main(["group", str(tmp_path / "losses.csv"), "--budget", "0"])


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Makes the table of some results, and returns its text and numbers."""

    def make(results):
        monkeypatch.setattr(tables, "FOLDER", tmp_path)
        monkeypatch.setattr(grouping, "load_results", lambda: results)
        grouping.main()
        return (tmp_path / "grouping.md").read_text(), pd.read_csv(tmp_path / "grouping.csv")

    return make


@pytest.fixture
def results():
    """Of one seed: single tasks, pairs, larger sets and the variants of all six."""
    params = load()
    home, rng = params.scale.train_domain, np.random.default_rng(0)
    rows = []
    for run, study, of in (
        *((f"single-{task}", "single", [task]) for task in TASKS),
        *((f"pair-{pair}", "pair", pair.split("+")) for pair in params.pairs),
        *((f"set-{of}", "set", of.split("+")) for of in params.sets),
        *((f"mult-{variant}", "six", list(TASKS)) for variant in params.variants),
    ):
        rows += rows_of(run, study, "+".join(of), {task: rng.uniform(0.4, 0.6) for task in of}, domain=home)
    return pd.DataFrame(rows)


def test_the_table_says_what_is_known_and_what_is_not(report, results):
    text, table = report(results)
    assert "(scale " in text.splitlines()[0]
    assert "53 of their 54 totals come out" in text
    assert "With one seed for all of these networks the choice is within noise unless shown otherwise." in text
    assert "Mean gain of larger networks, as predicted and as measured: semseg+depth+normal+keypoints " in text
    ours = table[table["data"] == "ours"]
    assert len(ours) == 12
    assert (ours.groupby("networks")["mean gain"].diff().dropna() >= 0).all(), "more networks are never worse"
    large = table[(table["data"] == "Standley large") & (table["networks"] == "measured") & (table["budget"] >= 2)]
    assert large["choice"].str.contains(r"(?:^|; )normal\+keypoints \(for keypoints\)").all()


def test_the_table_says_on_what_the_seeds_agree(report, results):
    said = "So many of 2 seeds choose the same measured networks alone: "
    second = results.assign(seed=1, run=results["run"].str.replace("-s0", "-s1"))
    text, _ = report(pd.concat([results, second]))
    assert f"{said}2 at budget 1, 2 at budget 2, 2 at budget 3, 2 at budget 4, 2 at budget 5, 2 at budget 6." in text
    second["value"] = np.random.default_rng(1).permutation(second["value"])
    text, _ = report(pd.concat([results, second]))
    assert f"{said}2 at budget 1, " in text, "one network has all tasks"
    assert "0 at budget 6." in text


def test_the_table_can_be_made_where_nothing_was_learnt(report, results):
    results.loc[results["metric"] == "miou", "value"] = 0.0
    text, table = report(results)
    assert text.splitlines()[4].startswith("| 1 | – | – | – | – |"), "a gain over 0 is none, so none serves semseg"
    assert (table["data"] == "ours").any()
