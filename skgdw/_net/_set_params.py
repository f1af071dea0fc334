"""Parameters: which there are, and what setting them does to a net that is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, cast

from sklearn.base import BaseEstimator
from skorch import NeuralNet
from torch import nn

from skgdw._net._placement import DeviceParameter, move, resolve
from skgdw._net._protocol import Device
from skgdw._validation import (
    check_callbacks,
    check_device,
    check_names,
    check_settable,
    copied,
    explain_callbacks,
)


class SettableNet(NeuralNet):
    """A skorch net whose parameters stay as given, and take effect at the next ``fit``."""

    device = DeviceParameter()

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; skorch takes parameters that are modules for trained ones."""
        if isinstance(value, nn.Module) and name in vars(self) and name[-1] != "_":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    # Names.

    def _prefixes(self) -> set[str]:
        """Return what may stand before a double underscore, also before parts are built."""
        return {*self.prefixes_, "module", "criterion", "optimizer"}

    def _get_param_names(self) -> list[str]:
        # Names that will be refused stay, so that a clone refuses them too.
        given = getattr(self, "_params_to_validate", ())
        return sorted(k for k in vars(self) if k in given or not (k[0] == "_" or k[-1] == "_"))

    def _validate_params(self) -> None:
        check_names(self, {*self.prefixes_, *self._prefixes()})
        super()._validate_params()

    def get_params(self, deep: bool = True, **kwargs: object) -> dict[str, object]:
        """Return the parameters as they were given."""
        params = super().get_params(deep=deep, **kwargs)
        if "device" in vars(self):  # not in a half-made object, which may be displayed as well
            params["device"] = vars(self)["device"]
        return params

    def __sklearn_clone__(self) -> Self:
        """Return a net of the same parameters, with copies of its modules.

        Returns
        -------
        object
            Of the same class, not fitted.

        Raises
        ------
        ValueError
            If a module cannot be copied.
        """
        modules = {k: v for k, v in self.get_params(deep=False).items() if isinstance(v, nn.Module)}
        without = type(self).__new__(type(self))
        without.__dict__.update(vars(self), **dict.fromkeys(modules))
        # scikit-learn copies as torch does by itself, which leaves something to be done.
        made = cast("Self", super(SettableNet, without).__sklearn_clone__())
        for name, module in modules.items():
            setattr(made, name, copied(module, name))
        return made

    # Setting.

    def set_params(self, **params: object) -> Self:
        """Set parameters; they take effect at the next ``fit``.

        On a fitted net learning rates and other optimizer settings, and callbacks, also act on
        the running optimizer and callbacks, so that ``partial_fit`` sees them. A new ``device``
        moves the networks and optimizers there. What module, criterion and optimizer are built of
        is refused by ``partial_fit`` and under ``warm_start``, which go on with those there are.

        Returns
        -------
        object
            The net itself.

        Raises
        ------
        ValueError
            If a name is no parameter, or torch cannot use the device.
        """
        callbacks = {}
        if getattr(self, "initialized_", False):
            # What can be refused comes first, so that nothing is set then.
            if "device" in params:
                check_device(resolve(cast("Device", params["device"])))
            callbacks = {n: v for n, v in params.items() if n.partition("__")[0] == "callbacks"}
            if callbacks:
                self._set_callbacks(callbacks)
        # Prefixes of a subclass's own, too; `initialize` looks at the names.
        prefixes = self._prefixes() | {n.partition("__")[0] for n in self._params_to_validate}
        for name, value in params.items():
            if name not in callbacks:
                self._set_param(name, value, prefixes)
        return self

    def _set_param(self, name: str, value: object, prefixes: set[str]) -> None:
        is_fitted = getattr(self, "initialized_", False)
        if is_fitted and self._is_virtual_param(name):
            self._set_on_optimizer(name, value)
        if "__" in name and name.partition("__")[0] in prefixes:
            self._params_to_validate.add(name)
            setattr(self, name, value)
            return
        check_settable(self, name, self._prefixes())
        if is_fitted and name == "device":
            move(self, resolve(cast("Device", value)))
        BaseEstimator.set_params(self, **{name: value})

    def _set_on_optimizer(self, name: str, value: object) -> None:
        """Set what skorch calls a virtual parameter on the optimizer there is."""
        before = [group["lr"] for group in self.optimizer_.param_groups]
        self._apply_virtual_params({name: value})
        for group, lr in zip(self.optimizer_.param_groups, before, strict=True):
            if group["lr"] != lr:  # set anew: no base rate to go back to
                group.pop("initial_lr", None)

    def _set_callbacks(self, params: Mapping[str, object]) -> None:
        """Set callbacks, or their settings, and build them anew; nothing where that fails."""
        before = vars(self).copy()
        for name, value in params.items():
            setattr(self, name, value)
        try:
            self._initialize_callbacks()
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self._params_to_validate.update(name for name in params if "__" in name)

    def initialize_callbacks(self) -> Self:
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
        try:
            super().initialize_callbacks()
        except (TypeError, ValueError) as error:
            explain_callbacks(self, self._uniquely_named_callbacks(), error)
            raise
        return self
