"""Decode one picture after another and say what it looks like; a child's program.

Started by ``looking`` as a process of its own, because picture decoders are large C
libraries and the files are foreign: a crash, a hang or a bomb ends one child and not
the grade. It reads one path per line (hex of the file system's bytes), or two that are
to be compared, and answers one line of JSON each. It opens no network and writes no
file.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from math import log10, pi, sqrt
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, UnidentifiedImageError

from tundish.kernel import canonical
from tundish.kernel.canonical import Json

MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 1024**2
MEMORY_BYTES = 3 * 1024**3
SECONDS = 20
DRAFT_PIXELS = 4_000_000
THUMB = 32
COMPARED = 768
PATCHES = 16
STANDARD_TABLE = 3_688  # sum of the luminance table in ITU-T T.81, annex K
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
_SOFTWARE, _ARTIST, _GPS, _OWNER = 0x0131, 0x013B, 0x8825, 0xA430
_TINY = 1e-9

Grey = NDArray[np.uint8]


class TooSlowError(Exception):
    """A picture took longer than ``SECONDS``."""


def main() -> None:
    """Answer paths until there are no more."""
    limit()
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    for line in sys.stdin.buffer:
        names = line.decode("ascii").split()
        out.write(canonical.dumps(answer([_path(name) for name in names])) + b"\n")
        out.flush()


def answer(paths: list[Path]) -> dict[str, Json]:
    """Look at one picture or compare two; ``{"error": why}`` if it cannot be done.

    Args:
        paths: One or two regular files. Untrusted: any bytes.
    """

    def asked() -> dict[str, Json]:
        return _look(paths[0]) if len(paths) == 1 else _compare(paths[0], paths[1])

    return answer_of(asked)


def answer_of(work: Callable[[], dict[str, Json]]) -> dict[str, Json]:
    """Return what some work on pictures says, or ``{"error": why}``; within ``SECONDS``."""
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(SECONDS)
    try:
        return work()
    except TooSlowError:
        return {"error": f"it takes longer than {SECONDS} s to decode"}
    except UnidentifiedImageError:
        return {"error": "it is no picture of a known format"}
    except Image.DecompressionBombError:
        return {"error": f"it declares more than {2 * MAX_PIXELS:,} pixels"}
    except MemoryError:
        return {"error": "it needs more memory than is allowed"}
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError,
            OverflowError, EOFError, struct.error, ArithmeticError,
            AttributeError, NotImplementedError, RuntimeError) as error:  # fmt: skip
        # what Pillow's many decoders are known to raise on damaged bytes
        return {"error": f"it is damaged ({_plain(str(error))})"}
    finally:
        signal.alarm(0)


def _path(name: str) -> Path:
    return Path(os.fsdecode(bytes.fromhex(name)))


def _look(path: Path) -> dict[str, Json]:
    if path.stat().st_size > MAX_BYTES:
        return {"error": f"it is larger than {MAX_BYTES // 1024**2} MiB"}
    data = path.read_bytes()
    if not data:
        return {"error": "it is empty"}
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            return {"error": f"it declares {width} x {height} pixels"}
        said: dict[str, Json] = {
            "format": str(picture.format),
            "mode": picture.mode,
            "width": width,
            "height": height,
            "header": header(picture, data),
            "personal": _personal(picture),
        }
        if width * height > DRAFT_PIXELS:
            picture.draft(None, (width // 2, height // 2))
        return said | _pixels(picture)


def header(picture: Image.Image, data: bytes) -> dict[str, Json]:
    """Return what the file says beside its pixels: how, and by what, it was written."""
    said: dict[str, Json] = {
        "file format": str(picture.format),
        "colour mode": picture.mode,
        "size": f"{picture.width} x {picture.height}",
        "resolution mark": _plain(str(picture.info.get("dpi", "none"))),
        "software tag": _software(picture),
        "colour profile": "yes" if picture.info.get("icc_profile") else "no",
    }
    if picture.format == "JPEG":
        said["quantisation tables"] = _tables(picture)
        said["coding"] = "progressive" if picture.info.get("progressive") else "plain"
        said["header blocks"] = _markers(data)
    elif picture.format == "PNG":
        at = data.find(b"IDAT")
        said["compression mark"] = data[at + 4 : at + 6].hex() if at > 0 else ""
        said["header blocks"] = _chunks(data)
    else:
        said["compression"] = _plain(str(picture.info.get("compression", "none")))
    return said


def _tables(picture: Image.Image) -> str:
    """Return the JPEG quality that the tables come nearest to, and their digest."""
    tables = getattr(picture, "quantization", {})
    text = ";".join(f"{k}:{list(tables[k])}" for k in sorted(tables))
    scale = 100 * sum(tables.get(0, ())) / STANDARD_TABLE
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return f"quality {quality:.0f} ({hashlib.sha256(text.encode()).hexdigest()[:6]})"


def _software(picture: Image.Image) -> str:
    written = picture.getexif().get(_SOFTWARE) or picture.info.get("Software")
    return _plain(str(written or "none"))


def _personal(picture: Image.Image) -> list[Json]:
    exif = picture.getexif()
    names = {_GPS: "place (GPS)", _ARTIST: "author", _OWNER: "owner"}
    return [name for tag, name in names.items() if exif.get(tag)]


def _markers(data: bytes) -> str:
    """Return the kinds of a JPEG's blocks before its pixels, in order."""
    at = 2
    found: list[str] = []
    while at + 4 <= len(data) and data[at] == 0xFF and len(found) < 40:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:
            break
        found.append(f"{kind:02x}")
        at += 2 + size
    return " ".join(found)


