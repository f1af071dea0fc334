"""skorch's classifier, brought to scikit-learn's estimator contract; no weighting in here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.callbacks.scoring import ScoringBase
from skorch.dataset import Dataset as SkorchDataset
from skorch.history import History
from torch.utils.data import Dataset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._loader import make_loader
from skgdw._net._placement import DeviceParameter, move, resolve
from skgdw._net._saving import SavingNet
from skgdw._rows import local_random_state
from skgdw._validation import (
    check_callbacks,
    check_device,
    check_names,
    check_prediction,
    check_settable,
    check_X,
    passes_through,
)
from skgdw.modules._standardize import SelfScaling

# Rows a prediction step: large, so that a row's prediction does not hang on its neighbours
# (matrix products of different heights round differently), and fast.
_PREDICT_ROWS = 1024


class _State:
    """An attribute that skorch sets in ``__init__`` and scikit-learn wants to see only later."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_{name.rstrip('_')}_state"

    def __get__(self, net: Any, owner: type | None = None) -> Any:
        if net is None:
            return self
        try:
            return net.__dict__[self.key]
        except KeyError:
            raise AttributeError(self.key) from None

    def __set__(self, net: Any, value: Any) -> None:
        net.__dict__[self.key] = value


def listens(callback: Any, method_name: str) -> bool:
    """Tell whether a callback does anything then; most hear nothing of single batches."""
    kind: Any = type(callback)
    return method_name in vars(callback) or _overrides(kind, method_name)


@cache
def _overrides(kind: Any, method_name: str) -> bool:
    return getattr(kind, method_name) is not getattr(Callback, method_name, None)


