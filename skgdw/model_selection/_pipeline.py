"""Pipelines whose steps transform trusted rows as they transform the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, Self

from sklearn import config_context
from sklearn.pipeline import Pipeline

from skgdw._rows import RowContainer
from skgdw._steps import name_steps

# scikit-learn looks up `groups` there, whether they are given or not; without routing it does not.
_NO_ENCODER = (
    "Steps of a meta pipeline must work under metadata routing; scikit-learn's TargetEncoder asks "
    "for `groups` there. Put the trusted rows among the training rows and mark them, in a pipeline "
    "of scikit-learn's: make_pipeline(TargetEncoder(), GDWClassifier()).fit(X, y, "
    "gdwclassifier__meta_mask=mask). Or turn routing off inside a subclass of the encoder, as the "
    "documentation's page on other tools shows."
)


class MetaPipeline(Pipeline):
    """A pipeline that sends ``X_meta`` and ``X_val`` through its steps, fitted on X alone.

    scikit-learn's own pipeline does so too, under metadata routing and with
    ``transform_input=["X_meta", "X_val"]``; this one needs no global setting. Attributes and
    methods are those of :class:`sklearn.pipeline.Pipeline`.

    Parameters
    ----------
    steps : list of (str, estimator) tuples
        Transformers, then a classifier that takes ``X_meta``, each with its name.
    transform_input : list or tuple of str, or None, default=("X_meta", "X_val")
        What is transformed along with X. None leaves trusted rows as they are.
    memory : str, joblib.Memory or None, default=None
        Where fitted transformers are cached.
    verbose : bool, default=False
        Whether to print the time of each step.

    See Also
    --------
    make_meta_pipeline : Build one from steps, with or without their names.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Pipeline._parameter_constraints,
        "transform_input": [list, tuple, None],
    }

    def __init__(
        self,
        steps: list[tuple[str, Any]],
        *,
        transform_input: list[str] | tuple[str, ...] | None = ("X_meta", "X_val"),
        memory: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)

    def __getitem__(self, ind: Any) -> Any:
        """Return a step, by position or name, or a pipeline of a slice of the steps.

        Parameters
        ----------
        ind : int, str or slice
            Which.

        Returns
        -------
        estimator or MetaPipeline
            Not a copy: the steps of a slice are those of this pipeline.
        """
        part = super().__getitem__(ind)
        if isinstance(ind, slice):  # scikit-learn leaves it out
            part.transform_input = self.transform_input
        return part

    def fit(
        self, X: RowContainer, y: RowContainer | None = None, *trusted: Any, **params: Any
    ) -> Self:
        """Fit the steps on (X, y) and the last one with the transformed trusted rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Training rows.
        y : array-like of shape (n,)
            Their labels.
        *trusted
            ``X_meta`` and ``y_meta``, where they are not given by name.
        **params
            ``X_meta`` and ``y_meta``, best in 1-tuples, which cross-validation never cuts, or
            ``meta_mask``; and ``X_val`` and ``y_val``, likewise. ``sample_weight`` goes to the last
            step alone, but for steps that ask for it, or for none, by ``set_fit_request``. Names
            may begin with that of the last step, as scikit-learn's pipelines have them.

        Returns
        -------
        MetaPipeline
            Itself, fitted.

        Raises
        ------
        TypeError
            If a step is scikit-learn's ``TargetEncoder``, which does not work under metadata
            routing; mark trusted rows by ``meta_mask`` in an ordinary pipeline. If an argument
            comes twice, or more than these by position. If a step is a class.
        """
        self._check_instances()
        params = self._by_own_names(trusted, params)
        weighs = params.get("sample_weight") is not None
        asked = _weights_for_the_last(self) if weighs else nullcontext()
        with config_context(enable_metadata_routing=True), _words_for_encoders(), asked:
            return super().fit(X, y, **params)

    def _check_instances(self) -> None:
        if classes := [step.__name__ for _, step in self.steps if isinstance(step, type)]:
            raise TypeError(
                f"`steps` must be instances; got the class{'es' if len(classes) > 1 else ''} "
                f"{', '.join(classes)}; pass {', '.join(f'{name}()' for name in classes)}."
            )

    def _by_own_names(self, trusted: tuple[Any, ...], params: dict[str, Any]) -> dict[str, Any]:
        """Return what `fit` was given without the name of the last step before it."""
        own = f"{self.steps[-1][0]}__"
        by_place = dict(zip(("X_meta", "y_meta"), trusted, strict=False))
        given = Counter([*by_place, *(name.removeprefix(own) for name in params)])
        twice = sorted(name for name, count in given.items() if count > 1)
        if len(trusted) > len(by_place) or twice:
            found = f"{', '.join(twice)} twice" if twice else f"{len(trusted)} further arguments"
            raise TypeError(
                "`fit` must get X, y, X_meta and y_meta by position, each once, and all else by "
                f"name; got {found}."
            )
        return by_place | {name.removeprefix(own): value for name, value in params.items()}


