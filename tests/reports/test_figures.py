import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from skimage.color import rgb2lab

from mult.errors import UserError
from mult.evaluation.studies import half_width
from mult.reports.figures import DESCRIPTIONS, describe, output
from mult.reports.figures.affinity import affinity, ink
from mult.reports.figures.attention import MAPS, POINTS, attention
from mult.reports.figures.cost import ONES, cost
from mult.reports.figures.cross_domain import MODELS, change_table, cross_domain
from mult.reports.figures.curves import curves
from mult.reports.figures.forest import bounds
from mult.reports.figures.gains import OVERALL, gain_table, gains
from mult.reports.figures.gallery import load_gallery, stage_maps
from mult.reports.figures.mosaic import mosaic
from mult.reports.figures.qualitative import number, qualitative
from mult.reports.figures.sharing import sharing, sharing_tasks
from mult.reports.figures.style import BAND, BETTER, LOOKS, SMALL, interval, looks, signed
from mult.tasks import TASKS
from tests.reports.example_tables import (
    AWAY,
    COMPARISONS,
    HOME,
    NAN,
    ablation_table,
    affinity_tables,
    cost_table,
    domain_table,
    history_table,
    results_table,
)
from tests.reports.gallery import MODELS as GALLERY_MODELS
from tests.reports.gallery import weights, write_gallery

NOTE = "Scale smoke, 32 px, 4 steps, batch 4, 2 seeds"
# Linear RGB as people without one kind of cones see it: Machado, Oliveira and Fernandes, "A Physiologically-based Model
# for Simulation of Color Vision Deficiency", IEEE Transactions on Visualization and Computer Graphics 15(6), 2009, for
# severity 1.
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return load_gallery(write_gallery(tmp_path_factory.mktemp("gallery") / "doom"))


@pytest.fixture(scope="module")
def figures(gallery) -> dict[str, Figure]:
    gained = gain_table(results_table(), HOME)
    return {
        "sharing": sharing(ablation_table(), COMPARISONS, HOME, NOTE),
        "sharing_tasks": sharing_tasks(ablation_table(), "shared over skip", NOTE),
        "gains": gains(gained, HOME, NOTE),
        "affinity": affinity(*affinity_tables(), "shared", NOTE),
        "cross_domain": cross_domain(domain_table(), HOME, NOTE),
        "curves": curves(history_table(), dict.fromkeys(TASKS, "l1"), NOTE),
        "cost": cost(gained, cost_table(), HOME, NOTE),
        "qualitative-doom": qualitative(gallery, NOTE),
        "attention-doom": attention(gallery, NOTE),
    }


# ---------------------------------------------------------------- what is drawn


def points(axes) -> list[tuple[float, float]]:
    """Gains, from top to bottom."""
    return [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_label() == "gain"]


def spans(axes) -> list[list[float]]:
    """Ends of the intervals."""
    return [
        list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2 and len(set(line.get_xdata())) == 2
    ]


def words(of) -> list[str]:
    return [text.get_text() for text in of.findobj(Text) if text.get_text() and text.get_visible()]


def titled(figure: Figure, title: str):
    return next(axes for axes in figure.axes if axes.get_title().replace("\n", "") == title)


# ---------------------------------------------------------------- every figure


def test_the_same_data_give_the_same_bytes_whatever_the_users_settings(gallery, tmp_path, monkeypatch):
    def drawn(folder):
        monkeypatch.setattr(output, "FOLDER", tmp_path / folder)
        output.write(sharing(ablation_table(), COMPARISONS, HOME, NOTE), "a")
        output.write(attention(gallery, NOTE), "b")
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    once = drawn("once")
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None, "figure.dpi": 20, "lines.linewidth": 9}):
        assert drawn("again") == once
    assert len(once) == 4
    for name, content in once.items():
        assert b"atplotlib v" not in content, name
        assert b"<dc:date>" not in content, name
        assert b"tEXt" not in content, name


