"""Write an animation as WebP or GIF."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from impasto.errors import ImageError
from impasto.io.files import check_name, check_place, put_file
from impasto.io.formats import ANIMATIONS, WRITABLE
from impasto.io.naming import called, listed_words, reason_of
from impasto.io.picture import to_integers

__all__ = ["check_animation", "save_animation"]


def save_animation(
    path: str | os.PathLike[str], frames: Sequence[NDArray[Any]], *, seconds: float, force: bool = False
) -> Path:
    """Write frames as an animation that loops; the last frame stays three times as long.

    Args:
        path: the file; its suffix is .webp, or .gif, which has 256 colors.
        frames: arrays `(H, W, 3)` of one size, float in [0, 1].
        seconds: the duration of a frame.
        force: overwrite an existing file.

    Returns:
        The path.

    Raises:
        FileExists: the file exists, and `force` is off.
        ImageError: the suffix is another one, there is no frame, frames differ in size, or the file cannot be written.
    """
    path = Path(path)
    check_name(path, force)
    kind = ANIMATIONS.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"{called(path)} names no format of animations; end it in .webp or .gif.")
    if len({frame.shape for frame in frames}) != 1:
        raise ImageError(f"an animation of {len(frames)} frames; expected one or more, all of one size.")
    first, *rest = (Image.fromarray(to_integers(frame, 8)) for frame in frames)
    shown = [round(1000 * seconds)] * len(rest) + [round(3000 * seconds)]
    file = BytesIO()
    try:
        first.save(file, kind, save_all=True, append_images=rest, duration=shown, loop=0, quality=88, method=4)
    except (OSError, ValueError) as error:
        raise ImageError(f"{called(path)} cannot be written as {kind} ({reason_of(error)}).") from error
    put_file(path, file.getvalue(), force)
    return path


def check_animation(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse, before any work, a path that neither `save_animation` nor `save_picture` can write.

    Args:
        path: the file that is to be written: an animation, or a strip of its frames.
        force: whether it may exist already.

    Raises:
        ImageError: it is a folder, a folder of it is a file, or its suffix names no known format.
        FileExists: it exists, and `force` is off.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {*ANIMATIONS, *WRITABLE}:
        still = listed_words(ending for ending in WRITABLE if ending not in ANIMATIONS)
        raise ImageError(
            f"{called(Path(path))} names no format of animations; end it in {listed_words(ANIMATIONS)}, or in {still} "
            "for a strip of frames."
        )
    check_place(path, force)
