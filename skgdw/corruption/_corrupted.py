"""A classifier whose training rows, and only these, are corrupted first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skgdw._rows import (
    IntArray,
    RowContainer,
    as_rows,
    check_mask,
    check_same_length,
    local_random_state,
    n_rows,
)

from ._chain import carry, corrupt, is_mask
from ._sampler_params import SamplerParams, check_samplers

Method = Callable[..., Any]


def _if_estimator_has(name: str) -> Callable[[Method], Method]:
    """Offer a method only where the estimator, fitted if it is, has it."""

    def check(self: Any) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)  # raises in its own words
        return True

    decorator: Callable[[Method], Method] = available_if(check)
    return decorator


class CorruptedClassifier(ClassifierMixin, MetaEstimatorMixin, SamplerParams):
    """Corrupt the rows given to `fit`, then fit a classifier on them.

    This brings samplers into scikit-learn's pipelines, cross-validation and searches, which have
    no place for them otherwise. The training part of each fold is corrupted, after it was cut;
    rows to predict or to score, the validation part among them, and the meta set never are.

    Parameters
    ----------
    estimator : classifier
        Fitted, as a clone, on the corrupted rows. It may be a pipeline, and `CorruptedClassifier`
        may be the last step of one.
    corruption : sampler, list or None, default=None
        An object with ``fit_resample``, such as `LabelNoise` or one of imbalanced-learn's, or a
        list of such objects or of (name, sampler) pairs, applied in their order. Clones are
        fitted. None, also in place of a sampler, or "passthrough" corrupts nothing.

        Parameters of a single sampler are reached as ``corruption__noise_rate``, those in a list
        as ``corruption__labelnoise__noise_rate``. Without a name of its own a sampler in a list
        goes by its class in lower case, with a number where there are several
        (``labelnoise-1``), as in :func:`sklearn.pipeline.make_pipeline`.
        ``corruption__labelnoise`` is the sampler itself; another in its place keeps the name.
    random_state : int, RandomState or None, default=None
        Seed for samplers whose own is None; those that have one keep it. The estimator is not
        seeded. None draws anew each time. Numpy's global state is not used.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    corruption_ : list of (str, sampler)
        Names and fitted samplers, with what these record of the rows they got, such as
        ``noise_mask_``: of all rows, False at trusted ones, in the samplers of this package. Those
        that know no ``meta_mask`` got no trusted row, and record nothing of it.
    sample_indices_ : ndarray of shape (n_train,), dtype int
        For each row that `estimator_` was fitted on the row of X it came from; -1 where a sampler
        made the row up, or does not say.
    classes_ : ndarray of shape (n_classes,)
        The classes of `estimator_`. A class that corruption takes away altogether is missing.
    n_features_in_ : int
        Number of columns of `X`, if `estimator_` knows it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of `X`, if `estimator_` knows them.

    See Also
    --------
    LabelNoise : Give rows wrong labels.
    ClassImbalance : Make classes uneven; put it before the noise.

    Notes
    -----
    There is no ``partial_fit``: batches corrupted one by one are not a corrupted whole.

    Under metadata routing the parameters of `fit` go where they are requested; ``meta_mask`` is
    requested by default. Without, all are handed to the estimator's `fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skgdw.corruption import ClassImbalance, CorruptedClassifier, LabelNoise
    >>> X, y = load_iris(return_X_y=True)
    >>> noisy = CorruptedClassifier(
    ...     LogisticRegression(max_iter=1000),
    ...     corruption=[ClassImbalance(imbalance_ratio=4), LabelNoise(kind="pair")],
    ...     random_state=0,
    ... )
    >>> search = GridSearchCV(noisy, {"corruption__labelnoise__noise_rate": [0, 0.2, 0.4]})
    >>> scores = search.fit(X, y).cv_results_["mean_test_score"]
    >>> bool(scores[0] > scores[2])
    True
    >>> [name for name, _ in search.best_estimator_.corruption_]
    ['classimbalance', 'labelnoise']
    """

    # Trusted rows are this estimator's business whether or not the inner one hears of them.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"meta_mask": True}

    estimator_: Any
    corruption_: list[tuple[str, Any]]
    sample_indices_: IntArray
    classes_: NDArray[Any]

    def __init__(
        self,
        estimator: Any,
        corruption: Any = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.corruption = corruption
        self.random_state = random_state

    def fit(
        self,
        X: RowContainer,
        y: RowContainer,
        *,
        meta_mask: RowContainer | None = None,
        **fit_params: Any,
    ) -> Self:
        """Corrupt (X, y) and fit the estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training rows, in any container that the samplers and the estimator take.
        y : array-like of shape (n_samples,)
            True labels.
        meta_mask : array-like of shape (n_samples,), bool, default=None
            Marks trusted rows: they are kept, with their labels, and the mask goes on to the
            estimator, if it takes one, in step with rows dropped and added. Samplers that know no
            ``meta_mask`` get the other rows alone.

            For a step of a pipeline pass ``<step>__meta_mask``, which acts alike, while metadata
            routing is off, and under routing ``meta_mask``, the only name it then knows. Pipelines
            of :func:`skgdw.model_selection.make_meta_pipeline` take ``meta_mask`` in both cases.
        **fit_params
            Parameters of the estimator's `fit`. ``X_meta``, ``y_meta``, ``X_val`` and ``y_val``
            pass as they are. What else has an entry for each row of X, such as ``sample_weight``,
            loses and repeats entries as X does rows.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        TypeError
            If the estimator has no ``fit``, samplers have no ``fit_resample`` (all are named) or
            return no pair, or a mask is not boolean.
        ValueError
            If names of samplers are not unique, lengths differ, a mask leaves nothing to corrupt
            or cannot reach a pipeline's step, or an entry for each row cannot be carried along
            because a sampler does not record ``sample_indices_``. Samplers and the estimator raise
            their own.
        """
        _check_estimator(self.estimator)
        samplers = check_samplers(self.corruption)
        X, y = as_rows(X), as_rows(y)
        n = n_rows(X) if y is None else check_same_length(X, y)
        params = self._params_of_estimator(meta_mask, fit_params)
        mask = np.zeros(n, dtype=bool)
        for name, value in [("meta_mask", meta_mask), *params.items()]:
            if is_mask(name) and value is not None:
                mask |= check_mask(value, n, name)
        corrupted = corrupt(samplers, X, y, mask, local_random_state(self.random_state))
        params = carry(params, corrupted.origin, n)
        self.estimator_ = clone(self.estimator).fit(corrupted.X, corrupted.y, **params)
        self.corruption_ = corrupted.samplers
        self.sample_indices_ = corrupted.origin
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _params_of_estimator(
        self, meta_mask: RowContainer | None, fit_params: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the estimator's `fit` is to get, rows not yet taken."""
        given = fit_params if meta_mask is None else {**fit_params, "meta_mask": meta_mask}
        if get_config()["enable_metadata_routing"]:
            return dict(process_routing(self, "fit", **given)["estimator"]["fit"])
        if meta_mask is not None:
            _check_pipeline(self.estimator)
        return dict(given if _takes_mask(self.estimator) else fit_params)

    @_if_estimator_has("predict")
    def predict(self, X: RowContainer) -> Any:
        """Return the labels that the fitted estimator predicts.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, which are not corrupted.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @_if_estimator_has("predict_proba")
    def predict_proba(self, X: RowContainer) -> Any:
        """Return class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, which are not corrupted.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            One column for each entry of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_if_estimator_has("predict_log_proba")
    def predict_log_proba(self, X: RowContainer) -> Any:
        """Return logarithms of class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, which are not corrupted.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            One column for each entry of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @_if_estimator_has("decision_function")
    def decision_function(self, X: RowContainer) -> Any:
        """Return the confidence scores of the fitted estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows, which are not corrupted.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Scores as the estimator gives them.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what `fit` requests for itself and for the estimator.

        Returns
        -------
        MetadataRouter
            The routing information.
        """
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


def _check_estimator(estimator: BaseEstimator) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(
            f"`estimator` must be an instance of a classifier with fit; got {estimator!r}; "
            "pass for instance GDWClassifier()."
        )


def _check_pipeline(estimator: BaseEstimator) -> None:
    """Raise if steps of a pipeline take ``meta_mask``, which does not reach them unrouted."""
    if not isinstance(estimator, Pipeline) or not estimator.steps:
        return
    # A pipeline with a fit of its own, such as that of make_meta_pipeline, may route by itself.
    if type(estimator).fit.__module__.partition(".")[0] not in ("sklearn", "imblearn"):
        return
    names = [name for name, step in estimator.steps if _takes_mask(step)]
    if names:
        # By name it is sure to reach the last step; imbalanced-learn keeps it from a sampler.
        by_name = names == [estimator.steps[-1][0]]
        raise ValueError(
            "`meta_mask` must be routed to the steps of a pipeline, and metadata routing is off; "
            f"got a {type(estimator).__name__} with steps that take it, {names}; "
            f"{f'pass {names[0]}__meta_mask instead, or ' if by_name else ''}switch routing on by "
            "sklearn.set_config(enable_metadata_routing=True)."
        )


def _takes_mask(estimator: BaseEstimator) -> bool:
    """Tell whether the estimator's `fit` has a use for ``meta_mask``, routing being off."""
    if has_fit_parameter(estimator, "meta_mask"):
        return True
    try:
        routing = get_routing_for_object(estimator)
    except NotImplementedError:  # scikit-learn's estimators without routing
        return False
    return "meta_mask" in routing.consumes("fit", ["meta_mask"])
