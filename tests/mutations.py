"""Mutated params.yaml files: what a slip of the hand, an editor or a merge makes of it, and worse."""

import copy
import datetime
import json
import math
import re
from typing import Any

import hypothesis.strategies as st
from ruamel.yaml import YAML

from tests.conftest import ROOT

WHOLE = (ROOT / "params.yaml").read_text(encoding="utf-8")
# The smoke scale and one that is nearly the same: a fuzz of the others would say the same four times as slowly.
TEXT = (
    WHOLE[: WHOLE.index("  # The default:")]
    + "  laptop: &laptop\n    <<: *smoke\n    name: laptop\n    decoder:\n      <<: *decoder\n      drop_path: 0.05\n"
    + "    shifts: *shifts\n    hardware: *hardware\n\nscale: *smoke\n"
)
TREE = YAML(typ="safe").load(TEXT)
del TREE["scale"]

WORDS = [
    "", "x", "none", "add", "concat", "self", "reference", "dea1", "joint", "depth", "normal", "semseg", "fixed",
    "famo",
    "pcgrad", "stch", "imtl_l", "bfloat16", "one_cycle", "poly", "constant", "berhu", "silog", "rotate", "l1", "cpu",
    "cuda", "auto", "patch", "conv", "replica", "nyuv2", "doom", "rooms-home", "loss", "depth_rmse", "1 epoch",
    "3 epochs", "0 epochs", "cnn", "mtan", "shared", "smoke", "laptop", "*smoke", "resnet18", "test_resnet",
    "swin_nano_patch4_window7_224", "hf-hub:some/model", "semseg+depth+normal", "../../etc/passwd", "/dev/null",
    "tuned", "a\nb", "\0", "\u2028", "größe", "\U0001f4a5", "${x}", "1e-3", "no", "y" * 5000,
]  # fmt: skip
NUMBERS = [
    0, -1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 32, 64, 100, 1000, 10**9, 2**31, 2**63, 10**400, True, False, 0.0, -0.0, 0.5,
    0.9,
    0.999999999, 1.0, 1.5, 1e-300, 1e-9, 1e9, 1e300, math.nan, math.inf, -math.inf,
]  # fmt: skip
OTHERS = [
    None, [], {}, [[]], [None], [0], [1, 2], ["depth"], {"": 0}, {"a": {"b": []}}, {"root": "/nowhere"},
    {"train": 8, "test": 8, "views": 4, "edge_sigma": 3.0}, datetime.date(2020, 1, 1),
]  # fmt: skip
# What YAML may hold in the place of a value.
FRAGMENTS = [
    "!!python/object/apply:os.system ['true']", "!!int x", "!!float x", "!!bool x", "!!timestamp x",
    "!!binary é", "!!int ''", "!!float ''",
    "!!set {a}", "!!omap [a: 1]", "!unknown x", "2020-13-45", "2020-01-01", "&a [*a]", "&a {<<: *a}", "&a {x: *a}",
    "{", "[",
    '"', "'", "|", ">", "? x", "- -", "*smoke", "*shifts", "*decoder", "*training", "*nowhere", "&smoke 1",
    "~", "no", "010",
    "0o10", "1:30", "1_000", ".nan", "-.inf", "+1", "0x" + "f" * 5000, "9" * 5000, "[" * 3000, "{a: " * 3000,
    "@x", "`x", "%x",
    "\t1", "1 # x", "{a: 1, a: 2}", "[a, a]", "!!str 1", "\ufeff", "\x07", "<<", "{<<: [*smoke, *decoder]}", "{<<: 1}",
]  # fmt: skip
DOOM = "doom: {train: 8, test: 8, views: 4, edge_sigma: 3.0}"  # as smoke has it
ANCHORS = re.findall(r"&(\w+)", TEXT)


