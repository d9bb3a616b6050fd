"""Several processes at one training: mult.launch or torchrun starts them, PyTorch joins their gradients.

``hardware.processes`` is how many there must be. Fewer or more are an error: N processes that do not know of each other
would be N trainings in one folder.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mult import word
from mult.errors import UserError
from mult.params import Hardware

DIVIDED_ALONE = 100_000  # weights from which on a block is gathered and divided by itself
PATIENCE = timedelta(minutes=30)  # for a process that validates or writes while the others wait


@dataclass(frozen=True)
class World:
    """The processes of one training.

    Attributes:
        rank: this one's number, from 0; the first alone writes files and talks to MLflow.
        size: how many there are.
        local: its number on this host, and that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the first one's values, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def agree(self, value: object) -> object:
        """What the first process says."""
        if self.size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said)
        return said[0]


def device_of(hardware: Hardware, local: int = 0) -> torch.device:
    """The device that ``hardware.device`` means on this machine, for process ``local`` of this host.

    Raises:
        UserError: a GPU is asked for and there is none, or not enough for the processes.
    """
    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device: cuda: no GPU is to be seen here; write auto or cpu")
    if hardware.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local >= torch.cuda.device_count():
        raise UserError(
            f"hardware.processes: process {local} of this host finds {torch.cuda.device_count()} GPU(s); "
            "ask for one process a GPU"
        )
    return torch.device("cuda", local)


def must_launch(processes: int) -> bool:
    """Whether this process is to start the others, rather than being one of them.

    Raises:
        UserError: it was started as one of a number that is not the one asked for.
    """
    started = os.environ.get("WORLD_SIZE")
    if started is None:
        return processes > 1
    if int(started) != processes:
        raise UserError(
            f"hardware.processes: {processes} in params.yaml, but {started} were started; make the two equal"
        )
    return False


@contextmanager
def joined(hardware: Hardware) -> Iterator[tuple[World, torch.device]]:
    """This process's place among the others, and its device."""
    if os.environ.get("WORLD_SIZE") is None:
        yield World(), device_of(hardware)
        return
    must_launch(hardware.processes)
    try:
        world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except KeyError as missing:
        raise UserError(f"WORLD_SIZE is set and {missing} is not: start the processes with torchrun") from None
    device = device_of(hardware, world.local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield world, device
    except Exception as error:
        word.leave(error)  # before the others lose this one, and say so
        raise
    finally:
        dist.destroy_process_group()


def join(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """``model`` with its gradients averaged over the processes after each backward pass; itself where it is alone."""
    if world.size == 1:
        return model
    idle = any(getattr(module, "idle", False) for module in model.modules())  # see mult.models.encoder
    return nn.parallel.DistributedDataParallel(
        model, device_ids=[device] if device.type == "cuda" else None, find_unused_parameters=idle
    )


def divide(model: nn.Module) -> None:
    """Leave each process a part of every weight, in place (FSDP2); gradients and the optimiser's state follow."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for module in reversed(list(model.modules())):  # what is inside comes first
        if isinstance(module, nn.ModuleList | nn.Sequential):
            for member in module:
                if sum(p.numel() for p in member.parameters()) >= DIVIDED_ALONE:
                    fully_shard(member)
    fully_shard(model)
    if hasattr(model, "supervised"):
        register_fsdp_forward_method(model, "supervised")


def apart(model: nn.Module) -> AbstractContextManager:
    """Gradients of the block's backward passes are kept to this process, to be joined with those of a later one."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return nullcontext()
