"""Every package that is installed is pinned, by its hash but for torch, and set-up installs nothing else."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import audit
from tests.conftest import ROOT

LOCK, TORCH = ROOT / "requirements.lock", ROOT / "requirements-torch.lock"
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = WHOLE["project"]
# Extras that set-up does not install; `make test` adds them, or they are for users.
ADDED = ("weights", "ray", "postgresql")
# What torch's CUDA build brings, and its CPU build does not. pip comes with Python's own venv.
WITH_TORCH = re.compile(r"nvidia-.*|cuda-.*|triton")
OURS = ("pip", canonicalize_name(PROJECT["name"]))


def entries(path: Path) -> list[list[str]]:
    """Of each package what its entry says: ``name==version``, then ``--hash=…`` as often as its release has files."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [entry.split() for entry in "\n".join(lines).replace("\\\n", " ").splitlines()]


@cache
def lock(path: Path) -> dict[str, str]:
    """Name -> version."""
    pins = [entry[0] for entry in entries(path)]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", pin) for pin in pins]
    assert all(found), [pin for pin, match in zip(pins, found, strict=True) if not match]
    return {canonicalize_name(pin[1]): pin[2] for pin in found}


def pinned() -> dict[str, str]:
    """Name -> version of all that is installed beside a CPU build of torch."""
    return lock(LOCK) | {"torch": lock(TORCH)["torch"]}


def needs(of: Distribution, extra: str = "") -> Iterator[Requirement]:
    """What a distribution, or one of its extras, needs on this machine."""
    for line in of.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def installed() -> dict[str, Distribution]:
    return {canonicalize_name(of.metadata["Name"]): of for of in distributions()}


def on_demand() -> set[str]:
    """What the extras that set-up leaves out bring along, as far as it is installed."""
    there = installed()
    todo = [Requirement(line) for extra in ADDED for line in PROJECT["optional-dependencies"][extra]]
    found: set[str] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in there and name not in found and name not in pinned():
            found.add(name)
            todo += [more for extra in ("", *requirement.extras) for more in needs(there[name], extra)]
    return found


@pytest.mark.parametrize("file", ["requirements.lock", *(f"requirements-{name}.lock" for name in ADDED)])
def test_every_entry_is_one_package_at_one_version_with_the_hashes_of_its_files(file):
    found = entries(ROOT / file)
    names = [pin.split("==")[0] for pin, *_ in found]
    assert len(lock(ROOT / file)) == len(names)
    assert names == sorted(names)
    for pin, *hashes in found:
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", of) for of in hashes), pin


def test_of_torch_and_its_builds_alone_there_are_no_hashes():
    names = lock(TORCH).keys()
    assert "torch" in names
    assert all(WITH_TORCH.fullmatch(name) for name in names - {"torch"})
    assert not names & lock(LOCK).keys()


def test_what_is_installed_is_what_the_lock_says():
    there, pins = installed(), pinned()
    public = {name: Version(of.version).public for name, of in there.items()}  # less the name of torch's build
    wrong = {name: (public.get(name), pin) for name, pin in pins.items() if public.get(name) != pin}
    assert wrong == {}
    beside = there.keys() - pins.keys() - set(OURS) - on_demand()
    assert {name for name in beside if not WITH_TORCH.fullmatch(name)} == set()


def test_the_lock_is_all_that_the_project_needs():
    pins, asked = pinned(), list(map(Requirement, PROJECT["dependencies"]))
    for extra, lines in PROJECT["optional-dependencies"].items():
        asked += [] if extra in ADDED else map(Requirement, lines)
    todo, seen = list(asked), set()
    there = installed()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if WITH_TORCH.fullmatch(name):
            continue
        assert name in pins, f"{requirement} is not in the lock"
        assert requirement.specifier.contains(pins[name], prereleases=True), (
            f"{requirement}, but {pins[name]} in the lock"
        )
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += needs(there[name], extra)
    assert all(of.specifier.contains(pins[of.name]) for of in map(Requirement, WHOLE["build-system"]["requires"]))
    strange = pins.keys() - {name for name, _ in seen} - {"setuptools", "wheel"}
    assert strange == set(), "in the lock, and nothing needs it"


