"""Every variant and every baseline can learn eight rendered images by heart, in all six tasks."""

import pytest
import torch
import torch.nn.functional as F

from mult.baselines import BASELINES
from mult.data.batches import Batch, read
from mult.data.classes import VOID
from mult.data.prepare import prepare
from mult.data.store import Split, open_split
from mult.models.attention import VARIANTS
from mult.models.block import FORMS
from mult.models.constant import fit
from mult.models.mult import MulT
from mult.models.resize import enlarge
from mult.params import EmbeddedDomain
from mult.tasks import TASKS, outputs
from mult.training.losses import LOSSES

pytestmark = pytest.mark.slow
SIZE, CELL = 32, 4  # predictions are made at a quarter of the size and enlarged
# Convolutions find features faster than a small Swin does, and what is tried here are the decoders.
CNN = {"name": "test_resnet", "pretrained": False, "coordinates": True, "options": {}}
DECODER = {
    "reference": "normal", "skip": "concat", "t2_mlp": False, "t2_shift": False, "relative_bias": True,
    "open_padding": False, "shared_stages": [1, 2, 3, 4], "window": 4, "head_width": 16, "mlp_ratio": 2.0,
    "drop_path": 0.0, "dropout": 0.0,
}  # fmt: skip
GROUPED = {"width": 16, "dropout": 0.0, "groups": [["semseg", "depth", "normal"], ["reshading", "keypoints", "edges"]]}
CASES = [("mult", CNN, DECODER | {"attention": name}) for name in [*VARIANTS, *FORMS]]
CASES += [(name, CNN, GROUPED) for name in BASELINES]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Split:
    folder = tmp_path_factory.mktemp("rooms")
    settings = EmbeddedDomain(train=8, val=1, test=1, views=4, edge_sigma=3.0)
    prepare("rooms-home", settings, SIZE, folder / "rooms-home", aside=folder / "aside")
    return open_split(folder / "rooms-home", "train")


def learnable(batch: Batch) -> Batch:
    """Labels as fine as a map of a quarter of the size, enlarged, can be; of classes, the middles of its cells."""
    middle = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    middle[CELL // 2 :: CELL, CELL // 2 :: CELL] = True
    targets, masks = {}, {}
    for task, target in batch.targets.items():
        if task == "semseg":
            targets[task], masks[task] = target.where(middle, VOID), batch.masks[task] & middle
        else:
            targets[task] = enlarge(F.avg_pool2d(target, CELL), (SIZE, SIZE))
            whole = F.avg_pool2d(batch.masks[task].float(), CELL).floor()  # no pixel without a value has a share in it
            masks[task] = enlarge(whole, (SIZE, SIZE)) > 0.999
    return Batch(batch.rgb, targets, masks)


def losses(predictions: dict, batch: Batch) -> dict:
    return {
        t: LOSSES["cross_entropy" if t == "semseg" else "l1"](predictions[t], batch.targets[t], batch.masks[t])
        for t in TASKS
    }


@pytest.mark.parametrize(("name", "encoder", "decoder"), CASES, ids=[c[2].get("attention", c[0]) for c in CASES])
def test_eight_images_are_learnt_by_heart(name, encoder, decoder, images):
    channels = outputs(list(TASKS), len(images.classes))
    batch = learnable(read(images, list(TASKS), range(8)))
    constant = losses(fit("constant", images, list(TASKS))(batch.rgb), batch)
    model, steps = (BASELINES | {"mult": MulT})[name](channels, SIZE, encoder, decoder, 0), 200
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        found = losses(model(batch.rgb), batch)
        sum(found[t] / constant[t] for t in TASKS).backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        final = losses(model.eval()(batch.rgb), batch)
    shares = {t: round(float(final[t] / constant[t]), 4) for t in TASKS}
    assert max(shares.values()) < 0.15, shares