def test_other_data_give_other_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "FOLDER", tmp_path)
    other = ablation_table()
    other.loc[0, "gain"] += 0.3
    for name, table in (("a", ablation_table()), ("b", other)):
        output.write(sharing(table, COMPARISONS, HOME, NOTE), name)
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "b.svg").read_bytes()


def test_every_text_is_on_the_page_and_large_enough(figures):
    for name, figure in figures.items():
        figure.draw_without_rendering()  # which is when annotations find their places
        (left, low), (right, high) = figure.get_tightbbox().get_points()  # inches, of all that is drawn
        width, height = figure.get_size_inches()
        assert left >= 0, name
        assert low >= 0, name
        assert right <= width, name
        assert high <= height, name
        least = min(text.get_fontsize() for text in figure.findobj(Text) if text.get_visible() and text.get_text())
        assert least >= SMALL - 1, name


def test_every_figure_says_its_scale_and_what_it_is(figures):
    for name, figure in figures.items():
        assert NOTE in " ".join(words(figure)).replace("\n", " "), name
        title, alt, caption = describe(name)
        assert min(map(len, (title, alt, caption))) > 10
        assert caption.endswith(".")
    assert set(DESCRIPTIONS) < set(figures)
    assert "rooms-kinect" in describe("qualitative-rooms-kinect").alt
    with pytest.raises(KeyError):
        describe("no-such-figure")


def test_descriptions_cost_no_matplotlib():
    code = "import sys, mult.reports.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_data_there_is_a_figure_all_the_same(tmp_path):
    empty, nothing = ablation_table().iloc[:0], ablation_table()
    nothing[["gain", "low", "high", "detectable", "p_holm"]] = NAN
    gained, none = (gain_table(table, HOME) for table in (results_table(), results_table().iloc[:0]))
    unknown = gain_table(results_table().assign(value=0.0), HOME)  # no gain over an mIoU of 0
    wide, cheap = affinity_tables()
    lossless = history_table().assign(**{"val/depth_loss": NAN}).drop(columns="val/semseg_loss")
    bare = load_gallery(write_gallery(tmp_path / "bare", attention=False))
    bare.about["samples"] = []
    made = [
        sharing(empty, {}, HOME, NOTE), sharing(nothing, {}, HOME, NOTE),
        sharing_tasks(empty, "shared over skip", NOTE), sharing_tasks(nothing, "shared over skip", NOTE),
        gains(none, HOME, NOTE), gains(unknown, HOME, NOTE),
        affinity(wide.iloc[:0], cheap.iloc[:0], "shared", NOTE),
        cross_domain(domain_table().iloc[:6], HOME, NOTE), cross_domain(domain_table().assign(skip=NAN), HOME, NOTE),
        curves(pd.DataFrame(), {}, NOTE), curves(lossless, dict.fromkeys(TASKS, "l1"), NOTE),
        cost(none, cost_table(), HOME, NOTE), cost(gained, cost_table().iloc[:0], HOME, NOTE),
        qualitative(bare, NOTE), attention(bare, NOTE),
    ]  # fmt: skip
    for figure in made:
        figure.draw_without_rendering()
        assert len(words(figure)) >= 3  # title, note, and what is missing


# ---------------------------------------------------------------- one figure each


def test_sharing_shows_gains_intervals_bands_and_answers(figures):
    figure, table = figures["sharing"], ablation_table()
    main = titled(figure, f"{HOME} (training domain)")
    here = table[(table["domain"] == HOME) & (table["task"] == "all tasks")]
    assert points(main) == [(0.1, 0), (0.2, 1)]  # the third is far beyond the others: an arrow with its number
    assert spans(main)[:2] == [[-0.9, 1.6], [-0.8, 1.7]]
    right = main.get_xlim()[1]
    assert 1.7 < right < 3
    arrow = [line for line in main.lines if line.get_marker() == ">"]
    assert [tuple(line.get_xydata()[0]) for line in arrow] == [(right, 2)]
    assert arrow[0].get_color() == BETTER
    assert "+30.0" in words(main)
    band = [patch for patch in main.patches if np.allclose(to_rgb(patch.get_facecolor()), to_rgb(BAND))]
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in band] == [pytest.approx((-1.2, 1.2))] * 3
    said = words(figure)
    for row in here.to_dict("records"):
        assert interval(row["gain"], row["low"], row["high"]) in said
        assert row["verdict"] in said
        assert f"{COMPARISONS[row['comparison']]}?" in said
    assert said.count("detectable: 1.2 %") == 3


