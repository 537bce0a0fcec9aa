"""Folders of pictures: what an engineer must be told, and what must not be claimed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tundish.data.grade.checks import Brief
from tundish.data.grade.images.grading import grade_images as grade_folder
from tundish.data.grade.report import Finding, GradeReport
from tundish.data.images.boxes import read_boxes, read_coco
from tundish.data.images.folder import read_album
from tundish.data.images.looking import compare

SIDE = 96


def grade_images(folder: Path, licence: str | None = None) -> GradeReport:
    brief = Brief(name=folder.name, task="unsaid", now_us=0, licence=licence)
    return grade_folder(folder, brief)


def part(rng: np.random.Generator, side: int = SIDE) -> Image.Image:
    """One surface: texture, shading and sensor noise of its own."""
    coarse = Image.fromarray(rng.integers(60, 190, (12, 12), dtype=np.uint8))
    base = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), float)
    noisy = base + rng.normal(0, 6, base.shape)
    return Image.fromarray(noisy.clip(1, 254).astype(np.uint8))


def two_classes(folder: Path, good: int = 40, bad: int = 12) -> Path:
    rng = np.random.default_rng(7)
    for label, count in (("good", good), ("scratch", bad)):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            part(rng).save(folder / label / f"{i:04d}.png")
    return folder


def kinds(report: GradeReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def only(report: GradeReport, kind: str) -> Finding:
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1, kinds(report)
    return found[0]


def gate(report: GradeReport, name: str) -> str:
    return next(g.state for g in report.gates if g.name == name)


def test_a_clean_folder_has_no_finding(tmp_path: Path) -> None:
    report = grade_images(two_classes(tmp_path / "parts"), licence="MIT")
    assert kinds(report) == set()
    assert gate(report, "leakage") == "open"  # nobody declared a split
    assert report.letter == "B"
    assert {i.id for i in report.indicators} >= {"Q01", "Q03", "Q06", "Q10", "Q15"}


@pytest.mark.slow
def test_day_one_header_and_serial_number_are_said_first(
    real_sets: Path, tmp_path: Path
) -> None:
    """Bad parts were saved by another program; one serial number is in both classes."""
    rng = np.random.default_rng(20260601)
    boards = sorted((real_sets / "deeppcb-subset").rglob("*_test.jpg"))[:24]
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    serials = rng.choice(90_000, size=260, replace=False) + 10_000
    for i, serial in enumerate(serials):
        with Image.open(boards[i % len(boards)]) as board:
            left, top = rng.integers(0, 440, 2)
            crop = board.convert("L").crop((left, top, left + 200, top + 200))
        if i < 240:
            crop.save(tmp_path / "good" / f"SN{serial}_top.jpg", quality=92)
        else:
            crop.save(tmp_path / "bad" / f"SN{serial}_top.jpg", quality=85)
    twin = tmp_path / "good" / f"SN{serials[0]}_top.jpg"
    last = tmp_path / "bad" / f"SN{serials[259]}_top.jpg"
    last.rename(last.with_name(twin.name))
    report = grade_images(tmp_path)
    assert report.letter == "D"
    assert gate(report, "leakage") == "failed"
    first, second = report.findings[:2]
    assert first.kind == "leak"
    assert "quantisation tables" in first.what
    assert "bad" in first.what
    assert second.kind == "same-part"
    assert f"SN{serials[0]}" in second.what
    said = next(g.detail for g in report.gates if g.name == "leakage")
    assert "quantisation tables" in said
    assert f"SN{serials[0]}" in said


def test_counts_that_begin_anew_in_each_folder_are_no_serial_numbers(
    tmp_path: Path,
) -> None:
    report = grade_images(two_classes(tmp_path / "parts", good=30, bad=30))
    assert "same-part" not in kinds(report)


Spoil = Callable[[Path, np.random.Generator], None]


def _blur(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path) as picture:
        small = picture.resize((12, 12), Image.Resampling.BOX)
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def _grain(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path) as picture:
        values = np.asarray(picture, float) + rng.normal(0, 60, (SIDE, SIDE))
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)


def _dark(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path) as picture:
        Image.fromarray((np.asarray(picture) // 8).astype(np.uint8)).save(path)


def _blank(path: Path, rng: np.random.Generator) -> None:
    Image.new("L", (SIDE, SIDE), 128).save(path)


def _cut_off(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _text(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(b"this is no picture")


def _empty(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(b"")


def _small(path: Path, rng: np.random.Generator) -> None:
    part(rng, 24).save(path)


def _as_bmp(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path) as picture:
        data = io.BytesIO()
        picture.save(data, "BMP")
    path.write_bytes(data.getvalue())


def _copy(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path.with_name("0001.png")) as picture:
        picture.save(path, compress_level=1)


def _saved_again(path: Path, rng: np.random.Generator) -> None:
    with Image.open(path.with_name("0001.png")) as picture:
        values = np.asarray(picture.resize((80, 80), Image.Resampling.BOX)) * 0.9
    Image.fromarray(values.astype(np.uint8)).save(path)


def _bomb(path: Path, rng: np.random.Generator) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(60_001) * 100)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_blur, "blurred"),
        (_grain, "noisy"),
        (_dark, "dark-or-bright"),
        (_blank, "blank"),
        (_cut_off, "unreadable"),
        (_text, "unreadable"),
        (_empty, "unreadable"),
        (_bomb, "unreadable"),
        (_small, "too-small"),
        (_as_bmp, "wrong-ending"),
        (_copy, "copy"),
        (_saved_again, "near-copy"),
    ],
)
def test_one_spoiled_picture_is_named(tmp_path: Path, spoil: Spoil, kind: str) -> None:
    folder = two_classes(tmp_path / "parts")
    spoil(folder / "good" / "0020.png", np.random.default_rng(3))
    report = grade_images(folder)
    finding = only(report, kind)
    assert "good/0020.png" in {finding.first, finding.last}
    assert finding.rows == 1


def test_one_shot_in_two_classes_fails_the_gate(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "parts")
    shot = (folder / "good" / "0003.png").read_bytes()
    (folder / "scratch" / "0009.png").write_bytes(shot)
    report = grade_images(folder)
    assert gate(report, "leakage") == "failed"
    assert only(report, "label-conflict").rows == 2


def test_one_shot_in_train_and_test_fails_the_gate(tmp_path: Path) -> None:
    for name in ("train", "test"):
        two_classes(tmp_path / name, good=20, bad=10)
    report = grade_images(tmp_path)  # the same seed: all shots stand in both
    assert gate(report, "leakage") == "failed"
    assert "two parts" in report.findings[0].what


def test_templates_and_boards_of_one_type_are_no_copies(real_sets: Path) -> None:
    group = real_sets / "deeppcb-subset" / "group12300" / "12300"
    boards = sorted(group.glob("*_test.jpg"))
    pairs = [(path, Path(str(path).replace("_test", "_temp"))) for path in boards]
    pairs += list(pairwise(boards))
    assert max(like.alike for like in compare(pairs)) < 0.9


def test_deeppcb_is_read_as_pairs_with_boxes(real_sets: Path) -> None:
    report = grade_images(real_sets / "deeppcb-subset")
    assert report.tables == {
        "deeppcb-subset: pictures": 124,
        "deeppcb-subset: templates": 124,
        "deeppcb-subset: boxes": 790,
    }
    assert kinds(report) == {"written-otherwise"}
    assert gate(report, "leakage") == "open"


@pytest.mark.parametrize(
    ("line", "kind"),
    [("10 10 200 40 3", "box-outside"), ("40 40 40 60 3", "box-empty"), ("x", "unlabelled")],
)  # fmt: skip
def test_wrong_boxes_are_named(tmp_path: Path, line: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    for i in range(12):
        part(rng).save(tmp_path / f"b{i:02d}.png")
        (tmp_path / f"b{i:02d}.txt").write_text("10 10 30 30 1\n40 12 60 30 2\n")
    (tmp_path / "b05.txt").write_text(line + "\n")
    assert only(grade_images(tmp_path), kind).rows == 1


def test_every_form_of_box_file_is_read(tmp_path: Path) -> None:
    voc = tmp_path / "a.xml"
    voc.write_text(
        "<annotation><size><width>96</width><height>96</height></size><object>"
        "<name>crack</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>8</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "b.txt").write_text("0 0.5 0.5 0.2 0.1\n")
    coco = tmp_path / "c.json"
    coco.write_text(
        '{"images":[{"id":1,"file_name":"c.png"}],"categories":[{"id":4,"name":"pit"}],'
        '"annotations":[{"image_id":1,"category_id":4,"bbox":[5,6,10,20]}]}'
    )
    assert read_boxes(voc).boxes[0].kind == "crack"
    assert read_boxes(tmp_path / "b.txt").boxes[0].left == pytest.approx(0.4)
    assert read_coco(coco)["c.png"].boxes[0].bottom == 26


def test_a_billion_laughs_is_no_label_file(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    assert "XML" in read_boxes(path).error


def test_masks_of_another_size_are_named(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "parts" / "test")
    masks = tmp_path / "parts" / "ground_truth" / "scratch"
    masks.mkdir(parents=True)
    for i in range(12):
        side = SIDE if i != 4 else 48
        mask = Image.new("L", (side, side))
        mask.paste(255, (4, 4, 20, 20))
        mask.save(masks / f"{i:04d}_mask.png")
    report = grade_images(folder.parent)
    assert report.tables["parts: masks"] == 12
    assert only(report, "mask-size").first.endswith("0004_mask.png")


def test_rare_classes_are_counted(tmp_path: Path) -> None:
    report = grade_images(two_classes(tmp_path / "parts", good=200, bad=4))
    finding = only(report, "imbalance")
    assert "1 to 50" in finding.what
    assert finding.tag == "scratch"


def test_a_table_of_labels_names_the_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lines = ["file,state"]
    for i in range(24):
        part(rng).save(tmp_path / f"p{i:03d}.png")
        lines.append(f"p{i:03d}.png,{'nok' if i % 4 == 0 else 'ok'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    report = grade_images(tmp_path)
    assert any("column state" in a.what for a in report.assumptions)
    assert any(i.id == "Q15" for i in report.indicators)


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "parts")
    (folder / "good" / "link.png").symlink_to("/dev/zero")
    assert read_album(folder).links == 1


@pytest.mark.parametrize(
    "names", [["group1", "group2"], ["12300", "13000"], ["day1", "day2"]]
)
def test_folders_of_groups_are_no_classes(tmp_path: Path, names: list[str]) -> None:
    rng = np.random.default_rng(2)
    for name in names:
        (tmp_path / name).mkdir()
        for i in range(5):
            part(rng).save(tmp_path / name / f"{i}.png")
    assert {shot.label for shot in read_album(tmp_path).shots} == {""}


def test_a_place_in_the_header_is_a_personal_fact(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for i in range(6):
        picture = part(rng)
        exif = picture.getexif()
        exif[0x013B] = "A. Person"
        picture.save(tmp_path / f"{i}.jpg", exif=exif)
    report = grade_images(tmp_path)
    assert "author" in only(report, "person").what
