"""`mult annotate`: labels for pictures that have none, from files in Taskonomy's encoding to files in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from mult.data import labels
from mult.data.sources.picture import read_picture
from mult.errors import UserError
from mult.png import write_png


@dataclass(frozen=True)
class Sources:
    """What is known of a view: paths of PNG files of one size, in Taskonomy's encoding, and the field of view."""

    rgb: Path
    depth_zbuffer: Path | None = None
    depth_euclidean: Path | None = None
    normal: Path | None = None
    fov_deg: float | None = None  # horizontal, degrees

    @property
    def depth(self) -> Path | None:
        """The depth that is given, of either kind."""
        return self.depth_zbuffer or self.depth_euclidean


def annotate_files(sources: Sources, edge_sigma: float, out: Path) -> tuple[list[Path], list[str]]:
    """Write `out`/<domain>.png for every map that the sources allow; returns the files and what to tell the user.

    keypoints2d and edge_texture need the picture alone. The other depth, normal and reshading need a depth and the
    field of view. A given normal map is written out as it is, used for reshading, and to find the field of view where
    that is not given.

    Raises:
        UserError: a file that cannot be read, of another size or of another encoding, or a mistaken number.
    """
    if sources.depth_zbuffer and sources.depth_euclidean:
        raise UserError("--depth-zbuffer and --depth-euclidean: give one of them, the other is computed from it")
    if sources.fov_deg is not None and not 0 < sources.fov_deg < 180:
        raise UserError(f"--fov-deg is {sources.fov_deg:g}, but a horizontal field of view lies between 0 and 180")
    rgb = read_picture(sources.rgb, np.uint8, 3, "the picture")
    maps = labels.texture_maps(rgb, edge_sigma)
    missing = _add_geometry(maps, sources, rgb.shape[:2])
    written = []
    for domain, values in maps.items():
        written.append(Path(out) / f"{domain}.png")
        write_png(written[-1], values)
    return written, missing


def _add_geometry(maps: dict[str, np.ndarray], sources: Sources, shape: tuple[int, int]) -> list[str]:
    """Add to `maps` what depth allows; returns what to tell the user."""
    if not sources.depth:
        return ["no depth, normal or reshading: they need --depth-zbuffer or --depth-euclidean"]
    is_zbuffer = sources.depth_zbuffer is not None
    code = _read(sources.depth, np.uint16, 1, "the depth map (1/512 m, 65535 unknown)", shape)
    depth = labels.decode_depth(code)[0]
    given = _read(sources.normal, np.uint8, 3, "the normal map", shape) if sources.normal else None
    normal = None if given is None else labels.decode_normal(given)[0]
    said = []
    if sources.fov_deg is not None:
        fov = float(np.deg2rad(sources.fov_deg))
    elif normal is not None:
        fov = _fov_from(depth, is_zbuffer, normal)
        said = [f"field of view that fits depth and normals: {np.rad2deg(fov):.1f} degrees (--fov-deg says it exactly)"]
    else:
        return ["no other depth, normal or reshading: they need --fov-deg, or --normal to estimate it from"]
    zbuffer = depth if is_zbuffer else labels.zbuffer_from_euclidean(depth, fov)
    if is_zbuffer:
        maps["depth_euclidean"] = labels.encode_depth(labels.euclidean_from_zbuffer(depth, fov))
    else:
        maps["depth_zbuffer"] = labels.encode_depth(zbuffer)
    if normal is None:
        normal = labels.normal_from_depth(zbuffer, fov)
    maps["normal"] = labels.encode_normal(normal) if given is None else given
    maps["reshading"] = labels.reshading(zbuffer, normal, fov)
    return said


def _fov_from(depth: np.ndarray, is_zbuffer: bool, normal: np.ndarray) -> float:
    """The field of view, radians, at which normals from the depth agree best with the given ones (median cosine)."""

    def disagreement(fov: float) -> float:
        zbuffer = depth if is_zbuffer else labels.zbuffer_from_euclidean(depth, fov)
        derived = labels.normal_from_depth(zbuffer, fov)
        known = (np.abs(derived).max(-1) > 0) & (np.abs(normal).max(-1) > 0)
        if not known.any():
            raise UserError("--normal: no pixel has both a depth and a normal; give --fov-deg")
        return -float(np.median((derived * normal).sum(-1)[known]))

    return float(
        minimize_scalar(disagreement, bounds=np.deg2rad([20, 130]), method="bounded", options={"xatol": 1e-3}).x
    )


def _read(path: Path, dtype: type, channels: int, what: str, shape: tuple[int, int]) -> np.ndarray:
    picture = read_picture(path, dtype, channels, what)
    if picture.shape[:2] != shape:
        (h, w), (height, width) = picture.shape[:2], shape
        raise UserError(f"{path}: {w} x {h} pixels, but the picture has {width} x {height}; give files of one view")
    return picture
