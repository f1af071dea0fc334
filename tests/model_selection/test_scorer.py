import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs, quick
from skgdw.model_selection import make_meta_pipeline, trusted_scorer

X, Y, X_CLEAN, Y_CLEAN = blobs(60, 12)
NOISY = np.where(np.arange(60) % 7 == 0, (Y + 1) % 3, Y)
MASK = np.arange(60) % 4 == 1
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture
def routing_on():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def model():
    return LogisticRegression(C=10)


# --- rows of its own ------------------------------------------------------------------------------


def test_scores_on_its_rows_whatever_the_fold():
    fitted = model().fit(X, NOISY)
    scorer = trusted_scorer(X_CLEAN, Y_CLEAN)
    expected = balanced_accuracy_score(Y_CLEAN, fitted.predict(X_CLEAN))
    assert scorer(fitted, X[:7], NOISY[:7]) == scorer(fitted) == expected


def test_search_scores_every_candidate_on_them():
    scorer = trusted_scorer(X_CLEAN, Y_CLEAN, scoring="neg_log_loss")
    search = GridSearchCV(model(), {"C": [0.01, 1.0]}, scoring=scorer, cv=FOLDS)
    search.fit(X, NOISY)
    for fold, (train, _) in enumerate(FOLDS.split(X, NOISY)):
        for i, C in enumerate([0.01, 1.0]):
            by_hand = LogisticRegression(C=C).fit(X[train], NOISY[train])
            expected = -log_loss(Y_CLEAN, by_hand.predict_proba(X_CLEAN))
            assert np.isclose(search.cv_results_[f"split{fold}_test_score"][i], expected)


def test_pipelines_get_the_raw_rows():
    pipe = make_pipeline(StandardScaler(), model()).fit(100 + 10 * X, Y)
    scorer = trusted_scorer(100 + 10 * X_CLEAN, Y_CLEAN, "accuracy")
    assert scorer(pipe) == accuracy_score(Y_CLEAN, pipe.predict(100 + 10 * X_CLEAN))


@pytest.mark.parametrize("scoring", [["accuracy", "neg_log_loss"], ("accuracy", "neg_log_loss")])
def test_several_scores(scoring):
    search = GridSearchCV(
        model(),
        {"C": [0.1, 1.0]},
        scoring=trusted_scorer(X_CLEAN, Y_CLEAN, scoring),
        refit="accuracy",
        cv=2,
    ).fit(X, NOISY)
    assert {"mean_test_accuracy", "mean_test_neg_log_loss"} <= set(search.cv_results_)


def test_own_function_as_scoring():
    def first_probability(estimator, X, y):
        return float(estimator.predict_proba(X)[0, 0])

    fitted = model().fit(X, Y)
    expected = fitted.predict_proba(X_CLEAN)[0, 0]
    assert trusted_scorer(X_CLEAN, Y_CLEAN, first_probability)(fitted) == expected


@pytest.mark.parametrize(
    "container", [list, torch.tensor, pd.DataFrame], ids=["list", "tensor", "frame"]
)
def test_containers(container):
    fitted = quick().fit(X, Y, X_CLEAN, Y_CLEAN)
    expected = trusted_scorer(X_CLEAN, Y_CLEAN)(fitted)
    assert trusted_scorer(container(X_CLEAN), Y_CLEAN.tolist())(fitted) == expected


def test_beside_a_meta_set():
    search = GridSearchCV(
        make_meta_pipeline(StandardScaler(), quick()),
        {"gdwclassifier__meta_lr": [0.03, 0.3]},
        scoring=trusted_scorer(X[:12], Y[:12]),
        cv=2,
        error_score="raise",
    )
    search.fit(X[12:], NOISY[12:], X_meta=(X_CLEAN,), y_meta=(Y_CLEAN,))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_can_be_pickled():
    fitted, scorer = model().fit(X, Y), trusted_scorer(X_CLEAN, Y_CLEAN)
    assert pickle.loads(pickle.dumps(scorer))(fitted) == scorer(fitted)


def test_its_rows_travel_with_it():
    # What docs/scale_out.rst says of the bytes of a task.
    large = blobs(3, 30_000)
    rows = large.X_meta, large.y_meta
    n_bytes = sum(part.nbytes for part in rows)
    assert 0 < len(pickle.dumps(trusted_scorer(*rows))) - n_bytes < 1000


def test_refusals():
    with pytest.raises(ValueError, match="got `X_clean` without `y_clean`; pass both, or none"):
        trusted_scorer(X_CLEAN)
    with pytest.raises(ValueError, match="got `y_clean` without `X_clean`"):
        trusted_scorer(y_clean=Y_CLEAN)
    with pytest.raises(ValueError, match=r"`X_clean` and `y_clean` must .* got 12 and 11"):
        trusted_scorer(X_CLEAN, Y_CLEAN[1:])
    with pytest.raises(ValueError, match="`X_clean` must have rows to score on; got none"):
        trusted_scorer(X_CLEAN[:0], Y_CLEAN[:0])


# --- marked rows of the fold ----------------------------------------------------------------------


def test_search_counts_the_marked_rows_only(routing_on):
    search = GridSearchCV(
        quick(), {"lr": [0.1]}, scoring=trusted_scorer(scoring="accuracy"), cv=FOLDS
    )
    search.fit(X, NOISY, meta_mask=MASK)
    for fold, (train, test) in enumerate(FOLDS.split(X, NOISY)):
        by_hand = clone(quick(lr=0.1)).fit(X[train], NOISY[train], meta_mask=MASK[train])
        trusted = test[MASK[test]]
        expected = accuracy_score(NOISY[trusted], by_hand.predict(X[trusted]))
        assert search.cv_results_[f"split{fold}_test_score"][0] == expected


