"""skorch's classifier, brought to scikit-learn's estimator contract; no weighting in here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from skorch import NeuralNetClassifier
from skorch.callbacks.scoring import ScoringBase
from skorch.history import History
from torch import Tensor, nn

from skgdw._intake._datasets import labels_inside
from skgdw._net._class_prior import at_class_shares, log_shares
from skgdw._net._datasets import FedNet
from skgdw._net._doc_link import DocLinked
from skgdw._net._hearers import Hearers
from skgdw._net._monitors import MISSING, check_monitors, explain
from skgdw._net._pickle import SavingNet
from skgdw._net._scoring import accuracy, as_labels_of, labels_for
from skgdw._net._set_params import SettableNet
from skgdw._net._signature import show_inherited
from skgdw._rows import RowContainer, is_dataset, local_random_state
from skgdw._validation import (
    check_any_rows,
    check_form,
    check_free,
    check_given,
    check_prediction,
    check_X,
    passes_through,
)
from skgdw._validation._outputs import check_outputs, first_output, portable, widened


class _State:
    """An attribute that skorch sets in ``__init__`` and scikit-learn wants to see only later."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_{name.rstrip('_')}_state"

    def __get__(self, net: object, owner: type | None = None) -> Any:
        if net is None:
            return self
        try:
            return vars(net)[self.key]
        except KeyError:
            raise AttributeError(self.key) from None

    def __set__(self, net: object, value: object) -> None:
        vars(net)[self.key] = value


def _scores(callback: object, told: Mapping[str, object]) -> bool:
    """Tell whether a callback may look at labels: those that score do, in batches of their kind."""
    if not isinstance(callback, ScoringBase):
        return False
    return told.get("training", callback.on_train) == callback.on_train


def _returns_logits(net: SklearnNet) -> bool:
    if net.returns_logits:
        return True
    raise AttributeError(
        "`decision_function` is there where the module returns logits, as it does for "
        f"criterion=torch.nn.CrossEntropyLoss; got {net.criterion!r}. Use `predict_proba`."
    )


