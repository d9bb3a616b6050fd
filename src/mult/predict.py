"""`mult predict`: what a trained run makes of photos, as files in Taskonomy's encoding and as a panel to look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from mult.encode import encode
from mult.errors import UserError, in_one_line
from mult.files import read_json, write_json
from mult.models import constant
from mult.models.registry import load_model
from mult.panel import cell_size, panel
from mult.params import Encoder
from mult.params.fields import LARGEST_IMAGE
from mult.params.reading import complaint
from mult.photos import find_photos, folder_names, read_photo
from mult.png import write_png
from mult.progress import progress
from mult.tasks import TASKS
from mult.threads import one_thread

STRIDE = 32  # photo pixels a cell of an encoder's coarsest map
LONGEST = 8  # the longer side in shorter ones; a longer strip is seen smaller, for time and memory grow with it


@dataclass(frozen=True)
class Predictor:
    """A model that takes photos of any size.

    Attributes:
        model: (B, 3, H, W) in [0, 1] to (B, channels, H, W) a task, in training units.
        tasks: those that are wanted of it, by their short names.
        classes: names of the semantic classes.
        size: pixels of a photo's shorter side as the model sees it.
    """

    model: Callable[[Tensor], Mapping[str, Tensor]]
    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    size: int

    @torch.inference_mode()
    def __call__(self, photo: Image.Image) -> dict[str, Tensor]:
        """Predictions (channels, h, w) a task in training units, at the size at which the model sees the photo.

        Raises:
            UserError: the model predicts something that is not finite.
        """
        width, height = _seen(photo.size, self.size)
        pixels = torch.from_numpy(np.array(_resize(photo, width, height)))
        image = pixels.permute(2, 0, 1)[None].float() / 255
        # A model pads with grey, which draws an edge where the photo ends; the outermost pixels, repeated, do not.
        image = F.pad(image, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        predictions = self.model(image)
        maps = {task: predictions[task][0, :, :height, :width] for task in self.tasks}
        if bad := [task for task, values in maps.items() if not values.isfinite().all()]:
            raise UserError(f"{bad[0]}: the model's predictions are not finite numbers; train it again")
        return maps


def load_predictor(run: str, size: int | None = None) -> Predictor:
    """The trained run called ``run`` below runs/, or in the folder ``run``; ``size`` is that of training if not given.

    Raises:
        UserError: there is no trained run, or its model.json asks for something else than a model of this package.
    """
    folder = Path(run)
    if folder.name == run and not (folder / "model.json").is_file():
        folder = Path("runs") / run
    model, config = load_run(folder)
    return Predictor(model, tuple(config["tasks"]), tuple(config["classes"]), size or config["image_size"])


def load_run(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a run, perhaps somebody else's, and its model.json.

    Raises:
        UserError: as ``load_predictor``.
    """
    if (folder / "model.json").is_file():
        look_into(folder / "model.json")
    try:
        return load_model(folder)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        said = in_one_line(error, 200)
        raise UserError(f"{folder}: its model cannot be made here: {said}; is it of another version?") from None


def look_into(path: Path) -> None:
    """See that ``path``, which may be from somebody else, describes a model that params.yaml could have.

    timm, which gets the encoder's options, can be asked to fetch and read other files.

    Raises:
        UserError: it does not, and is perhaps no model.json at all.
    """
    try:
        config = read_json(path)
        if config["model"] not in constant.KINDS:
            Encoder.model_validate(config["encoder"])
        tasks, classes, size = (config[key] for key in ("tasks", "classes", "image_size"))
        fits = tasks and set(tasks) <= TASKS.keys() and type(size) is int and 0 < size <= LARGEST_IMAGE
        fits = fits and len(classes) <= 256 and all(isinstance(name, str) for name in classes)
    except ValidationError as error:
        raise UserError(f"{path}: encoder.{complaint(error)}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        fits = False
    if not fits:
        raise UserError(f"{path}: no description of one of this package's models; is the folder a run's?")


@dataclass
class Outcome:
    """What became of some photos.

    Attributes:
        folders: of the maps, by the photo's path.
        errors: of the photos that could not be read.
    """

    folders: dict[Path, Path]
    errors: list[UserError]


def predict_files(inputs: Sequence[Path], run: str, out: Path, size: int | None = None) -> Outcome:
    """Write ``out``/<stem>/<domain>.png for every task of ``run`` and every photo, and ``out``/<stem>/panel.png.

    Args:
        inputs: see ``mult.photos.find_photos``.
        run: see ``load_predictor``.
        out: a folder, made if need be. Photos of one stem have folders of their own: <stem>, <stem>-2, …
        size: pixels of a photo's shorter side as the model sees it; None: those of training.

    Raises:
        UserError: an input, the run or ``out`` is mistaken. A photo that cannot be read does not keep the others.
    """
    photos = find_photos(inputs)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is a file; name a folder")
    predictor = load_predictor(run, size)
    outcome = Outcome({}, [])
    folders = dict(zip(photos, folder_names(photos), strict=True))
    # Two threads spare a tenth of a small model's time; beside other work they wait for each other, and take thrice.
    with one_thread():
        for path in progress(photos, "predict", unit="photo") if len(photos) > 1 else photos:
            try:
                photo = read_photo(path)
            except UserError as error:
                outcome.errors.append(error)
                continue
            write_maps(out / folders[path], photo, predictor)
            outcome.folders[path] = out / folders[path]
    return outcome


def write_maps(folder: Path, photo: Image.Image, predictor: Predictor) -> None:
    """Write what ``predictor`` makes of ``photo`` into ``folder``, each map at the photo's own size."""
    predictions = predictor(photo)
    for task, prediction in predictions.items():
        codes = encode(task, prediction, photo.height, photo.width)
        grey = task == "reshading"  # which Taskonomy writes as three equal channels
        write_png(folder / f"{TASKS[task].name}.png", codes[..., None].repeat(3, -1) if grey else codes)
    if "semseg" in predictions:
        write_json(folder / "classes.json", predictor.classes)
    height, width = cell_size(photo.height, photo.width)
    drawn = {task: encode(task, prediction, height, width) for task, prediction in predictions.items()}
    write_png(folder / "panel.png", panel(_resize(photo, width, height), drawn, predictor.classes))


def _seen(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Width and height at which the model sees a photo of ``size``, another width and height."""
    scale = min(shorter / min(size), LONGEST * shorter / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def _resize(photo: Image.Image, width: int, height: int) -> Image.Image:
    """Areas are averaged where it shrinks, as a camera's pixels do; smooth where it grows."""
    how = Image.Resampling.BOX if width < photo.width else Image.Resampling.BICUBIC
    return photo.resize((width, height), how)
