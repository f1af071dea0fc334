"""Samplers one after the other: what becomes of rows, of trusted ones and of entries for each."""

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.naive_bayes import GaussianNB

from corruption_cases import MASK, N, Plain, Watch, X, Y, by_number, imbalance, noise
from skgdw._rows import n_rows, take_rows
from skgdw.corruption import CorruptedClassifier


def drop_first(sampler, X, y):
    return X[1:], y[1:]


def backwards(sampler, X, y):
    sampler.sample_indices_ = np.arange(n_rows(X) - 1, 0, -2)
    return take_rows(X, sampler.sample_indices_), take_rows(y, sampler.sample_indices_)


def same_rows(sampler, X, y):
    return X, (y + 1) % 3


def test_samplers_are_applied_in_their_order_to_clones():
    samplers = [imbalance(), noise()]
    fitted = CorruptedClassifier(Watch(), samplers).fit(X, Y)
    X_few, y_few = imbalance().fit_resample(X, Y)
    assert_array_equal(fitted.estimator_.X_, X_few)
    assert_array_equal(fitted.estimator_.y_, noise().fit_resample(X_few, y_few)[1])
    assert_array_equal(fitted.sample_indices_, by_number(X_few))
    assert [name for name, _ in fitted.corruption_] == ["classimbalance", "labelnoise"]
    assert not any(hasattr(sampler, "classes_") for sampler in samplers)
    assert not hasattr(fitted.estimator, "X_")


CONTAINERS = {
    "array": (X, Y),
    "images": (np.broadcast_to(X[:, :1, None, None], (N, 1, 2, 2)).copy(), Y),
    "frame": (
        pd.DataFrame({"number": X[:, 0], "kind": pd.Categorical(Y)}, index=range(500, 500 + N)),
        pd.Series(np.array(["a", "b", "c"])[Y], index=range(500, 500 + N), dtype="category"),
    ),
    "csr": (sparse.csr_array(X), Y.astype(np.int8)),
    "csc": (sparse.csc_matrix(X), np.eye(3, dtype=int)[Y]),
    "lists": (X.tolist(), Y.tolist()),
    "tuples": (tuple(X.tolist()), tuple(Y.tolist())),
    "tensors": (torch.tensor(X), torch.tensor(Y)),
    "texts": (X, np.array(["a", "bb", "ccc"])[Y]),
}
CORRUPTIONS = {
    "noise": noise(),
    "imbalance": imbalance(),
    "both": [imbalance(), noise()],
    "foreign": RandomUnderSampler(sampling_strategy={0: 5, 1: 6, 2: 7}, random_state=0),
    "foreign adds": RandomOverSampler(sampling_strategy={0: 40, 1: 40, 2: 40}, random_state=0),
    "foreign, then noise": [RandomUnderSampler(sampling_strategy={0: 9}, random_state=0), noise()],
    "unordered": Plain(backwards),
}


def to_list(data):
    return data.toarray().tolist() if sparse.issparse(data) else np.asarray(data).tolist()


@pytest.mark.parametrize(
    ("rows", "labels", "corruption"),
    [
        pytest.param(*data, corruption, id=f"{kind}-{name}")
        for kind, data in CONTAINERS.items()
        for name, corruption in CORRUPTIONS.items()
        # imbalanced-learn's are told sizes by integer label, and take no images.
        if kind == "array" or not name.startswith("foreign")
    ],
)
def test_trusted_rows_stay_as_they_are(rows, labels, corruption):
    trusted = MASK.copy()
    fitted = CorruptedClassifier(Watch(), corruption).fit(rows, labels, meta_mask=trusted)
    inner, origin = fitted.estimator_, fitted.sample_indices_
    assert type(inner.X_) is type(rows)
    assert (inner.X_ is rows) == (corruption is CORRUPTIONS["noise"])
    assert type(inner.y_) is type(labels)
    assert_array_equal(trusted, MASK)
    # Rows come in the order of the input, and the mask has gone along.
    assert_array_equal(origin, np.sort(origin))
    assert_array_equal(inner.mask_, MASK[origin])
    assert_array_equal(origin[inner.mask_], np.flatnonzero(MASK))
    assert to_list(inner.X_) == [to_list(rows)[i] for i in origin]
    given, true = to_list(inner.y_), to_list(labels)
    assert all(given[j] == true[i] for j, i in enumerate(origin) if MASK[i])
    changed = [given[j] != true[i] for j, i in enumerate(origin) if not MASK[i]]
    has_noise = "LabelNoise" in repr(corruption)
    assert any(changed) == has_noise
    for name in ("dtype", "dtypes"):
        if hasattr(rows, name):
            assert np.all(getattr(inner.X_, name) == getattr(rows, name))
        if hasattr(labels, name):
            assert np.all(getattr(inner.y_, name) == getattr(labels, name))
    if hasattr(rows, "iloc"):
        assert_array_equal(inner.X_.index, rows.index[origin])
        assert_array_equal(inner.y_.index, labels.index[origin])