class SklearnNet(SavingNet, NeuralNetClassifier):
    """A net that scikit-learn's tools cannot tell from their own classifiers.

    It encodes labels of any kind, validates input as scikit-learn does, keeps its random numbers
    to itself, and lets ``set_params`` take effect at the next ``fit``.
    """

    history_ = _State()
    initialized_ = _State()
    virtual_params_ = _State()
    device = DeviceParameter()

    _speaks_codes = False

    # Parameters.

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; skorch takes parameters that are modules for trained ones."""
        if isinstance(value, torch.nn.Module) and name in self.__dict__ and name[-1] != "_":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def initialize_history(self) -> SklearnNet:
        """Start a history of its own: the one before stays with who holds it."""
        self.history_ = History()
        return self

    def _get_param_names(self) -> list[str]:
        # Names that will be refused stay, so that a clone refuses them too.
        given = getattr(self, "_params_to_validate", ())
        return sorted(k for k in self.__dict__ if k in given or not (k[0] == "_" or k[-1] == "_"))

    def _validate_params(self) -> None:
        check_names(self, {*self.prefixes_, *self._prefixes()})
        super()._validate_params()

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict[str, Any]:
        """Return the parameters as they were given."""
        params = super().get_params(deep=deep, **kwargs)
        params["device"] = self.__dict__["device"]
        return params

    def set_params(self, **params: Any) -> SklearnNet:
        """Set parameters; they take effect at the next ``fit``.

        On a fitted net learning rates and other optimizer settings, and callbacks, also act on
        the running optimizer and callbacks, so that ``partial_fit`` sees them. A new ``device``
        moves the networks and optimizers there.

        Raises
        ------
        ValueError
            If a name is no parameter, or torch cannot use the device.
        """
        fitted = getattr(self, "initialized_", False)
        if fitted and "device" in params:
            check_device(resolve(params["device"]))
        is_callback = {n: n == "callbacks" or n.startswith("callbacks__") for n in params}
        callbacks = {n: value for n, value in params.items() if fitted and is_callback[n]}
        if callbacks:
            self._set_callbacks(callbacks)
        # Prefixes of a subclass's own, too; `initialize` looks at the names.
        prefixes = self._prefixes() | {n.partition("__")[0] for n in self._params_to_validate}
        for name, value in params.items():
            if name in callbacks:
                continue
            if fitted and self._is_virtual_param(name):
                before = [group["lr"] for group in self.optimizer_.param_groups]
                self._apply_virtual_params({name: value})
                for group, lr in zip(self.optimizer_.param_groups, before, strict=True):
                    if group["lr"] != lr:  # set anew: no base rate to go back to
                        group.pop("initial_lr", None)
            if "__" in name and name.partition("__")[0] in prefixes:
                self._params_to_validate.add(name)
                setattr(self, name, value)
            else:
                check_settable(self, name, self._prefixes())
                if fitted and name == "device":
                    move(self, resolve(value))
                BaseEstimator.set_params(self, **{name: value})
        return self

    def _set_callbacks(self, params: dict[str, Any]) -> None:
        before = self.__dict__.copy()
        for name, value in params.items():
            setattr(self, name, value)
        try:
            self._initialize_callbacks()
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self._params_to_validate.update(name for name in params if "__" in name)

    def initialize_callbacks(self) -> SklearnNet:
        """Build the callbacks; settings of one that does not exist are refused."""
        check_callbacks(self)
        known = sorted(name for name, _ in self._uniquely_named_callbacks())
        named = sorted(name for name in vars(self) if name.startswith("callbacks__"))
        unknown = [name for name in named if name.split("__")[1] not in known]
        if unknown:
            raise ValueError(
                f"`callbacks__...` must name a callback; got {', '.join(unknown)}; the callbacks "
                f"are {known}."
            )
        return super().initialize_callbacks()

    def _prefixes(self) -> set[str]:
        return {*self.prefixes_, "module", "criterion", "optimizer"}

    # Random numbers.

    def initialize(self) -> SklearnNet:
        """Build module, criterion, optimizers and callbacks."""
        if not hasattr(self, "_random"):
            self._new_random()
        return super().initialize()

    def _new_random(self) -> None:
        """Start the source of all seeds anew; `partial_fit` goes on with it."""
        source = local_random_state(self.random_state)
        self._random = np.random.RandomState(source.randint(2**31 - 1))

    def _order_seed(self) -> int:
        """Return the seed of the training rows' order."""
        return self._seed()

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

    def check_data(self, X: Any, y: Any = None) -> None:
        """Do nothing: ``fit`` has checked already."""

    def notify(self, method_name: str, **kwargs: Any) -> None:
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

    # Data.

    def get_dataset(self, X: Any, y: Any = None) -> Dataset:
        """Return a dataset that hands out whole batches, or the user's own kind."""
        if isinstance(X, Dataset) or self.dataset is not SkorchDataset:
            return super().get_dataset(X, y)
        return RowDataset(self._to_tensors(X), None if y is None else torch.as_tensor(y))

    def _to_tensors(self, X: Any) -> Any:
        if isinstance(X, dict):
            return {name: self._to_tensors(value) for name, value in X.items()}
        tensor = X
        if not isinstance(X, torch.Tensor):
            array = np.require(X, X.dtype.newbyteorder("="), requirements=["C", "W"])
            tensor = torch.from_numpy(array)
        if tensor.is_floating_point() or not self._takes_codes():
            # Tables reach our own networks in double precision where they have it: these centre
            # them first, and large offsets (timestamps) would be rounded away.
            is_kept = tensor.ndim == 2 and tensor.dtype is torch.float64
            if not (is_kept and isinstance(self.module_, SelfScaling)):
                tensor = tensor.to(self._module_dtype())
        return tensor

    def _module_dtype(self) -> torch.dtype:
        floating = (p.dtype for p in self.module_.parameters() if p.is_floating_point())
        return next(floating, torch.get_default_dtype())

    def _takes_codes(self) -> bool:
        """Tell whether integers are codes to the module, to be looked up, and no numbers."""
        tables = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        return any(isinstance(layer, tables) for layer in self.module_.modules())

    def _input_dtype(self) -> Any:
        """Return the dtypes that arrays may have; others become the first."""
        # What a module of the user's takes is only known once it is built.
        return (np.float32, np.float64) if isinstance(self.module, str) else "numeric"

    def get_iterator(self, dataset: Dataset, training: bool = False) -> Any:
        """Return the loader of a dataset: shuffled for training, in large batches otherwise."""
        name = "iterator_train" if training else "iterator_valid"
        options = {
            "batch_size": self.batch_size if training else max(self.batch_size, _PREDICT_ROWS),
            "shuffle": training,
            **self.get_params_for(name),
        }
        if options["batch_size"] == -1:
            options["batch_size"] = len(dataset)  # type: ignore[arg-type]
        generator = torch.Generator()
        generator.manual_seed(self._order_seed() if training else 0)
        # Rows of many passes are placed on the device once; prediction sees each a single time.
        device = torch.device((self.device if training else None) or "cpu")
        rows = self._row_numbers(dataset) if training else None
        options = {"generator": generator, **options}
        return make_loader(getattr(self, name), dataset, rows=rows, device=device, **options)

    def _row_numbers(self, dataset: Dataset) -> torch.Tensor | None:
        """Return where rows that are trained on stand in what ``fit`` was given, if known."""
        return None

    # Prediction.

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether ``fit`` has been called."""
        return hasattr(self, "module_") and hasattr(self, "classes_inferred_")

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Call the module on a batch."""
        return super().infer(x)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities.

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
        return super().predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
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
