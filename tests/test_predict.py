"""`mult predict` as a user calls it, on tiny untrained runs, and its geometry with models whose answer is known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mult import predict as module
from mult.cli import main
from mult.data import labels
from mult.errors import UserError
from mult.models import registry
from mult.photos import read_photo
from mult.predict import Predictor, load_predictor, write_maps
from mult.tasks import TASKS
from tests.models.test_mult import DECODER, TINY

CLASSES = ("void", "wall", "floor", "chair")
FILES = {"classes.json", "panel.png", *(f"{task.name}.png" for task in TASKS.values())}
SWIN = {"name": "swin_tiny_patch4_window7_224", "pretrained": False, "coordinates": True, "options": TINY}


def save(folder: Path, tasks=tuple(TASKS), size: int = 32, model: str = "mult") -> Path:
    """A run as training leaves it, but untrained."""
    config = {
        "run": folder.name, "model": model, "tasks": list(tasks), "seed": 0, "classes": CLASSES, "image_size": size,
        "train_domain": "noise", "encoder": SWIN, "decoder": DECODER,
    }  # fmt: skip
    torch.manual_seed(0)
    made = registry.build(config)
    for parameter in made.parameters():  # first weights predict next to nothing
        parameter.data += 0.1 * torch.randn_like(parameter)
    registry.save_model(folder, made, config)
    return folder


def picture(height: int, width: int) -> np.ndarray:
    """Smooth, and different towards every side."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return np.rint(np.stack([40 + 180 * x, 40 + 180 * y, 128 + 60 * np.sin(7 * x + 4 * y)], -1)).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save(tmp_path_factory.mktemp("runs") / "mult-shared-s0")


def predict(*arguments: object) -> int | str | None:
    """Exit code or last complaint."""
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    return ended.value.code


def read(path: Path) -> np.ndarray:
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return values if values.ndim == 2 else values[..., ::-1]


def mirror(size: int, seen: list | None = None) -> Predictor:
    """Predicts what it sees: red as depth and heat maps, all colours as normals and scores, green as reshading."""

    def model(images: torch.Tensor) -> dict[str, torch.Tensor]:
        if seen is not None:
            seen.append(images)
        red, green = images[:, :1], images[:, 1:2]
        scores = torch.cat([torch.full_like(red, 9), images], 1)
        return {
            "semseg": scores, "depth": red, "normal": images, "reshading": green, "keypoints": red, "edges": green,
        }  # fmt: skip

    return Predictor(model, tuple(TASKS), CLASSES, size)