@contextmanager
def _weights_for_the_last(pipeline: Pipeline) -> Iterator[None]:
    """Have the last step alone get ``sample_weight``, of those that say nothing about it."""
    given, last = dict(pipeline.steps), pipeline.steps[-1][1]
    said = []
    for name, step in given.items():
        for path, part in _parts_of(step).items():
            if _says_nothing_of_weights(part):
                said.append((name, path, vars(part).get("_metadata_request")))
                part.set_fit_request(sample_weight=part is last)
    try:
        yield
    finally:
        for name, path, before in said:
            # Steps that are cached were copied with what they were told.
            for step in (given[name], pipeline.named_steps[name]):
                part = _parts_of(step)[path]
                if before is None:
                    vars(part).pop("_metadata_request", None)
                else:
                    part._metadata_request = before


def _parts_of(step: Any) -> dict[str, Any]:
    """Return an estimator, and those within it, by the names of parameters."""
    within = step.get_params(deep=True) if hasattr(step, "get_params") else {}
    found = {"": step, **within}
    return {path: part for path, part in found.items() if hasattr(part, "_get_metadata_request")}


def _says_nothing_of_weights(step: Any) -> bool:
    # What it says for itself: `get_metadata_routing` may speak for estimators within.
    requests = step._get_metadata_request().fit.requests
    return "sample_weight" in requests and requests["sample_weight"] is None


@contextmanager
def _words_for_encoders() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        if error.args == ("groups",):
            raise TypeError(_NO_ENCODER) from error
        raise


def make_meta_pipeline(*steps: Any, memory: Any = None, verbose: bool = False) -> MetaPipeline:
    """Build a `MetaPipeline` from steps, with or without names of their own.

    Parameters
    ----------
    *steps : estimators or (str, estimator) tuples
        Transformers, then a classifier that takes ``X_meta``. A step without a name is named after
        its class in lower case, as by :func:`sklearn.pipeline.make_pipeline`.
    memory : str, joblib.Memory or None, default=None
        Where fitted transformers are cached.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    MetaPipeline
        The pipeline.

    Raises
    ------
    ValueError
        If there are no steps.

    Notes
    -----
    Searches, cross-validation and calibration take the pipeline and its meta set whether metadata
    routing is on or off. :class:`sklearn.model_selection.TunedThresholdClassifierCV` and
    :class:`sklearn.model_selection.FixedThresholdClassifier` refuse ``X_meta``, ``y_meta`` and
    ``meta_mask`` while it is off, whatever they wrap. Either turn it on around their ``fit`` alone,
    ``with sklearn.config_context(enable_metadata_routing=True):``, or fit the pipeline first and
    set the threshold afterwards, on trusted rows that it has not seen:
    ``TunedThresholdClassifierCV(fitted, cv="prefit", refit=False).fit(X_clean, y_clean)``, or
    ``FixedThresholdClassifier(FrozenEstimator(fitted), threshold=0.3)``, with
    :class:`sklearn.frozen.FrozenEstimator`, as it would otherwise fit it anew, without a meta set.

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

    With a name of its own, a step is shorter to reach for a search:

    >>> pipe = make_meta_pipeline(StandardScaler(), ("net", GDWClassifier(verbose=0)))
    >>> pipe.set_params(net__meta_lr=0.3)["net"].meta_lr
    0.3
    """
    if not steps:
        raise ValueError(
            "`steps` must hold at least a classifier; got none; pass steps such as "
            "StandardScaler(), GDWClassifier()."
        )
    return MetaPipeline(name_steps(steps), memory=memory, verbose=verbose)
