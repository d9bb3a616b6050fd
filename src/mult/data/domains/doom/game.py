"""The side of ViZDoom: walk a level, choose views, and join the engine's picture and sprites with the cast geometry."""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import cv2
import numpy as np

from mult.data.domains.doom.cast import CEILING, DOOR, FLOOR, SKY, WALL, Camera, View, cast
from mult.data.domains.doom.wad import Level, read_level
from mult.data.frame import Frame, Unit
from mult.errors import UserError
from mult.seeding import seed_of

UNITS_PER_METRE = 32
# The engine draws 640 x 480 with a field of view of 90 degrees and rows 1.2 times as dense as columns, as a 320 x 200
# screen of 4:3 had them. The middle 400 columns hold the same angle as the 480 rows: resized to a square, pixels are
# square.
ROWS, COLUMNS, CROP = 480, 640, 400
FOV = float(2 * np.arctan(CROP / COLUMNS))  # 1.117 rad
MONSTER, PICKUP, DECORATION = 6, 7, 8
KINDS = {"Monster": MONSTER, "Player": MONSTER} | dict.fromkeys(
    ("Ammo", "Armor", "Health", "Item", "Key", "Powerup", "Weapon"), PICKUP
)
TRIES_A_VIEW, TRIES_AT_LEAST = 25, 100
HIDDEN = ("hud", "minimal_hud", "weapon", "crosshair", "messages", "screen_flashes", "effects_sprites", "decals")


@dataclass
class Tally:
    """What became of the places that were tried; for choosing the levels."""

    kept: int = 0
    spared: int = 0
    wrong: int = 0
    agreement: list[float] = field(default_factory=list)


def play(
    unit: Unit, size: int, progress: Callable[[int], None] | None = None, tally: Tally | None = None
) -> list[Frame]:
    """The frames of one unit; see `mult.data.domains.doom.render`."""
    if size < 1:
        raise UserError(f"doom: size must be at least 1 pixel, not {size}")
    wad, _, name = unit.group.partition("/")
    if unit.domain != "doom" or not name:
        raise UserError(f"doom: cannot render {unit.domain!r} {unit.group!r}; take units from doom.units()")
    vizdoom = _vizdoom()
    path = Path(vizdoom.__file__).parent / f"{wad}.wad"
    level = read_level(path, name)
    seed = seed_of(unit.domain, unit.split, unit.group, unit.index)
    rng, tally = random.Random(seed), tally or Tally()
    good: list[Frame] = []
    spare: list[tuple[float, Frame]] = []
    cameras: list[Camera] = []
    with _game(vizdoom, path, name, seed) as game:
        for _ in range(max(TRIES_AT_LEAST, TRIES_A_VIEW * unit.views)):
            if len(good) == unit.views:
                break
            state = _wander(game, level, rng)
            shot = state and _shoot(level, state, size, tally)
            if not shot or any(_close(shot[1], camera) for camera in cameras):
                continue
            frame, camera = shot
            flaw = _flaw(frame)
            if flaw == 0:
                good.append(frame)
                cameras.append(camera)
                tally.kept += 1
                if progress:
                    progress(len(good))
            else:
                spare.append((flaw, frame))
                tally.spared += 1
    spare.sort(key=lambda pair: pair[0])
    good += [frame for _, frame in spare[: unit.views - len(good)]]
    if len(good) < unit.views:
        raise RuntimeError(f"{unit.group} gave {len(good)} of {unit.views} frames: leave it out of doom's MAPS")
    return good


def _vizdoom() -> Any:
    try:
        import vizdoom
    except ImportError as error:
        raise UserError("doom: ViZDoom is not installed; run: pip install vizdoom") from error
    return vizdoom


@contextmanager
def _game(vizdoom: Any, path: Path, name: str, seed: int) -> Iterator[Any]:
    """A running game without window and sound that starts from nothing but its arguments."""
    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(path))
    game.set_doom_map(name)
    game.set_seed(seed % 2**31)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_episode_timeout(0)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X480)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_labels_buffer_enabled(True)
    game.set_sectors_info_enabled(True)
    for part in (*HIDDEN, "particles"):
        getattr(game, f"set_render_{part}")(False)
    game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA, vizdoom.Button.MOVE_FORWARD])
    position = (getattr(vizdoom.GameVariable, f"CAMERA_POSITION_{axis}") for axis in "XYZ")
    game.set_available_game_variables([*position, vizdoom.GameVariable.CAMERA_ANGLE])
    game.add_game_args("+cl_showsecretmessage 0 +con_midtime 0 +con_notifytime 0")  # no text in the picture
    # The engine writes its settings where it starts and would read those of another run from there.
    with tempfile.TemporaryDirectory() as folder:
        game.set_doom_config_path(str(Path(folder) / "engine.ini"))
        _die_with_us(game, Path(vizdoom.__file__).with_name("vizdoom"), Path(folder))
        with chdir(folder):
            game.init()
        try:
            _be_left_alone(game)
            yield game
        finally:
            game.close()


def _die_with_us(game: Any, engine: Path, folder: Path) -> None:
    """Let the engine end when this process is killed; it would wait for orders for ever. Only where Linux's tool is."""
    setpriv, script = shutil.which("setpriv"), folder / "engine.sh"
    if not setpriv:
        return
    script.write_text(f'#!/bin/sh\nexec {quote(setpriv)} --pdeathsig KILL {quote(str(engine))} "$@"\n')
    script.chmod(0o700)
    if os.access(script, os.X_OK):  # not where the folder for temporary files is mounted without the right to execute
        game.set_vizdoom_path(str(script))