def test_sharing_shows_the_other_domains_on_one_axis(figures):
    panels = [titled(figures["sharing"], domain) for domain in AWAY]
    assert len({axes.get_xlim() for axes in panels}) == 1
    assert [len(points(axes)) for axes in panels] == [2, 2, 2]
    assert "–" in words(panels[1])  # doom has no number for the third comparison
    assert "+30.0" in words(panels[0])


def test_sharing_tasks_has_a_panel_a_domain_with_every_number(figures):
    figure, table = figures["sharing_tasks"], ablation_table()
    table = table[table["comparison"] == "shared over skip"]
    for domain in (HOME, *AWAY):
        axes, here = titled(figure, domain), table[table["domain"] == domain]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(here["task"])
        assert [x for x, _ in points(axes)] == pytest.approx(list(here["gain"]))
        np.testing.assert_allclose(spans(axes), here[["low", "high"]])
        assert {interval(*row) for row in here[["gain", "low", "high"]].itertuples(index=False)} <= set(words(axes))


def test_gains_are_means_with_t_intervals_over_seeds(figures):
    table = gain_table(results_table(), HOME).set_index(["model", "task"])
    # Errors of 1.1, 1.11 and 1.14 over 1, 1.01 and 1.04; the mIoU of semseg is better the greater it is.
    seeds = pd.Series([0.1 / 1, 0.1 / 1.01, 0.1 / 1.04]) * 100
    row = table.loc[("skip", "semseg")]
    assert (row["gain"], row["high"] - row["gain"]) == pytest.approx((seeds.mean(), half_width(seeds)))
    assert table.loc[("skip", "depth"), "gain"] < 0
    assert table.loc[("cnn", "depth"), ["gain", "low", "seeds"]].isna().tolist() == [False, True, False]
    mean = table.loc["skip"].drop(OVERALL)["gain"].mean()
    assert table.loc[("skip", OVERALL), "gain"] == pytest.approx(mean)

    axes = titled(figures["gains"], "depth (RMSE, m)")
    of_task = table.xs("depth", level="task")
    assert points(axes) == [(pytest.approx(gain), y) for y, gain in enumerate(of_task["gain"])]
    np.testing.assert_allclose(spans(axes), of_task[["low", "high"]].dropna())
    assert len(figures["gains"].axes) == 8
    assert [label.get_text() for label in figures["gains"].axes[0].get_yticklabels()] == ["skip", "shared", "cnn"]


def test_affinity_writes_every_cell_and_is_white_at_zero(figures):
    left, right = figures["affinity"].axes[:2]
    wide, cheap = affinity_tables()
    gain = wide.drop(columns="on").to_numpy()
    shown = {text.get_position()[::-1]: text.get_text() for text in left.texts}
    assert shown == {place: signed(value) for place, value in np.ndenumerate(gain)}
    tag = cheap[(cheap["measure"] == "tag") & (cheap["variant"] == "shared")]
    assert [text.get_text() for text in right.texts] == [signed(100 * value, 2) for value in tag["value"]]
    for axes in (left, right):
        assert axes.images[0].norm(0.0) == 0.5
        assert axes.images[0].get_array().mask.diagonal().all()
        assert [label.get_text() for label in axes.get_xticklabels()] == list(TASKS)
    note = " ".join(words(figures["affinity"])).replace("\n", " ")
    assert "one seed, so what another would change is not known" in note
    clear = ((tag["half"] < 1) & (tag["on"] != tag["with"]) & tag["value"].notna()).sum()
    assert f"leaves out 0 in {clear} of 30 cells" in note