@pytest.mark.parametrize(
    ("photo", "size", "seen"),
    [
        ((64, 96), 64, (64, 96)),
        ((480, 640), 48, (48, 64)),
        ((640, 480), 48, (64, 48)),
        ((100, 333), 64, (64, 213)),
        ((20, 10), 64, (128, 64)),
        ((1, 1), 32, (32, 32)),
        ((10, 4000), 32, (1, 256)),
        ((4000, 10), 32, (256, 1)),
    ],
)
def test_the_shorter_side_has_the_size_and_the_shape_is_kept(photo, size, seen):
    images = []
    maps = mirror(size, images)(Image.new("RGB", photo[::-1], (51, 102, 255)))
    assert {tuple(values.shape[1:]) for values in maps.values()} == {seen}
    (image,) = images
    assert image.shape == (1, 3, *(-(-side // 32) * 32 for side in seen)), "whole cells of the coarsest map"
    torch.testing.assert_close(image, torch.tensor([0.2, 0.4, 1.0]).view(1, 3, 1, 1).expand_as(image))


def test_a_model_sees_means_of_pixels_and_the_border_goes_on():
    rgb = np.random.default_rng(0).integers(0, 256, (80, 120, 3)).astype(np.uint8)
    images = []
    mirror(40, images)(Image.fromarray(rgb))
    (image,) = images
    means = rgb.reshape(40, 2, 60, 2, 3).mean((1, 3)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image[0, :, :40, :60], means, atol=1 / 255)
    assert (image[..., 40:, :] == image[..., 39:40, :]).all()
    assert (image[..., 60:] == image[..., 59:60]).all()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (150, 210), (301, 200), (33, 47)])
def test_maps_lie_exactly_over_the_photo(tmp_path, height, width):
    rgb = picture(height, width)
    write_maps(tmp_path, Image.fromarray(rgb), mirror(64))
    inner = (slice(5, -5), slice(5, -5))  # at the border nothing is known of what lies beyond
    metres, _ = labels.decode_depth(read(tmp_path / "depth_zbuffer.png"))
    expected = rgb / 255.0
    step = 2.5 / 255  # of the two roundings to 8 bits; half a pixel's shift of these ramps would be 180 / 255 / width
    assert metres.shape == (height, width)
    assert np.abs(metres / 4 - expected[..., 0])[inner].max() < step
    assert np.abs(labels.decode_unit(read(tmp_path / "reshading.png")) - expected[..., 1:2])[inner].max() < step
    normal, _ = labels.decode_normal(read(tmp_path / "normal.png"))
    unit = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
    assert np.abs(normal - unit)[inner].max() < 0.02
    clear = np.sort(expected, -1)[..., 2] - np.sort(expected, -1)[..., 1] > 0.03
    classes = read(tmp_path / "segment_semantic.png")
    assert (classes == 1 + expected.argmax(-1))[inner][clear[inner]].all()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photo_gives_what_it_gives_upright(tmp_path, orientation):
    upright = picture(60, 96)
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.rot90(upright, {3: 2, 6: 1, 8: -1}[orientation])
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(upright).save(tmp_path / "upright.png")
    for name in ("turned", "upright"):
        write_maps(tmp_path / name, read_photo(tmp_path / f"{name}.png"), mirror(32))
    for name in FILES:
        assert (tmp_path / "turned" / name).read_bytes() == (tmp_path / "upright" / name).read_bytes(), name


def test_files_hold_what_the_run_predicts(run, tmp_path):
    Image.fromarray(picture(50, 80)).save(tmp_path / "photo.png")
    assert not predict(tmp_path / "photo.png", "--run", run, "--out", tmp_path / "out")
    out = tmp_path / "out" / "photo"
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "classes.json").read_text()) == list(CLASSES)
    predictions = load_predictor(str(run))(Image.fromarray(picture(50, 80)))
    assert predictions["depth"].shape == (1, 32, 51)
    full = {task: F.interpolate(values[None], (50, 80), mode="bilinear")[0] for task, values in predictions.items()}
    assert full["depth"].std() > 0.01, "nothing to compare"
    metres, known = labels.decode_depth(read(out / "depth_zbuffer.png"))
    assert known.all()
    np.testing.assert_allclose(metres, np.maximum(full["depth"][0].numpy() * 4, 1 / 512), atol=0.51 / 512)
    normal, _ = labels.decode_normal(read(out / "normal.png"))
    cosine = (normal * F.normalize(full["normal"], dim=0).permute(1, 2, 0).numpy()).sum(-1)
    assert cosine.min() > 0.9999
    np.testing.assert_array_equal(read(out / "segment_semantic.png"), full["semseg"][1:].argmax(0) + 1)
    for task, scale in {"keypoints": 0.005, "edges": 0.08}.items():
        values = labels.decode_unit(read(out / f"{TASKS[task].name}.png"))
        np.testing.assert_allclose(values, full[task][0].numpy().clip(0) * scale, atol=0.51 / 65535)


def test_size_is_that_of_the_shorter_side(run, tmp_path, monkeypatch):
    Image.fromarray(picture(50, 80)).save(tmp_path / "photo.png")
    made = {}
    for size in (32, 64, None):
        chosen = () if size is None else ("--size", size)
        assert not predict(tmp_path / "photo.png", "--run", run, "--out", tmp_path / f"{size}", *chosen)
        made[size] = (tmp_path / f"{size}" / "photo" / "normal.png").read_bytes()
    assert made[None] == made[32] != made[64]
    assert (
        predict(tmp_path / "photo.png", "--run", run, "--out", tmp_path, "--size", 0) == "error: --size: 0 is below 1"
    )