def test_scores_of_frames(routing_on):
    frame, labels = pd.DataFrame(X, columns=[*"abcd"]), pd.Series(NOISY, index=range(7, 67))
    fitted = quick().fit(frame, labels, meta_mask=MASK)
    expected = accuracy_score(NOISY[MASK], fitted.predict(frame[MASK]))
    scorer = trusted_scorer(scoring="accuracy")
    assert scorer(fitted, frame, labels, meta_mask=MASK) == expected


def test_a_mask_that_does_not_arrive_is_reported():
    with pytest.raises(ValueError, match=r"`meta_mask` must reach this scorer; got none. Sea"):
        cross_val_score(
            quick(),
            X,
            NOISY,
            scoring=trusted_scorer(),
            cv=FOLDS,
            params={"meta_mask": MASK},
            error_score="raise",
        )


def test_a_fold_without_a_marked_row_is_reported():
    fitted = model().fit(X, Y)
    with pytest.raises(ValueError, match=r"got none in one of 60 rows. Shuffle the folds"):
        trusted_scorer()(fitted, X, Y, meta_mask=np.zeros(60, dtype=bool))


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.flatnonzero(MASK), TypeError, "`meta_mask` must be boolean; got dtype int64; zeros"),
        (MASK.astype(int), TypeError, "`meta_mask` must be boolean; got dtype int64"),
        (["yes"] * 60, TypeError, "`meta_mask` must be boolean; got dtype <U3"),
        (MASK[:-1], ValueError, r"each row of X, shape \(60,\); got \(59,\); mark the rows of"),
        (np.append(MASK, True), ValueError, r"shape \(60,\); got \(61,\)"),
        (MASK[:, None], ValueError, r"shape \(60,\); got \(60, 1\)"),
        (np.True_, ValueError, r"shape \(60,\); got \(\)"),
    ],
)
def test_wrong_masks_are_reported(mask, error, match):
    with pytest.raises(error, match=match):
        trusted_scorer()(model().fit(X, Y), X, Y, meta_mask=mask)


@pytest.mark.parametrize(
    "container", [list, torch.tensor, pd.Series], ids=["list", "tensor", "series"]
)
def test_containers_of_the_mask(container):
    fitted = model().fit(X, NOISY)
    expected = balanced_accuracy_score(NOISY[MASK], fitted.predict(X[MASK]))
    assert trusted_scorer()(fitted, X, NOISY, meta_mask=container(MASK)) == expected


def test_the_mask_may_mark_every_row():
    fitted = model().fit(X, NOISY)
    expected = balanced_accuracy_score(NOISY, fitted.predict(X))
    assert trusted_scorer()(fitted, X, NOISY, meta_mask=np.ones(60, dtype=bool)) == expected


# --- beside other tools ---------------------------------------------------------------------------


def test_score_of_a_search_is_that_of_the_trusted_rows():
    scorer = trusted_scorer(X_CLEAN, Y_CLEAN, "accuracy")
    search = GridSearchCV(model(), {"C": [0.1, 1.0]}, scoring=scorer, cv=2).fit(X, NOISY)
    wrong = (Y[:9] + 1) % 3
    assert search.score(X[:9], wrong) == search.best_estimator_.score(X_CLEAN, Y_CLEAN)
    expected = accuracy_score(wrong, search.predict(X[:9]))
    assert search.best_estimator_.score(X[:9], wrong) == expected != search.score(X[:9], wrong)


@pytest.mark.parametrize("rows", [(), (X_CLEAN, Y_CLEAN)], ids=["fold", "rows"])
@pytest.mark.parametrize("routing", [False, True])
def test_threshold_tuning_is_refused_in_words(rows, routing):
    tuned = TunedThresholdClassifierCV(model(), scoring=trusted_scorer(*rows))
    match = r"`scoring` must be one of scikit-learn's scores .*; got trusted_scorer\(.*; pass a na"
    with (
        sklearn.config_context(enable_metadata_routing=routing),
        pytest.raises(AttributeError, match=match),
    ):
        tuned.fit(X[Y < 2], Y[Y < 2])
    assert not hasattr(tuned.scoring, "_score_func")


def test_the_way_to_tune_a_threshold_on_trusted_rows():
    fitted = quick("auto").fit(
        X[Y < 2], NOISY[Y < 2] % 2, X_CLEAN[Y_CLEAN < 2], Y_CLEAN[Y_CLEAN < 2]
    )
    tuned = TunedThresholdClassifierCV(fitted, cv="prefit", refit=False)
    tuned.fit(X_CLEAN[Y_CLEAN < 2], Y_CLEAN[Y_CLEAN < 2])
    assert 0 <= tuned.best_threshold_ <= 1


def test_names_itself():
    assert repr(trusted_scorer(scoring="accuracy")) == "trusted_scorer(scoring='accuracy')"
    found = repr(trusted_scorer(X_CLEAN, Y_CLEAN))
    assert found == "trusted_scorer(12 rows, scoring='balanced_accuracy')"


def test_labels_that_are_one_hot():
    X, y, *meta = blobs()
    net = quick().fit(X, y, *meta)
    assert trusted_scorer(X, np.eye(3)[y])(net) == trusted_scorer(X, y)(net)
