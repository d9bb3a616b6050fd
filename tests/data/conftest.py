"""Rendered domains, prepared and exported, small enough for tests."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mult.data.export import export
from mult.data.prepare import prepare
from mult.data.sources import open_data
from mult.params import EmbeddedDomain

SETTINGS = EmbeddedDomain(train=5, val=2, test=4, views=2, edge_sigma=3.0)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a rendered domain by its name, 32 pixels, read-only for tests."""
    root = tmp_path_factory.mktemp("rendered")

    @cache
    def folder(name: str) -> Path:
        prepare(name, SETTINGS, 32, root / name, processes=1, aside=root / "aside")
        return root / name

    return folder


@pytest.fixture(scope="session")
def exported(prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rooms-home in Taskonomy's layout, read-only for tests."""
    out = tmp_path_factory.mktemp("exported") / "rooms"
    export(open_data("rooms-home", prepared("rooms-home")), out, processes=1)
    return out
