"""The first estimate of label noise: over how many folds, and from which predictions."""

import pytest
import torch

from properties import assert_close
from skgdw.weighting import Evidence
from skgdw.weighting._first_transition import first_transition, folds_that_tell
from skgdw.weighting._mean_predictions import drawn_rows


@pytest.mark.parametrize(
    ("n_rows", "share", "n_folds"),
    [
        (100, 0.0, 1),
        (0, 0.25, 1),
        (100, 0.25, 4),
        (3999, 0.25, 4),
        (4000, 0.25, 1),
        (100, 0.3, 3),
        (100, 0.5, 2),
        (100, 0.6, 1),
        (100, 0.01, 4),
    ],
)
def test_as_many_folds_as_hold_all_rows_where_one_holds_few(n_rows, share, n_folds):
    assert folds_that_tell(n_rows, share) == n_folds


class Surveyed:
    """What one network, and copies of it, predict."""

    def __init__(self, training, meta, copies=()):
        self.training, self.meta, self.copies = training, meta, copies

    def training_rows(self):
        return iter([self.training])

    def meta_rows(self):
        return iter([self.meta])


def test_each_network_tells_of_the_rows_that_it_missed():
    """Of the rows that it learnt every network believes the label; of the others, the class."""
    rows = torch.arange(2000)
    true = rows % 3
    y = torch.where(rows // 3 % 5 < 2, (true + 1) % 3, true)  # two fifths
    sure = 3.0 * torch.eye(3).double()
    meta = Evidence(sure, torch.arange(3))
    surveys = [
        Surveyed(
            Evidence(
                torch.where(drawn_rows(rows, 0.25, fold)[:, None], sure[true], sure[y]),
                y,
                rows=rows,
            ),
            meta,
        )
        for fold in range(4)
    ]
    surveys[0].copies = surveys[1:]
    like = torch.zeros(3, 3, dtype=torch.float64)
    found = first_transition(surveys[0], like, 0.25)
    shares = torch.tensor([[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]]).double()
    assert float(found.right_share) == pytest.approx(0.6, abs=0.01)
    assert_close(found.estimate.matrix, shares, 0.02)
    learnt = first_transition(surveys[0], like, 0.0)  # as if no row had been held out
    assert float(learnt.right_share) > 0.8


def test_copies_that_have_diverged_are_left_out():
    rows = torch.arange(300)
    y = rows % 3
    told = 3.0 * torch.eye(3).double()[y]
    meta = Evidence(told[:3], y[:3])
    lost = Surveyed(
        Evidence(torch.full_like(told, torch.nan), y, rows=rows),
        Evidence(torch.full_like(told[:3], torch.nan), y[:3]),
    )
    sound = Surveyed(Evidence(told, y, rows=rows), meta)
    like = torch.zeros(3, 3, dtype=torch.float64)
    alone = first_transition(sound, like, 0.25)
    beside = first_transition(Surveyed(sound.training, meta, [lost]), like, 0.25)
    assert torch.equal(alone.estimate.matrix, beside.estimate.matrix)
    assert torch.equal(alone.right_share, beside.right_share)
