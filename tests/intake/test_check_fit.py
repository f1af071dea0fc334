"""What one walk through the arguments of `fit` gives: training, meta and validation rows."""

import dataclasses
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from skorch.dataset import ValidSplit
from torch.utils.data import TensorDataset

from classifier_cases import Net, blobs, quick, weights
from skgdw._intake._check_fit import GivenRows, check_fit
from skgdw._rows import n_rows
from skgdw.exceptions import MetaScaleWarning, MetaSlicedWarning, ValidationOverlapWarning

X, Y, X_META, Y_META = DATA = blobs()
X_VAL, Y_VAL = blobs(9, 3, seed=1)[:2]
MASK = np.arange(48) % 5 == 0
NAMES = np.array([*"abc"])


class Taker(BaseEstimator):
    """What the walk asks of a classifier, and no more."""

    def __init__(self, meta_size=0.25, train_split=None):
        self.meta_size, self.train_split = meta_size, train_split

    def _input_dtype(self):
        return "numeric"


def walk(*given, uses_meta=True, classes=None, draws=None, **beside):
    def random_state():
        if draws is not None:
            draws.append("drawn")
        return np.random.RandomState(0)

    return check_fit(
        Taker(),
        GivenRows(*given, **beside),
        classes=classes,
        reset=True,
        uses_meta=uses_meta,
        random_state=random_state,
    )


def test_a_meta_set_and_validation_rows_beside_x():
    data = walk(X, NAMES[Y], X_META, NAMES[Y_META], X_val=(X_VAL,), y_val=(NAMES[Y_VAL],))
    for rows, X_given, codes in (
        (data.train, X, Y),
        (data.meta, X_META, Y_META),
        (data.valid, X_VAL, Y_VAL),
    ):
        assert np.array_equal(rows.X, X_given)
        assert np.array_equal(rows.y, codes)
        assert rows.y.dtype == np.int64
        assert np.array_equal(rows.rows, np.arange(len(codes)))
    assert data.classes.tolist() == [*"abc"]
    assert data.n_rows == 48
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.valid = None


def test_a_mask_splits_x():
    data = walk(X, Y, meta_mask=MASK, X_val=X_VAL, y_val=Y_VAL)
    assert np.array_equal(data.meta.rows, np.flatnonzero(MASK))
    assert np.array_equal(data.train.X, X[~MASK])
    assert data.n_rows == 48
    assert len(data.valid.rows) == 9


def test_a_meta_set_is_taken_out_where_the_weights_are_taught():
    with pytest.warns(match="No meta set was given: 12 of the 48 rows"):
        data = walk(X, Y)
    assert (len(data.train.rows), len(data.meta.rows), data.valid) == (36, 12, None)
    plain = walk(X, Y, uses_meta=False)
    assert (len(plain.train.rows), plain.meta) == (48, None)


def test_nothing_is_drawn_before_the_last_check():
    draws = []
    with pytest.raises(ValueError, match="`y_val` must hold labels that y or y_meta hold"):
        walk(*DATA, X_val=X_VAL, y_val=Y_VAL + 1, draws=draws)
    assert draws == []
    walk(*DATA, draws=draws)
    assert draws == ["drawn"]


