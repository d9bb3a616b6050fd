"""What a model costs: parameters and multiply-accumulates."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters_m(model: nn.Module) -> float:
    """Parameters in millions."""
    return round(sum(p.numel() for p in model.parameters()) / 1e6, 4)


@torch.no_grad()
def gmacs(model: nn.Module, image_size: int) -> float:
    """Multiply-accumulates (1e9) of matrix products and convolutions, forward, one square image."""
    training, device = model.training, next(model.parameters()).device
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    model.train(training)
    return round(counter.get_total_flops() / 2e9, 6)
