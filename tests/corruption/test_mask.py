"""Trusted rows: neither relabelled nor left out, and no part of rates, numbers and sizes."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import Pipeline
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone

from classifier_cases import quick
from corruption_cases import MASK, N, Watch, X, Y, by_number, imbalance, noise
from skgdw.corruption import ClassImbalance, CorruptedClassifier, InstanceDependentNoise, LabelNoise
from skgdw.corruption._base import BaseSampler
from skgdw.exceptions import NoiseNotLearnableWarning

FREE = np.flatnonzero(~MASK)
SAMPLERS = {
    "drawn": noise(),
    "exact": noise(exact=True),
    "flips": noise(0.4, kind="flip2"),
    "rows": InstanceDependentNoise(random_state=0),
    "rows, exact": InstanceDependentNoise(exact=True, noise_rate=0.2, random_state=0),
    "profile": imbalance(),
    "order": imbalance(class_order="random", profile="step"),
    "strategy": ClassImbalance(sampling_strategy={0: 3, 2: 7}, random_state=0),
}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


@pytest.fixture
def routed():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# --- what becomes of the rows ---------------------------------------------------------------------


@every_sampler
def test_the_other_rows_get_what_they_get_alone(sampler):
    alone, masked = clone(sampler), clone(sampler)
    X_alone, y_alone = alone.fit_resample(X[FREE], Y[FREE])
    mask = MASK.copy()
    X_out, y_out = masked.fit_resample(X, Y, meta_mask=mask)
    assert_array_equal(mask, MASK)

    origin = masked.sample_indices_
    assert (np.diff(origin) > 0).all()
    assert_array_equal(X_out, X[origin])
    marked = MASK[origin]
    assert_array_equal(origin[marked], np.flatnonzero(MASK))
    assert_array_equal(y_out[marked], Y[MASK])
    assert_array_equal(X_out[~marked], X_alone)
    assert_array_equal(y_out[~marked], y_alone)
    assert masked.sampling_strategy_ == {k: int((y_out == k).sum()) for k in range(3)}
    for name in ("transition_matrix_", "noise_rate_", "class_order_", "imbalance_ratio_"):
        assert hasattr(masked, name) == hasattr(alone, name)
        assert_array_equal(getattr(masked, name, 0), getattr(alone, name, 0))


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=N, max_size=N), st.integers(0, 2**32 - 1), st.booleans())
def test_noise_attributes_cover_all_rows(mask, seed, exact):
    marked = np.array(mask)
    sampler = noise(random_state=seed, exact=exact)
    X_out, y_out = sampler.fit_resample(X, Y, meta_mask=mask)
    assert X_out is X
    assert_array_equal(sampler.noise_mask_, y_out != Y)
    assert not sampler.noise_mask_[marked].any()
    assert_array_equal(sampler.sample_indices_, np.arange(N))
    n_free = int((~marked).sum())
    assert sampler.noise_rate_ == (sampler.noise_mask_.sum() / n_free if n_free else 0.0)


def test_exact_numbers_are_those_of_the_other_rows():
    mask = np.zeros(N, bool)
    mask[:60] = True  # leaves ten rows of each class
    sampler = noise(0.2, exact=True)
    _, y_out = sampler.fit_resample(X, Y, meta_mask=mask)
    assert np.bincount(Y[sampler.noise_mask_]).tolist() == [2, 2, 2]
    assert sampler.noise_rate_ == 0.2
    assert_array_equal(y_out[:60], Y[:60])


@settings(max_examples=60)
@given(st.lists(st.booleans(), min_size=N, max_size=N), st.integers(0, 2**32 - 1))
def test_no_trusted_row_is_ever_left_out(mask, seed):
    marked = np.array(mask)
    sampler = imbalance(random_state=seed, imbalance_ratio=100)
    X_out, y_out = sampler.fit_resample(X, Y, meta_mask=mask)
    kept = np.isin(np.arange(N), sampler.sample_indices_)
    assert kept[marked].all()
    assert_array_equal(by_number(X_out), np.flatnonzero(kept))
    assert_array_equal(y_out, Y[kept])
    free = {k for k in range(3) if (Y[~marked] == k).any()}
    assert set(Y[kept & ~marked]) == free
    assert set(sampler.class_order_.tolist()) == free


def test_a_sampler_is_told_which_rows_are_the_others():
    seen = []

    class Reader(BaseSampler):
        random_state = None

        def _check_params(self):
            assert self.classes_.tolist() == [0, 1, 2]

        def _check_unmarked(self, X, rows, codes):
            seen.append((X, rows, codes))

        def _resample(self, X, rows, codes, generator):
            seen.append((X, rows, codes))
            return np.arange(len(codes))[::-2], codes[::-2]

    for mask in (MASK, np.zeros(N, bool), np.ones(N, bool)):
        sampler, frame = Reader(), pd.DataFrame(X)
        X_out, y_out = sampler.fit(frame, Y, meta_mask=mask).fit_resample(frame, Y, meta_mask=mask)
        assert len(seen) == 2
        while seen:
            X_seen, rows_seen, codes_seen = seen.pop()
            assert X_seen is frame
            assert_array_equal(rows_seen, np.flatnonzero(~mask))
            assert_array_equal(codes_seen, Y[~mask])
        kept = np.sort([*np.flatnonzero(mask), *np.flatnonzero(~mask)[::-2]])
        assert_array_equal(sampler.sample_indices_, kept)
        assert_array_equal(X_out, X[kept])
        assert_array_equal(y_out, Y[kept])
        assert not hasattr(sampler, "noise_mask_")


@every_sampler
@pytest.mark.parametrize("mask", [None, np.zeros(N, bool)], ids=["none", "no row"])
def test_no_row_marked_changes_nothing(sampler, mask):
    expected = clone(sampler).fit_resample(X, Y)
    for given_rows, wanted in zip(
        clone(sampler).fit_resample(X, Y, meta_mask=mask), expected, strict=True
    ):
        assert_array_equal(given_rows, wanted)


@every_sampler
def test_all_rows_marked_come_back(sampler):
    sampler, mask = clone(sampler), np.ones(N, bool)
    X_out, y_out = sampler.fit(X, Y, meta_mask=mask).fit_resample(X, Y, meta_mask=mask)
    assert_array_equal(X_out, X)
    assert_array_equal(y_out, Y)
    assert_array_equal(sampler.sample_indices_, np.arange(N))
    assert sampler.sampling_strategy_ == {0: 30, 1: 30, 2: 30}
    if not isinstance(sampler, ClassImbalance):
        assert sampler.noise_rate_ == 0.0
        assert not sampler.noise_mask_.any()
    else:
        assert sampler.imbalance_ratio_ == 1.0
        assert sampler.class_order_.tolist() == []


# --- classes of trusted rows alone ----------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_noise_still_knows_a_class_of_trusted_rows(exact):
    matrix = {0: {1: 0.5}, 1: {0: 0.9}}
    sampler = LabelNoise(transition_matrix=matrix, exact=exact, random_state=0)
    # The truth is hidden in class 1, whose rows are all trusted, and tied in class 0.
    with pytest.warns(NoiseNotLearnableWarning, match=r"for \[0\]; lower"):
        _, y_out = sampler.fit_resample(X, Y, meta_mask=Y == 1)
    assert sampler.classes_.tolist() == [0, 1, 2]
    assert sampler.transition_matrix_.shape == (3, 3)
    assert_array_equal(y_out[Y > 0], Y[Y > 0])
    assert set(y_out[Y == 0]) == {0, 1}


@pytest.mark.parametrize("order", [None, "random", [1, 2, 0]])
def test_the_profile_is_that_of_the_classes_with_other_rows(order):
    sampler = imbalance(imbalance_ratio=10, class_order=order)
    sampler.fit_resample(X, Y, meta_mask=Y == 1)
    head, tail = sampler.class_order_.tolist()
    assert sampler.sampling_strategy_ == {head: 30, 1: 30, tail: 3}
    assert {head, tail} == {0, 2}
    if order is not None and order != "random":
        assert [head, tail] == [2, 0]
    assert sampler.imbalance_ratio_ == 10


def test_a_single_class_with_other_rows_keeps_them():
    for profile in ("exp", "step"):
        sampler = imbalance(profile=profile)
        X_out, _ = sampler.fit_resample(X, Y, meta_mask=Y != 1)
        assert_array_equal(X_out, X)
        assert sampler.class_order_.tolist() == [1]
        assert sampler.imbalance_ratio_ == 1.0


def test_numbers_asked_for_are_those_of_the_other_rows():
    seen = []

    def three_of_each(y):
        seen.append(y)
        return dict.fromkeys(np.unique(y), 3)

    sampler = ClassImbalance(sampling_strategy=three_of_each, random_state=0)
    for method in (sampler.fit, sampler.fit_resample):
        method(X, Y, meta_mask=(Y == 1) | MASK)
        assert_array_equal(seen.pop(), Y[(Y != 1) & ~MASK])
    n_marked = np.bincount(Y[MASK])
    assert sampler.sampling_strategy_ == {0: n_marked[0] + 3, 1: 30, 2: n_marked[2] + 3}
    assert sampler.class_order_.tolist() == [0, 2]

    sampler.set_params(sampling_strategy={0: 30, 1: 1})
    for method in (sampler.fit, sampler.fit_resample):
        with pytest.raises(ValueError, match="; got 30 for 0 with 29 rows; 1 for 1 with 0 rows;"):
            method(X, Y, meta_mask=(Y == 1) | (np.arange(N) == 0))


# --- containers -----------------------------------------------------------------------------------

INDEX = [f"row {i}" for i in range(N)]
CONTAINERS = {
    "list": (X.tolist(), Y.tolist()),
    "frame": (pd.DataFrame(X, index=INDEX), pd.Series(Y, index=INDEX).astype("category")),
    "csr": (sparse.csr_array(X), np.eye(3, dtype=int)[Y]),
    "coo": (sparse.coo_matrix(X), np.array(["a", "b", "c"])[Y]),
    "tensor": (torch.tensor(X), torch.tensor(Y)),
}


@pytest.mark.parametrize(
    "sampler",
    [noise(), imbalance(), InstanceDependentNoise(random_state=0)],
    ids=["noise", "imbalance", "rows"],
)
@pytest.mark.parametrize(("rows", "labels"), CONTAINERS.values(), ids=CONTAINERS)
def test_trusted_rows_of_any_container(sampler, rows, labels):
    sampler, plain = clone(sampler), clone(sampler)
    X_out, y_out = sampler.fit_resample(rows, labels, meta_mask=MASK)
    X_plain, y_plain = plain.fit_resample(X, Y, meta_mask=MASK)
    assert type(X_out) is type(rows)
    assert type(y_out) is type(labels)
    assert_array_equal(sampler.sample_indices_, plain.sample_indices_)
    assert_array_equal(by_number(X_out), by_number(X_plain))
    codes = np.asarray(y_out)
    codes = codes.argmax(axis=1) if codes.ndim > 1 else np.unique(codes, return_inverse=True)[1]
    assert_array_equal(codes, y_plain)
    if hasattr(rows, "iloc"):
        assert_array_equal(X_out.index, rows.index[sampler.sample_indices_])
        assert_array_equal(y_out.index, X_out.index)


MASKS = {
    "list": MASK.tolist(),
    "tuple": tuple(MASK.tolist()),
    "series": pd.Series(MASK, index=INDEX),
    "nullable": pd.Series(MASK, dtype="boolean"),
    "tensor": torch.tensor(MASK),
    "read-only": MASK.copy(),
}
MASKS["read-only"].flags.writeable = False


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_mask_may_be_in_any_container(mask):
    _, y_out = noise().fit_resample(X, Y, meta_mask=mask)
    assert_array_equal(y_out, noise().fit_resample(X, Y, meta_mask=MASK)[1])


@every_sampler
@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (
            MASK[:5],
            ValueError,
            r"`meta_mask` must have one entry .*\(90,\); got \(5,\); mark the rows of this X; "
            r"behind a sampler that changes their number use .*\.CorruptedClassifier\.$",
        ),
        (MASK[:, None], ValueError, r"one entry for each row of X, shape \(90,\); got \(90, 1\)"),
        (True, ValueError, r"one entry for each row of X, shape \(90,\); got \(\);"),
        (np.flatnonzero(MASK), TypeError, "`meta_mask` must be boolean; got dtype int64; zeros"),
        (MASK.astype(int), TypeError, "`meta_mask` must be boolean; got dtype int64"),
        ([*MASK[1:].tolist(), None], TypeError, "`meta_mask` must be boolean; got dtype object"),
    ],
)
def test_the_mask_is_checked(sampler, mask, error, match):
    for method in (clone(sampler).fit, clone(sampler).fit_resample):
        with pytest.raises(error, match=match):
            method(X, Y, meta_mask=mask)


# --- routing --------------------------------------------------------------------------------------


def test_imbalanced_learn_hands_the_mask_to_a_sampler(routed):
    model = Watch().set_fit_request(meta_mask=True)
    pipe = Pipeline([("noise", noise()), ("watch", model)]).fit(X, Y, meta_mask=MASK)
    inner, sampler = pipe[-1], pipe["noise"]
    assert_array_equal(inner.y_, noise().fit_resample(X, Y, meta_mask=MASK)[1])
    assert (inner.y_ != Y).any()
    assert_array_equal(inner.y_[MASK], Y[MASK])
    assert_array_equal(inner.mask_, MASK)
    assert not sampler.noise_mask_[MASK].any()
    assert_array_equal(pipe.predict(X), Y)


def test_imbalanced_learn_drops_the_mask_without_routing():
    """As the user guide says."""
    pipe = Pipeline([("noise", noise()), ("watch", Watch())])
    pipe.fit(X, Y, noise__meta_mask=MASK, watch__meta_mask=MASK)
    assert (pipe[-1].y_[MASK] != Y[MASK]).any()


def test_imbalanced_learn_keeps_trusted_rows(routed):
    pipe = Pipeline(
        [("imbalance", imbalance()), ("watch", Watch().set_fit_request(meta_mask=False))]
    )
    inner = pipe.fit(X, Y, meta_mask=MASK)[-1]
    assert_array_equal(by_number(inner.X_), pipe["imbalance"].sample_indices_)
    assert np.isin(np.flatnonzero(MASK), by_number(inner.X_)).all()
    assert len(inner.X_) < N


def test_behind_a_sampler_that_leaves_rows_out_the_mask_is_refused_with_a_remedy(routed):
    words = "got \\(90,\\); .*changes their number use skgdw.corruption.CorruptedClassifier"
    for last in (noise(), quick("auto")):
        with pytest.raises(ValueError, match=words):
            Pipeline([("imbalance", imbalance()), ("last", last)]).fit(X, Y, meta_mask=MASK)
    model = Watch().set_fit_request(meta_mask=True)
    inner = CorruptedClassifier(model, [imbalance(), noise()])
    fitted = inner.fit(X, Y, meta_mask=MASK)
    kept = by_number(fitted.estimator_.X_)
    assert len(kept) < N
    assert_array_equal(fitted.estimator_.mask_, MASK[kept])
    assert_array_equal(fitted.estimator_.y_[MASK[kept]], Y[MASK])


@every_sampler
def test_the_mask_is_requested_by_default(routed, sampler):
    requests = clone(sampler).get_metadata_routing()
    assert requests.fit_resample.requests == {"meta_mask": True}
    assert requests.fit.requests == {"meta_mask": True}
