"""What a training leaves of the batch at which it stopped, for someone to look at."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from mult.data.batches import Batch
from mult.process import STATE

FOLDER = STATE / "stopped"


def keep_batch(batch: Batch, images: np.ndarray, label: str, step: int, rank: int = 0) -> Path:
    """Write the batch of ``step`` to .mult/stopped, as safetensors; returns the path.

    It holds ``rgb``, ``target/<task>`` and ``mask/<task>`` as the model saw them, augmented, and ``images``, which are
    their numbers in the training split.
    """
    tensors = {"rgb": batch.rgb, "images": torch.from_numpy(np.ascontiguousarray(images))}
    tensors |= {f"target/{task}": of for task, of in batch.targets.items()}
    tensors |= {f"mask/{task}": of for task, of in batch.masks.items()}
    path = FOLDER / f"{label.replace(' ', '-')}-step{step}{f'-{rank}' if rank else ''}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: of.detach().cpu().contiguous() for name, of in tensors.items()}, path)
    return path
