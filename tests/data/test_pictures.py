"""Folders of pictures become samples: size, marks, labels, groups and parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from tests.learn.test_picture_recipes import scenario

from tundish.catalog.pictures import Pictures
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.catalog.tasks import Picture
from tundish.data.errors import PicturesUnfitError, SamplesEmptyError
from tundish.data.pictures import read_pictures

USES = ({"part": "fit", "groups": ["1"]}, {"part": "judge"})
MARKED = {"files": "*_test.png", "label": "marked"}
FOLDER = {
    "kinds": [MARKED],
    "group": "^lot([0-9]+)/",
    "marks": "boxes",
    "uses": list(USES),
}


def site(**changed: object) -> Pictures:
    return Pictures.model_validate({**FOLDER, **changed}, strict=False)


def form(contract: Scenario, **changed: object) -> Scenario:
    """Return a scenario whose pictures have another form."""
    assert contract.picture is not None
    picture = Picture.model_validate({**contract.picture.to_json(), **changed})
    window = contract.window.model_copy(update={"rows": picture.height * picture.width})
    return contract.model_copy(update={"picture": picture, "window": window})


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def lots(tmp_path: Path) -> Path:
    """Two lots of two pictures of 96 x 96 with templates; one has a box from 40 to 60."""
    draw = np.random.default_rng(0)
    for lot in (1, 2):
        for number in range(2):
            pixels = draw.integers(0, 256, (96, 96))
            place = tmp_path / f"lot{lot}" / f"{lot}{number}"
            save(Path(f"{place}_test.png"), pixels)
            save(Path(f"{place}_temp.png"), 255 - pixels)
            boxes = "40 0 60 20 3\n" if number else ""
            Path(f"{place}.txt").write_text(boxes)
    return tmp_path


def test_a_picture_is_scaled_by_the_mean_over_areas(lots: Path) -> None:
    found = read_pictures(site(), scenario(), lots)
    whole = np.asarray(Image.open(lots / "lot1/10_test.png"), dtype=np.float64)
    means = whole.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert found.x.shape == (4, 48 * 48, 1)
    assert (
        np.abs(found.x[0, :, 0] - means.ravel()).max() <= 1.0
    )  # rounded along, then across


def test_a_box_marks_its_cells_and_makes_the_part_bad(lots: Path) -> None:
    found = read_pictures(site(), scenario(), lots)
    assert found.y.tolist() == [0, 1, 0, 1]
    assert found.mask is not None
    expected = np.zeros((6, 6), bool)
    expected[0, 2] = expected[0, 3] = True
    assert (found.mask[1].reshape(6, 6) == expected).all()
    assert not found.mask[[0, 2]].any()


def test_a_piece_that_a_box_only_touches_is_left_out(lots: Path) -> None:
    found = read_pictures(site(cut=(2, 2)), scenario(), lots)
    # the box lies around column 48, the edge: its centre falls to the right piece
    assert found.undecided == 2
    assert len(found.x) == 14
    assert found.name[found.y == 1].tolist() == [
        "lot1/11_test.png#1",
        "lot2/21_test.png#1",
    ]


def test_no_group_is_judged_and_learnt_from(lots: Path) -> None:
    found = read_pictures(site(), scenario(), lots)
    assert set(zip(found.group.tolist(), found.part.tolist(), strict=True)) == {
        ("1", "fit"),
        ("2", "judge"),
    }
    uses = [
        {"part": "fit", "groups": ["1"], "files": "*10_test*"},
        {"part": "judge", "groups": ["1"]},
    ]
    with pytest.raises(PicturesUnfitError, match="judged and learnt from"):
        read_pictures(site(uses=uses), scenario(), lots)


def test_shares_are_of_whole_groups(lots: Path) -> None:
    uses = [{"part": "fit", "share": 0.5}, {"part": "judge"}]
    found = read_pictures(site(uses=uses), scenario(), lots)
    assert found.part.tolist() == ["fit", "fit", "judge", "judge"]


def test_the_template_stands_beside_the_picture(lots: Path) -> None:
    contract = form(scenario(reference=True), height=96, width=96)
    found = read_pictures(site(reference=True), contract, lots)
    assert (found.x.sum(axis=2) == 255).all()
    (lots / "lot1/10_temp.png").unlink()
    with pytest.raises(PicturesUnfitError, match="no template"):
        read_pictures(site(reference=True), contract, lots)


def test_masks_mark_what_is_not_black(tmp_path: Path) -> None:
    for name in ("1", "2"):
        save(tmp_path / f"good/lot{name}_a.png", np.zeros((48, 48)))
        save(tmp_path / f"bad/lot{name}_b.png", np.zeros((48, 48)))
        mask = np.zeros((48, 48))
        mask[3:5, 20:22] = 1  # masks of zeros and ones are common
        save(tmp_path / f"ground_truth/lot{name}_b_mask.png", mask)
    kinds = [
        {"files": "good/*", "label": "good"},
        {"files": "bad/*", "label": "bad"},
    ]
    pattern = "lot([0-9])_"
    found = read_pictures(
        site(kinds=kinds, marks="masks", group=pattern), scenario(), tmp_path
    )
    assert found.y.tolist() == [1, 1, 0, 0]
    assert found.mask is not None
    assert np.flatnonzero(found.mask[0]).tolist() in ([2], [])


def test_a_manifest_names_pictures_labels_and_groups(lots: Path) -> None:
    rows = ["path,label,group", "lot1/10_test.png,good,1", "lot2/21_test.png,bad,2"]
    (lots / "list.csv").write_text("\n".join(rows) + "\n")
    listed = site(kinds=[], manifest="list.csv", group=None, marks=None)
    found = read_pictures(listed, scenario(), lots)
    assert found.y.tolist() == [0, 1]
    assert found.mask is None
    (lots / "list.csv").write_text("\n".join([*rows, "../x.png,good,1"]) + "\n")
    with pytest.raises(PicturesUnfitError, match=r"\.\./x\.png"):
        read_pictures(listed, scenario(), lots)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"kinds": [{"files": "*_test.png", "label": "odd"}]}, "'odd'"),
        ({"group": "^no([0-9]+)/"}, "belongs to no group"),
    ],
)
def test_what_does_not_fit_the_scenario_is_refused(
    lots: Path, changed: dict[str, object], match: str
) -> None:
    with pytest.raises(PicturesUnfitError, match=match):
        read_pictures(site(**changed), scenario(), lots)


def test_a_broken_picture_is_named(lots: Path) -> None:
    (lots / "lot1/10_test.png").write_bytes(b"no picture")
    with pytest.raises(PicturesUnfitError, match=r"10_test\.png"):
        read_pictures(site(), scenario(), lots)


def test_a_folder_in_which_nothing_fits_is_refused(lots: Path) -> None:
    with pytest.raises(SamplesEmptyError, match="no pattern"):
        read_pictures(
            site(kinds=[{"files": "*.bmp", "label": "good"}]), scenario(), lots
        )


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"manifest": "list.csv"}, "either kinds or a manifest"),
        ({"group": "lot[0-9]+"}, "0 groups in brackets"),
        ({"group": "lot("}, "no regular expression"),
        ({"marks": None}, "needs boxes or masks"),
        ({"kinds": [{"files": "*", "label": "bad"}], "cut": (2, 2)}, "which piece"),
        ({"uses": [{"part": "fit", "groups": ["1"], "share": 0.5}]}, "groups or share"),
    ],
)
def test_a_site_that_says_two_things_of_its_pictures_is_refused(
    changed: dict[str, object], match: str
) -> None:
    with pytest.raises(ValidationError, match=match):
        site(**changed)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({}, "either tables"),
        ({"pictures": FOLDER, "tags": {"a": {"column": "a"}}}, "no tags"),
    ],
)
def test_a_site_has_tables_or_pictures(changed: dict[str, object], match: str) -> None:
    plain = {
        "format": "tundish.site",
        "version": 1,
        "scenario": "C39.18.test-part",
        "site": "test",
    }
    with pytest.raises(ValidationError, match=match):
        SiteProfile.model_validate({**plain, **changed}, strict=False)
