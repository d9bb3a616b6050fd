"""Trading time for memory: activations that are computed again in the backward pass instead of being kept."""

from torch import nn

from mult.models.decoder import Stage


def recompute(model: nn.Module) -> None:
    """Have the encoder's and the decoders' stages keep their inputs alone; a step takes about a third longer.

    Baselines' decoders keep everything: they are small. So do encoders with batch norms, which would count each batch
    twice. The random numbers of the first pass are used again, so nothing changes but the memory.
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        return
    for module in model.modules():
        if isinstance(module, Stage):
            module.recompute = True
        elif hasattr(module, "set_grad_checkpointing"):
            module.set_grad_checkpointing(True)