def test_a_refused_fit_takes_nothing_from_a_seed_that_is_shared():
    state = np.random.RandomState(0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        quick(random_state=state).fit(X * np.nan, Y)
    assert state.randint(2**31) == np.random.RandomState(0).randint(2**31)


# --- validation rows ------------------------------------------------------------------------------


def test_codes_are_those_of_the_training_labels():
    """Validation rows that lack a class, or hold one of y_meta alone, keep the codes of all."""
    few, few_val = Y < 2, Y_VAL > 0
    with pytest.warns(match="classes of y_meta without a row in y: \\['c'\\]"):
        data = walk(
            X[few], NAMES[Y][few], X_META, NAMES[Y_META],
            X_val=X_VAL[few_val], y_val=NAMES[Y_VAL][few_val],
        )  # fmt: skip
    assert data.classes.tolist() == [*"abc"]
    assert np.array_equal(data.valid.y, Y_VAL[few_val])


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
def test_codes_follow_classes_that_are_given():
    data = walk(*DATA, X_val=X_VAL, y_val=Y_VAL, classes=[2, 0, 1])
    assert np.array_equal(data.valid.y, np.array([1, 2, 0])[Y_VAL])


@pytest.mark.parametrize("wrap", [lambda a: a.tolist(), torch.tensor, lambda a: (a,), pd.DataFrame])
def test_containers_of_validation_rows(wrap):
    assert np.allclose(walk(*DATA, X_val=wrap(X_VAL), y_val=Y_VAL).valid.X, X_VAL)


def test_a_mapping_and_a_dataset():
    def mapping(rows):
        return {"left": rows[:, :2], "right": rows[:, 2:]}

    data = walk(mapping(X), Y, mapping(X_META), Y_META, X_val=mapping(X_VAL), y_val=Y_VAL)
    assert np.array_equal(data.valid.X["right"], X_VAL[:, 2:])
    sets = [TensorDataset(torch.tensor(a), torch.tensor(b)) for a, b in (DATA[:2], (X_VAL, Y_VAL))]
    data = walk(sets[0], Y, uses_meta=False, X_val=sets[1])
    assert np.array_equal(data.valid.y, Y_VAL)
    assert [y for _, y in data.valid.X] == Y_VAL.tolist()


REFUSED_VALIDATION = {
    "X_val alone": (
        {"y_val": None},
        ValueError,
        "`X_val` and `y_val` must come together; got `X_val` without `y_val`. Pass `y_val` as well",
    ),
    "y_val alone": ({"X_val": None}, ValueError, "got `y_val` without `X_val`. Pass `X_val` as"),
    "unequal lengths": (
        {"y_val": Y_VAL[:-1]},
        ValueError,
        "`X_val` and `y_val` must have the same number of rows; got 9 and 8; pass one label per "
        "row. Under cross-validation wrap both in 1-tuples, X_val=(X_val,), y_val=(y_val,).",
    ),
    "tuple of two": (
        {"X_val": (X_VAL, X_VAL)},
        ValueError,
        "`X_val` as a tuple must hold exactly one array; got 2 entries. Pass (X_val,)",
    ),
    "fewer columns": (
        {"X_val": X_VAL[:, :3]},
        ValueError,
        "`X_val` must have the columns of X; got rows of shape (3,), X has (4,). Send both through",
    ),
    "NaN": ({"X_val": X_VAL * np.nan}, ValueError, "Input X_val contains NaN"),
    "no row": (
        {"X_val": X_VAL[:0], "y_val": Y_VAL[:0]},
        ValueError,
        "`X_val` must hold at least one row; got an empty validation set",
    ),
    "a mapping": (
        {"X_val": {"a": X_VAL}},
        TypeError,
        "`X_val` must be of the same kind as X; got dict beside ndarray. Pass an array.",
    ),
    "labels of another kind": (
        {"y_val": NAMES[Y_VAL]},
        ValueError,
        "`y_val` must hold labels of the same kind as y's; got strings (['a', 'b', 'c'], ...) "
        "where y holds numbers",
    ),
    "unknown labels": (
        {"y_val": np.where(Y_VAL > 0, Y_VAL + 5, 0)},
        ValueError,
        "`y_val` must hold labels that y or y_meta hold, [0, 1, 2]; got [6, 7] in 6 rows: no class "
        "is learnt for them, so they cannot be scored. Drop these rows, or give training rows of",
    ),
    "several columns": (
        {"y_val": np.stack([Y_VAL, Y_VAL], 1)},
        ValueError,
        "does not cut `y_val` so: give it no `X_val` and `y_val`.",
    ),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", REFUSED_VALIDATION)
def test_validation_rows_refused(case, method):
    beside, error, words = REFUSED_VALIDATION[case]
    net = quick()
    Net.built = 0
    beside = {"X_val": X_VAL, "y_val": Y_VAL} | beside
    with pytest.raises(error, match=re.escape(words)):
        getattr(net, method)(X, Y, X_meta=X_META, y_meta=Y_META, **beside)
    assert Net.built == 0
    assert not hasattr(net, "classes_")


def test_two_validation_sets_are_refused():
    words = re.escape("`X_val` and `y_val` must not stand beside `train_split`, as there is one")
    net = quick(train_split=ValidSplit(4))
    with pytest.raises(ValueError, match=f"{words}.*Set train_split=None to validate on these"):
        net.fit(*DATA, X_val=X_VAL, y_val=Y_VAL)
    net.set_params(train_split=None).fit(*DATA, X_val=X_VAL, y_val=Y_VAL)


def test_partial_fit_knows_the_labels_of_the_first_call():
    net = quick().partial_fit(X, Y, X_meta=X_META, y_meta=Y_META, X_val=X_VAL, y_val=Y_VAL)
    few = Y < 2
    with pytest.warns(match="classes of y_meta without a row in y"):
        net.partial_fit(X[few], Y[few], X_meta=X_META, y_meta=Y_META, X_val=X_VAL, y_val=Y_VAL)
    assert len(net.history) == 2


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_validation_rows_do_not_train(weighting):
    alone = quick(weighting=weighting).fit(*DATA)
    beside = quick(weighting=weighting).fit(*DATA, X_val=X_VAL, y_val=Y_VAL)
    assert np.array_equal(weights(alone), weights(beside))


OVERLAP = (
    "The validation set should be disjoint from the training set and from the meta set; of its"
)


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"X_val": np.vstack([X[:4], X_VAL[4:]])}, "9 different rows 4 also stand in X. What"),
        ({"X_val": np.vstack([X_META[:2], X_VAL[2:]])}, "9 different rows 2 also stand in X_meta."),
        (
            {"X_val": np.vstack([X[:3], X_META[:2], X_VAL[5:]])},
            "9 different rows 3 also stand in X and 2 also stand in X_meta.",
        ),
    ],
)
@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_overlap_is_counted(beside, words, weighting):
    net = quick(max_epochs=0, weighting=weighting)
    with pytest.warns(ValidationOverlapWarning, match=re.escape(f"{OVERLAP} {words}")) as caught:
        net.fit(*DATA, **beside, y_val=Y_VAL)
    assert [entry.filename for entry in caught] == [__file__]