@pytest.mark.parametrize("make", [noise, imbalance])
def test_a_sampler_without_the_mask_gets_the_other_rows_alone(make):
    def returns(sampler, X, y):
        inner = make()
        result = inner.fit_resample(X, y)
        sampler.sample_indices_ = inner.sample_indices_
        return result

    fitted = CorruptedClassifier(Watch(), Plain(returns)).fit(X, Y, meta_mask=MASK).estimator_
    X_alone, y_alone = make().fit_resample(X[~MASK], Y[~MASK])
    assert_array_equal(fitted.X_[~fitted.mask_], X_alone)
    assert_array_equal(fitted.y_[~fitted.mask_], y_alone)


def test_rows_that_are_made_up_follow_the_trusted_ones():
    few = np.flatnonzero((Y > 0) | (np.arange(N) < 60))
    smote = SMOTE(k_neighbors=2, random_state=0)
    fitted = CorruptedClassifier(Watch(), smote).fit(X[few], Y[few], meta_mask=MASK[few])
    inner = fitted.estimator_
    X_new, y_new = smote.fit_resample(X[few][~MASK[few]], Y[few][~MASK[few]])
    n_trusted = int(MASK[few].sum())
    assert len(X_new) > len(few) - n_trusted
    assert_array_equal(inner.X_, np.vstack([X[few][MASK[few]], X_new]))
    assert_array_equal(inner.y_, np.concatenate([Y[few][MASK[few]], y_new]))
    assert_array_equal(inner.mask_, np.arange(len(inner.X_)) < n_trusted)
    assert_array_equal(fitted.sample_indices_[inner.mask_], np.flatnonzero(MASK[few]))
    assert (fitted.sample_indices_[~inner.mask_] == -1).all()


def test_a_sampler_that_takes_the_mask_gets_it():
    class Shift(BaseEstimator):
        def fit_resample(self, X, y, *, meta_mask=None):
            self.sample_indices_ = np.flatnonzero(meta_mask | (y != 2))
            return X[self.sample_indices_], np.where(meta_mask, y, 0)[self.sample_indices_]

    samplers = [Plain(backwards), Shift()]
    fitted = CorruptedClassifier(Watch(), samplers).fit(X, Y, meta_mask=MASK)
    inner, origin = fitted.estimator_, fitted.sample_indices_
    kept = np.flatnonzero(~MASK)[:0:-2]
    assert_array_equal(origin, np.sort([*np.flatnonzero(MASK), *kept[Y[kept] != 2]]))
    assert_array_equal(by_number(inner.X_), origin)
    assert_array_equal(inner.y_, np.where(MASK, Y, 0)[origin])
    assert_array_equal(inner.mask_, MASK[origin])


def test_a_mask_of_no_rows_changes_nothing():
    fitted = CorruptedClassifier(Watch(), noise()).fit(X, Y, meta_mask=np.zeros(N, bool))
    assert fitted.estimator_.X_ is X
    assert_array_equal(fitted.estimator_.y_, noise().fit_resample(X, Y)[1])


def test_entries_for_each_row_go_along_with_the_rows():
    weight = np.arange(N) / N
    params = {"sample_weight": weight, "extra": pd.Series(np.arange(N), index=range(N, 2 * N))}
    for sampler in (imbalance(), RandomOverSampler(sampling_strategy={0: 50}, random_state=0)):
        fitted = CorruptedClassifier(Watch(), sampler).fit(X, Y, **params).estimator_
        assert len(fitted.X_) != N
        assert_array_equal(fitted.weight_, by_number(fitted.X_) / N)
        assert_array_equal(fitted.extra_, by_number(fitted.X_))
        assert_array_equal(fitted.extra_.index, N + by_number(fitted.X_))


