"""Models by name, and the one format in which a trained one is kept.

runs/<run>/model.json          everything that is needed to build it again, and the weights' digest
runs/<run>/model.safetensors   the weights
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import nn

from mult.errors import UserError
from mult.files import atomic, read_json, sha256, write_json
from mult.models import constant
from mult.models.mult import MulT
from mult.outs import MEND, whole
from mult.tasks import outputs


def build(config: Mapping[str, Any]) -> nn.Module:
    """A model as ``model.json`` describes it, with first weights from its seed."""
    channels = outputs(config["tasks"], len(config["classes"]))
    if config["model"] in constant.KINDS:
        return constant.build(config["model"], channels, config["image_size"])
    settings = (config["image_size"], config["encoder"], config["decoder"], config["seed"])
    return _network(config["model"])(channels, *settings)


def _network(name: str) -> type[nn.Module]:
    """What is made from (channels a task, image size, encoder, decoder, seed)."""
    if name == "mult":
        return MulT
    from mult.baselines import BASELINES  # here, so that MulT's trainings do not depend on them

    return BASELINES[name]


def save_model(folder: Path | str, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and ``model.json`` into ``folder``."""
    folder = Path(folder)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(folder / "model.safetensors") as file:
        file.write(save(weights))
    write_json(folder / "model.json", dict(config) | {"weights_sha256": sha256(folder / "model.safetensors")})


def load_model(folder: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """The trained model of a run's folder, in evaluation mode, and its ``model.json``.

    Raises:
        UserError: there is no trained run, or model.json or the weights are not those that were written.
    """
    folder = Path(folder)
    weights = folder / "model.safetensors"
    if not (folder / "model.json").is_file() or not weights.is_file():
        raise UserError(f"{folder}: no trained model here; `make repro` trains the runs of the chosen scale")
    config = read_config(folder)
    if sha256(weights) != config["weights_sha256"]:
        raise UserError(f"{weights}: altered since training; {MEND}")
    model = build(config | {"encoder": config["encoder"] | {"pretrained": False}})
    model.load_state_dict(load(weights.read_bytes()))
    return model.eval(), config


def read_config(folder: Path) -> dict[str, Any]:
    """The model.json of a run's folder.

    Raises:
        UserError: it is not whole.
    """
    path = whole(folder / "model.json")
    try:
        config = read_json(path)
        config["weights_sha256"], config["encoder"], config["tasks"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a whole model.json; {MEND}") from None
    return config
