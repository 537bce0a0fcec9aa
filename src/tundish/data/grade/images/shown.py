"""Q01, Q05, Q07-Q10: what the pictures show, and whether a model can see it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tundish.data.grade.images.scene import Scene, Seen, examples, measured, names
from tundish.data.grade.tally import Tally

SMALL_SIDE = 32
BLANK_STD = 1.5
FAR = 6.0
MIN_GROUP = 12
GREY_APART = 40.0
CONTRAST_LOST = 0.25
SHARP_LOST = 0.2
SNR_LOST_DB = 10.0
CLIPPED = 0.25
CLIPPED_USUAL = 0.05
ONE_SIZE = 0.8
RARE = 0.2
_MAD = 1.4826
_ENDINGS = {
    "JPEG": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "BMP": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "GIF": {".gif"},
    "PPM": {".pgm", ".ppm"},
}


def readable(scene: Scene) -> Tally:
    """Count pictures (masks and templates too) that can be decoded to the end."""
    remarks = scene.remarks("Q01")
    every = list(scene.seen)
    broken = [one for one in every if one.look.error]
    for why, count in Counter(one.look.error for one in broken).most_common(5):
        mine = [one for one in broken if one.look.error == why]
        remarks.add(
            "unreadable",
            f"{count:,} files cannot be read as pictures: {why}.",
            "Copy them again from the camera's computer, or take them out of the set.",
            names=names(mine),
            of=len(every),
        )
    odd = [one for one in every if _wrong_ending(one)]
    if odd:
        held = ", ".join(sorted({one.look.format for one in odd}))
        remarks.add(
            "wrong-ending",
            f"{len(odd):,} files hold another format ({held}) than their name says: "
            f"{examples(odd)}.",
            "Rename them; some programs skip or misread such files.",
            names=names(odd),
            of=len(every),
        )
    return remarks.tally(len(broken), len(every))


def _wrong_ending(one: Seen) -> bool:
    known = _ENDINGS.get(one.look.format)
    return known is not None and one.shot.path.suffix.lower() not in known


def lively(scene: Scene) -> Tally:
    """Count pictures that show something: a grey plane is a shutter or a dead lamp."""
    remarks = scene.remarks("Q08")
    blank = [one for one in scene.sound if one.look.std < BLANK_STD]
    if blank:
        remarks.add(
            "blank",
            f"{len(blank):,} pictures are one even grey: {examples(blank)}.",
            "Take them out, and check lamp, shutter and trigger at their time.",
            names=names(blank),
            of=len(scene.sound),
        )
    return remarks.tally(len(blank), len(scene.sound))


def exposed(scene: Scene) -> Tally:
    """Count pictures as bright and as rich in contrast as the others of class and size.

    Brightness is far off at six robust deviations and 40 grey levels; contrast is lost
    at six robust deviations (of its logarithm) and a quarter of the usual.
    """
    remarks = scene.remarks("Q05")
    odd: list[Seen] = []
    for group in _groups(scene):
        mean, std = measured(group, "mean"), measured(group, "std")
        apart = (np.abs(_deviation(mean)) > FAR) & (
            np.abs(mean - np.median(mean)) > GREY_APART
        )
        logs = np.log(np.maximum(std, 0.5))
        flat = (_deviation(logs) < -FAR) & (std < CONTRAST_LOST * np.median(std))
        odd += _rare(group, (apart | flat) & (std >= BLANK_STD))
    if odd:
        usual = float(np.median(measured(scene.sound, "mean")))
        found = measured(odd, "mean")
        remarks.add(
            "dark-or-bright",
            f"{len(odd):,} pictures are lit unlike the others of their kind (mean grey "
            f"{found.min():.0f} to {found.max():.0f}, usually {usual:.0f}): {examples(odd)}.",
            "Check lamp and exposure at their time; take them again or leave them out.",
            names=names(odd),
            of=len(scene.sound),
        )
    detail = (
        f"mean grey {np.median(measured(scene.sound, 'mean')):.0f}"
        if scene.sound
        else ""
    )
    return remarks.tally(len(odd), len(scene.sound), detail)


def one_size(scene: Scene) -> Tally:
    """Count pictures of the usual size, and those too small to show anything.

    If fewer than four in five share a size, the pictures are cut-outs and only very
    small ones are counted.
    """
    remarks = scene.remarks("Q07")
    sound = scene.sound
    sizes = Counter((one.look.width, one.look.height) for one in sound)
    small = [s for s in sound if min(s.look.width, s.look.height) < SMALL_SIDE]
    if small:
        remarks.add(
            "too-small",
            f"{len(small):,} pictures have a side below {SMALL_SIDE} pixels: {examples(small)}.",
            "Export the camera's own pictures, not previews.",
            names=names(small),
            of=len(sound),
        )
    if not sizes:
        return remarks.tally(0, 0, "no picture can be read")
    (width, height), count = sizes.most_common(1)[0]
    if count < ONE_SIZE * len(sound):
        sides = [min(one.look.width, one.look.height) for one in sound]
        detail = f"{len(sizes)} sizes, shorter side {min(sides)} to {max(sides)} pixels"
        return remarks.tally(len(small), len(sound), detail)
    odd = [s for s in sound if (s.look.width, s.look.height) != (width, height)]
    if odd:
        one = odd[0].look
        remarks.add(
            "odd-size",
            f"{len(odd):,} pictures are not {width} x {height} like the rest "
            f"(such as {one.width} x {one.height}): {examples(odd)}.",
            "Find out where they were cut or scaled; export them as the others.",
            names=names(odd),
            of=len(sound),
        )
    bad = len({*names(odd), *names(small)})
    return remarks.tally(bad, len(sound), f"usually {width} x {height}")


def unclipped(scene: Scene) -> Tally:
    """Count pictures whose lights or shadows are not cut off, where others' are not."""
    remarks = scene.remarks("Q09")
    odd: list[Seen] = []
    for group in _groups(scene):
        for field in ("black", "white"):
            share = measured(group, field)
            usual = float(np.median(share)) < CLIPPED_USUAL
            odd += _rare(group, usual & (share > CLIPPED))
    odd = list({one.name: one for one in odd if one.look.std >= BLANK_STD}.values())
    if odd:
        remarks.add(
            "overexposed",
            f"in {len(odd):,} pictures more than a quarter of the pixels is pure black or "
            f"white, and in the others next to none: {examples(odd)}.",
            "Correct exposure or lamp; what is cut off cannot be restored.",
            names=names(odd),
            of=len(scene.sound),
        )
    return remarks.tally(len(odd), len(scene.sound))


