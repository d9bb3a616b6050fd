import re
from itertools import combinations
from pathlib import Path
from typing import get_args

import pytest
import torch

from mult.cli import DOMAINS
from mult.data.domains import EMBEDDED
from mult.data.sources import SOURCES, cocodoom, replica, taskonomy
from mult.errors import UserError
from mult.params import domains, fields, load
from mult.repro import choose_scale
from mult.runs import names, probed, resolve
from mult.tasks import TASKS
from mult.training.balancing import METHODS
from tests.conftest import ROOT
from tests.mutations import DOOM

# Whatever scale the project stands at.
TEXT = re.sub(r"(?m)^scale: \*\w+", "scale: *laptop", (ROOT / "params.yaml").read_text())


@pytest.fixture
def settings(tmp_path):
    return loaded(tmp_path, TEXT)


def loaded(tmp_path: Path, text: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return load(path)


def test_the_pairs_are_all_the_pairs(settings):
    assert settings.pairs == ["+".join(p) for p in combinations(settings.tasks, 2)]
    assert len(settings.pairs) == 15


def test_every_scale_is_valid_and_can_be_chosen(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    for scale in ("smoke", "laptop", "gpu", "paper"):
        choose_scale(scale, path)
        assert load(path).scale.name == scale
        changed = [(a, b) for a, b in zip(TEXT.splitlines(), path.read_text().splitlines(), strict=True) if a != b]
        assert len(changed) <= 1, "only the line that chooses changes"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("steps: 4", "stepz: 4", r"scales\.smoke\.training\.stepz: unknown key"),
        ("lr: 1.0e-3", "lr: fast", r"scales\.smoke\.training\.lr: 'fast': .*number"),
        ("lr: 1.0e-3", "lr: .inf", r"scales\.smoke\.training\.lr: inf: .*finite"),
        ("test: 8,", "test: 0,", r"scales\.smoke\.domains\.rooms-home\.test: 0: .*equal to 1"),
        ("[semseg, depth,", "[semseg, depht,", r"tasks\.1: 'depht': .*'semseg', 'depth'"),
        ("  - semseg+depth\n", "", r"pairs: \[.*\] must be all 15 pairs of tasks"),
        ("scale: *laptop", "scale: laptop", r"scale: write \*laptop \(with the star\)"),
        ("warmup_steps: 1\n", "warmup_steps: 9\n", r"training\.warmup_steps: 9 is not below training\.steps \(4\)"),
        ("rooms-loft: {train", "rooms-attic: {train", r"'rooms-attic': .*'rooms-home', 'rooms-loft'"),
        (
            "attention: self",
            "attention: selfish",
            r"variants\.self\.attention: 'selfish': .*'self', 'skip', 'skip_lowrank', 'shared'",
        ),
        ("train_domain: rooms-home", "train_domain: nyuv2", r"train_domain: 'nyuv2' is none of domains"),
        (
            "batch_size: 4",
            "batch_size: 400",
            r"training\.batch_size: 400 is above the 16 of domains\.rooms-home\.train",
        ),
        ("single: [0],", "single: [0, 0],", r"seeds\.single: \[0, 0\] names a seed twice"),
        ("pair: [0],", "pair: [],", r"seeds\.pair: \[\]: .*at least 1 item"),
        ("six: [0, 1]", "six: [-1]", r"seeds\.six\.0: -1: .*greater than or equal to 0"),
        ("probe: [0]}", "probe: [7]}", r"seeds\.probe: 7 is none of seeds\.six"),
        ("probe_images: 8", "probe_images: 1", r"smoke\.probe_images: 1: .*greater than or equal to 2"),
        ("loss: rotate", "loss: cross_entropy", r"losses\.depth\.loss: 'cross_entropy': .* for semseg"),
        ("image_size: 32", "image_size: 50", r"image_size: 50 is no multiple of 32"),
        ("  drawn:", "  single:", r"variants: 'single' has a meaning in the tables"),
        ("{attention: self}", "{attention: reference}", r"variants\.self: attention: reference needs `reference`"),
        ("{attention: self}", "{attention: self, reference: norm}", r"variants\.self\.reference: 'norm': .*'normal'"),
        ("pair: {attention: shared}", "pair: {attention: dea1, reference: depth}", r"pair\.attention: dea1 has a ref"),
        ("shared_stages: [1, 2, 3, 4]", "shared_stages: [0]", r"decoder\.shared_stages\.0: 0: .*equal to 1"),
        ("window: 4\n", "window: 9\n", r"decoder\.window: 9 is above 8"),
        ("cnn-six-s0: cnn\n", "cnn-sixth-s0: cnn\n", r"baselines\.runs: 'cnn-sixth-s0': 'cnn' must be <key>-six"),
        ("cnn-six-s0: cnn\n", "cnn-six-s0: cmn\n", r"baselines\.runs: 'cnn-six-s0': 'cmn' must be .*one of cnn, cross"),
        (
            "[[semseg, depth, normal, reshading],",
            "[[semseg, normal, reshading],",
            r"baselines\.grouped: groups: .* each of",
        ),
        (
            "[depth, normal], [normal, r",
            "[depth, depth], [normal, r",
            r"consistency\.pairs: \['depth', 'depth'\] leads",
        ),
        ("  mtan: {", "  mult: {", r"baselines: 'mult' has a meaning"),
        ("base: skip,", "base: skipp,", r"comparisons: 'skipp' is none of the variants"),
        (
            "  - semseg+depth+normal+keypoints\n",
            "  - semseg+normal+depth\n",
            r"sets: 'semseg\+normal\+depth' must be three",
        ),
        ("affinity_every: 2 ", "affinity_every: -2 ", r"affinity_every: -2: .*greater than or equal to 0"),
        ("tasks: [", "tasks: {", r"cannot be read as YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(tmp_path, old, new, complaint):
    assert old in TEXT
    with pytest.raises(UserError) as error:
        loaded(tmp_path, TEXT.replace(old, new, 1))
    assert re.search(complaint, str(error.value)), error.value
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path))


def test_affinities_need_whole_weights(tmp_path):
    divided = TEXT.replace("processes: 1 ", "processes: 2 ", 1).replace("shard: false", "shard: true", 1)
    with pytest.raises(UserError, match=r"scales\.smoke: affinity_every: 2: it needs whole weights, .*; write 0"):
        loaded(tmp_path, divided)


def test_missing_file():
    with pytest.raises(UserError, match="no such file"):
        load("nowhere.yaml")


def test_names_resolve_to_settings(settings):
    tuned = [name for name in names(settings) if name.startswith("tuned-")]
    assert tuned == [f"tuned-{name}" for name in names(settings) if re.match("(single|mult)-.*-s0$", name)]
    runs = {name: resolve(settings, name) for name in names(settings) if name not in tuned}
    six, baselines = len(settings.variants) * len(settings.scale.seeds.six), len(settings.scale.baselines.runs)
    seeds = settings.scale.seeds
    others = 3 + 6 * len(seeds.single) + 15 * len(seeds.pair) + len(settings.sets) * len(seeds.set)
    assert len(runs) == others + six + len(settings.controls) * len(seeds.control) + baselines
    assert (runs["cnn-six-s0"].study, runs["cnn-six-s0"].model) == ("baseline", "cnn")
    smoke = settings.model_copy(update={"scale": settings.scales["smoke"]})
    assert resolve(smoke, "cnn-single-depth-s0").tasks == ("depth",)
    assert resolve(smoke, "grouped-six-s0").decoder["base"] == "cnn"
    assert resolve(smoke, "xtc-six-s0").consistency.weight == 1
    assert runs["single-depth-s0"].tasks == ("depth",)
    assert runs["pair-depth+normal-s0"].tasks == ("depth", "normal")
    assert runs["mult-shared-s1"].seed == 1
    assert {run.study for run in runs.values() if run.affinity_every is not None} == {"six"}
    assert runs["mult-shared-s1"].affinity_every == settings.scale.affinity_every
    assert runs["mult-self-s0"].decoder["attention"] == runs["mult-self-s0"].attention == "self"
    assert runs["mult-self-s0"].decoder["skip"] == "concat"
    assert runs["mult-shared-s0"].decoder["skip"] == "concat"
    assert runs["mult-drawn-s0"].decoder["skip"] == "none"


@pytest.mark.parametrize(
    "name", ["mult-shred-s0", "single-depth", "pair-normal+depth-s0", "", "single-depth-s0/../x", "tuned-x"]
)
def test_unknown_names_are_refused(settings, name):
    with pytest.raises(UserError, match="run "):
        resolve(settings, name)


def test_variants_of_a_scale_differ_in_the_map_alone(tmp_path):
    for scale in ("smoke", "laptop", "gpu", "paper"):
        settings = loaded(tmp_path, TEXT.replace("scale: *laptop", f"scale: *{scale}"))
        decoders = [resolve(settings, f"mult-{v}-s0").decoder for v in ("self", "skip", "shared")]
        decoders += [resolve(settings, name).decoder for name in ("single-depth-s0", "pair-depth+normal-s0")]
        assert len({tuple(sorted((k, str(v)) for k, v in d.items() if k != "attention")) for d in decoders}) == 1
        assert resolve(settings, "mult-drawn-s0").decoder["skip"] == "none"


def test_a_run_has_the_task_that_leads_it(settings):
    led = settings.pair.model_copy(update={"attention": "reference", "reference": "normal"})
    settings = settings.model_copy(update={"pair": led})
    assert resolve(settings, "pair-depth+normal-s0").reference == "normal"
    with pytest.raises(UserError) as error:
        resolve(settings, "pair-semseg+depth-s0")
    assert str(error.value) == (
        "run 'pair-semseg+depth-s0': reference: normal leads reference, but is none of the run's tasks semseg, depth; "
        "name one of these in params.yaml"
    )


def test_every_probed_run_is_trained(tmp_path):
    for scale in ("smoke", "laptop", "gpu", "paper"):
        settings = loaded(tmp_path, TEXT.replace("scale: *laptop", f"scale: *{scale}"))
        assert set(probed(settings)) <= set(names(settings))
        assert {name[5:].rpartition("-")[0] for name in probed(settings)} == settings.variants.keys()


# What was accepted once, and ended a run later: an hour of rendering, or days of training.
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "lr: 1.0e-3\n",
            "lr: 1.0e-3\n      lr: 2.0e-3\n",
            r"'lr' stands twice in one section, the second time in line \d+",
        ),
        ("sheet: {images: 24,", "sheet: {images: 24, images: 25,", r"'images' stands twice in one section"),
        ("  drawn: {", "  self: {", r"'self' stands twice"),
        ("lr: 1.0e-3\n", "lr: 1.0e+3\n", r"training\.lr: 1000\.0: .*less than or equal to 1"),
        ("weight_decay: 0.01", "weight_decay: 1.0e+9", r"training\.weight_decay: 1000000000\.0: .*equal to 1"),
        ("weight: 0.5}", "weight: 1.0e+300}", r"losses\.semseg\.weight: 1e\+300: .*equal to 1000000"),
        ("ema: 0.0 ", "ema: .nan ", r"training\.ema: nan: .*finite"),
        ("dropout: 0.0\n", "dropout: 0.99999999\n", r"dropout: 0\.99999999: .*equal to 0\.9"),
        ("validate_every: 2 ", "validate_every: 0 epochs ", r"validate_every: '0 epochs': write a number of steps"),
        ("validate_every: 2 ", "validate_every: true ", r"validate_every: True: write a number of steps"),
        ("workers: 0 ", "workers: 1000000 ", r"hardware\.workers: 1000000: .*equal to 256"),
        ("views: 4, edge", "views: 1000000, edge", r"rooms-home\.views: 1000000: .*equal to 100"),
        ("edge_sigma: 3.0}", "edge_sigma: 1.0e+9}", r"rooms-home\.edge_sigma: 1000000000\.0: .*equal to 64"),
        ("blur: 0.015", "blur: 1.0e-30", r"shifts\.blur: 1e-30: .*equal to 0\.0001"),
        ("image_size: 32", "image_size: 32000000", r"image_size: 32000000: .*equal to 2048"),
        ("size: 128}", "size: 65536}", r"sheet\.size: 65536: .*equal to 512"),
        ("test: 8, views: 4", "test: 1, views: 4", r"domains\.rooms-home\.test: 1: the probes exchange maps"),
        ("six: [0, 1]", "six: [1]", r"seeds\.six: \[1\] lacks 0, the seed of the run that MLflow keeps"),
        ("six: [0, 1]", "six: [0, 99999999999]", r"seeds\.six\.1: 99999999999: .*less than 2147483648"),
        ("train_domain: rooms-home", "train_domain: replica", r"train_domain: 'replica' is none of domains"),
        (DOOM, "doom: {root: /d}", None),
        ("doom: {train: 8,", "replica: {train: 8,", r"domains\.replica: replica is read in place and needs a `root`"),
        (
            DOOM,
            "nyuv2: {root: /d, split: all}",
            r"'all' is none of \(there",
        ),
        (
            DOOM,
            "cocodoom: {root: /d, split: maps}",
            r"cocodoom\.split: 'maps' is none of run, map, run-full, map-full",
        ),
        (
            DOOM,
            "replica: {root: ''}",
            r"replica\.root: '': write one line",
        ),
        (
            "options: {embed_dim: 16,",
            "options: {drop_rate: .nan, embed_dim: 16,",
            r"options: drop_rate: nan: write a share from 0 to 0\.9",
        ),
        ("options: {embed_dim: 16,", "options: {embed_dim: 1000000,", r"options: embed_dim: 1000000: write a word"),
        ("options: {embed_dim: 16,", "options: {in_chans: 3, embed_dim: 16,", r"options: 'in_chans' is no option"),
        ("options: {embed_dim: 16,", "options: {checkpoint_path: x, embed_dim: 16,", r"'checkpoint_path' is no option"),
        (
            "options: {embed_dim: 16,",
            "options: {since: 2020-01-01, embed_dim: 16,",
            r"options: since: .*2020.*: write a",
        ),
        (
            "name: swin_tiny_patch4_window7_224",
            "name: hf-hub:a/b",
            r"encoder\.name: 'hf-hub:a/b': write the name of a timm",
        ),
        ("pretrained: false   #", "pretrained: 1   #", r"encoder\.pretrained: 1: write false, true, or the path"),
        ("balancings: [unc", "balancings: [famo, unc", r"balancings: famo stands twice"),
        (
            "  - semseg+depth+normal+keypoints\n",
            2 * "  - semseg+depth+normal+keypoints\n",
            r"sets: .* stands twice; keep one",
        ),
        ("variants: [self, skip,", "variants: [self, self,", r"gallery\.variants: self stands twice"),
        ("base: skip,", "base: shared,", r"comparisons: shared over shared compares a variant with itself"),
        ("variant: drawn, base: shared", "variant: shared, base: skip", r"comparisons: shared over skip stands twice"),
        (
            "asks: does it help that the map is one for all tasks}",
            'asks: ""}',
            r"comparisons\.0\.asks: '': write one line",
        ),
        ("  drawn: {", "  trivial: {", r"variants: 'trivial' has a meaning"),
        ("  drawn: {", f"  {'d' * 41}: {{", r"variants\.d+: 'd+': .*at most 40 characters"),
        ("  mtan: {", "  tuned-x: {", r"baselines: 'tuned-x' has a meaning .*: runs called tuned-… are others"),
        ("cnn-six-s0: cnn\n", "cnn-six-s00: cnn\n", r"baselines\.runs: 'cnn-six-s00': 'cnn' must be"),
        (
            "balancing: fixed ",
            "balancing: pcgrad ",
            r"'xtc-six-s0': consistency is an extra loss, .*pcgrad cannot weigh",
        ),
        ("drop_path_rate: 0.0}", "drop_path_rate: 1.5}", r"options: drop_path_rate: 1\.5: write a share"),
        ("drop_path_rate: 0.0}", "block: {checkpoint_path: x}}", r"options: 'checkpoint_path' is no option"),
        ("drop_path_rate: 0.0}", "img_size: 64}", r"encoder: options: img_size: a Swin has the scale's image_size"),
        ("drop_path_rate: 0.0}", "block_args: {attn_layer: eca}, rope_temperature: 10000.0}", None),
        ("  drawn: {", "  label: {", r"variants: 'label' has a meaning"),
        ("asks: does it help that the map", "asks: does it help\u00a0that the map", None),
        (DOOM, f"doom: {{root: {'/long' * 100}}}", None),
        (
            DOOM,
            f"doom: {{root: {'/long' * 1000}}}",
            "1 to 4096 print",
        ),
        ("steps: 4\n", "steps: !!int ''\n", r"cannot be read as YAML: "),
        ("steps: 4\n", "steps: !!float ''\n", r"cannot be read as YAML: "),
        # One mistake is one, though `scale` is the same section over again; and what names its key needs no other.
        ("steps: 4\n", "steps: 1.0e+5\n", r"scales\.smoke\.training\.steps: 100000\.0: [^()]*$"),
        ("served: shared", "served: sharedd", r"params\.yaml: served: 'sharedd' is none of the variants"),
        ("part: 0  ", "part: 2  ", r"balancings: famo needs the losses of the whole batch"),
        ("{attention: skip}   ", "{attention: skip, balancing: stch}   ", None),
        (
            "scale: *laptop",
            "scale: {<<: *laptop, image_size: 96}",
            r"scale: it must be one of scales .*: write \*laptop",
        ),
        ("scale: *laptop", "scale: *training", r"scale.*missing|scale\..*unknown key"),
        ("tasks: [semseg", "tasks: !!python/name:os.system [semseg", r"cannot be read as YAML: "),
        ("steps: 4\n", "steps: !!int four\n", r"cannot be read as YAML: "),
        ("steps: 4\n", "steps: 2020-13-45\n", r"cannot be read as YAML: "),
        ("steps: 4\n", f"steps: {'9' * 5000}\n", r"line \d+: a number of 5000 digits"),
        ("steps: 4\n", f"steps: 0x{'f' * 5000}\n", r"training\.steps: "),
        ("sets:\n", f"sets: {'[' * 40_000}\n", r"line \d+: more than 100 sections in one another"),
        ("sets:\n", f"sets:\n{'- ' * 40_000}\n", r"line \d+: more than 100 sections in one another"),
        ("sets:\n", f"sets:\n{'? ' * 40_000}\n", r"line \d+: more than 100 sections in one another"),
    ],
)
def test_what_would_end_a_run_later_is_refused_at_once(tmp_path, old, new, complaint):
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    if complaint is None:
        loaded(tmp_path, text)
        return
    with pytest.raises(UserError) as error:
        loaded(tmp_path, text)
    assert re.search(complaint, str(error.value)), error.value
    assert str(error.value).isprintable()