def _chunks(data: bytes) -> str:
    """Return the kinds of a PNG's blocks before its pixels, in order."""
    at = 8
    found: list[str] = []
    while at + 8 <= len(data) and len(found) < 40:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        found.append(_plain(kind.decode("latin-1")))
        at += 12 + size
    return " ".join(found)


def _pixels(picture: Image.Image) -> dict[str, Json]:
    picture.load()
    grey, digest = _grey(picture)
    counts = np.bincount(grey.ravel(), minlength=256)
    share = np.cumsum(counts) / grey.size
    levels = np.arange(256)
    mean = float((counts * levels).sum() / grey.size)
    std = sqrt(max(0.0, float((counts * (levels - mean) ** 2).sum() / grey.size)))
    noise = _noise(grey)
    small = Image.fromarray(grey).resize((THUMB, THUMB), Image.Resampling.BOX)
    return {
        "digest": digest,
        "mean": mean,
        "std": std,
        "low": int(np.searchsorted(share, 0.01)),
        "high": int(np.searchsorted(share, 0.99)),
        "black": float(counts[0] / grey.size),
        "white": float(counts[255] / grey.size),
        "levels": int((counts > 0).sum()),
        "sharp": _sharpness(grey),
        "noise": noise,
        "snr_db": 20 * log10(max(std, _TINY) / max(noise, 0.1)),
        "thumb": small.tobytes().hex(),
    }


def _grey(picture: Image.Image) -> tuple[Grey, str]:
    """Return grey values and a digest of the pixels that no file format changes."""
    if picture.mode.startswith("I") or picture.mode == "F":
        wide = np.asarray(picture, dtype=np.float64)
        low, high = float(wide.min()), float(wide.max())
        scaled = (wide - low) * (255 / max(high - low, _TINY))
        return scaled.astype(np.uint8), _digest(wide.astype("<f8"), picture.size)
    if picture.mode in {"L", "1"}:
        grey = np.asarray(picture.convert("L"))
        return grey, _digest(grey, picture.size)
    colours = picture.convert("RGB")
    pixels = np.asarray(colours)
    one = pixels[..., 0]
    if (one == pixels[..., 1]).all() and (one == pixels[..., 2]).all():
        grey = np.ascontiguousarray(one)
        return grey, _digest(grey, picture.size)
    return np.asarray(colours.convert("L")), _digest(pixels, picture.size)


def _digest(
    pixels: NDArray[np.uint8] | NDArray[np.float64], size: tuple[int, int]
) -> str:
    made = hashlib.sha256(f"{size[0]}x{size[1]}:".encode())
    made.update(np.ascontiguousarray(pixels).data)
    return made.hexdigest()[:32]


def _sharpness(grey: Grey) -> float:
    """Return the variance of the Laplacian (Pech-Pacheco et al. 2000)."""
    if min(grey.shape) < 3:
        return 0.0
    g = grey.astype(np.int16)
    edges = (
        g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    ).astype(np.float32)
    return float(edges.var())


def _compare(one: Path, other: Path) -> dict[str, Json]:
    """Compare fine detail of two pictures, the larger one made as small as the other.

    ``alike`` is the correlation of what is left after smoothing. Two shots of one part
    differ in noise and by fractions of a pixel; a picture that was saved again, made
    smaller or brighter does not. ``local`` is the largest difference of a patch (after
    a linear fit) over the usual one: a defect in one of the two stands out.
    """
    first, second = _opened(one), _opened(other)
    size = min(first.size, second.size)
    size = (min(size[0], COMPARED), min(size[1], COMPARED))
    a, b = (_scaled(picture, size) for picture in (first, second))
    fine_a, fine_b = (_fine(picture) for picture in (a, b))
    spread = sqrt(float((fine_a**2).mean() * (fine_b**2).mean()))
    alike = float((fine_a * fine_b).mean() / spread) if spread > _TINY else 0.0
    x, y = (np.asarray(p, dtype=np.float32) for p in (a, b))
    slope, shift = np.polyfit(x.ravel()[::7], y.ravel()[::7], 1)
    rest = np.abs(y - slope * x - shift)
    down, across = (max(1, n // PATCHES) for n in rest.shape)
    cut = rest[: down * (rest.shape[0] // down), : across * (rest.shape[1] // across)]
    shape = (cut.shape[0] // down, down, cut.shape[1] // across, across)
    patches = np.sqrt((cut.reshape(shape) ** 2).mean(axis=(1, 3)))
    usual = max(1.0, float(np.median(patches)))
    return {"alike": alike, "local": float(patches.max()) / usual}


def _opened(path: Path) -> Image.Image:
    with Image.open(path, formats=FORMATS) as picture:
        if picture.width * picture.height > DRAFT_PIXELS:
            picture.draft(None, (COMPARED, COMPARED))
        return picture.convert("L")


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.BOX)


def _fine(picture: Image.Image) -> NDArray[np.float32]:
    smooth = picture.filter(ImageFilter.BoxBlur(2))
    return np.asarray(picture, dtype=np.float32) - np.asarray(smooth, dtype=np.float32)


def _noise(grey: Grey) -> float:
    """Return the standard deviation of noise (Immerkaer 1996), in grey levels."""
    if min(grey.shape) < 3:
        return 0.0
    g = grey.astype(np.int16)
    across = g[:, :-2] - 2 * g[:, 1:-1] + g[:, 2:]
    both = across[:-2] - 2 * across[1:-1] + across[2:]
    return float(np.abs(both).mean() * sqrt(pi / 2) / 6)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _too_slow(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise TooSlowError


def limit() -> None:
    """Bound this process for good: memory, and no files written."""
    import resource  # noqa: PLC0415 -- POSIX only

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()
