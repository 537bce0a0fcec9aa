"""Decode one picture after another and give its pixels at the size asked for.

A child's program like ``look``, for the same reason. A line of input is: height, width,
colours, and the path (hex of the file system's bytes); the answer is one line of JSON
with the pixels as hex. Grey values are whole numbers from 0 to 255. A picture is made
smaller or larger by the mean over the area that each new pixel covers (Pillow's BOX),
which lets no thin line fall between pixels; sides are scaled apart if the form differs.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import partial
from pathlib import Path

from PIL import Image

from tundish.data.images.look import FORMATS, MAX_BYTES, MAX_PIXELS, answer_of, limit
from tundish.kernel import canonical
from tundish.kernel.canonical import Json

MODES = {1: "L", 3: "RGB"}


def main() -> None:
    """Answer lines until there are no more."""
    limit()
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    for line in sys.stdin.buffer:
        height, width, colours, name = line.decode("ascii").split()
        path = Path(os.fsdecode(bytes.fromhex(name)))
        form = (int(height), int(width), int(colours))
        said = answer_of(partial(_shrunk, path, form))
        out.write(canonical.dumps(said) + b"\n")
        out.flush()


def _shrunk(path: Path, form: tuple[int, int, int]) -> dict[str, Json]:
    height, width, colours = form
    if path.stat().st_size > MAX_BYTES:
        return {"error": f"it is larger than {MAX_BYTES // 1024**2} MiB"}
    with Image.open(path, formats=FORMATS) as picture:
        size = picture.size
        if size[0] * size[1] > MAX_PIXELS:
            return {"error": f"it declares {size[0]} x {size[1]} pixels"}
        if picture.mode.startswith(("I", "F")):
            # a 16-bit camera's values: 65535 is full scale, whatever this picture holds
            wide = picture.convert("F").point(lambda value: value * (255 / 65535) + 0)
            plain = wide.convert("L").convert(MODES[colours])
        else:
            plain = picture.convert(MODES[colours])
        if size != (width, height):
            plain = plain.resize((width, height), Image.Resampling.BOX)
    return {"width": size[0], "height": size[1], "pixels": plain.tobytes().hex()}


if __name__ == "__main__":
    main()
