import shutil

import numpy as np
import pytest

from mult.data.store import LABELS, Writer, open_split
from mult.errors import UserError
from mult.files import read_json, write_json
from tests.conftest import CLASSES, sample, write_domain


def test_round_trip(tmp_path):
    rng = np.random.default_rng(3)
    images = [sample(rng, 16) for _ in range(3)]
    writer = Writer(tmp_path / "d", "d", CLASSES, 16)
    writer.add("val", 3, ((image, f"room-{i}", 1.1) for i, image in enumerate(images)))
    writer.close()
    split = open_split(tmp_path / "d", "val")
    assert (len(split), split.groups, split.classes) == (3, ("room-0", "room-1", "room-2"), CLASSES)
    np.testing.assert_allclose(split.fov, 1.1, rtol=1e-6)
    for i, image in enumerate(images):
        for label in LABELS:
            np.testing.assert_array_equal(split.arrays[label][i], image[label])


def test_same_content_same_digest(tmp_path):
    one, two, other = (write_domain(tmp_path / name / "d", seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert open_split(one, "test").digest == open_split(two, "test").digest != open_split(other, "test").digest


@pytest.mark.parametrize("harm", ["truncate", "alter", "delete"])
def test_a_damaged_file_is_named(tmp_path, domain, harm):
    folder = tmp_path / "noise"
    shutil.copytree(domain, folder)
    victim = folder / "test" / "normal.npy"
    content = bytearray(victim.read_bytes())
    if harm == "truncate":
        victim.write_bytes(content[:-5])
    elif harm == "alter":
        content[-7] ^= 1
        victim.write_bytes(content)
    else:
        victim.unlink()
    with pytest.raises(UserError, match=r"normal\.npy.*`mult verify`"):
        open_split(folder, "test")
    open_split(folder, "train")


def test_an_index_that_names_other_files_is_refused(tmp_path, domain):
    folder = tmp_path / "noise"
    shutil.copytree(domain, folder)
    index = read_json(folder / "index.json")
    files = index["splits"]["test"]["files"]
    files["../../elsewhere"] = files["rgb"]
    write_json(folder / "index.json", index)
    with pytest.raises(UserError, match=r"'\.\./\.\./elsewhere' in its index is no label; `mult verify`"):
        open_split(folder, "test")


def test_an_unfinished_domain_does_not_appear(tmp_path):
    writer = Writer(tmp_path / "d", "d", CLASSES, 16)
    with pytest.raises(RuntimeError, match="2 images, not the 3"):
        writer.add("test", 3, ((sample(np.random.default_rng(i), 16), "g", 1.0) for i in range(2)))
    assert not (tmp_path / "d").exists()


def test_missing_folder_and_split(tmp_path, domain):
    with pytest.raises(UserError, match="no prepared data"):
        open_split(tmp_path, "train")
    with pytest.raises(UserError, match="no split 'dev'; it has train, val, test"):
        open_split(domain, "dev")