def test_numbers_can_be_read_on_any_colour():
    for colour in itertools.product((0, 0.2, 0.4, 0.5, 0.6, 0.8, 1), repeat=3):
        light = np.where(
            np.array(colour) <= 0.04045, np.array(colour) / 12.92, ((np.array(colour) + 0.055) / 1.055) ** 2.4
        )
        shade = float(light @ [0.2126, 0.7152, 0.0722])
        other = {"black": 0.0, "white": 1.0}[ink(colour)]
        assert (max(shade, other) + 0.05) / (min(shade, other) + 0.05) >= 4.5


def test_cross_domain_shows_changes_with_the_papers_sign(figures):
    table = domain_table()
    changes = change_table(table, HOME).set_index(["domain", "task", "model"])["gain"]
    # An error that grows from 1.1 to 1.7, and an mIoU that grows from 1.0 to 1.6.
    assert changes[("rooms-loft", "depth", "single")] == pytest.approx(-100 * 0.6 / 1.1)
    assert changes[("rooms-loft", "semseg", "single")] == pytest.approx(60)
    assert not (changes.reset_index()["domain"] == HOME).any()
    axes = titled(figures["cross_domain"], "normal (mean angle, deg)")
    shown = [
        changes[(domain, "normal", model)] for domain in ("rooms-loft", "rooms-kinect", "doom") for model in MODELS
    ]
    assert [x for x, _ in points(axes)] == pytest.approx(shown)
    assert [round(y) for _, y in points(axes)] == [0] * 4 + [1] * 4 + [2] * 4
    far = titled(figures["cross_domain"], "depth (RMSE, m)")
    assert [signed(changes[("doom", "depth", model)]) for model in MODELS] == [t.get_text() for t in far.texts]


def test_curves_show_means_and_ranges(figures):
    axes = figures["curves"].axes[1]
    assert axes.get_ylabel() == "L1 loss"
    assert [line.get_label() for line in axes.lines] == ["skip", "shared"]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(45, 2 + 1 / 45), (90, 2 + 1 / 90)])
    shaded = axes.collections[0].get_paths()[0].get_extents()
    assert (shaded.y0, shaded.y1) == pytest.approx((1 + 1 / 90, 3 + 1 / 45))
    assert axes.lines[1].get_color() == LOOKS["shared"].colour


def test_cost_names_every_model_and_no_name_covers_another(figures):
    gained = gain_table(results_table(), HOME)
    quality = gained[gained["task"] == OVERALL].set_index("model")["gain"]
    operations, parameters = figures["cost"].axes
    for axes, column in ((operations, "gmacs"), (parameters, "params_m")):
        places = {line.get_label(): tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != "None"}
        costs = dict(zip((ONES, "skip", "shared", "cnn"), cost_table()[column], strict=True))
        expected = {name: (costs[name], 0.0 if name == ONES else quality[name]) for name in costs}
        assert places == {name: pytest.approx(at) for name, at in expected.items()}
        names = [text for text in axes.texts if isinstance(text, Annotation)]
        assert {text.get_text() for text in names} == set(costs)
        boxes = [Text.get_window_extent(text) for text in names]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert all(axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max) for box in boxes)


def test_a_model_beyond_the_axis_keeps_its_number():
    table = gain_table(results_table(), HOME)
    table.loc[(table["model"] == "cnn") & (table["task"] == OVERALL), "gain"] = -400.0
    axes = cost(table, cost_table(), HOME, NOTE).axes[0]
    assert "cnn −400.0 %" in words(axes)
    arrow = next(line for line in axes.lines if line.get_label() == "cnn")
    assert arrow.get_marker() == "v"
    assert arrow.get_ydata()[0] > axes.get_ylim()[0] > -100