def test_rows_under_a_mask_count_as_rows_of_x():
    with pytest.warns(ValidationOverlapWarning, match="9 different rows 1 also stand in X."):
        walk(X, Y, meta_mask=MASK, X_val=np.vstack([X[MASK][:1], X_VAL[1:]]), y_val=Y_VAL)


def test_validation_rows_that_a_splitter_may_have_cut():
    data = blobs(48, 3, seed=2)
    with pytest.warns(MetaSlicedWarning, match=r"`X_val` has as many rows as X, 48.*X_val=\(X_val"):
        walk(*DATA, X_val=data.X, y_val=data.y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk(*DATA, X_val=(data.X,), y_val=(data.y,))


def test_validation_rows_on_another_scale():
    with pytest.warns(MetaScaleWarning, match="The validation set should be on the scale of X"):
        walk(*DATA, X_val=100 * X_VAL + 1000, y_val=Y_VAL)


def test_validation_rows_that_lack_classes_are_quiet():
    walk(*DATA, X_val=X_VAL[Y_VAL == 0], y_val=Y_VAL[Y_VAL == 0])


# --- columns without numbers ----------------------------------------------------------------------


def test_rows_of_every_part_have_the_form_of_x():
    data = walk(X.astype(np.float32), Y, X_META, Y_META, X_val=X_VAL.tolist(), y_val=Y_VAL)
    assert {rows.X.dtype for rows in (data.train, data.meta, data.valid)} == {np.dtype("f4")}
    assert n_rows(data.valid.X) == 9
