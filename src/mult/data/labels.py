"""Label generators in Taskonomy's encoding: from a picture, depth and normals to the maps that a data set stores.

The recipes are those of the Omnidata annotator (EPFL-VILAB/omnidata), checked against files that it wrote for
Taskonomy and Replica. Camera axes are OpenCV's (x right, y down, z forward), pixels are square, and a pixel's ray goes
through its centre. Decoded depth is in metres, decoded normals have unit length, and both are 0 where unknown.

========================  ======================================================  ==================
map                       code                                                    no value
========================  ======================================================  ==================
depth_zbuffer, _euclidean uint16, 1/512 m                                         65535
normal                    uint8, rint((n + 1) / 2 * 255)                          128, 128, 128
reshading                 uint8, [0, 1] to 0..255                                 13, as Blender drew it
edge_texture, keypoints2d uint16, [0, 1] to 0..65535                              everywhere defined
segment_semantic          uint8, class                                            0
========================  ======================================================  ==================
"""

from itertools import product

import cv2
import numpy as np

from mult.data.encoding import DEPTH_UNITS, NO_DEPTH, NO_NORMAL, NO_SHADE
from mult.data.frame import Frame
from mult.errors import UserError

RECIPE_WIDTH = 512  # pixels; the width for which the recipes' sigmas are meant
KEYPOINT_SIGMAS = np.linspace(1, 30, 10)
STRIP_ROWS = 64


def encode_depth(metres: np.ndarray) -> np.ndarray:
    """Metres to uint16 codes of 1/512 m; 65535 where depth is not finite, not positive or beyond 127.99 m."""
    with np.errstate(invalid="ignore", over="ignore"):
        code = np.rint(np.asarray(metres, np.float64) * DEPTH_UNITS)
        known = np.isfinite(code) & (code > 0) & (code < NO_DEPTH)
    return np.where(known, code, NO_DEPTH).astype(np.uint16)


def decode_depth(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes to (float32 metres, bool mask of pixels that have a depth); metres are 0 outside the mask."""
    known = (code != NO_DEPTH) & (code > 0)
    return np.where(known, code / np.float32(DEPTH_UNITS), 0).astype(np.float32), known


def encode_normal(normal: np.ndarray) -> np.ndarray:
    """Unit normals (H, W, 3) to uint8; the zero vector and anything not finite become 128, 128, 128."""
    known = np.isfinite(normal).all(-1) & (np.abs(normal).max(-1) > 0)
    code = np.rint((np.where(known[..., None], normal, 0) + 1) * 127.5)
    return np.where(known[..., None], np.clip(code, 0, 255), NO_NORMAL).astype(np.uint8)


def decode_normal(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (H, W, 3) to (float32 normals of unit length, bool mask (H, W)); normals are 0 outside the mask."""
    known = (code != NO_NORMAL).any(-1)
    normal = code.astype(np.float32) / 127.5 - 1
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)  # never 0: 127.5 is no code
    return np.where(known[..., None], normal, 0).astype(np.float32), known


def encode_unit(values: np.ndarray, dtype: type = np.uint16) -> np.ndarray:
    """Values in [0, 1], clipped, to the full range of `dtype` (uint16: edges, keypoints; uint8: reshading)."""
    return np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def decode_unit(code: np.ndarray) -> np.ndarray:
    """Codes of an unsigned integer type to float32 in [0, 1]; the inverse of `encode_unit`."""
    return code.astype(np.float32) / np.float32(np.iinfo(code.dtype).max)


def pixel_rays(height: int, width: int, fov: float) -> np.ndarray:
    """Directions (H, W, 3), float64, through the pixels' centres at z = 1; `fov` is horizontal, in radians."""
    if not 0 < fov < np.pi:
        raise UserError(f"fov is {fov}, but a horizontal field of view lies between 0 and pi radians")
    focal = width / 2 / np.tan(fov / 2)
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    return np.stack(np.broadcast_arrays(x, y[:, None], 1.0), axis=-1)


def euclidean_from_zbuffer(depth: np.ndarray, fov: float) -> np.ndarray:
    """Distance from the camera's centre for z-depth (H, W), in the same unit, float32; `fov` in radians."""
    return (depth * np.linalg.norm(pixel_rays(*depth.shape, fov), axis=-1)).astype(np.float32)