def paths(value: Any, before: tuple = ()) -> list[tuple]:
    """Every place in ``value``, as keys and positions from its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, of in items for place in [(*before, key), *paths(of, (*before, key))]]


PLACES = paths(TREE)
OF_SMOKE = [place for place in PLACES if place[:2] == ("scales", "smoke") and len(place) > 2]
OTHER = [place for place in PLACES if place[0] != "scales"]


@st.composite
def files(draw: st.DrawFn) -> str:
    """The text of a mutated file."""
    if draw(st.integers(0, 3)) == 0:
        text = TEXT
        for _ in range(draw(st.integers(1, 2))):
            text = _change_text(draw, text)
        return text
    tree = copy.deepcopy(TREE)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        _change_tree(draw, tree)
    return dump(tree)


def dump(tree: dict) -> str:
    """``tree`` with ``scale`` as an alias of ``scales.smoke``, as YAML in flow style."""
    lines = [f"{_flow(key)}: {_flow(of)}" for key, of in tree.items() if key != "scales"]
    scales = tree.get("scales")
    if isinstance(scales, dict):
        anchored = ", ".join(
            f"{_flow(key)}: {'&smoke ' if key == 'smoke' else ''}{_flow(of)}" for key, of in scales.items()
        )
        lines.append(f"scales: {{{anchored}}}")
    elif "scales" in tree:
        lines.append(f"scales: {_flow(scales)}")
    return "\n".join([*lines, "scale: *smoke", ""])


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return value.isoformat() if isinstance(value, datetime.date) else json.dumps(value, ensure_ascii=False)


def _change_tree(draw: st.DrawFn, tree: dict) -> None:
    place = draw(st.sampled_from(OF_SMOKE if draw(st.integers(0, 2)) else OTHER))
    found = _owner(tree, place)
    if found is None:  # an earlier change has taken it away
        return
    owner, key = found
    old = owner[key]
    change = draw(
        st.sampled_from(["delete", "rename", "value", "value", "value", "kind", "number", "number", "swap", "twice"])
    )
    if change == "delete":
        del owner[key]
    elif change == "rename" and isinstance(owner, dict):
        new = draw(st.sampled_from([*WORDS, f"{key}s", str(key).upper(), f"{key}-2", 1, None, True]))
        items = [(new if of == key else of, value) for of, value in owner.items()]
        owner.clear()
        owner.update(items)
    elif change == "kind":
        owner[key] = draw(st.sampled_from([str(old), [old], {"a": old}, [old, old]]))
    elif change == "number" and isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 1e300:
        owner[key] = draw(st.sampled_from([-old, 2 * old, 1000 * old, old / 3, old + 1, old - 1, float(old), *NUMBERS]))
    elif change == "swap":
        other = _owner(tree, draw(st.sampled_from(PLACES)))
        if other is not None:
            owner[key], other[0][other[1]] = copy.deepcopy(other[0][other[1]]), copy.deepcopy(old)
    elif change == "twice" and isinstance(owner, list):
        owner.append(copy.deepcopy(old))
    else:
        owner[key] = copy.deepcopy(draw(st.sampled_from([*WORDS, *NUMBERS, *OTHERS])))


def _owner(tree: Any, place: tuple) -> tuple[Any, Any] | None:
    """What holds ``place``, and by which key."""
    for key in place[:-1]:
        if not _holds(tree, key):
            return None
        tree = tree[key]
    return (tree, place[-1]) if _holds(tree, place[-1]) else None


def _holds(tree: Any, key: Any) -> bool:
    return (
        key in tree if isinstance(tree, dict) else isinstance(tree, list) and isinstance(key, int) and key < len(tree)
    )


def _change_text(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    number = draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    change = draw(
        st.sampled_from(["double", "delete", "cut", "tab", "alias", "swap", "insert", "value", "value", "indent"])
    )
    if change == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if change == "insert":
        place = draw(st.integers(0, len(text)))
        return (
            text[:place]
            + draw(st.sampled_from(["\t", ":", ",", "{", "}", "]", "*", "&a ", "!", "#", "\x00", '"', "- "]))
            + text[place:]
        )
    if change == "alias":
        found = draw(st.sampled_from(list(re.finditer(r"[*&]\w+", text)) or [None]))
        return (
            text
            if found is None
            else f"{text[: found.start() + 1]}{draw(st.sampled_from(ANCHORS))}{text[found.end() :]}"
        )
    if change == "swap":
        other = draw(st.integers(0, len(lines) - 1))
        lines[number], lines[other] = lines[other], line
    elif change == "value" and ": " in line:
        lines[number] = f"{line[: line.index(': ')]}: {draw(st.sampled_from(FRAGMENTS))}\n"
    else:
        new = {"double": line + line, "delete": "", "tab": line.replace("  ", "\t", 1), "indent": f" {line}"}
        lines[number] = new.get(change, line)
    return "".join(lines)