def recipe(target: str) -> list[str]:
    text = (ROOT / "Makefile").read_text()
    return re.search(rf"(?m)^{re.escape(target)}:.*\n((?:\t.*\n)+)", text)[1].replace("\t", "").splitlines()


def test_set_up_installs_from_the_lock_alone():
    pips = [line for line in recipe("$(READY)") if "$(PIP)" in line or "$(LOCKED)" in line]
    locked = "LOCKED := $(PIP) --require-hashes --no-deps --no-build-isolation --requirement\n"
    assert locked in (ROOT / "Makefile").read_text()
    assert pips == [
        "@$(LOCKED) $(VENV)/build.txt",
        "@$(LOCKED) requirements.lock",
        "@$(PIP) --constraint requirements-torch.lock torch",
        "@$(PIP) --no-deps --no-build-isolation --editable .",
    ]
    assert not [line for line in recipe("$(READY)") if "pip install" in line]
    assert {"setuptools", "wheel"} <= lock(LOCK).keys()


def test_what_make_test_adds_is_pinned():
    for name, line in zip(ADDED, [line for line in recipe("test") if "requirements-" in line], strict=True):
        assert line.startswith(f"@$(LOCKED) requirements-{name}.lock || true")
    assert not [line for line in recipe("test") if "$(PIP)" in line or "pip install" in line]
    assert recipe("ray") == ["$(LOCKED) requirements-ray.lock"]
    assert recipe("postgresql") == ["$(LOCKED) requirements-postgresql.lock"]
    there = installed()
    for extra in ADDED:
        pins = lock(ROOT / f"requirements-{extra}.lock")
        known = map(Requirement, PROJECT["optional-dependencies"][extra])
        assert all(of.specifier.contains(pins[canonicalize_name(of.name)]) for of in known)
        for name in pins.keys() & there.keys():
            assert there[name].version == pins[name]
            missing = {canonicalize_name(of.name) for of in needs(there[name])} - pins.keys() - pinned().keys()
            assert missing == set(), f"{name} needs it, and nothing pins it"


def test_ci_sets_up_as_a_user_does():
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"(?m)^make test$", script)
    assert not re.search(r"\bpip\b", script)


FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0", "1.9"]}


@pytest.mark.parametrize(
    ("dependencies", "line", "code"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], "audit: 0 known vulnerabilities in 1 packages", 0),
        ([{"name": "a", "version": "1", "vulns": [FLAW]}], "a 1: PYSEC-1, mended in 2.0, 1.9", 1),
        (
            [{"name": "a", "version": "1", "vulns": [FLAW | {"fix_versions": []}]}],
            "a 1: PYSEC-1, mended in no version",
            1,
        ),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "Dependency not found\non PyPI"}],
            "audit: not done: 1 of 2 packages could not be asked about: Dependency not found on PyPI",
            2,
        ),
    ],
)
def test_what_was_not_asked_about_is_not_clean(dependencies, line, code):
    lines, found = audit.verdict(json.dumps({"dependencies": dependencies, "fixes": []}))
    assert lines[0].startswith(line)
    assert found == code


@pytest.mark.parametrize("said", ["", "Traceback\nConnectionError: no route", "[]", "{}"])
def test_an_audit_that_could_not_be_made_is_one_line(said):
    lines, code = audit.verdict(said)
    assert len(lines) == 1
    assert lines[0].startswith("audit: not done: ")
    assert code == 2


@pytest.mark.slow
def test_no_pin_has_a_known_vulnerability(tmp_path):
    """As `make audit`; skipped where there is nobody to ask."""
    program = re.search(r"pip-audit==[\d.]+", (ROOT / "Makefile").read_text())[0]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--python",
        str(tmp_path / "bin/python"),
    ]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    if subprocess.run([*pip, "install", program]).returncode:
        pytest.skip(f"no index that has {program}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.audit", tmp_path / "bin/pip-audit"], cwd=ROOT, capture_output=True
    )
    if done.returncode == 2:
        pytest.skip(done.stdout.decode().strip())
    assert done.returncode == 0, done.stdout.decode()