def zbuffer_from_euclidean(distance: np.ndarray, fov: float) -> np.ndarray:
    """z-depth for the distance (H, W) from the camera's centre; the inverse of `euclidean_from_zbuffer`."""
    return (distance / np.linalg.norm(pixel_rays(*distance.shape, fov), axis=-1)).astype(np.float32)


def normal_from_depth(depth: np.ndarray, fov: float) -> np.ndarray:
    """Normals (H, W, 3), float32, that face the camera, from z-depth (H, W) in metres; `fov` in radians.

    On a plane the inverse depth is linear over the image, 1/z = a x + b y + c, with (a, b, c) along the plane's normal.
    So a plane is fitted to the inverse depth in every 5x5 window; a pixel takes the best-fitting of the nine windows
    around it, which keeps clear of depth steps and creases. Where a plane explains the 9x9 window to within one step of
    a 16-bit depth, that plane is taken instead: it averages the steps out, which are coarse on near surfaces.
    Zero where depth is not finite or not positive, and where every window around the pixel holds such a pixel.
    """
    height, width = depth.shape
    known = np.isfinite(depth) & (depth > 0)
    inverse = np.divide(1.0, depth, out=np.full(depth.shape, np.nan), where=known)
    planes, residual = _fit_planes(inverse, fov, radius=2)
    best = residual / 4  # a window off to the side must be clearly better, or the choice adds noise on curved surfaces
    chosen = planes.copy()
    planes = np.pad(planes, ((2, 2), (2, 2), (0, 0)))
    residual = np.pad(residual, 2, constant_values=np.inf)
    for top, left in product((0, 2, 4), repeat=2):
        window = (slice(top, top + height), slice(left, left + width))
        better = residual[window] < best
        best[better] = residual[window][better]
        chosen[better] = planes[window][better]
    planes, residual = _fit_planes(inverse, fov, radius=4)
    smooth = residual < (inverse / DEPTH_UNITS) ** 2
    chosen[smooth] = planes[smooth]
    usable = known & np.isfinite(best)
    length = np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.divide(-chosen, length, out=np.zeros_like(chosen), where=usable[..., None]).astype(np.float32)