def clear(scene: Scene) -> Tally:
    """Count pictures as sharp and as free of noise as the others of class and size.

    Blur: the variance of the Laplacian, six robust deviations (of its logarithm) below
    the median and below a fifth of it. Noise: contrast over noise (Immerkaer), six
    robust deviations and 10 dB below.
    """
    remarks = scene.remarks("Q10")
    blurred: list[Seen] = []
    noisy: list[Seen] = []
    for group in _groups(scene):
        sharp, snr = measured(group, "sharp"), measured(group, "snr_db")
        alive = measured(group, "std") >= BLANK_STD
        logs = np.log(np.maximum(sharp, 1e-3))
        soft = (_deviation(logs) < -FAR) & (sharp < SHARP_LOST * np.median(sharp))
        grain = (_deviation(snr) < -FAR) & (snr < np.median(snr) - SNR_LOST_DB)
        blurred += _rare(group, alive & soft)
        noisy += _rare(group, alive & grain & ~soft)
    if blurred:
        remarks.add(
            "blurred",
            f"{len(blurred):,} pictures have less than a fifth of the usual sharpness: "
            f"{examples(blurred)}.",
            "Check focus and exposure time against the line's speed; take them again.",
            names=names(blurred),
            of=len(scene.sound),
        )
    if noisy:
        remarks.add(
            "noisy",
            f"{len(noisy):,} pictures are noisy, 10 dB worse than the others: "
            f"{examples(noisy)}.",
            "Check lamp and gain; do not smooth them afterwards.",
            names=names(noisy),
            of=len(scene.sound),
        )
    bad = len(blurred) + len(noisy)
    median = float(np.median(measured(scene.sound, "snr_db"))) if scene.sound else 0.0
    return remarks.tally(bad, len(scene.sound), f"contrast over noise {median:.0f} dB")


def _groups(scene: Scene) -> list[list[Seen]]:
    return [group for group in scene.alike if len(group) >= MIN_GROUP]


def _rare(group: list[Seen], marks: NDArray[np.bool_]) -> list[Seen]:
    """Return what is marked, unless it is a fifth of the group: a second kind of view."""
    if marks.mean() > RARE:
        return []
    return [one for one, mark in zip(group, marks, strict=True) if mark]


def _deviation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = np.median(values)
    spread = _MAD * np.median(np.abs(values - middle))
    return (values - middle) / max(float(spread), 1e-3)