def test_crowded_names_stay_apart():
    gained = pd.DataFrame({"model": [f"variant-{i}" for i in range(12)], "task": OVERALL, "gain": np.arange(12) / 50})
    costs = pd.DataFrame({"model": gained["model"], "params_m": 10 + gained.index / 100, "gmacs": 1.0})
    for axes in cost(gained, costs, HOME, NOTE).axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 12
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_qualitative_puts_every_picture_in_its_place(figures, gallery):
    blocks = [axes for axes in figures["qualitative-doom"].axes if axes.images]
    assert len(blocks) == 3
    for axes, at in zip(blocks, (0, 2, 4), strict=True):
        picture = axes.images[0].get_array()
        np.testing.assert_array_equal(picture[:32, :32], gallery.pictures["rgb"][at])
        for row, task in enumerate(TASKS, start=1):
            for column, of in enumerate(("label", *GALLERY_MODELS)):
                y, x = row * (32 + 8) + round(0.12 * 32), column * (32 + 2)
                np.testing.assert_array_equal(picture[y : y + 32, x : x + 32], gallery.pictures[f"{of}/{task}"][at])
    assert {"best", "median", "worst", "image 40, group room-4\nerror 1.50 of the average"} <= set(
        words(figures["qualitative-doom"])
    )


def test_qualitative_writes_each_error_and_the_least_in_bold(figures):
    axes = next(axes for axes in figures["qualitative-doom"].axes if axes.images)
    bold = [text for text in axes.texts if text.get_text() == "0.10"]
    assert len(bold) == 6
    assert {text.get_fontweight() for text in bold} == {"bold"}  # single has the least error in every task
    assert {text.get_fontweight() for text in axes.texts if text.get_text() == "0.11"} == {"normal"}
    assert [text.get_text() for text in axes.texts].count("–") == 1
    assert [number(error) for error in (0.0456, 0.456, 4.56, 45.6, None)] == ["0.046", "0.46", "4.56", "45.6", "–"]


def test_each_pixel_is_a_square_of_the_files(gallery):
    figure = qualitative(gallery, NOTE)
    figure.canvas.draw()
    file = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    for axes in figure.axes[:3]:
        box, picture = axes.get_window_extent(), axes.images[0].get_array()
        times = round(box.width / picture.shape[1])
        assert times >= 2
        top, left = file.shape[0] - round(box.y1), round(box.x0)
        cell = picture[44 : 44 + 32, :32]  # the first label: no word lies on it
        enlarged = np.kron(cell, np.ones((times, times, 1), int))
        start = top + 44 * times
        np.testing.assert_array_equal(file[start : start + 32 * times, left : left + 32 * times], enlarged)
        assert axes.images[0].get_interpolation() == "none"  # which is what makes an SVG keep them as they are


def test_mosaics_know_where_their_cells_are():
    one = np.full((8, 8, 3), 7, np.uint8)
    grid = mosaic([[None, one], [one, None]], head=0.5)
    assert grid.picture.shape == (2 * 10 + 4, 17, 3)
    for row, column in ((0, 1), (1, 0)):
        x, y = grid.corner(row, column)
        assert (grid.picture[y : y + 8, x : x + 8] == 7).all()
    assert (grid.picture == 7).sum() == 2 * one.size


@pytest.mark.parametrize("window", [4, 7])
def test_a_ratio_is_the_weight_over_that_of_equal_tokens(tmp_path, window):
    gallery = load_gallery(write_gallery(tmp_path / "doom", 64, window))
    maps = stage_maps(gallery, "skip")[3]  # 8 x 8 tokens: 4 windows, which 7 x 7 tokens fill with padding
    entry = next(e for e in gallery.about["attention"] if (e["variant"], e["stage"]) == ("skip", 3))
    row, column = 7, 2
    at, query = np.argwhere(np.array(entry["cells"]) == row * 8 + column)[0]
    real = [cell for cell in entry["cells"][at] if cell >= 0]
    expected = np.full(64, NAN)
    expected[real] = [
        w * len(real) for w, cell in zip(weights(entry)[0, at, 0, query], entry["cells"][at], strict=True) if cell >= 0
    ]
    found = maps.ratio("depth", row, column)
    np.testing.assert_allclose(found.ravel(), expected, rtol=0.03)  # stored in eight bits
    assert np.nanmean(found) == pytest.approx(1, abs=1e-6)
    assert np.isnan(found).sum() == 64 - len(real)


