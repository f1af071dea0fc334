"""skorch's classifier, brought to scikit-learn's estimator contract; no weighting in here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.callbacks.scoring import ScoringBase
from skorch.history import History
from torch import Tensor, nn

from skgdw._net._datasets import FedNet
from skgdw._net._pickle import SavingNet
from skgdw._net._set_params import SettableNet
from skgdw._rows import RowContainer, local_random_state
from skgdw._validation import check_prediction, check_X, passes_through
from skgdw._validation._outputs import first_output


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


def listens(callback: Callback, method_name: str) -> bool:
    """Tell whether a callback does anything then; most hear nothing of single batches."""
    kind = type(callback)
    return method_name in vars(callback) or _overrides(kind, method_name)  # type: ignore[arg-type]


@cache
def _overrides(kind: type[Callback], method_name: str) -> bool:
    return getattr(kind, method_name) is not getattr(Callback, method_name, None)


def _portable(output: Any) -> Any:
    """Return an output that skorch can move, or else its logits: it knows tuples of tensors."""
    is_tuple = type(output) is tuple and all(isinstance(part, Tensor) for part in output)
    return output if is_tuple else first_output(output)


class SklearnNet(SettableNet, SavingNet, FedNet, NeuralNetClassifier):
    """A net that scikit-learn's tools cannot tell from their own classifiers.

    It encodes labels of any kind, validates input as scikit-learn does, keeps its random numbers
    to itself, and lets ``set_params`` take effect at the next ``fit``.
    """

    history_ = _State()
    initialized_ = _State()
    virtual_params_ = _State()

    _speaks_codes = False

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
        if self._speaks_codes:
            return np.arange(len(self.classes_inferred_))
        try:
            return self.classes_inferred_
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no `classes_` before fit") from None

    def check_data(self, X: RowContainer, y: object = None) -> None:
        """Do nothing: ``fit`` has checked already."""

    def notify(self, method_name: str, **kwargs: object) -> None:
        """Tell the callbacks; those that score compare with the datasets' class codes."""
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            if not listens(callback, method_name):
                continue
            if isinstance(callback, ScoringBase):
                self.__dict__["_speaks_codes"] = True
            try:
                getattr(callback, method_name)(self, **kwargs)
            finally:
                self.__dict__.pop("_speaks_codes", None)

    # Prediction.

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether ``fit`` has been called."""
        return hasattr(self, "module_") and hasattr(self, "classes_inferred_")

    def infer(self, x: Tensor | Mapping[str, Tensor], **fit_params: object) -> Any:
        """Return the module's whole output for a batch."""
        return super().infer(x)

    def get_loss(self, y_pred: Any, y_true: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the criterion; cross-entropy takes the logits, one of the user's all outputs."""
        if type(self.criterion_) is nn.CrossEntropyLoss:
            y_pred = first_output(y_pred)
        loss: Tensor = super().get_loss(y_pred, y_true, *args, **kwargs)
        return loss

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return the module's output for a batch, as far as skorch can hand it on."""
        return _portable(super().evaluation_step(batch, training))

    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Return loss and output of a batch of validation rows."""
        step: dict[str, Any] = super().validation_step(batch, **fit_params)
        return {**step, "y_pred": _portable(step["y_pred"])}

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
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call `fit` with training "
                "rows before predicting; or, for a network out of `load_params`, name its labels "
                "beforehand: `classes=[...]`."
            )
        check_prediction(self)
        if isinstance(X, Mapping):
            X = dict(X)
        elif not passes_through(X):
            X = check_X(self, X, dtype=self._input_dtype(), reset=False)
        return self._for_the_world(super().predict_proba(X))

    def _for_the_world(self, probability: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c) for the frequencies of classes that are asked for."""
        return probability

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