@pytest.mark.parametrize("model", ["mult", "constant", "constant_pixel"])
def test_a_run_of_one_task_by_its_name(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    save(Path("runs/single-depth-s0"), ["depth"], model=model)
    Image.fromarray(picture(50, 80)).save("photo.png")
    assert not predict("photo.png", "--run", "single-depth-s0", "--out", "out")
    assert {path.name for path in Path("out/photo").iterdir()} == {"depth_zbuffer.png", "panel.png"}
    assert predict("photo.png", "--run", "single-normal-s0", "--out", "out").startswith(
        "error: runs/single-normal-s0: no trained model here"
    )
    assert predict("photo.png", "--run", "elsewhere/run", "--out", "out").startswith("error: elsewhere/run: no trained")


def test_many_photos_of_many_kinds(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    Image.fromarray(picture(40, 60)).save("set/a.jpg")
    Image.fromarray(picture(60, 40)).convert("L").save("set/b.png")
    Image.fromarray(picture(7, 5)).convert("CMYK").save("a.tif")
    Path("list.txt").write_text("a.tif\nset/b.png\n")
    assert not predict("set", "list.txt", "--run", run, "--out", "out")
    assert capsys.readouterr().out == "set/a.jpg: out/a\nset/b.png: out/b\na.tif: out/a-2\n"
    shapes = {"a": (40, 60), "b": (60, 40), "a-2": (7, 5)}
    assert {path.name for path in Path("out").iterdir()} == shapes.keys()
    for name, shape in shapes.items():
        assert {path.name for path in Path("out", name).iterdir()} == FILES
        for task in TASKS.values():
            assert read(Path("out", name, f"{task.name}.png")).shape[:2] == shape


def test_a_photo_that_cannot_be_read_does_not_keep_the_others(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(40, 60)).save("good.png")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:300])
    Path("words.jpg").write_text("no picture")
    assert predict("cut.png", "words.jpg", "gone.jpg", "good.png", "--run", run, "--out", "out") == (
        "error: 3 of 4 photos could not be read"
    )
    said = capsys.readouterr()
    assert [line.split(": ")[:2] for line in said.err.splitlines()] == [
        ["error", name] for name in ("cut.png", "words.jpg", "gone.jpg")
    ]
    assert said.out == "good.png: out/good\n"
    assert [path.name for path in Path("out").iterdir()] == ["good"]
    assert {path.name for path in Path("out/good").iterdir()} == FILES
    assert predict("gone.jpg", "--run", run, "--out", "out") == "error: gone.jpg: no such file"
    assert not capsys.readouterr().err


def test_results_are_replaced_whole(run, tmp_path):
    Image.fromarray(picture(40, 60)).save(tmp_path / "photo.png")
    arguments = (tmp_path / "photo.png", "--run", run, "--out", tmp_path / "out")
    assert not predict(*arguments)
    out = tmp_path / "out" / "photo"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for path in out.iterdir():
        path.write_bytes(b"of an earlier run")
        path.chmod(0o444)
    assert not predict(*arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_mistaken_places_are_one_line(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(40, 60)).save("photo.png")
    assert predict("photo.png", "--run", run, "--out", "photo.png") == (
        "error: --out: photo.png is a file; name a folder"
    )
    Path("out").mkdir()
    Path("out/photo").touch()
    code = predict("photo.png", "--run", run, "--out", "out")
    assert code.startswith("error: out/photo/")
    assert "\n" not in code
    Path("empty").mkdir()
    assert predict("empty", "photo.png", "--run", run, "--out", "out").startswith("error: empty: no picture")


def test_predictions_that_are_not_finite_are_no_maps():
    model = lambda images: {"depth": images[:, :1] / 0, "normal": images}  # noqa: E731
    with pytest.raises(UserError, match="depth: the model's predictions are not finite"):
        Predictor(model, ("normal", "depth"), CLASSES, 32)(Image.new("RGB", (40, 40)))


def test_threads_are_left_as_they_were(run, tmp_path, monkeypatch):
    Image.fromarray(picture(40, 60)).save(tmp_path / "photo.png")
    monkeypatch.setattr(module, "encode", lambda *_: pytest.fail(f"{torch.get_num_threads()} threads"))
    torch.set_num_threads(2)
    try:
        with pytest.raises(pytest.fail.Exception, match="1 threads"):
            module.predict_files([tmp_path / "photo.png"], str(run), tmp_path / "out")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