def test_attention_shows_three_queries_stage_by_stage(figures, gallery):
    figure = figures["attention-doom"]
    blocks = [axes for axes in figure.axes if axes.images]
    assert len(blocks) == len(POINTS) == 3
    for place, axes in enumerate(blocks):
        boxes = [patch for patch in axes.patches if patch.get_label() == "query"]
        assert len(boxes) == 2 * (1 + 4 * len(MAPS))  # black on white, on the image and on every map
        assert sum(patch.get_label() == "window" for patch in axes.patches) == 4 * len(MAPS)
        first = boxes[0]  # on the image, as large as a token of the finest map, and around the query's place
        assert first.get_width() == pytest.approx(4)
        down, across = (32 * share for share in POINTS[place])
        assert first.get_x() + 0.5 <= across <= first.get_x() + 0.5 + 4
        assert first.get_y() + 0.5 <= down <= first.get_y() + 0.5 + 4
        ratio = stage_maps(gallery, "shared")[4].ratio("all", *(int(8 * share) for share in POINTS[place]))
        assert f"{np.nanmin(ratio):.2f}–{np.nanmax(ratio):.2f}" in words(axes)
    assert "shared" in words(blocks[0])
    assert {"map of depth", "map of edges"} <= set(words(blocks[0]))


def test_equal_weights_are_drawn_white_and_the_outside_as_the_picture(tmp_path):
    folder = write_gallery(tmp_path / "doom")
    gallery = load_gallery(folder)
    for entry in gallery.about["attention"]:
        cells = np.array(entry["cells"])
        equal = np.sqrt(1 / cells.shape[1])
        gallery.pictures[entry["array"]][:] = round(255 * equal)
    gallery.pictures["rgb"][:] = 200
    axes = attention(gallery, NOTE).axes[0]
    grid = axes.images[0].get_array()
    assert np.ptp(grid[40 + 8 : 40 + 8 + 32, :32].astype(int)) <= 4  # stage 1, one token: grey, hardly tinted


def test_a_gallery_without_its_files_says_so(tmp_path):
    with pytest.raises(UserError, match=r"gallery\.json is missing"):
        load_gallery(tmp_path)


# ---------------------------------------------------------------- looks


def seen(colours: list[str], sight: str) -> np.ndarray:
    """CIELAB of colours as a kind of sight has them."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(SIGHTS[sight]).T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_can_be_told_apart_by_everyone(sight):
    def least(names):
        lab = seen([LOOKS[name].colour for name in names], sight)
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))

    assert least(LOOKS) > 15  # about seven times what is just noticed
    assert least(MODELS) > 35  # the four models that stand beside each other
    if sight != "all cones":  # the test can fail: red and green of one lightness
        red, green = seen(["#D62728", "#2CA02C"], "deuteranopia")
        assert np.linalg.norm(red - green) < 35


def test_markers_differ_as_well_and_new_variants_have_looks():
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)
    found = looks(["shared", "new", "other"])
    assert found["shared"] == LOOKS["shared"]
    assert found["new"].marker != found["other"].marker


def test_axes_leave_out_what_would_squeeze_the_rest():
    left, right = bounds([-1, -2, -1, -90], [1, 1, 2, -80])
    assert -3 < left < -2
    assert 2 < right < 3
    assert bounds([], []) == (-1, 1)
    assert bounds([NAN], [NAN]) == (-1, 1)
    assert bounds([0, 0], [0, 0]) == (-1, 1)
