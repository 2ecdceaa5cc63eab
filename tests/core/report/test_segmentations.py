"""Pictures of predictions show the case, the plane and the mask that the trial kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medscale.data.cohort import Cohort
from medscale.report.segmentations import found, segmentation_sheet
from medscale.study.examples import example
from medscale.study.plan import PlannedTrial
from medscale.study.records import TrialRecord


def test_predictions_stand_beside_their_images(
    make_cohort: Callable[..., Cohort],
    make_trial: Callable[..., PlannedTrial],
    make_record: Callable[..., TrialRecord],
) -> None:
    cohort = make_cohort(["a", "b", "c"], shape=(8, 8, 4))
    predicted = np.zeros((8, 8, 4), dtype=bool)
    predicted[3:5, 3:5] = True
    kept = example("case1", "best", 0.4, predicted, cohort.labels[1] == 1)
    record = make_record(make_trial(size=4)).model_copy(update={"examples": (kept,)})
    shown = found(record, cohort)["best"]
    assert kept.plane is not None
    np.testing.assert_array_equal(shown.image, cohort.images[1, 0, :, :, kept.plane])
    np.testing.assert_array_equal(shown.true, cohort.labels[1, :, :, kept.plane])
    np.testing.assert_array_equal(shown.predicted, predicted[..., kept.plane])

    figure = segmentation_sheet([(4, found(record, cohort)), (8, {})])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["n = 4", "n = 8", "", "", "", ""]
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["worst", "median", "Dice 0.40", "best"]
