"""Random numbers that depend on a seed and a name, never on what ran before.

Every consumer draws from a stream of its own, so runs of one seed share what they have in common: the encoder's
first weights, the order of the images, the flips, whatever the number of tasks. It also makes resuming simple, since
no generator's state has to be carried over.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager


def seed_of(*parts: object) -> int:
    """A seed in [0, 2**63) for a path of names, e.g. ``seed_of(0, "order", epoch)``."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def torch_seed(*parts: object) -> Iterator[None]:
    """Draw from torch's global CPU generator as ``seed_of(*parts)`` says; restore it afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of(*parts))  # not a GPU's as well, which nobody would restore
        yield
