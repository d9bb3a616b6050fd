"""Photos of every kind that can be written here, read back as upright RGB."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mult.errors import UserError
from mult.photos import find_photos, folder_names, read_photo

GREY = (np.arange(6 * 9).reshape(6, 9) * 4).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], -1)
SMOOTH = np.stack([np.full((48, 64), shade, np.uint8) for shade in (200, 120, 40)], -1)  # lossy kinds keep it

# What the tag says of the pixels as they are stored, to the picture as it is to be seen (EXIF 2.32, tag 274).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


def read(path: Path) -> np.ndarray:
    photo = read_photo(path)
    assert photo.mode == "RGB"
    return np.asarray(photo)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("L", "png"), ("1", "png"), ("RGB", "bmp"), ("RGB", "ppm"), ("L", "pgm"), ("RGB", "tga")]
    + [(mode, "tif") for mode in ("RGB", "L", "P", "CMYK", "YCbCr")]
    + [("P", "png"), ("P", "gif"), ("RGB", "qoi")],
)  # fmt: skip
def test_kinds_without_a_loss(tmp_path, mode, suffix):
    given = Image.fromarray(COLOUR).convert(mode)
    given.save(tmp_path / f"photo.{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"photo.{suffix}"), np.asarray(given.convert("RGB")))


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("RGB", "webp")])
def test_kinds_with_a_loss(tmp_path, mode, suffix):
    given = Image.fromarray(SMOOTH).convert(mode)
    given.save(tmp_path / f"photo.{suffix}", quality=95)
    assert np.abs(read(tmp_path / f"photo.{suffix}").astype(int) - np.asarray(given.convert("RGB"))).max() <= 4


@pytest.mark.parametrize("values", [GREY, COLOUR, np.dstack([COLOUR, np.full_like(GREY, 255)])])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits(tmp_path, values, suffix):
    low = np.random.default_rng(0).integers(0, 256, values.shape).astype(np.uint16)
    low[..., 3:] = 255  # opaque is 65535
    wide = values.astype(np.uint16) * 256 + low
    cv2.imwrite(str(tmp_path / f"photo.{suffix}"), wide if wide.ndim == 2 else wide[..., [2, 1, 0, 3][: wide.shape[2]]])
    expected = GREY[..., None].repeat(3, -1) if values.ndim == 2 else COLOUR
    np.testing.assert_array_equal(read(tmp_path / f"photo.{suffix}"), expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_on_white(tmp_path, suffix, mode):
    alpha = np.array([[0, 51, 255]], np.uint8)
    given = np.stack([*[np.full_like(alpha, 100)] * (3 if mode == "RGBA" else 1), alpha], -1)
    Image.fromarray(given).save(tmp_path / f"photo.{suffix}")
    assert Image.open(tmp_path / f"photo.{suffix}").mode == mode
    np.testing.assert_array_equal(read(tmp_path / f"photo.{suffix}"), [[[255] * 3, [224] * 3, [100] * 3]])


@pytest.mark.parametrize(("mode", "colour"), [("P", 1), ("L", 1), ("RGB", (9, 9, 9))])
def test_a_colour_that_stands_for_nothing_is_white(tmp_path, mode, colour):
    given = Image.new(mode, (2, 1), colour)
    given.putpixel((1, 0), 0 if mode != "RGB" else (0, 0, 0))
    if mode == "P":
        given.putpalette([0, 0, 0, 90, 90, 90])
    given.save(tmp_path / "photo.png", transparency=colour)
    np.testing.assert_array_equal(read(tmp_path / "photo.png"), [[[255] * 3, [0] * 3]])


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_rotation(tmp_path, suffix, orientation):
    stored = np.kron(COLOUR[::3, ::4], np.ones((16, 16, 1), np.uint8)) // 4 * 4
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(stored).save(tmp_path / f"photo.{suffix}", exif=exif, quality=100, **_exact(suffix))
    upright = UPRIGHT[orientation](stored)
    got = read(tmp_path / f"photo.{suffix}").astype(int)
    assert got.shape == upright.shape
    assert np.abs(got - upright).max() <= (3 if suffix == "jpg" else 0)


def _exact(suffix: str) -> dict:
    return {"webp": {"lossless": True}, "jpg": {"subsampling": 0}}.get(suffix, {})


def test_damaged_exif_leaves_the_picture_as_it_lies(tmp_path, recwarn):
    Image.fromarray(SMOOTH).save(tmp_path / "photo.jpg", exif=b"Exif\0\0no such thing", quality=95)
    assert np.abs(read(tmp_path / "photo.jpg").astype(int) - SMOOTH).max() <= 4
    assert not recwarn


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "gif", "tif"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_one_line(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{suffix}")
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: int(share * len(data))])
    assert read(tmp_path / f"whole.{suffix}").shape == (40, 50, 3)
    with pytest.raises(UserError, match=rf"cut\.{suffix}: [^\n]+\Z"):
        read_photo(tmp_path / f"cut.{suffix}")


def test_what_is_no_photo_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "words.jpg").write_text("no picture")
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(COLOUR).save(tmp_path / "large.png")
    for name, words in {
        "words.jpg": "save it as .png or .jpg",
        "nowhere.jpg": "no such file",
        ".": "no such file",
        "float.tif": "floating-point numbers",
    }.items():
        with pytest.raises(UserError) as error:
            read_photo(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: ")
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", COLOUR.size // 3 // 2 - 1)
    with pytest.raises(UserError, match=r"large\.png: more than 400 million pixels"):
        read_photo(tmp_path / "large.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "below.jpg").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", ".hidden.jpg", "notes.md", "c.heic", "below.jpg/d.jpg"):
        (tmp_path / "set" / name).touch()
    return tmp_path


def test_a_folder_stands_for_the_pictures_in_it(folder):
    names = [Path("set") / name for name in ("a.jpg", "b.PNG", "c.heic")]
    assert find_photos([Path("set")]) == names
    assert find_photos([Path("x.jpg"), Path("set"), Path("set/a.jpg"), Path("x.jpg")]) == [Path("x.jpg"), *names]


def test_a_list_stands_for_its_paths(folder):
    (folder / "list.txt").write_text("\ufeffset/b.PNG\r\n\n  /far/with space.jpg \nnowhere.gif", encoding="utf-8")
    assert find_photos([Path("list.txt"), Path("z.jpg")]) == [
        *map(Path, ("set/b.PNG", "/far/with space.jpg", "nowhere.gif", "z.jpg"))
    ]


def test_inputs_that_hold_no_photo(folder):
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("\n \n")
    (folder / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    for name, words in {
        "empty": "no picture in this folder",
        "empty.txt": "no path in this list",
        "picture.txt": "no text in UTF-8",
        "nowhere.txt": "no such file",
    }.items():
        with pytest.raises(UserError, match=f"^{name}: {words}"):
            find_photos([Path("x.jpg"), Path(name)])


@pytest.mark.parametrize(
    ("photos", "names"),
    [
        (["x/a.jpg", "b.b.png", "c"], ["a", "b.b", "c"]),
        (["x/a.jpg", "y/a.jpg", "a.png"], ["a", "a-2", "a-3"]),
        (["x/a.jpg", "y/a.jpg", "a-2.jpg"], ["a", "a-2", "a-2-2"]),
        (["a-2.jpg", "x/a.jpg", "y/a.jpg"], ["a-2", "a", "a-3"]),
        (["...jpg", "..jpg", ".jpg"], ["...jpg", "..jpg", ".jpg"]),  # stems that lead out of the folder
    ],
)
def test_every_photo_has_a_folder_of_its_own(photos, names):
    assert folder_names([Path(photo) for photo in photos]) == names
