"""What the stage `prepare` refuses at once, because it would end other stages after all trainings."""

import re

import pytest

from mult.errors import UserError
from pipelines.prepare import _of_use, main
from tests.conftest import ROOT
from tests.data.sources.miniature import write_taskonomy

ROOMS = ("void", "wall", "floor")


@pytest.mark.parametrize(
    ("domain", "counts", "classes", "said"),
    [
        ("taskonomy", {"train": 3}, ROOMS, r"taskonomy: no images for test, only for train; name a partition"),
        ("taskonomy", {"test": 3}, ROOMS, r"taskonomy: no images for train, only for test"),
        ("nyuv2", {"train": 3, "test": 0}, ROOMS, r"nyuv2: no images for test, only for train"),
        ("taskonomy", {"train": 3, "test": 3}, ROOMS[:2], r"taskonomy: its only class is 'wall', which is no segm"),
    ],
)
def test_a_domain_that_is_of_no_use(domain, counts, classes, said):
    with pytest.raises(UserError, match=f"^{said}"):
        _of_use(domain, "taskonomy", counts, classes)


@pytest.mark.parametrize("domain", ["replica", "taskonomy"])
def test_what_is_not_needed_may_lack(domain):
    counts = {"test": 3} | ({"train": 3} if domain == "taskonomy" else {})  # no val: the last weights are kept
    _of_use(domain, "taskonomy", counts, ROOMS if domain == "taskonomy" else ())


def test_the_stage_asks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_taskonomy(tmp_path / "taskonomy", "buildings", {"adairsville": "train"})
    text = (ROOT / "params.yaml").read_text().replace("root: /data/taskonomy", f"root: {root}")
    (tmp_path / "params.yaml").write_text(re.sub(r"(?m)^scale: \*\w+", "scale: *paper", text))
    with pytest.raises(UserError, match=r"^taskonomy: no images for test, only for train; name a partition"):
        main("taskonomy")
