"""Pipelines whose steps transform the meta set as they transform the training rows."""

from __future__ import annotations

from typing import Any, Self

from sklearn import config_context
from sklearn.pipeline import Pipeline, make_pipeline


class MetaPipeline(Pipeline):
    """A pipeline that sends ``X_meta`` through its steps, fitted on X alone.

    scikit-learn's own pipeline does so too, under metadata routing and with
    ``transform_input=["X_meta"]``; this one needs no global setting. Parameters, attributes and
    methods are those of :class:`sklearn.pipeline.Pipeline`.

    See Also
    --------
    make_meta_pipeline : Build one from steps, without naming them.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the steps on (X, y) and the last one with the transformed meta set.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Training rows.
        y : array-like of shape (n,)
            Their labels.
        **params
            ``X_meta`` and ``y_meta``, best in 1-tuples, which cross-validation never cuts, or
            ``meta_mask``.

        Returns
        -------
        MetaPipeline
            Itself, fitted.
        """
        with config_context(enable_metadata_routing=True):
            return super().fit(X, y, **params)


def make_meta_pipeline(*steps: Any, memory: Any = None, verbose: bool = False) -> MetaPipeline:
    """Build a `MetaPipeline` from steps, each named after its class in lower case.

    Parameters
    ----------
    *steps : estimators
        Transformers, then a classifier that takes ``X_meta``.
    memory : str, joblib.Memory or None, default=None
        Where fitted transformers are cached.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    MetaPipeline
        The pipeline.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skgdw import GDWClassifier
    >>> from skgdw.model_selection import make_meta_pipeline, split_meta
    >>> X, y, X_meta, y_meta = split_meta(*load_iris(return_X_y=True), 30, random_state=0)
    >>> pipe = make_meta_pipeline(StandardScaler(), GDWClassifier(random_state=0, verbose=0))
    >>> pipe = pipe.fit(X, y, X_meta=(X_meta,), y_meta=(y_meta,))
    >>> pipe[-1].classes_
    array([0, 1, 2])
    """
    named = make_pipeline(*steps).steps
    return MetaPipeline(named, transform_input=["X_meta"], memory=memory, verbose=verbose)
