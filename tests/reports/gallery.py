"""A domain's gallery, made up: pictures of noise, and attention weights that a test can predict."""

import json
from pathlib import Path

import numpy as np

from mult.tasks import TASKS

MODELS = ("single", "self", "skip", "shared")


def write_gallery(folder: Path, size: int = 32, window: int = 4, samples: int = 5, attention: bool = True) -> Path:
    """Write gallery.json and pictures.npz; the middle sample has attention maps of skip and shared."""
    rng = np.random.default_rng(0)
    names = ["rgb", *(f"{of}/{task}" for of in ("label", *MODELS) for task in TASKS)]
    pictures = {name: rng.integers(0, 256, (samples, size, size, 3), dtype=np.uint8) for name in names}
    entries = []
    for variant, owners in (("skip", list(TASKS)), ("shared", ["all"])) if attention else ():
        for stage in (1, 2, 3, 4):
            entries.append(_entry(variant, owners, stage, size // 32 * 2 ** (stage - 1), window, samples // 2))
            pictures[entries[-1]["array"]] = _stored(entries[-1])
    about = {
        "domain": folder.name, "split": "test", "image_size": size, "tasks": list(TASKS), "models": list(MODELS),
        "classes": ["void", "wall", "floor"], "samples": _samples(samples), "attention": entries,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "gallery.json").write_text(json.dumps(about))
    np.savez(folder / "pictures.npz", **pictures)
    return folder


def weights(entry: dict) -> np.ndarray:
    """(owners, windows, heads, N, N): in each window real tokens weigh the more, the later they stand."""
    real = np.array(entry["cells"]) >= 0
    rising = np.where(real, 1.0 + np.arange(real.shape[1]), 0.0)
    rising = rising / rising.sum(-1, keepdims=True)
    shape = (len(entry["owners"]), len(real), entry["heads"], real.shape[1], real.shape[1])
    return np.broadcast_to(rising[None, :, None, None], shape)


def _stored(entry: dict) -> np.ndarray:
    return np.rint(255 * np.sqrt(weights(entry))).astype(np.uint8)


def _entry(variant: str, owners: list[str], stage: int, grid: int, window: int, sample: int) -> dict:
    window = min(window, grid)
    padded = -(-grid // window) * window
    cells = np.full((padded, padded), -1)
    cells[:grid, :grid] = np.arange(grid * grid).reshape(grid, grid)
    cells = cells.reshape(padded // window, window, padded // window, window).swapaxes(1, 2)
    return {
        "sample": sample, "variant": variant, "stage": stage, "owners": owners, "heads": 2, "height": grid,
        "width": grid, "cells": cells.reshape(-1, window * window).tolist(),
        "array": f"attention/{variant}/{sample}/{stage}",
    }  # fmt: skip


def _samples(count: int) -> list[dict]:
    roles = {0: "best", count // 2: "median", count - 1: "worst"}
    found = [
        {
            "image": 10 * i, "group": f"room-{i}", "role": roles.get(i, ""), "error": 0.5 + 0.25 * i,
            "errors": {m: {t: round(0.1 * (i + 1) + 0.01 * k, 4) for t in TASKS} for k, m in enumerate(MODELS)},
        }
        for i in range(count)
    ]  # fmt: skip
    found[0]["errors"]["shared"]["depth"] = None  # a number that is not there
    return found
