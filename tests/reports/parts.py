"""Reports and galleries made by the contract of mult.reports.documents: small, and with known contents."""

from pathlib import Path
from typing import Any

import numpy as np

from mult.files import write_json
from mult.reports.figures.descriptions import Description

TASKS = ("semseg", "depth", "normal", "reshading", "keypoints", "edges")
MODELS = ("single", "self", "skip", "shared")
FACTS = {"scale": "laptop", "images of": "64 pixels", "steps": 180, "batch": 16, "seeds": 3, "domain": "rooms-home"}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 100" width="{width}" height="100">'
    '<rect width="50" height="50" fill="#1d559c"/><text x="5" y="90">100 % &amp; more</text></svg>'
)


def ablation(
    gain: str = "+0.3 [-1.8, +2.4]", p: str = "1.000", detectable: str = "2.7 %", verdict: str = "no evidence"
):
    """The ablation's table, whose second row is the study's question."""
    columns = ["question", "comparison", "all tasks on rooms-home, gain %", "p (Holm)", "least detectable", "answer"]
    rows = [
        ("does it matter which task leads?", "a over b", "–", "–", "–", "no evidence"),
        ("does it help that the map is one for all tasks?", "shared over skip", gain, p, detectable, verdict),
    ]
    blocks = [grid(columns, [[{"text": text} for text in row] for row in rows]), {"kind": "text", "text": "A *note*."}]
    return {"name": "ablation", "caption": "Variants compared", "blocks": blocks}


def grid(columns: list[str], rows: list[list[dict[str, Any]]]) -> dict[str, Any]:
    return {"kind": "table", "columns": columns, "rows": rows}


def six_task() -> dict[str, Any]:
    """Values whose order by number differs from that by text, and a cell without one."""
    values = {"semseg": 0.0834, "depth": 12.5, "normal": 9.25, "reshading": None, "keypoints": 100.0, "edges": -1.5}
    cells = [
        [{"text": task}, {"text": "–"} if value is None else _cell(task, value), {"text": "1.000", "sort": 1.0}]
        for task, value in values.items()
    ]
    blocks = [
        grid(["task", "shared", "wide" * 60], cells),
        {"kind": "text", "text": "### A heading"},
        {"kind": "text", "text": "`code` and **bold** & <script>alert(1)</script>"},
    ]
    return {"name": "six_task", "caption": "Six tasks", "blocks": blocks}


def _cell(task: str, value: float) -> dict[str, Any]:
    runs = ["mult-shared-s0", "mult-shared-s1", "mult-lost-s0"]
    return {"text": f"{value:g} (-2.5)", "sort": value, "runs": runs, "best": task == "depth"}


def describe(figure: str) -> Description:
    return Description(f"Title of {figure}", f"What {figure} shows", "A `caption`.")


def write_reports(folder: Path, answer: dict[str, Any] | None = None) -> Path:
    for table in (answer or ablation(), six_task()):
        write_json(folder / "tables" / f"{table['name']}.json", table)
    (folder / "figures").mkdir()
    for name, width in (("sharing", 300), ("affinity", 200)):
        (folder / "figures" / f"{name}.svg").write_text(SVG.format(width=width))
    runs = "".join(f"mult-shared-s{seed},{seed:032x}\n" for seed in range(2))
    (folder / "results.csv").write_text(f"run,mlflow_run_id\n{runs}")
    return folder


def write_gallery(folder: Path, samples: int = 3, size: int = 16, seed: int = 0) -> Path:
    """gallery/<domain>, named after ``folder``; the shared model's error of sample i in depth is (i + 1) / 100 m."""
    rng = np.random.default_rng(seed)
    pictures = {"rgb": _blocks(rng, samples, size)}
    for task in TASKS:
        pictures |= {f"{by}/{task}": _blocks(rng, samples, size) for by in ("label", *MODELS)}
    maps = [_map(variant, stage, samples // 2) for variant in ("self", "shared") for stage in (1, 3)]
    pictures |= {of["array"]: quantised(rng, of) for of in maps}
    roles = {0: "best", samples // 2: "median", samples - 1: "worst"}
    about = {
        "domain": folder.name, "split": "test", "image_size": size, "tasks": TASKS, "models": MODELS,
        "classes": ["void", "wall", "floor"], "attention": maps,
        "samples": [
            {"image": 10 * i, "group": f"room-{i}", "role": roles.get(i, ""), "error": 0.5 + i, "errors": _errors(i)}
            for i in range(samples)
        ],
    }  # fmt: skip
    write_json(folder / "gallery.json", about)
    np.savez_compressed(folder / "pictures.npz", **pictures)
    return folder


def _errors(sample: int) -> dict[str, dict[str, float | None]]:
    """`self` has no valid pixel in reshading; `shared` is the best."""
    return {
        model: {
            task: None if (model, task) == ("self", "reshading") else (sample + 1) / 100 + place / 10
            for task in TASKS
        }
        for place, model in enumerate(reversed(MODELS))
    }  # fmt: skip


def _blocks(rng: np.random.Generator, samples: int, size: int) -> np.ndarray:
    small = rng.integers(0, 256, (samples, 4, 4, 3), np.uint8)
    return np.kron(small, np.ones((1, size // 4, size // 4, 1), np.uint8))


def _map(variant: str, stage: int, sample: int) -> dict[str, Any]:
    """Stage 1: one window of 2 x 2. Stage 3: 6 x 6 tokens in windows of 4 x 4, which are padded."""
    side, window = {1: (2, 2), 3: (6, 4)}[stage]
    padded = -(-side // window) * window
    tokens = np.full((padded, padded), -1)
    tokens[:side, :side] = np.arange(side * side).reshape(side, side)
    cells = tokens.reshape(padded // window, window, -1, window).swapaxes(1, 2).reshape(-1, window * window)
    owners = ["all"] if variant == "shared" else list(TASKS)
    return {
        "sample": sample, "variant": variant, "stage": stage, "owners": owners, "heads": 2, "height": side,
        "width": side, "cells": cells.tolist(), "array": f"attention/{variant}/{sample}/{stage}",
    }  # fmt: skip


def quantised(rng: np.random.Generator, of: dict[str, Any]) -> np.ndarray:
    """uint8 (owners, windows, heads, N, N): random weights, none on padding."""
    cells = np.array(of["cells"])
    shape = (len(of["owners"]), len(cells), of["heads"], cells.shape[1], cells.shape[1])
    weights = rng.gamma(1.0, size=shape) * (cells >= 0)[None, :, None, None, :]
    return np.rint(255 * np.sqrt(weights / weights.sum(-1, keepdims=True))).astype(np.uint8)
