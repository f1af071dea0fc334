"""Building the criterion, with weights of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import CrossEntropyLoss

from skgdw._intake._check_fit import TrainingData
from skgdw._net._class_weight import as_criterion_weight, criterion_weight
from skgdw._net._datasets import FedNet
from skgdw._net._modules import make_module
from skgdw._validation import check_reduction, copied


class CriterionNet(FedNet):
    """A skorch net whose criterion may weigh classes, by `class_weight` or by itself."""

    class_weight: str | Mapping[Any, float] | None

    # What a call of fit works on, while it runs.
    _data: TrainingData | None = None

    def _weighting_dtype(self) -> torch.dtype:
        # As wide as the logits, which leave a module of 16 bits in float32.
        return torch.promote_types(self._module_dtype(), torch.float32)

    def initialize_criterion(self) -> Self:
        """Build ``criterion_``, a copy where an instance is given."""
        params = {**self.get_params_for("criterion"), **self._class_weights()}
        is_class = isinstance(self.criterion, type)
        if is_class and issubclass(self.criterion, CrossEntropyLoss) and "weight" in params:
            params["weight"] = self._as_weight(params["weight"])
        build = self.initialized_instance
        criterion = make_module("criterion", self.criterion, params, build)
        check_reduction(criterion)
        # A copy of what others may hold: an instance, or what a function returns again and again.
        criterion = criterion if is_class else copied(criterion, "criterion")
        if isinstance(criterion, CrossEntropyLoss):
            criterion.weight = self._as_weight(criterion.weight)
        self.criterion_ = criterion
        return self

    def _as_weight(self, weight: Any) -> Tensor | None:
        known = len(getattr(self, "classes_inferred_", ())) or None
        dtype = self._weighting_dtype()
        return None if weight is None else as_criterion_weight(weight, known, dtype)

    def _class_weights(self) -> dict[str, Tensor]:
        if self.class_weight is None:
            return {}
        if not isinstance(self.criterion, type) or "criterion__weight" in vars(self):
            raise ValueError(
                "`class_weight` must stand alone; got a `criterion` with weights of its own, or an "
                "instance. Pass the weights there, or the class of the criterion without any."
            )
        weight = criterion_weight(
            self.class_weight,
            getattr(self, "classes_inferred_", self.classes),  # the latter before any fit
            self._data,
            is_partial_fit=bool(getattr(self, "_is_partial_fit", False)),
        )
        return {"weight": weight.to(self._weighting_dtype())}
