"""nyu_depth_v2_labeled.mat, the file of the 1449 labelled frames as NYU hands it out (Silberman et al., ECCV 2012).

MATLAB's files of version 7.3 are HDF5 with the axes in reverse. The frames count from 1, as in splits.mat. Depth is
known where Kinect measured it: ``depths`` has no holes, for they were filled in by colour, so ``rawDepths`` tells.
The file has no normals; they are computed from depth.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mult.data.sources.nyu_decode import where_measured
from mult.data.sources.nyu_tables import classes_of_labels, official_split
from mult.data.sources.source import View
from mult.errors import UserError

if TYPE_CHECKING:
    import h5py

FILE = "nyu_depth_v2_labeled.mat"
SPLIT_FILE = "splits.mat"
NEEDED = ("images", "depths", "rawDepths", "labels")
NO_ECHO = (0.0, 10.0)  # metres in rawDepths where Kinect measured nothing: no answer, or beyond its range


class Labelled:
    """The labelled frames: the views, and their labels as they are in the file. See ``Bundle``."""

    layout = f"{FILE}, with or without {SPLIT_FILE}: as NYU has it"
    classes = 40
    own = frozenset({"rgb", "segment_semantic", "depth_zbuffer"})

    def __init__(self, root: Path):
        """Raises: UserError: the file cannot be read or lacks something, or splits.mat does not fit."""
        self._path = root / FILE
        with self._open() as file:
            missing = [name for name in NEEDED if name not in file]
            if missing:
                raise UserError(f"{self._path}: no {', '.join(missing)} in it; fetch the labelled dataset again")
            for name in NEEDED:
                self._must_be_here(file[name])
            frames, scenes = len(file["images"]), self._scenes(file)
        splits = self._splits(root / SPLIT_FILE, frames)
        files = dict.fromkeys(sorted(self.own), FILE)
        names = {frame: f"{frame:04d}" for frame in splits}
        groups = {frame: scenes[frame - 1] for frame in splits} if scenes else names
        views = (View(splits[frame], groups[frame], names[frame], files, 0.0, frame - 1) for frame in splits)
        self.views = sorted(views, key=lambda view: (view.group, view.place))

    def rgb(self, view: View) -> np.ndarray:
        """uint8 (H, W, 3)."""
        return self._frame("images", view.place).transpose(2, 1, 0)

    def ids(self, view: View) -> np.ndarray:
        """uint8 (H, W): classes, 0 void."""
        found = self._frame("labels", view.place).T
        if found.max() >= len(classes_of_labels()):
            raise UserError(f"{self._path}: label {found.max()} in frame {view.name}, above 894; fetch it again")
        return classes_of_labels()[found]

    def metres(self, view: View) -> np.ndarray:
        """Depth (H, W), float32; 0 where it was not measured."""
        depth, raw = (self._frame(name, view.place).T for name in ("depths", "rawDepths"))
        return where_measured(depth, raw, NO_ECHO, self._path)

    def _frame(self, name: str, place: int) -> np.ndarray:
        with self._open() as file:
            return file[name][place]

    @contextmanager
    def _open(self) -> Iterator["h5py.File"]:
        """The file, opened for one reading: a handle must not be shared by processes that are forked later."""
        import h5py

        try:
            with h5py.File(self._path, "r") as file:
                yield file
        except OSError as error:
            said = str(error).splitlines()[0]
            raise UserError(f"{self._path}: {said}; fetch the file again, it has 2.8 GB") from None

    def _scenes(self, file: "h5py.File") -> list[str]:
        """Scene of each frame, such as kitchen_0004; [] where the file does not say."""
        if "scenes" not in file:
            return []
        texts = [file[reference] for reference in file["scenes"][:].ravel()]
        for text in texts:
            self._must_be_here(text)
        return ["".join(map(chr, text[:].ravel())) for text in texts]

    def _must_be_here(self, values: "h5py.Dataset") -> None:
        """Raises: UserError: ``values`` are in another file, which HDF5 opens without a word, or are no array."""
        import h5py

        here = isinstance(values, h5py.Dataset) and values.file.filename == str(self._path)
        if not here or values.is_virtual or values.external:
            raise UserError(f"{self._path}: {values.name} is no array in this file; fetch the labelled dataset again")

    def _splits(self, path: Path, frames: int) -> dict[int, str]:
        """Frame to split, of those in the file; by splits.mat where it is there."""
        if not path.is_file():
            return {frame: split for frame, split in official_split().items() if frame <= frames}
        import scipy.io

        try:
            lists = scipy.io.loadmat(path)
            found = {int(n): split for split in ("train", "test") for n in lists[f"{split}Ndxs"].ravel()}
        except Exception as error:  # scipy raises many kinds over files that are no MATLAB files
            raise UserError(
                f"{path}: no trainNdxs and testNdxs can be read from it ({type(error).__name__}); fetch it again, or "
                "take it away: the official split is known"
            ) from None
        first, last = min(found, default=0), max(found, default=0)
        if not 1 <= first <= last <= frames:
            raise UserError(f"{path}: frames {first} to {last}, but {FILE} has 1 to {frames}; are both whole?")
        return dict(sorted(found.items()))
