"""What passes between a domain that renders itself and the label generators."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """A piece of rendering work that depends on nothing but its own fields: one room, or some frames of one map.

    The same unit gives the same pixels in any process and in any order; units of different splits never share a group.
    """

    domain: str
    split: str  # train, val or test
    group: str  # what splits are made by: a room's seed, a map's name
    index: int  # number of the unit in its split, counted from 0
    views: int  # frames to render


@dataclass
class Frame:
    """One rendered view: the picture and the exact geometry behind each pixel's centre.

    Camera axes are OpenCV's: x right, y down, z forward; square pixels, principal point in the middle of the image.
    """

    rgb: np.ndarray  # uint8 (H, W, 3), sRGB
    depth: np.ndarray  # float32 (H, W), z-depth in metres; not finite where there is no surface (sky, window pane)
    normal: np.ndarray  # float32 (H, W, 3), unit length, facing the camera; zero where there is no surface
    classes: np.ndarray  # uint8 (H, W), index into the domain's CLASSES; 0 is void
    instances: np.ndarray  # uint16 (H, W), 0 where there is none
    fov: float  # horizontal field of view in radians