def test_what_has_no_entry_for_each_row_stays():
    X_meta, y_meta = np.ones((N, 2)), np.zeros(N)
    for extra in (("text",), {i: i for i in range(N)}, "x" * N, 5, np.ones(3), None):
        params = {"X_meta": X_meta, "y_meta": (y_meta,), "extra": extra}
        fitted = CorruptedClassifier(Watch(), imbalance()).fit(X, Y, **params).estimator_
        assert fitted.X_meta_ is X_meta
        assert fitted.y_meta_ is params["y_meta"]
        assert fitted.extra_ is extra


def test_nothing_is_touched_while_all_rows_stay():
    weight = np.arange(N) / N
    fitted = CorruptedClassifier(Watch(), noise()).fit(X, Y, sample_weight=weight).estimator_
    assert fitted.weight_ is weight
    assert fitted.X_ is X


def test_entries_are_refused_where_a_sampler_does_not_tell_its_rows():
    noisy = CorruptedClassifier(Watch(), Plain(drop_first))
    with pytest.raises(
        ValueError,
        match=r"here \['sample_weight', 'extra'\], must be carried along .*; got 89 rows of unkno.*"
        "; leave the parameters out, or use samplers that set sample_indices_",
    ):
        noisy.fit(X, Y, sample_weight=np.ones(N), extra=np.ones(N), X_meta=np.ones((N, 2)))
    assert_array_equal(noisy.fit(X, Y, extra=np.ones(3)).estimator_.X_, X[1:])
    same = CorruptedClassifier(Watch(), Plain(same_rows)).fit(X, Y, sample_weight=np.ones(N))
    assert_array_equal(same.sample_indices_, np.arange(N))


def labels_seen(**params):
    return CorruptedClassifier(Watch(), **params).fit(X, Y).estimator_.y_.tolist()


def test_seeds_are_set_where_there_is_none():
    free = noise(random_state=None)
    first = labels_seen(corruption=free, random_state=3)
    assert labels_seen(corruption=free, random_state=3) == first
    assert labels_seen(corruption=free, random_state=4) != first
    assert labels_seen(corruption=free) != labels_seen(corruption=free)
    assert free.random_state is None
    assert labels_seen(corruption=noise(), random_state=3) == labels_seen(corruption=noise())


def test_one_seed_does_not_hang_on_the_others():
    def second(first):
        fitted = CorruptedClassifier(
            Watch(), [first, noise(random_state=None)], random_state=0
        ).fit(X, Y)
        return fitted.corruption_[1][1].random_state

    free = second(noise(random_state=None))
    assert second(noise(random_state=7)) == free
    fitted = CorruptedClassifier(Watch(), [noise(random_state=None)] * 2, random_state=0).fit(X, Y)
    seeds = [sampler.random_state for _, sampler in fitted.corruption_]
    assert len({*seeds}) == 2


def with_indices(*indices):
    def returns(sampler, X, y):
        sampler.sample_indices_ = np.array(indices)
        return X[:2], y[:2]

    return returns


@pytest.mark.parametrize(
    ("returns", "error", "match"),
    [
        (lambda s, X, y: (X[:5], y[:4]), ValueError, "5 rows and 4 labels from 'plain'; mend"),
        (lambda s, X, y: X, TypeError, "return X and y; got ndarray from 'plain'; return"),
        (lambda s, X, y: (X, y, y), TypeError, "return X and y; got tuple from 'plain'; return"),
        (with_indices(0), ValueError, r"got int64 of shape \(1,\) for 2 rows out of 90 from 'p"),
        (with_indices(0, N), ValueError, "sample_indices_ name a row of X for each row returned"),
        (with_indices(-1, 1), ValueError, "sample_indices_ name a row of X for each row returned"),
        (with_indices(True, False), ValueError, r"got bool of shape \(2,\) for 2 rows"),
    ],
)
def test_what_samplers_return_is_checked(returns, error, match):
    with pytest.raises(error, match=match):
        CorruptedClassifier(GaussianNB(), Plain(returns)).fit(X, Y)


def test_a_sampler_that_takes_the_mask_must_tell_its_rows():
    class Silent(BaseEstimator):
        def fit_resample(self, X, y, meta_mask=None):
            return X[1:], y[1:]

    noisy = CorruptedClassifier(GaussianNB(), Silent()).fit(X, Y)
    with pytest.raises(ValueError, match="set sample_indices_ if they take meta_mask; got none"):
        noisy.fit(X, Y, meta_mask=MASK)
