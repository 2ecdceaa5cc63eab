"""Pictures that stand alone say what they show."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from medscale.report.registration import PairPicture, registration_sheet
from medscale.report.samples import SampleRow, contact_sheet
from medscale_cli.preview import _explain, _plane_shown


def row(samples: int, *, deformed: bool, title: str = "case") -> SampleRow:
    images = np.zeros((samples, 8, 8))
    return SampleRow(
        title=title,
        image=images[0],
        mask=images[0],
        images=images,
        masks=images,
        displacements=np.zeros((samples, 2, 8, 8)) if deformed else None,
        determinants=np.ones((samples, 8, 8)) if deformed else None,
    )


def words(sheet: Figure) -> str:
    """Return what is written outside of the pictures' headings."""
    scales = [axes for axes in sheet.axes if axes.get_xlabel()]
    ticks = [tick.get_text() for axes in scales for tick in axes.get_xticklabels()]
    return " ".join([*ticks, *(axes.get_xlabel() for axes in scales)])


@pytest.mark.parametrize(("cases", "samples"), [(1, 1), (2, 1), (3, 4), (14, 1)])
@pytest.mark.parametrize("deformed", [True, False])
@pytest.mark.parametrize("title", ["toys · lv · red", "toys · lv · red\nslice 5 of 8"])
def test_nothing_is_written_over_something_else(
    cases: int, samples: int, deformed: bool, title: str
) -> None:
    sheet = contact_sheet(title, [row(samples, deformed=deformed)] * cases)
    _explain(sheet, volume=False)
    sheet.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in sheet.axes]
    (heading,) = [text for text in sheet.texts if text.get_text() == title]
    boxes.append(heading.get_window_extent())
    for place, box in enumerate(boxes):
        assert box is not None
        assert box.y0 >= 0
        assert box.y1 <= sheet.bbox.height
        assert not any(box.overlaps(other) for other in boxes[:place] if other is not None)


def test_maps_have_a_scale() -> None:
    sheet = contact_sheet("toys", [row(2, deformed=True)])
    _explain(sheet, volume=False)
    assert words(sheet) == "×0.5 same ×2 map: area beside the original's; grey: folded"
    sheet = contact_sheet("toys", [row(2, deformed=True)])
    _explain(sheet, volume=True)
    assert "map: volume beside" in words(sheet)


def test_a_sheet_of_pairs_has_one_too() -> None:
    pixels = np.zeros((8, 8))
    pair = PairPicture(
        title="a to b",
        moving=(pixels, pixels),
        fixed=(pixels, pixels),
        warped=(pixels, pixels),
        displacement=np.zeros((2, 8, 8)),
        determinant=np.ones((8, 8)),
    )
    sheet = registration_sheet("toys", [pair])
    _explain(sheet, volume=False)
    assert "×0.5 same ×2" in words(sheet)


def test_a_sheet_without_maps_has_no_scale() -> None:
    sheet = contact_sheet("toys", [row(2, deformed=False, title="map 1")])
    _explain(sheet, volume=False)
    assert words(sheet) == ""


def test_of_a_volume_the_slice_is_said() -> None:
    assert _plane_shown((64, 64)) == ""
    assert _plane_shown((32, 48, 20)) == "\nslice 11 of 20 across the third axis"