def _fit_planes(inverse_depth: np.ndarray, fov: float, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b, c) and relative mean square residual of the best plane in each window; residual inf beside a hole."""
    rays = pixel_rays(*inverse_depth.shape, fov)
    focal = inverse_depth.shape[1] / 2 / np.tan(fov / 2)
    ramp = np.arange(-radius, radius + 1.0)
    variance, box = (ramp**2).mean(), np.full(len(ramp), 1 / len(ramp))
    ramp /= (ramp**2).sum()
    slope_x = cv2.sepFilter2D(inverse_depth, -1, ramp, box)
    slope_y = cv2.sepFilter2D(inverse_depth, -1, box, ramp)
    mean = cv2.sepFilter2D(inverse_depth, -1, box, box)
    square = cv2.sepFilter2D(inverse_depth**2, -1, box, box)
    residual = (square - mean**2 - variance * (slope_x**2 + slope_y**2)) / mean**2
    residual = np.where(np.isfinite(residual), np.maximum(residual, 1e-14), np.inf)  # 1e-14: below it is rounding
    residual[:radius] = residual[-radius:] = residual[:, :radius] = residual[:, -radius:] = np.inf
    a, b = slope_x * focal, slope_y * focal
    return np.stack([a, b, mean - a * rays[..., 0] - b * rays[..., 1]], axis=-1), residual


def reshading(depth_zbuffer: np.ndarray, normal: np.ndarray, fov: float) -> np.ndarray:
    """Shading (H, W), uint8, of a white world by a lamp at the camera; 13 where depth or normal are missing.

    depth_zbuffer (H, W) in metres, normal (H, W, 3) of unit length facing the camera, fov horizontal in radians.
    The lamp is Blender's with inverse-square falloff, half as bright at 8 m: 1.6 max(0, n.l) 8 / (8 + r^2), where l is
    the direction to the camera and r the distance to it in metres; linear, without gamma.
    """
    known = np.isfinite(depth_zbuffer) & (depth_zbuffer > 0) & (np.abs(normal).max(-1) > 0)
    rays = pixel_rays(*depth_zbuffer.shape, fov)
    length = np.linalg.norm(rays, axis=-1)
    cosine = np.maximum(0, -(normal * rays).sum(-1) / length)
    distance = np.where(known, depth_zbuffer, 0) * length
    return np.where(known, encode_unit(1.6 * cosine * 8 / (8 + distance**2), np.uint8), NO_SHADE).astype(np.uint8)


def edge_texture(rgb: np.ndarray, sigma: float = 3.0) -> np.ndarray:
    """Texture edges (H, W), uint16, of a uint8 picture (H, W, 3); `sigma` in pixels of this picture.

    BT.601 luma, Gaussian cut at 4 sigma and normalised by the part of it that lies inside the picture, Sobel magnitude
    (kernels [1 2 1] / 4 and [1 0 -1], root mean square of both directions); 0 on the outermost pixels. Neither thinning
    nor threshold: "Canny without non-maximum suppression".
    """
    if not sigma > 0:
        raise UserError(f"edge sigma is {sigma}, but it must be above 0 pixels")
    return encode_unit(_edges(_luma(rgb).astype(np.float32) / np.float32(255_000), sigma))


def _edges(luma: np.ndarray, sigma: float) -> np.ndarray:
    offsets = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    smooth = cv2.sepFilter2D(luma, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    inside = [np.convolve(np.ones(n), kernel)[len(kernel) // 2 :][:n].astype(np.float32) for n in luma.shape]
    smooth /= inside[0][:, None]
    smooth /= inside[1]
    gradients = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=0.25) for dx in (0, 1))
    edges = cv2.magnitude(*gradients) * np.float32(np.sqrt(0.5))
    edges[[0, -1]] = 0
    edges[:, [0, -1]] = 0
    return edges


def keypoints2d(rgb: np.ndarray) -> np.ndarray:
    """Interest (H, W), uint16, of a uint8 picture (H, W, 3): a heat map, at most about 1,500 of 65,535 in practice.

    Determinant of the Hessian, approximated by box filters as in SURF (Bay et al. 2008), the maximum over ten sigmas
    from 1 to 30 pixels of this picture, clipped at 0. Agrees with scikit-image's hessian_matrix_det(approximate=True).
    """
    return encode_unit(_interest(_luma(rgb)))


def _interest(luma: np.ndarray) -> np.ndarray:
    # Sums wrap around in 32 bits, which leaves the differences exact: no box holds more than 90 x 59 x 255,000 < 2^31.
    integral = luma.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    best = np.zeros(luma.shape, np.float32)
    # Strips stay in the cache and off the system's allocator: twice as fast.
    for top in range(0, len(luma), STRIP_ROWS):
        strip = best[top : top + STRIP_ROWS]
        rows = np.arange(top, top + len(strip))
        for sigma in KEYPOINT_SIGMAS:
            np.maximum(strip, _hessian_determinant(integral, rows, int(3 * sigma)), out=strip)
    return best


def _hessian_determinant(integral: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
    """Box-filter Hessian determinant of some rows for luma in [0, 1], from the integral image of 255,000 times that."""
    third, half = size // 3, (size - 1) // 2
    whole, lobe, band = (-half, size), (-(third // 2), third), (1 - third, 2 * third - 1)
    before, after = (-third, third), (1, third)
    flat = _row_sums(integral, rows, *band)
    curved = _row_sums(integral, rows, *whole) - 3 * _row_sums(integral, rows, *lobe)
    slanted = _row_sums(integral, rows, *after) - _row_sums(integral, rows, *before)
    determinant = (_column_sums(flat, *whole) - 3 * _column_sums(flat, *lobe)).astype(np.float32)
    determinant *= _column_sums(curved, *band).astype(np.float32)
    mixed = (_column_sums(slanted, *after) - _column_sums(slanted, *before)).astype(np.float32)
    determinant -= np.float32(0.81) * mixed * mixed
    return determinant * np.float32(1 / (255_000 * size**2) ** 2)


def _row_sums(integral: np.ndarray, rows: np.ndarray, offset: int, length: int) -> np.ndarray:
    """For each of `rows` the sum over `length` rows of the picture from `offset` behind it, still summed along columns.

    The border rule of scikit-image is part of the recipe: a box that begins before the picture is pushed inside whole,
    one that ends behind it is cut, and the picture's first row and column count for nothing.
    """
    last = len(integral) - 1
    first = np.clip(rows + offset, 0, last)
    return integral[np.minimum(first + length, last)] - integral[first]


def _column_sums(integral: np.ndarray, offset: int, length: int) -> np.ndarray:
    """The same along columns, for every column; slices instead of indices, since columns are slow to gather."""
    width = integral.shape[1]
    pushed = min(max(0, -offset), width)
    cut = max(pushed, width - offset - length)
    out = np.empty_like(integral)
    out[:, :pushed] = integral[:, [min(length, width - 1)]] - integral[:, :1]
    inner = out[:, pushed:cut]
    np.subtract(
        integral[:, pushed + offset + length :][:, : cut - pushed],
        integral[:, pushed + offset : cut + offset],
        out=inner,
    )
    first = np.minimum(np.arange(cut, width) + offset, width - 1)
    out[:, cut:] = integral[:, -1:] - integral[:, first]
    return out


def _luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma (H, W) of a uint8 picture as whole int32 numbers in 0..255,000."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise UserError(
            f"a picture must be uint8 (H, W, 3), but this one is {rgb.dtype} {rgb.shape}: convert it to RGB"
        )
    weights = np.float32([[299, 587, 114]])
    return cv2.transform(rgb.astype(np.float32), weights).astype(np.int32)


def annotate(frame: Frame, edge_sigma: float = 3.0, native: bool = False) -> dict[str, np.ndarray]:
    """All maps of a rendered frame, in the encodings that this module's head lists.

    Keys: rgb u8 (H, W, 3), segment_semantic u8, depth_zbuffer u16, normal u8 (H, W, 3), reshading u8, keypoints2d u16,
    edge_texture u16, mask_valid u8 (255 where depth is known, else 0) and instance u16, each (H, W) unless said.

    Sizes and sigmas of the last two picture maps: see `texture_maps`.
    """
    depth = encode_depth(frame.depth)
    return {
        "rgb": frame.rgb,
        "segment_semantic": frame.classes.astype(np.uint8),
        "depth_zbuffer": depth,
        "normal": encode_normal(frame.normal),
        "reshading": reshading(frame.depth, frame.normal, frame.fov),
        **texture_maps(frame.rgb, edge_sigma, native),
        "mask_valid": np.where(depth != NO_DEPTH, 255, 0).astype(np.uint8),
        "instance": frame.instances.astype(np.uint16),
    }


def texture_maps(rgb: np.ndarray, edge_sigma: float = 3.0, native: bool = False) -> dict[str, np.ndarray]:
    """The two maps that a picture alone decides, keypoints2d and edge_texture, uint16 (H, W).

    `edge_sigma` and the keypoints' sigmas are in pixels of a picture 512 wide. At another width the picture is resized
    to that (bicubic when it grows), the maps are computed there and shrunk by averaging over areas. On real pictures
    (Taskonomy, Replica) this agrees with "compute at 512, then shrink" to a correlation of at least 0.999 at 256,
    0.99 at 128 and 0.91 (edges) or 0.98 (keypoints) at 64 pixels; enlarging bilinearly loses up to 0.02 of that.
    With `native` the edges come from the picture's own pixels, with sigma and height scaled with the width: 0.996 at
    256 and 0.96 at 128 pixels. Keypoints have no such form, since box filters below 3 pixels vanish.
    """
    if not 0 < edge_sigma <= RECIPE_WIDTH / 8:
        raise UserError(f"edge sigma is {edge_sigma:g}, but it lies above 0 and up to {RECIPE_WIDTH // 8} pixels")
    luma = _luma(rgb)
    height, width = luma.shape
    scaled = _at_recipe_width(luma)
    scale = width / RECIPE_WIDTH
    if native:
        edges = _edges(luma.astype(np.float32) / np.float32(255_000), edge_sigma * scale) * np.float32(scale)
    else:
        edges = _resize(_edges(scaled.astype(np.float32) / np.float32(255_000), edge_sigma), width, height)
    return {
        "keypoints2d": encode_unit(_resize(_interest(scaled), width, height)),
        "edge_texture": encode_unit(edges),
    }


def _at_recipe_width(luma: np.ndarray) -> np.ndarray:
    height, width = luma.shape
    resized = _resize(luma.astype(np.float32), RECIPE_WIDTH, max(1, round(height * RECIPE_WIDTH / width)))
    return np.rint(np.clip(resized, 0, 255_000)).astype(np.int32)


def _resize(values: np.ndarray, width: int, height: int) -> np.ndarray:
    if values.shape == (height, width):
        return values
    how = cv2.INTER_AREA if width < values.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(values, (width, height), interpolation=how)