def test_numbers_are_those_that_dvc_reads(tmp_path):
    """YAML 1.1 has 010 as eight and 1:30 as ninety; DVC, which makes the stages' names of them, has not."""
    assert loaded(tmp_path, TEXT.replace("six: [0, 1]", "six: [0, 010]", 1)).scales["smoke"].seeds.six == [0, 10]
    assert loaded(tmp_path, TEXT.replace("lr: 1.0e-3\n", "lr: 1e-3\n", 1)).scales["smoke"].training.lr == 1e-3
    with pytest.raises(UserError, match=r"hardware\.shard: 'no': .*boolean"):
        loaded(tmp_path, TEXT.replace("shard: false", "shard: no", 1))


def test_a_scale_that_is_not_there(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT[: TEXT.index("  # One GPU")] + "scale: *smoke\n")
    assert load(path, "laptop").scale.name == "laptop"
    for call in (lambda: load(path, "gpu"), lambda: choose_scale("gpu", path)):
        with pytest.raises(UserError, match=r"scale 'gpu' is none of scales \(smoke, laptop\)"):
            call()
    assert path.read_text().endswith("scale: *smoke\n")


def test_lists_that_are_kept_twice_are_equal():
    assert get_args(fields.Rendered) == EMBEDDED
    assert get_args(fields.InPlace) == tuple(SOURCES)
    assert get_args(fields.DomainName) == DOMAINS
    assert domains.PARTITIONS["taskonomy"] == (*taskonomy.PARTITIONS, ".csv")
    assert domains.PARTITIONS["replica"] == (replica.USUAL, ".csv")
    assert domains.PARTITIONS["cocodoom"] == cocodoom.PARTITIONS
    needs = {name: METHODS[name](list(TASKS), 4, torch.device("cpu")).needs for name in METHODS}
    assert set(fields.ALL_AT_ONCE) == {name for name, of in needs.items() if of == "losses"}
    assert set(fields.BY_GRADIENTS) == {name for name, of in needs.items() if of == "gradients"}


@pytest.mark.parametrize("methods", ["pcgrad, famo", "famo, pcgrad"])
def test_every_method_that_is_compared_is_looked_at(tmp_path, methods):
    """One hid those before it once: a training would have found out."""
    text = re.sub(r"balancings: \[unc.*?\]", f"balancings: [{methods}]", TEXT, count=1)
    with pytest.raises(UserError, match=r"smoke\.balancings: famo needs the losses of the whole batch"):
        loaded(tmp_path, text.replace("part: 0 ", "part: 2 ", 1))


def test_a_home_in_a_path_is_that_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    text = TEXT.replace("scale: *laptop", "scale: *smoke")
    found = loaded(tmp_path, text.replace(DOOM, "doom: {root: ~/d}", 1))
    assert found.scale.domains["doom"].root == "/home/ada/d"
