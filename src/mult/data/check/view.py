"""What is wrong with one view of a data set."""

from collections.abc import Iterator, Mapping

import numpy as np

from mult.data import labels
from mult.data.check.axes import AGREED, agreement
from mult.data.check.faults import Fault, from_error
from mult.data.encoding import NO_NORMAL
from mult.data.sources import Source, View
from mult.errors import UserError

VARIED = ("rgb", "normal", "reshading", "keypoints2d", "edge_texture")
PLAUSIBLE_M = (0.05, 100.0)  # median depths of a picture
FLAT = 8  # codes by which a map differs in itself that may as well have one value all over, such as that of a bare wall
AGAIN = "fetch it again, or leave the view out"

Maps = Mapping[str, np.ndarray]


def faults_of(source: Source, view: View) -> list[Fault]:
    """Read every label that ``view`` has in files, and look at each and at how they fit together."""
    maps, faults = {}, []
    for label in source.labels:
        if source.has(view, label):
            try:
                maps[label] = source.read(view, label)
            except UserError as error:
                faults.append(from_error(error, source.root))
    if "rgb" in maps:
        shape = maps["rgb"].shape[:2]
        other = {label: values for label, values in maps.items() if values.shape[:2] != shape}
        faults += [_fault(source, view, label, *_size(values, shape)) for label, values in other.items()]
        maps = {label: values for label, values in maps.items() if label not in other}
    looks = (*_empty(maps), *_constant(source, view, maps), *_classes(source, maps), *_geometry(view, maps))
    return faults + [_fault(source, view, *found) for found in looks]


def place_of(view: View, label: str) -> str:
    """The file that holds ``label`` of ``view``, below the root, and where in it."""
    path = view.files.get(label, view.files["rgb"])
    return path if view.place < 0 else f"{path} [{view.place}]"


def _fault(source: Source, view: View, label: str, what: str, mend: str) -> Fault:
    return Fault(f"{what} ({label})", place_of(view, label), mend)


def _size(values: np.ndarray, shape: tuple[int, ...]) -> tuple[str, str]:
    (height, width), (wanted_height, wanted_width) = values.shape[:2], shape
    what = f"{width} x {height} pixels, but the picture has {wanted_width} x {wanted_height}"
    return what, "fetch both of one version of the data set"


def _empty(maps: Maps) -> Iterator[tuple[str, str, str]]:
    """Maps without a known pixel; where depth has none, those that hang on it say nothing new."""
    known = {
        "depth_zbuffer": lambda codes: labels.decode_depth(codes)[1],
        "normal": lambda codes: codes != NO_NORMAL,
        "mask_valid": lambda codes: codes > 0,
        "segment_semantic": lambda codes: codes > 0,
    }
    empty = [label for label in known if label in maps and not known[label](maps[label]).any()]
    if "depth_zbuffer" in empty:
        empty = [label for label in empty if label not in ("normal", "mask_valid")]
    for label in empty:
        yield label, "empty: no pixel has a value", AGAIN


def _constant(source: Source, view: View, maps: Maps) -> Iterator[tuple[str, str, str]]:
    """Maps with one value all over, unless the maps that they are made from say that it must be so."""
    for label in VARIED:
        if (
            label not in maps
            or not _is_constant(maps[label])
            or (label == "normal" and (maps[label] == NO_NORMAL).all())
        ):
            continue
        made = _made(source, view, label, maps)
        if made is None or np.ptp(made, (0, 1)).max() > FLAT:
            yield label, "constant: one value all over the picture", AGAIN


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[0, 0]).all())


def _made(source: Source, view: View, label: str, maps: Maps) -> np.ndarray | None:
    """``label`` by its recipe, None where that needs something that is not there."""
    if label in ("keypoints2d", "edge_texture") and "rgb" in maps:
        return labels.texture_maps(maps["rgb"], source.edge_sigma)[label]
    if label not in ("normal", "reshading") or "depth_zbuffer" not in maps:
        return None
    metres = labels.decode_depth(maps["depth_zbuffer"])[0]
    normal = labels.normal_from_depth(metres, view.fov)
    return labels.encode_normal(normal) if label == "normal" else labels.reshading(metres, normal, view.fov)


def _classes(source: Source, maps: Maps) -> Iterator[tuple[str, str, str]]:
    if "segment_semantic" in maps and source.classes and maps["segment_semantic"].max() >= len(source.classes):
        what = f"class {maps['segment_semantic'].max()}, but there are 0 to {len(source.classes) - 1}"
        yield "segment_semantic", what, "fetch it again, or name all classes"


def _geometry(view: View, maps: Maps) -> Iterator[tuple[str, str, str]]:
    if "depth_zbuffer" not in maps:
        return
    metres, known = labels.decode_depth(maps["depth_zbuffer"])
    if not known.any():
        return
    median = float(np.median(metres[known]))
    if not PLAUSIBLE_M[0] <= median <= PLAUSIBLE_M[1]:
        yield "depth_zbuffer", f"implausible: the median is {median:.3g} m", "store it in 1/512 m"
    found = agreement(maps["normal"], maps["depth_zbuffer"], view.fov) if "normal" in maps else None
    if found and found.swapped:
        what = (
            f"the axes are {found.axes}: median cosine with the depth's normals {found.best:.2f}, as stored "
            f"{found.stored:.2f}"
        )
        yield "normal", what, "store the axes as x right, y down, z forward"
    elif found and found.stored < AGREED:
        what = f"it is not of the depth's surface: median cosine {found.stored:.2f}"
        yield "normal", what, "see whether depth, normals and field of view are of one view"
