"""Scoring on rows whose labels can be trusted, where those of the folds are noisy."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.utils.metadata_routing import MetadataRequest

from skgdw._rows import (
    RowContainer,
    as_labels,
    check_mask,
    check_same_length,
    n_rows,
    take_rows,
)


def trusted_scorer(
    X_clean: RowContainer | None = None,
    y_clean: RowContainer | None = None,
    scoring: Any = "balanced_accuracy",
) -> TrustedRowsScorer | TrustedFoldScorer:
    """Make a scorer that only looks at rows with trusted labels.

    A search over noisy rows scores its candidates on noisy labels, and may choose the one that has
    learnt the noise. With this scorer every candidate is scored on trusted rows:

    - given `X_clean` and `y_clean`, on these rows, whatever fold it was trained for;
    - given none, on the rows of the validation fold that ``meta_mask`` marks. The mask has to
      reach the scorer: search under ``sklearn.set_config(enable_metadata_routing=True)`` and pass
      ``meta_mask`` to the search's ``fit``.

    Parameters
    ----------
    X_clean : array-like of shape (n, ...), optional
        Trusted rows as the searched estimator takes them: raw, if it is a pipeline. Not the rows
        of the meta set, which have taught the weights, and not the test rows.
    y_clean : array-like of shape (n,), optional
        Their labels.
    scoring : str, callable, list, tuple, set or dict, default="balanced_accuracy"
        As in scikit-learn's searches. Several scores come back as a dict.

    Returns
    -------
    callable
        A scorer ``(estimator, X, y) -> float``, for the ``scoring=`` of scikit-learn's searches
        and cross-validation.

    Raises
    ------
    ValueError
        If only one of `X_clean` and `y_clean` is given, if they have no rows or differ in length;
        when it is called, if no mask reaches it, the mask has not one entry for each row of the
        fold, or no row of the fold is marked.
    TypeError
        When it is called, if the mask is not boolean.
    AttributeError
        When it is given to :class:`sklearn.model_selection.TunedThresholdClassifierCV`.

    Notes
    -----
    With rows of its own the scorer also stands behind the search's ``score``:
    ``search.score(X_test, y_test)`` scores on the trusted rows, whatever is passed. Take
    ``search.best_estimator_.score(X_test, y_test)`` for the test rows.

    What compares scores of changed rows cannot use it, as it never looks at them:
    :func:`sklearn.inspection.permutation_importance` finds nothing important, feature selection
    gets scores that are NaN, and training scores are those of the trusted rows again. Call
    such tools with the trusted rows themselves and a score of scikit-learn's.

    :class:`sklearn.model_selection.TunedThresholdClassifierCV` cannot use it, for it takes
    scikit-learn's own scorers apart. Tune the threshold of a fitted classifier on trusted rows
    instead: ``TunedThresholdClassifierCV(fitted, cv="prefit", refit=False).fit(X_clean, y_clean)``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skgdw import GDWClassifier
    >>> from skgdw.model_selection import split_meta, trusted_scorer
    >>> X, y, X_meta, y_meta = split_meta(*load_iris(return_X_y=True), 30, random_state=0)
    >>> X, y, X_clean, y_clean = split_meta(X, y, 30, random_state=0)
    >>> net = GDWClassifier(max_epochs=3, random_state=0, verbose=0)
    >>> scoring = trusted_scorer(X_clean, y_clean)
    >>> search = GridSearchCV(net, {"meta_lr": [0.03, 0.3]}, scoring=scoring, cv=2)
    >>> sorted(search.fit(X, y, X_meta=(X_meta,), y_meta=(y_meta,)).best_params_)
    ['meta_lr']
    """
    if X_clean is None and y_clean is None:
        return TrustedFoldScorer(scoring)
    if X_clean is None or y_clean is None:
        given, missing = ("X_clean", "y_clean") if y_clean is None else ("y_clean", "X_clean")
        raise ValueError(
            f"`X_clean` and `y_clean` must be given together; got `{given}` without `{missing}`; "
            "pass both, or none to score the rows that `meta_mask` marks in each fold."
        )
    if check_same_length(X_clean, y_clean, "X_clean", "y_clean") == 0:
        raise ValueError("`X_clean` must have rows to score on; got none; pass trusted rows.")
    return TrustedRowsScorer(X_clean, y_clean, scoring)


class _TrustedScorer:
    """What the two scorers share."""

    @property
    def _score_func(self) -> Any:
        """Say why a threshold cannot be tuned with this scorer: that asks for this attribute."""
        raise AttributeError(  # no other error: whoever asks with hasattr has to get False
            f"`scoring` must be one of scikit-learn's scores to tune a threshold; got {self!r}; "
            'pass a name such as "balanced_accuracy", with cv="prefit", and fit on trusted rows.'
        )


class TrustedRowsScorer(_TrustedScorer):
    """Scores on rows of its own; see `trusted_scorer`."""

    def __init__(self, X_clean: Any, y_clean: Any, scoring: Any) -> None:
        self.X_clean = X_clean
        self.y_clean = as_labels(y_clean, "y_clean") if np.ndim(y_clean) == 2 else y_clean
        self.scoring = scoring

    def __call__(
        self, estimator: BaseEstimator, X: RowContainer | None = None, y: RowContainer | None = None
    ) -> Any:
        """Score the estimator; X and y, the fold, are not looked at."""
        return check_scoring(estimator, self.scoring)(estimator, self.X_clean, self.y_clean)

    def __repr__(self) -> str:
        return f"trusted_scorer({n_rows(self.X_clean)} rows, scoring={self.scoring!r})"


class TrustedFoldScorer(_TrustedScorer):
    """Scores on the marked rows of the fold; see `trusted_scorer`."""

    def __init__(self, scoring: Any) -> None:
        self.scoring = scoring

    def get_metadata_routing(self) -> MetadataRequest:
        """Request ``meta_mask``, so that searches cut it along with the fold."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="meta_mask", alias=True)
        return request

    def __call__(
        self,
        estimator: BaseEstimator,
        X: RowContainer,
        y: RowContainer,
        *,
        meta_mask: RowContainer | None = None,
    ) -> Any:
        """Score the estimator on the rows of (X, y) that the mask marks."""
        if meta_mask is None:
            raise ValueError(
                "`meta_mask` must reach this scorer; got none. Search under "
                "`sklearn.set_config(enable_metadata_routing=True)` and pass `meta_mask` to the "
                "search's `fit`, or give `trusted_scorer` rows of its own."
            )
        trusted = np.flatnonzero(check_mask(meta_mask, n_rows(X), "meta_mask"))
        if len(trusted) == 0:
            raise ValueError(
                "`meta_mask` must mark a row in every validation fold to score on; got none in "
                f"one of {n_rows(X)} rows. Shuffle the folds, or stratify them by the mask."
            )
        rows, labels = take_rows(X, trusted), take_rows(y, trusted)
        return check_scoring(estimator, self.scoring)(estimator, rows, labels)

    def __repr__(self) -> str:
        return f"trusted_scorer(scoring={self.scoring!r})"
