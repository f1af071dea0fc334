"""Which stages a fit has."""

from types import SimpleNamespace

import pytest

from skgdw._training._plan import FINE_TUNING_EPOCHS, Stage, make_plan

TRAIN, META, VALID = "train", "meta", "valid"


def plan(*, meta=META, valid=None, is_weighted=True, fine_tune=False, keep_best=False):
    rows = SimpleNamespace(train=TRAIN, meta=meta, valid=valid)
    return make_plan(
        rows, epochs=7, is_weighted=is_weighted, fine_tune=fine_tune, keep_best=keep_best
    )


@pytest.mark.parametrize(("is_weighted", "name"), [(True, "weighted"), (False, "plain")])
def test_one_stage_is_what_is_usual(is_weighted, name):
    assert plan(is_weighted=is_weighted) == [Stage(name, TRAIN, 7, is_weighted)]


@pytest.mark.parametrize(
    ("meta", "valid", "judged_on"),
    [(META, None, META), (META, VALID, VALID), (None, VALID, VALID)],
)
def test_the_best_epoch_is_judged_on_validation_rows_before_meta_rows(meta, valid, judged_on):
    (stage,) = plan(meta=meta, valid=valid, keep_best=True)
    assert stage.judged_on == judged_on


def test_without_rows_to_judge_on_there_is_no_best_epoch():
    with pytest.raises(ValueError, match=r"`keep_best` must have rows .*Pass X_val and y_val"):
        plan(meta=None, keep_best=True)


@pytest.mark.parametrize("valid", [None, VALID])
@pytest.mark.parametrize("keep_best", [True, False])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_fine_tuning_goes_on_from_the_best_epoch(valid, keep_best, is_weighted):
    first, second = plan(valid=valid, keep_best=keep_best, is_weighted=is_weighted, fine_tune=True)
    assert (first.judged_on, first.epochs) == (valid or META, 7)
    assert first.is_weighted is is_weighted
    assert not first.fine_tunes
    assert second == Stage("fine_tune", META, FINE_TUNING_EPOCHS, fine_tunes=True)
    assert second.judged_on is None


def test_without_meta_rows_there_is_nothing_to_fine_tune_on():
    assert len(plan(meta=None, fine_tune=True)) == 1
