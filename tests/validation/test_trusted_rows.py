"""What `fit` refuses about the meta set, with which words, and that torch never sees it."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from classifier_cases import Net, blobs, quick, weights

DATA = blobs()
X, Y, X_META, Y_META = DATA
NAMES = ["a", "b", "c", "d"]
FRAME = pd.DataFrame(X, columns=NAMES)
MASK = np.arange(len(Y)) < 6


def spoiled(rows, value, at=(1, 2)):
    rows = rows.copy()
    rows[at] = value
    return rows


def with_missing(labels, missing, dtype=object):
    labels = labels.astype(dtype)
    labels[3] = missing
    return labels


# What is passed beside (X, y) or instead of them, and what is said.
REFUSED_META = {
    "X_meta alone": (
        {"X_meta": X_META},
        ValueError,
        "`X_meta` and `y_meta` must come together; got `X_meta` without `y_meta`. Pass `y_meta`",
    ),
    "y_meta alone": (
        {"y_meta": Y_META},
        ValueError,
        "`X_meta` and `y_meta` must come together; got `y_meta` without `X_meta`. Pass `X_meta`",
    ),
    "mask beside the pair": (
        {"X_meta": X_META, "y_meta": Y_META, "meta_mask": MASK},
        ValueError,
        "`meta_mask` must not stand beside `X_meta` and `y_meta`; got both",
    ),
    "unequal lengths": (
        {"X_meta": X_META, "y_meta": Y_META[:-1]},
        ValueError,
        "`X_meta` and `y_meta` must have the same number of rows; got 12 and 11",
    ),
    "X_meta wrapped, y_meta cut": (
        {"X_meta": (X_META,), "y_meta": Y_META[:-4]},
        ValueError,
        "got 12 and 8; pass one label per row. Under cross-validation wrap both in 1-tuples",
    ),
    "empty tuple": (
        {"X_meta": (), "y_meta": (Y_META,)},
        ValueError,
        "`X_meta` as a tuple must hold exactly one array; got 0 entries. Pass (X_meta,)",
    ),
    "tuple of two": (
        {"X_meta": (X_META, X_META), "y_meta": (Y_META,)},
        ValueError,
        "`X_meta` as a tuple must hold exactly one array; got 2 entries",
    ),
    "tuple of labels": (
        {"X_meta": X_META, "y_meta": tuple(Y_META.tolist())},
        ValueError,
        "`y_meta` as a tuple must hold exactly one array; got 12 entries. Pass (y_meta,)",
    ),
    "fewer columns": (
        {"X_meta": X_META[:, :3], "y_meta": Y_META},
        ValueError,
        "`X_meta` must have the columns of X; got rows of shape (3,), X has (4,). Send "
        "both through the same preprocessing; a wrapper that takes columns out of X, or "
        "adds some (feature selection, bagging of features, stacking), leaves `X_meta` as it was: "
        "give it `meta_mask`",
    ),
    "images beside a table": (
        {"X_meta": X_META.reshape(12, 1, 2, 2), "y_meta": Y_META},
        ValueError,
        "`X_meta` must have the columns of X; got rows of shape (1, 2, 2), X has (4,)",
    ),
    "one row without its axis": (
        {"X_meta": X_META[0], "y_meta": Y_META[:1]},
        ValueError,
        "Expected 2D array, got 1D array instead",
    ),
    "other column names": (
        {"X": FRAME, "X_meta": pd.DataFrame(X_META, columns=[*"abce"]), "y_meta": Y_META},
        ValueError,
        "`X_meta` must have the columns of X: The feature names should match",
    ),
    "columns in another order": (
        {"X": FRAME, "X_meta": pd.DataFrame(X_META, columns=[*"abdc"]), "y_meta": Y_META},
        ValueError,
        "Feature names must be in the same order",
    ),
    "NaN": (
        {"X_meta": spoiled(X_META, np.nan), "y_meta": Y_META},
        ValueError,
        "Input X_meta contains NaN",
    ),
    "infinity": (
        {"X_meta": spoiled(X_META, -np.inf), "y_meta": Y_META},
        ValueError,
        "Input X_meta contains infinity",
    ),
    "text for numbers": (
        {"X_meta": X_META.astype(str).astype(object) + "x", "y_meta": Y_META},
        TypeError,
        "`X_meta` must hold numbers; got column 0, with texts such as '",
    ),
    "no row": (
        {"X_meta": X_META[:0], "y_meta": Y_META[:0]},
        ValueError,
        "`X_meta` must hold at least one row; got an empty meta set",
    ),
    "empty lists": (
        {"X_meta": [], "y_meta": []},
        ValueError,
        "`X_meta` must hold at least one row; got an empty meta set",
    ),
    "empty frame": (
        {"X": FRAME, "X_meta": pd.DataFrame(X_META[:0], columns=NAMES), "y_meta": Y_META[:0]},
        ValueError,
        "`X_meta` must hold at least one row; got an empty meta set",
    ),
    "labels as text": (
        {"X_meta": X_META, "y_meta": Y_META.astype(str)},
        ValueError,
        "`y_meta` must hold labels of the same kind as y's; got strings (['0', '1', '2'], ...) "
        "where y holds numbers ([0, 1, 2], ...). Label both in the same way. If you did, a "
        "meta-estimator around the classifier (one-vs-rest, voting, bagging) has encoded y anew, "
        "but not `y_meta`: give it `meta_mask` in place of `X_meta` and `y_meta`.",
    ),
    "numbers where y has text": (
        {"y": Y.astype(str), "X_meta": X_META, "y_meta": Y_META},
        ValueError,
        "got numbers ([0, 1, 2], ...) where y holds strings (['0', '1', '2'], ...)",
    ),
    "booleans where y has numbers": (
        {"X_meta": X_META, "y_meta": Y_META > 0},
        ValueError,
        "`y_meta` must hold labels of the same kind as y's; got booleans",
    ),
    "None among y_meta": (
        {"y": Y.astype(str), "X_meta": X_META, "y_meta": with_missing(Y_META.astype(str), None)},
        ValueError,
        "`y_meta` must have a label in every row; got 1 missing, the first in row 3; drop or label",
    ),
    "NaN among y_meta": (
        {"X_meta": X_META, "y_meta": with_missing(Y_META, np.nan, float)},
        ValueError,
        "`y_meta` must have a label in every row; got 1 missing, the first in row 3",
    ),
    "NA in a column of text": (
        {
            "y": Y.astype(str),
            "X_meta": X_META,
            "y_meta": pd.Series(Y_META.astype(str), dtype="string").mask(Y_META == 2),
        },
        ValueError,
        "`y_meta` must have a label in every row; got 4 missing, the first in row 2",
    ),
    "continuous y_meta": (
        {"X_meta": X_META, "y_meta": Y_META + 0.5},
        ValueError,
        "Unknown label type: `y_meta` must hold classes; got continuous values such as 0.5",
    ),
    "two columns of labels": (
        {"X_meta": X_META, "y_meta": 2 * np.eye(3)[Y_META]},
        ValueError,
        "`y_meta` must hold one label per row, as a vector, a column or one-hot rows; got shape "
        "(12, 3); multilabel and multioutput targets are not supported. A wrapper that fits one "
        "classifier for each column of y (MultiOutputClassifier, ClassifierChain) does not cut "
        "`y_meta` so: give it `meta_mask` in place of `X_meta` and `y_meta`.",
    ),
    "mask without a true row": (
        {"meta_mask": np.zeros(48, bool)},
        ValueError,
        "`meta_mask` must mark some rows of X as meta rows and leave others; got no true row",
    ),
    "mask of true rows only": (
        {"meta_mask": np.ones(48, bool)},
        ValueError,
        "`meta_mask` must mark some rows of X as meta rows and leave others; got only true rows",
    ),
    "mask too short": (
        {"meta_mask": MASK[:-1]},
        ValueError,
        "`meta_mask` must have one entry for each row of X, shape (48,); got (47,); mark the "
        "rows of this X; a wrapper that trains on some of its rows (self-training) does "
        "not cut the mask: give it `X_meta` and `y_meta`; "
        "behind a sampler that changes their number use skgdw.",
    ),
    "mask in two dimensions": (
        {"meta_mask": MASK[:, None]},
        ValueError,
        "`meta_mask` must have one entry for each row of X, shape (48,); got (48, 1)",
    ),
    "mask of zeros and ones": (
        {"meta_mask": MASK.astype(int)},
        TypeError,
        "`meta_mask` must be boolean; got dtype int64",
    ),
    "row numbers for a mask": (
        {"meta_mask": [0, 1, 2]},
        TypeError,
        "mask = np.zeros(len(X), bool); mask[rows] = True",
    ),
    "mask with a gap": (
        {"meta_mask": [None, *MASK[1:].tolist()]},
        TypeError,
        "`meta_mask` must be boolean; got dtype object",
    ),
    "mask that leaves one row": (
        {"meta_mask": np.arange(48) > 0},
        ValueError,
        "At least two training rows are needed beside the meta set; got n_samples = 1",
    ),
    "meta_size too small": (
        {},
        ValueError,
        "`meta_size` must be at least the number of classes, 3; got 2 rows",
    ),
}

REFUSED_ROWS = {
    "no labels": ({"y": None}, ValueError, "`y` must hold one label a row; got None"),
    "labels missing at the end": (
        {"y": Y[:-1]},
        ValueError,
        "`X` and `y` must have the same number of rows; got 48 and 47; pass one label per row.",
    ),
    "NaN in X": ({"X": spoiled(X, np.nan)}, ValueError, "Input X contains NaN"),
    "infinity in X": ({"X": spoiled(X, np.inf)}, ValueError, "Input X contains infinity"),
    "too large for float32": ({"X": spoiled(X, 1e300)}, ValueError, "too large for dtype"),
    "one dimension": ({"X": X[:, 0]}, ValueError, "Expected 2D array, got 1D array"),
    "no columns": ({"X": X[:, :0]}, ValueError, "0 feature(s)"),
    "no rows": ({"X": X[:0], "y": Y[:0]}, ValueError, "0 sample(s)"),
    "one row": ({"X": X[:1], "y": Y[:1]}, ValueError, "At least two training rows are needed"),
    "complex": ({"X": X + 0j}, ValueError, "Complex data not supported"),
    "text": (
        {"X": X.astype(str).astype(object) + "x"},
        TypeError,
        "`X` must hold numbers; got column 0, with texts such as '",
    ),
    "continuous y": (
        {"y": Y + 0.5},
        ValueError,
        "Unknown label type: `y` must hold classes; got continuous values such as 0.5; bin them",
    ),
    "several outputs": (
        {"y": np.eye(3)[Y] + 1},
        ValueError,
        "`y` must hold one label per row, as a vector, a column or one-hot rows; got shape "
        "(48, 3); multilabel and multioutput targets are not supported. For several outputs wrap "
        "the classifier in MultiOutputClassifier, with the meta rows marked by `meta_mask`.",
    ),
    "NaN in y": (
        {"y": with_missing(Y, np.nan, float)},
        ValueError,
        "`y` must have a label in every row; got 1 missing, the first in row 3; drop or label",
    ),
    "NaN in text y": (
        {"y": with_missing(Y.astype(str), np.nan)},
        ValueError,
        "`y` must have a label in every row; got 1 missing, the first in row 3; drop or label",
    ),
    "None in y": (
        {"y": with_missing(Y.astype(str), None)},
        ValueError,
        "`y` must have a label in every row; got 1 missing, the first in row 3; drop or label",
    ),
    "numbers and text in y": (
        {"y": np.array([0, "a"] * 24, dtype=object)},
        TypeError,
        "`y` must hold labels of one kind that can be sorted; got int, str; convert them",
    ),
    "too few classes": ({"classes": [0, 1]}, ValueError, "got [0, 1], and labels [2] beside them"),
    "a class twice": (
        {"classes": [0, 1, 2, 2]},
        ValueError,
        "`classes` must not repeat a label; got [0, 1, 2, 2]",
    ),
}

REFUSED = REFUSED_META | REFUSED_ROWS

# numpy's, from within scikit-learn's check of 1e300 for float32.
cast_warning = pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")


def call(net, arguments, method="fit"):
    """Fit with the arguments in place of the good ones; `classes` goes to the constructor."""
    arguments = dict(arguments)
    if "classes" in arguments:
        net.set_params(classes=arguments.pop("classes"))
    return getattr(net, method)(arguments.pop("X", X), arguments.pop("y", Y), **arguments)


def refuser():
    return quick(meta_size=2)  # for three classes: refused too, where no meta set is given


@pytest.fixture(scope="module")
def fitted():
    return refuser().fit(*DATA)


@pytest.fixture(autouse=True)
def _counts(fitted):
    Net.built = Net.calls = 0


@cast_warning
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_so_many_words(case, method):
    arguments, error, words = REFUSED[case]
    net = refuser()
    with pytest.raises(error) as caught:
        call(net, arguments, method)
    assert words in str(caught.value)
    assert Net.built == Net.calls == 0
    assert not hasattr(net, "module_")
    assert not hasattr(net, "classes_")
    with pytest.raises(NotFittedError, match="not fitted yet"):
        net.predict(X)


@cast_warning
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_leaves_a_fitted_classifier_as_it_was(case, fitted):
    arguments, error, _ = REFUSED[case]
    net, before = copy.deepcopy(fitted), copy.deepcopy(fitted)
    with pytest.raises(error):
        call(net, arguments)
    assert Net.calls == 0
    assert np.array_equal(weights(net), weights(before))
    assert np.array_equal(net.classes_, before.classes_)
    assert len(net.history) == len(before.history)
    assert np.array_equal(net.row_weights_, before.row_weights_)
    assert np.array_equal(net.predict_proba(X), before.predict_proba(X))


def test_a_refusal_of_other_columns_leaves_the_fitted_classifier_usable():
    net = quick().fit(*DATA)
    expected = net.predict_proba(X)
    wider = np.hstack([X, X])
    with pytest.raises(ValueError, match="must have the columns of X"):
        net.fit(wider, Y, X_META, Y_META)
    assert np.array_equal(net.predict_proba(X), expected)


def test_a_refusal_of_a_frame_leaves_the_fitted_classifier_usable():
    net = quick().fit(*DATA)
    expected = net.predict_proba(X)
    with pytest.raises(ValueError, match="must come together"):
        net.fit(FRAME, Y, X_META)
    with pytest.raises(ValueError, match="labels of the same kind"):
        net.fit(FRAME, Y, pd.DataFrame(X_META, columns=NAMES), Y_META.astype(str))
    assert np.array_equal(net.predict_proba(X), expected)


def test_uniform_weighting_checks_the_meta_set_all_the_same():
    for arguments, error, words in REFUSED_META.values():
        if not arguments:  # it takes no meta rows out
            continue
        with pytest.raises(error) as caught:
            call(quick(weighting="uniform"), arguments)
        assert words in str(caught.value)
    assert Net.calls == 0


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
def test_what_the_refusals_vary_is_accepted():
    """The arguments around the faults are sound: each case above is refused for its fault."""
    sound = [
        {"X_meta": X_META, "y_meta": Y_META},
        {"X_meta": (X_META,), "y_meta": (Y_META,)},
        {"X_meta": (X_META,), "y_meta": Y_META},
        {"X": FRAME, "X_meta": pd.DataFrame(X_META, columns=NAMES), "y_meta": Y_META},
        {"meta_mask": MASK},
        {"meta_mask": MASK.tolist()},
        {"meta_mask": pd.Series(MASK)},
        {"meta_mask": torch.from_numpy(MASK)},
        {"y": Y.astype(str), "X_meta": X_META, "y_meta": Y_META.astype(str)},
        {"y": Y.astype(float), "X_meta": X_META, "y_meta": Y_META},
        {"classes": [2, 1, 0], "X_meta": X_META, "y_meta": Y_META},
    ]
    for arguments in sound:
        assert len(call(refuser(), arguments).history) == 1


def test_one_row_is_a_meta_set():
    with pytest.warns(match="classes of y without a meta row: \\[1, 2\\]"):
        net = quick().fit(X, Y, X_META[:1], Y_META[:1])
    assert np.isfinite(weights(net)).all()


def test_rows_under_the_mask_leave_the_training_set():
    net = quick().fit(X, Y, meta_mask=MASK)
    assert np.array_equal(np.isnan(net.row_weights_), MASK)
    apart = quick().fit(X[~MASK], Y[~MASK], X[MASK], Y[MASK])
    assert np.array_equal(weights(net), weights(apart))


def test_wrapped_and_bare_meta_sets_are_the_same():
    bare, wrapped = quick().fit(*DATA), quick().fit(X, Y, (X_META,), (Y_META,))
    assert np.array_equal(weights(bare), weights(wrapped))


@pytest.mark.parametrize("name", ["X_meta", "X_val"])
def test_rows_without_the_names_of_the_columns(name):
    beside = {"X_meta": FRAME.iloc[: len(Y_META)] + 3, "y_meta": Y_META}
    beside = {} if name == "X_meta" else beside
    rows = {name: X_META + 5, name.replace("X", "y"): Y_META}
    with pytest.warns(UserWarning, match=f"`{name}` does not have valid feature names, but X has"):
        quick().fit(FRAME, Y, **beside, **rows)


def test_a_single_row_in_place_of_rows():
    with pytest.raises(ValueError, match="`X_meta` must hold rows as X does: Expected 2D array"):
        quick().fit(X, Y, X_META[0], Y_META[:1])


def test_weights_in_the_place_of_a_meta_set():
    words = r"`X_meta` without `y_meta`. Pass `y_meta` as well. Weights of rows go by name, as samp"
    with pytest.raises(ValueError, match=words):
        quick().fit(X, Y, np.ones(len(Y)))


def test_a_list_in_the_place_of_a_tuple():
    words = (
        r"`X_meta` as a list must hold rows; got a list of one array of shape \(12, 4\). Pass a 1"
    )
    with pytest.raises(ValueError, match=words):
        quick().fit(X, Y, [X_META], [Y_META])
    one = {"X_val": [X_META[0].tolist()], "y_val": [int(Y_META[0])]}  # a list of one row
    quick().fit(X, Y, X_META[1:], Y_META[1:], **one)
