"""Fixtures: a prepared domain made of noise with structure, and the project's own params."""

from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from mult.data.store import LABELS, Writer

hypothesis.settings.register_profile("beside others", deadline=None)
hypothesis.settings.load_profile("beside others")
torch.set_num_threads(1)  # models of tests are tiny: a second thread waits more than it works

ROOT = Path(__file__).parents[1]
LONG = (
    "test_pipeline.py",
    "test_data_sets.py",
    "test_cluster.py",
    "test_interruptions.py",
    "test_distributed.py",
    "test_overfit.py",
)
CLASSES = ("void", "wall", "floor", "chair")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes first: beside them the others fill a second core."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def sample(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """One image whose labels can be read off its colours, with an invalid corner."""
    # Blocks of eight pixels: predictions are made at a quarter of the resolution and enlarged, which blurs their edges.
    red = np.kron(rng.integers(0, 256, (size // 8, size // 8)), np.ones((8, 8), int))
    rgb = np.stack([red, np.roll(red, size // 2, 0), 255 - red], -1)
    normal = np.stack([red // 2 + 60, 200 - red // 2, np.full_like(red, 20)], -1)
    depth = 512 + 4 * red
    valid = np.ones((size, size), bool)
    valid[:2, :2] = False
    labels = {
        "rgb": rgb,
        "segment_semantic": 1 + red // 86,
        "depth_zbuffer": np.where(valid, depth, 65535),
        "normal": np.where(valid[..., None], normal, 128),
        "reshading": 255 - red,
        "keypoints2d": red,
        "edge_texture": 20 * red,
        "mask_valid": 255 * valid,
        "instance": red // 64,
    }
    return {name: labels[name].astype(dtype) for name, dtype in LABELS.items()}


def write_domain(folder: Path, size: int = 32, images: tuple[int, int, int] = (8, 4, 4), seed: int = 0) -> Path:
    """A prepared domain of ``images`` train, val and test images."""
    rng = np.random.default_rng(seed)
    writer = Writer(folder, folder.name, CLASSES, size)
    for split, count in zip(("train", "val", "test"), images, strict=True):
        writer.add(split, count, ((sample(rng, size), f"{split}-{i // 2}", 1.0) for i in range(count)))
    writer.close()
    return folder


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared domain, read-only for tests."""
    return write_domain(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh sqlite store of MLflow's, to be copied: making one takes seconds."""
    from mult import tracking

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.reach(f"sqlite:///{path}")
    return path
