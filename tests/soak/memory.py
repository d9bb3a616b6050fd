"""Memory of a training: it grows with the model and not with the data.

python -m tests.soak.memory          or `make soak`
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from mult.data.store import open_split
from mult.training.trainer import train
from tests.conftest import write_domain
from tests.models.test_mult import TINY, make
from tests.training.test_trainer import job

STEPS = 50  # of four images
BYTES = 20  # a parameter: its weight, gradient, two moments of Adam, and the best weight so far


def measured(folder: Path, width: int) -> tuple[float, int]:
    """Most memory of its own, in MiB, that a process takes which trains a model on a domain; the model's parameters."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with open(reading) as pipe:
            megabytes, parameters = pipe.read().split()
        assert os.waitpid(child, 0)[1] == 0
        return float(megabytes), int(parameters)
    data = {split: open_split(folder, split) for split in ("train", "val")}
    model, most = make(["depth"], options=TINY | {"embed_dim": width}), [0]
    threading.Thread(target=watch, args=(most,), daemon=True).start()
    train(model, job(data, "depth", steps=STEPS, validate_every=STEPS), torch.device("cpu"))
    os.write(writing, f"{most[0] / 2**10} {sum(parameter.numel() for parameter in model.parameters())}".encode())
    os._exit(0)


def watch(most: list[int]) -> None:
    """Note the most resident memory that is this process's own, in KiB.

    Pages of the data's files are not: they are the kernel's, which takes them back when it needs them.
    """
    while True:
        time.sleep(0.002)
        own = Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]
        most[0] = max(most[0], int(own))


def main() -> int:
    """Exit code 0 when all is well."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (write_domain(Path(folder) / str(count), images=(count, 4, 4)) for count in (100, 2000))
        small, parameters = measured(few, 16)
        of_many, _ = measured(many, 16)
        large, more = measured(few, 48)
    each = (large - small) * 2**20 / (more - parameters)
    print(
        f"memory: {parameters / 1e6:.1f} million parameters take {small:.0f} MiB to train on 100 images, "
        f"{of_many:.0f} MiB on 2000; {more / 1e6:.1f} million take {large:.0f}, {each:.1f} bytes a parameter more"
    )
    if abs(of_many / small - 1) < 0.03 and each > 0.8 * BYTES:
        return 0
    print("FAILED: memory grows with the data, or not with the model", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