class SklearnNet(SettableNet, SavingNet, FedNet, DocLinked, NeuralNetClassifier):
    """A net that scikit-learn's tools cannot tell from their own classifiers.

    It encodes labels of any kind, validates input as scikit-learn does, keeps its random numbers
    to itself, and lets ``set_params`` take effect at the next ``fit``.
    """

    history_ = _State()
    initialized_ = _State()
    virtual_params_ = _State()

    # Rows whose outputs skorch has kept, while a callback scores them.
    _scored_rows: Any = None

    _hearers: Hearers | None = None

    # scikit-learn's: parameters that differ from their defaults. It also knows it inside others.
    __repr__ = BaseEstimator.__repr__

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Have the signature tell the parameters, and defaults, that `**kwargs` stands for."""
        super().__init_subclass__(**kwargs)
        show_inherited(cls)

    def initialize_history(self) -> Self:
        """Start a history of its own: the one before stays with who holds it."""
        self.history_ = History()
        return self

    # Random numbers.

    def initialize(self) -> Self:
        """Build module, criterion, optimizers and callbacks."""
        if not hasattr(self, "_random"):
            self._new_random()
        super().initialize()
        return self

    def _new_random(self) -> None:
        """Start the source of all seeds anew; `partial_fit` goes on with it."""
        source = local_random_state(self.random_state)
        self._random = np.random.RandomState(source.randint(2**31 - 1))

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))

    # Labels.

    @property
    def classes_(self) -> np.ndarray:
        """Labels in the order of ``predict_proba``'s columns."""
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no `classes_` before fit") from None

    @property
    def n_iter_(self) -> int:
        """How many epochs ``module_`` was trained for: in all stages, and by all calls of fit."""
        if not self.__sklearn_is_fitted__() or not hasattr(self, "history_"):
            raise AttributeError(f"{type(self).__name__} has no `n_iter_` before fit")
        # One that was cut off by an interrupt or an error has no count.
        return sum("train_batch_count" in epoch for epoch in self.history_)

    def check_data(self, X: RowContainer, y: object = None) -> None:
        """Do nothing: ``fit`` has checked already."""

    def notify(self, method_name: str, **kwargs: object) -> None:
        """Tell the callbacks; those that score see labels where datasets hold class codes."""
        if "y" in kwargs:  # at the start and at the end of training
            kwargs["y"] = as_labels_of(kwargs["y"], self.classes_inferred_)
        if method_name == "on_train_begin":
            check_monitors(self)
        getattr(self, method_name)(self, **kwargs)
        if self._hearers is None:
            self._hearers = Hearers()
        for callback in self._hearers.of(self.callbacks_, method_name):
            try:
                with labels_for(self, callback) if _scores(callback, kwargs) else nullcontext():
                    getattr(callback, method_name)(self, **kwargs)
            except MISSING as error:
                explain(self, callback, error)
                raise
        if method_name == "on_epoch_begin":  # callbacks may have frozen some
            check_free(self.module_, (one for _, one in self.get_all_learnable_params()))

    # Prediction.

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether ``fit`` has been called."""
        return hasattr(self, "module_") and hasattr(self, "classes_inferred_")

    def infer(self, x: Tensor | Mapping[str, Tensor], **fit_params: object) -> Any:
        """Return the module's whole output for a batch."""
        return widened(super().infer(x))

    def get_loss(self, y_pred: Any, y_true: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the criterion; cross-entropy takes the logits, one of the user's all outputs."""
        if type(self.criterion_) is nn.CrossEntropyLoss:
            y_pred = first_output(y_pred)
        loss: Tensor = super().get_loss(y_pred, y_true, *args, **kwargs)
        return loss

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return the module's output for a batch, as far as skorch can hand it on."""
        return portable(super().evaluation_step(batch, training))

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Return loss and output of a batch of validation rows."""
        step: dict[str, Any] = super().validation_step(batch, **fit_params)
        return {**step, "y_pred": portable(step["y_pred"])}

    def _checked_rows(self, X: RowContainer) -> Any:
        """Return rows to predict for, as the datasets take them."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call `fit` with training "
                "rows before predicting; or, for a network out of `load_params`, name its labels "
                "beforehand: `classes=[...]`."
            )
        check_prediction(self)
        if X is not None and X is self._scored_rows:
            return X
        X = check_form(self, X, reset=False)
        if passes_through(X):
            check_any_rows(X)
            return X
        return check_X(self, X, dtype=self._input_dtype(), reset=False)

    @property
    def returns_logits(self) -> bool:
        """Whether the module's output is taken for logits, by cross-entropy for one."""
        criterion = getattr(self, "criterion_", self.criterion)
        criterion = getattr(criterion, "_orig_mod", criterion)  # what torch.compile wraps
        kind = criterion if isinstance(criterion, type) else type(criterion)
        return issubclass(kind, nn.CrossEntropyLoss)

    def _get_predict_nonlinearity(self) -> Any:
        if self.predict_nonlinearity == "auto" and self.returns_logits:
            return partial(torch.softmax, dim=-1)
        return super()._get_predict_nonlinearity()

    def predict_proba(self, X: RowContainer) -> np.ndarray:
        """Return class probabilities, for classes as frequent as ``class_prior`` says.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Rows as given to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            One column for each entry of ``classes_``.

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        """
        rows = self._checked_rows(X)
        probability = self._checked_outputs(super().predict_proba(rows), rows)
        return at_class_shares(probability, self._class_shares())

    def _checked_outputs(self, outputs: np.ndarray, rows: Any) -> np.ndarray:
        """Return outputs to predict from, or raise; callbacks that score may see any."""
        if vars(self).get("_session") is None:
            check_outputs(outputs, rows)
        return outputs

    def _class_shares(self) -> np.ndarray | None:
        """Return how frequent the classes are where predictions are for; None as in the logits."""
        return None

    def predict(self, X: RowContainer) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Rows as given to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of ``classes_``.
        """
        probability = self.predict_proba(X)
        return self.classes_[probability.argmax(axis=1)]

    def score(
        self, X: RowContainer, y: RowContainer | None = None, sample_weight: Any = None
    ) -> float:
        """Return the share of rows that are predicted rightly.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Rows as given to ``fit``.
        y : array-like of shape (n_samples,), or one-hot (n_samples, n_classes)
            Their labels; None for a Dataset that holds them.
        sample_weight : array-like of shape (n_samples,), optional
            How much each row counts.

        Returns
        -------
        float
            The accuracy.
        """
        if y is None and is_dataset(X):
            y = labels_inside(X, self.classes_)
        return accuracy(check_given(y, "y"), self.predict(X), sample_weight)

    def predict_log_proba(self, X: RowContainer) -> np.ndarray:
        """Return the logarithms of class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Rows as given to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Of ``predict_proba``, without its rounding to zero where the module returns logits.

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        """
        if not (self.returns_logits and self.predict_nonlinearity == "auto"):
            with np.errstate(divide="ignore"):
                return np.log(self.predict_proba(X))
        logits = self._logits(X)
        above = logits - logits.max(axis=1, keepdims=True)
        with np.errstate(under="ignore"):  # what is far below the largest adds nothing
            log_proba: np.ndarray = above - np.log(np.exp(above).sum(axis=1, keepdims=True))
        return log_proba

    @available_if(_returns_logits)
    def decision_function(self, X: RowContainer) -> np.ndarray:
        """Return the logits; there is no such method where the module returns something else.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Rows as given to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            One column for each entry of ``classes_``; of two classes how far the logit of the
            second is above that of the first, so that ``classes_[1]`` is predicted above zero.

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _logits(self, X: RowContainer) -> np.ndarray:
        rows = self._checked_rows(X)
        batches = self.forward_iter(rows, training=False)
        # In float32, as numpy has no bfloat16; doubles stay.
        parts = [first_output(batch).detach().cpu() for batch in batches]
        logits = torch.cat(parts)
        wide = (logits if logits.dtype == torch.float64 else logits.float()).numpy()
        wide = self._checked_outputs(wide, rows)
        shares = self._class_shares()
        return wide if shares is None else wide + log_shares(shares).astype(wide.dtype)
