"""Pretrained weights of an encoder, and the certainty that they were loaded.

A public system once lost 28 points of mIoU to weights that silently did not load; so the share of weights that did is
counted, and a poor one is an error.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from mult.errors import UserError, in_one_line

ENOUGH = 0.95  # of a backbone's parameters must come from the file
KEY = "encoder.pretrained"
NESTED = ("model", "state_dict")  # where training scripts put the weights within their checkpoints


def load_weights(body: nn.Module, path: Path | str) -> float:
    """Load a local file into a timm feature backbone; returns the share of its parameters that were found there.

    Tensors are matched by name, where "." and "_" count as equal (timm's feature backbones write ``layers_0`` for
    ``layers.0``); a file whose names are other ones altogether is matched in order, if every shape agrees.

    Raises:
        UserError: no such file, no weights in it, less than 95 % of the parameters found, or a matrix missing.
    """
    given, own = _read(Path(path)), body.state_dict()
    by_name = {_canonical(name): value for name, value in given.items()}
    found = {
        name: by_name[_canonical(name)]
        for name, value in own.items()
        if _canonical(name) in by_name and by_name[_canonical(name)].shape == value.shape
    }
    in_order = list(zip(own, given.values(), strict=False))
    if not found and all(own[name].shape == value.shape for name, value in in_order) and len(in_order) == len(own):
        found = dict(in_order)
    sizes = {name: parameter.numel() for name, parameter in body.named_parameters()}
    share = sum(size for name, size in sizes.items() if name in found) / sum(sizes.values())
    # A bias table may be of another window; any other matrix that is missing would start at random without a word.
    lacking = [n for n, p in body.named_parameters() if n not in found and p.ndim > 1 and not n.endswith("table")]
    if share < ENOUGH or lacking:
        lacking = [*lacking, *(name for name in sizes if name not in found)][0]
        raise UserError(
            f"{KEY}: {path} holds {share:.1%} of the backbone's weights; at least {ENOUGH:.0%} and every matrix are "
            f"needed (the first that is missing or of another shape: {lacking}); is it another backbone's file?"
        )
    body.load_state_dict(found, strict=False)
    return share


def check_loaded(body: nn.Module, blank: nn.Module, name: str) -> float:
    """The share of parameters in which ``body``, which timm has loaded, differs from ``blank``, which it has not.

    Both must have been made from one seed, so what is equal was not loaded.

    Raises:
        UserError: less than 95 % of them differ.
    """
    pairs = zip(body.parameters(), blank.parameters(), strict=True)
    changed = [(a.numel(), not torch.equal(a, b)) for a, b in pairs]
    share = sum(size for size, differs in changed if differs) / sum(size for size, _ in changed)
    if share < ENOUGH:
        raise UserError(
            f"{KEY}: timm loaded {share:.0%} of {name!r}'s weights, {ENOUGH:.0%} are needed; try another name"
        )
    return share


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{KEY}: {path}: no such file; name a .safetensors or .pth file, or write true for timm's own")
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UserError(f"{KEY}: {path}: no weights can be read from it: {in_one_line(error)}") from None
    while isinstance(stored, Mapping) and (inner := [stored[k] for k in NESTED if isinstance(stored.get(k), Mapping)]):
        stored = inner[0]
    tensors = {k: v for k, v in stored.items() if isinstance(v, Tensor)} if isinstance(stored, Mapping) else {}
    if not tensors:
        raise UserError(f"{KEY}: {path}: there are no weights by name in it")
    return tensors


def _canonical(name: str) -> str:
    return name.replace(".", "_")
