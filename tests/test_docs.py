"""What README.md and docs/ name is there."""

import re
from pathlib import Path

import pytest

from mult.cli import _parser
from tests.conftest import ROOT
from tests.test_cli import commands_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = {"dvc", "mlflow", "pip", "pytest", "torch.distributed.run", "venv"}  # not of this repository
TAGS = {"mult.local_id"}  # of a run in MLflow


def named(pattern, page):
    """What ``pattern`` finds in a page."""
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request):
    return request.param


def test_there_are_pages():
    assert len(PAGES) > 3


def test_tests_that_are_named(page):
    there = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}
    everywhere = "\n".join(there.values())
    for path, name in named(r"(tests/[\w/]+\.py)(?:::(test_\w+))?", page):
        assert path in there
        assert not name or f"def {name}(" in there[path], f"{path}::{name}"
    for name in named(r"`(test_\w+)`", page):
        assert f"def {name}(" in everywhere, name


def test_links(page):
    for target in named(r"\]\(([^)#\s]+)", page):
        assert "://" in target or (page.parent / target).exists(), target


def test_code_that_is_named(page):
    for name in named(r"`(mult(?:\.\w+)+)`", page):
        path = ROOT / "src" / name.replace(".", "/")
        whole = [path.with_suffix(".py"), path / "__init__.py"]
        assert any(of.is_file() for of in whole) or _defines(path) or name in TAGS, name
    for name in named(r"python -m ([\w.]+)", page):
        path = ROOT / name.replace(".", "/")
        assert name in MODULES or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name


def test_commands_that_are_named(page):
    commands = {" ".join(words) for words in commands_of(_parser())}
    for first, second in named(r"(?:^|`|\$ )mult ([a-z]+)(?: ([a-z]+))?", page):
        assert first in commands, first
        more = {of for of in commands if of.startswith(f"{first} ")}
        assert not more or not second or f"{first} {second}" in more, f"{first} {second}"
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    for target in named(r"(?:^|`|\$ )make ([a-z][\w-]*)", page):
        assert target in targets, target


def _defines(path: Path) -> bool:
    module = path.parent.with_suffix(".py")
    return module.is_file() and re.search(rf"^(def|class) {path.name}\b", module.read_text(), re.MULTILINE) is not None