def _be_left_alone(game: Any) -> None:
    for cheat in ("god", "notarget"):
        game.send_game_command(cheat)


def _wander(game: Any, level: Level, rng: random.Random) -> Any:
    """Jump to near a thing's start, walk a few steps, and return the engine's state; None if the game ended."""
    x, y = level.things[rng.randrange(len(level.things))]
    game.send_game_command(f"warp {x + rng.uniform(-64, 64):.0f} {y + rng.uniform(-64, 64):.0f}")
    walk = ([rng.uniform(-180, 180), 0], 1), ([rng.gauss(0, 6), 1], rng.randrange(4, 10)), ([0, 0], 1)
    for action, tics in walk:
        for power in ("PowerInvulnerable", "PowerLightAmp"):  # what was picked up would change all colours
            game.send_game_command(f"take {power}")
        game.make_action(action, tics)
        if game.is_episode_finished() or game.is_player_dead():
            game.new_episode()
            _be_left_alone(game)
            return None
    return game.get_state()


def _shoot(level: Level, state: Any, size: int, tally: Tally) -> tuple[Frame, Camera] | None:
    """Frame and camera of the current state; None where the cast disagrees with what the engine drew."""
    x, y, z, degrees = state.game_variables
    camera = Camera(x, y, z, float(np.radians(degrees)))
    floors = np.array([sector.floor_height for sector in state.sectors])
    ceilings = np.array([sector.ceiling_height for sector in state.sectors])
    view = cast(level, floors, ceilings, camera, size, FOV)
    drawn = _sample(state.labels_buffer, size)
    agreement = _agreement(view, drawn)
    tally.agreement.append(agreement)
    if agreement < 0.97:
        tally.wrong += 1
        return None
    instances = _add_sprites(view, drawn, state.labels, camera)
    behind = view.screen < view.depth
    view.classes[behind], view.normal[behind], view.depth[behind], instances[behind] = 0, 0, np.inf, 0
    depth = (view.depth / UNITS_PER_METRE).astype(np.float32)
    return Frame(_picture(state.screen_buffer, size), depth, view.normal, view.classes, instances, FOV), camera


def _sample(buffer: np.ndarray, size: int) -> np.ndarray:
    """The engine's buffer at the centres of the frame's pixels.

    The engine's row r shows the heights that row r + 1/2 should, measured by what best agrees with the cast; so the
    row that holds a height is half a row further up.
    """
    left = (COLUMNS - CROP) // 2
    rows = np.rint((np.arange(size) + 0.5) * ROWS / size - 1).astype(int)
    columns = left + np.floor((np.arange(size) + 0.5) * CROP / size).astype(int)
    return buffer[np.maximum(rows, 0)][:, columns]


def _picture(screen: np.ndarray, size: int) -> np.ndarray:
    """The engine's screen, moved down by half a row (see `_sample`), as a square picture uint8 (size, size, 3)."""
    left = (COLUMNS - CROP) // 2
    crop = screen[:, left : left + CROP]
    moved = cv2.addWeighted(crop, 0.5, np.concatenate([crop[:1], crop[:-1]]), 0.5, 0)
    how = cv2.INTER_AREA if size <= CROP else cv2.INTER_LINEAR
    return cv2.resize(moved, (size, size), interpolation=how)


def _agreement(view: View, drawn: np.ndarray) -> float:
    """Share of the pixels without sprites and grates for which cast and engine (label 1) agree on floor or ceiling."""
    comparable = (drawn <= 1) & ~np.isfinite(view.screen)
    if comparable.mean() < 0.3:
        return 0.0
    flat = np.isin(view.classes, (FLOOR, CEILING))
    agrees = ((drawn == 1) == flat) & np.isin(view.classes, (WALL, FLOOR, CEILING, DOOR, SKY))
    return float(agrees[comparable].mean())


def _add_sprites(view: View, drawn: np.ndarray, labels: Any, camera: Camera) -> np.ndarray:
    """Draw the sprites into the view, flat and facing the camera as the engine has them; their instances (H, W)."""
    instances = np.zeros(drawn.shape, np.uint16)
    forward = np.array([np.cos(camera.angle), np.sin(camera.angle)])
    for number, label in enumerate((label for label in labels if label.value > 1), start=1):
        shown = drawn == label.value
        offset = [label.object_position_x - camera.x, label.object_position_y - camera.y]
        view.depth[shown] = max(float(forward @ offset), 1.0)
        view.normal[shown] = (0, 0, -1)
        view.classes[shown] = KINDS.get(label.object_category, DECORATION)
        instances[shown] = number
    return instances


def _close(camera: Camera, other: Camera) -> bool:
    turned = np.cos(camera.angle - other.angle) < np.cos(np.radians(30))
    return not turned and np.hypot(camera.x - other.x, camera.y - other.y) < 4 * UNITS_PER_METRE


def _flaw(frame: Frame) -> float:
    """How far a frame is from being worth keeping; 0 if it is bright, not too near, and shows several things."""
    known = np.isfinite(frame.depth)
    depth = frame.depth[known]
    near = float((depth < 0.6).mean()) if depth.size else 1.0
    shortfalls = (
        1 - float(np.median(depth)) / 2 if depth.size else 1.0,
        1 - frame.rgb.mean() / 28,
        1 - len(np.unique(frame.classes[frame.classes > 0])) / 3,
        near - 0.1,
        float((frame.classes == 0).mean()) - 0.1,
        float((frame.classes == SKY).mean()) - 0.4,
        float((frame.instances > 0).mean()) - 0.4,
    )
    return sum(max(0.0, shortfall) for shortfall in shortfalls)
