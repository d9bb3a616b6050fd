"""NYUv2 (Silberman et al., ECCV 2012) in place, in any of the forms in which it is handed on.

The official split is ours: 795 frames train and 654 test; there is no val unless a copy lists one. Whole frames of
480x640 are cropped to the rows and columns where Kinect's picture, projected onto the colour camera's, has values. What
the labels have that the copy lacks is computed (``Source``), keypoints, edges and reshading always. Copies have normals
only where Kinect measured, but depth without holes; mask_valid, by which reshading is scored, is where both are known.

The camera's axis is taken to meet the picture's middle, as everywhere here; it misses it by 6 pixels, or 0.7 degrees.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mult.data import labels
from mult.data.encoding import NO_DEPTH, NO_NORMAL
from mult.data.sources.nyu_axes import EIGEN, Axes, find_axes, to_camera
from mult.data.sources.nyu_bundles import LAYOUTS, Bundle, find_bundle
from mult.data.sources.nyu_labelled import FILE, Labelled
from mult.data.sources.nyu_tables import class_names
from mult.data.sources.source import SPLITS, Source, View
from mult.errors import UserError

FOCAL = 518.86  # pixels, of the colour camera
WHOLE = (480, 640)
SEEN = (slice(44, 471), slice(40, 601))  # rows and columns of a whole frame
# Size of a copy's pictures to how many columns of a whole frame they show.
COLUMNS = {WHOLE: 561, (427, 561): 561, (425, 560): 560, (288, 384): 561}
AXES_FROM = 4  # frames, spread over all, by which the axes of normals are found


class Nyu(Source):
    """See ``Source``."""

    domain = "nyuv2"

    def __init__(self, root: Path | str, partition: str | None = None):
        super().__init__(root, partition)
        if partition is not None:
            raise UserError(f"{self.domain}: no partition {partition!r}; there is the official split alone")
        self._files = self._recognised()
        self.layout, self.own = self._files.layout, self._files.own
        if "depth_zbuffer" in self.own:
            self.own |= {"mask_valid"}
        self.classes = class_names(self._files.classes) if "segment_semantic" in self.own else ()
        if not self._files.views:
            raise UserError(f"{self.root}: no frame in it ({self.layout}); fetch the copy again")
        self._size = self._first_size()
        if self._size not in COLUMNS:
            known = ", ".join(f"{height}x{width}" for height, width in COLUMNS)
            raise UserError(f"{self.root}: pictures of {self._size[0]}x{self._size[1]}, but copies have {known}")
        self._fov = float(2 * np.arctan(COLUMNS[self._size] / 2 / FOCAL))
        height, width = self._cropped(np.empty(self._size)).shape
        self.aspect = height / width
        self._groups: dict[tuple[str, str], list[View]] = {}
        for view in self._files.views:
            self._groups.setdefault((view.split, view.group), []).append(replace(view, fov=self._fov))

    def groups(self) -> Sequence[tuple[str, str]]:
        return sorted(self._groups, key=lambda group: SPLITS.index(group[0]))

    def views(self, split: str, group: str) -> Iterator[View]:
        yield from self._groups[split, group]

    def load(self, view: View, label: str) -> np.ndarray:
        if label == "rgb":
            return self._fitting(view, label, self._files.rgb(view))
        if label == "segment_semantic":
            return self._fitting(view, label, self._files.ids(view))
        if label == "depth_zbuffer":
            return labels.encode_depth(self._metres(view))
        if label == "mask_valid":
            normal = (self.read(view, "normal") != NO_NORMAL).any(-1)
            return np.where(normal & (self.read(view, "depth_zbuffer") != NO_DEPTH), 255, 0).astype(np.uint8)
        return labels.encode_normal(to_camera(self._normals(view), self._axes))

    def _has(self, view: View, label: str) -> bool:
        return True  # a file that is listed and is not there is a fault: copies are whole

    def _recognised(self) -> Bundle | Labelled:
        if (self.root / FILE).is_file():
            return Labelled(self.root)
        found = find_bundle(self.root)
        if found is None:
            known = "; ".join((Labelled.layout, *(layout.text for layout in LAYOUTS)))
            raise UserError(f"{self.root}: none of the layouts of {self.domain} that can be read: {known}")
        return found

    def _metres(self, view: View) -> np.ndarray:
        return self._fitting(view, "depth_zbuffer", self._files.metres(view))

    def _normals(self, view: View) -> np.ndarray:
        return self._fitting(view, "normal", self._files.normals(view))

    @cached_property
    def _axes(self) -> Axes:
        """Of the copy's normals; late, for it takes a second."""
        if "depth_zbuffer" not in self.own:
            return EIGEN
        views = self._files.views
        chosen = np.unique(np.linspace(0, len(views) - 1, AXES_FROM).round().astype(int))
        pairs = []
        for view in (views[i] for i in chosen):
            with suppress(UserError):  # a damaged file is said where it is read for itself
                pairs.append((self._normals(view), labels.normal_from_depth(self._metres(view), self._fov)))
        return find_axes(pairs, str(self.root))

    def _first_size(self) -> tuple[int, int]:
        """That of the first picture that can be read.

        Raises:
            UserError: none can.
        """
        faults = []
        for view in self._files.views:
            try:
                return self._files.rgb(view).shape[:2]
            except UserError as fault:
                faults.append(fault)
        raise faults[0]

    def _fitting(self, view: View, label: str, values: np.ndarray) -> np.ndarray:
        """Cropped.

        Raises:
            UserError: the file is of another size than the data set's first picture.
        """
        if values.shape[:2] != self._size:
            raise UserError(
                f"{self.root / view.files[label]}: {values.shape[0]}x{values.shape[1]} pixels, but the first picture "
                f"has {self._size[0]}x{self._size[1]}; is it from another copy?"
            )
        return np.ascontiguousarray(self._cropped(values))

    def _cropped(self, values: np.ndarray) -> np.ndarray:
        return values[SEEN] if values.shape[:2] == WHOLE else values
