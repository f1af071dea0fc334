"""What skorch has built: the module, the weighting, criterion and optimizers, the callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from numpy.typing import ArrayLike, NDArray
from skorch.callbacks import EpochTimer, LRScheduler, PassthroughScoring, ProgressBar
from skorch.callbacks.scoring import EpochScoring
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from skgdw._net._auto_module import make_auto_module, shape_of_rows
from skgdw._net._class_prior import class_shares
from skgdw._net._criterion import CriterionNet
from skgdw._net._kept import check_kept, kept_params, set_since
from skgdw._net._modules import make_module
from skgdw._net._optimizers import make_optimizer
from skgdw._net._overrides import check_overrides
from skgdw._net._sklearn_net import SklearnNet
from skgdw._training._progress import FitLog, Progress
from skgdw._training._random import RandomStream
from skgdw._training._schedule import FitSchedule
from skgdw._training._speed import speed_in_use
from skgdw._training.trial._probe import eager
from skgdw._validation import (
    check_auto_module,
    check_classes,
    check_free,
    check_optimizer,
    copied,
)
from skgdw._validation._weighting import weighting_fault
from skgdw.modules import MLP
from skgdw.weighting import Weighting
from skgdw.weighting._registry import make_weighting, take_over, weighting_class

# SGD's settings: the paper's for image networks. Under them an MLP hardly learns classes of a few
# rows among thousands, all the less as weights below one shorten its steps and leave the decay.
_IMAGES = {"momentum": 0.9, "weight_decay": 5e-4}
_TABLES = {"momentum": 0.93, "weight_decay": 1e-5}

# Where calls are what costs, as on small networks, all of an optimizer's step in one.
_ONE_KERNEL = {"fused": True}
_WIDE = (torch.float32, torch.float64)


def _is_given(kind: type, callbacks: Any) -> bool:
    """Tell whether one of a user's callbacks, named or not, is of a kind, or a class of it."""
    given = callbacks if isinstance(callbacks, list) else []
    named = [part[1] if isinstance(part, tuple) else part for part in given]
    return any(issubclass(part if isinstance(part, type) else type(part), kind) for part in named)


class BuiltNet(CriterionNet, SklearnNet):
    """A net with a weighting beside its module, built by skorch's life cycle."""

    # What the parts were built of that training which goes on keeps.
    _built_of: dict[str, Any] | None = None

    # What `weighting_` was built with, other than modules.
    _weighting_of: dict[str, Any] = {}  # noqa: RUF012

    def _known_classes(self, classes: ArrayLike | None) -> ArrayLike | None:
        """Return the labels known before y is: those learnt, where training goes on."""
        fitted = self.__sklearn_is_fitted__()
        if classes is not None:
            check_classes(classes, self.classes_ if fitted else None)
        return self.classes_ if fitted else self.classes if classes is None else classes

    def _prefixes(self) -> set[str]:
        return super()._prefixes() | {"weighting", "weight_net", "weight_net_optimizer"}

    @property
    def returns_logits(self) -> bool:
        """Whether the module's output is taken for logits: weightings take nothing else."""
        if super().returns_logits:
            return True
        is_known = weighting_fault(self.weighting) is None  # it may be asked for before `fit` is
        return is_known and weighting_class(self.weighting).uses_meta

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        # Two schedules would multiply, two bars write over each other.
        has_schedule = _is_given(LRScheduler, self.callbacks)
        schedule = None if has_schedule else FitSchedule(CosineAnnealingLR)
        progress = None if _is_given(ProgressBar, self.callbacks) else Progress()
        found = [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
            ("valid_acc", EpochScoring("accuracy", name="valid_acc", lower_is_better=False)),
            ("lr_schedule", schedule),
            ("progress", progress),
            ("print_log", FitLog()),
        ]
        given = self.callbacks if isinstance(self.callbacks, list) else []
        named = {part[0] for part in given if isinstance(part, tuple)}
        # Of the same name: the user's own has taken the place.
        return [(name, part) for name, part in found if part is not None or name not in named]

    def initialize(self) -> BuiltNet:
        """Build all parts anew."""
        check_overrides(self)
        super().initialize()
        self._built_of = kept_params(vars(self))
        if self._data is not None:  # once the classes are known, and before they are learnt
            self._class_shares()
        return self

    def set_params(self, **params: Any) -> Self:
        """Set parameters; see `SettableNet.set_params`."""
        super().set_params(**params)
        # A callback's at the beginning of a fit, such as skorch's InputShapeSetter.
        is_beginning = self._data is not None and getattr(self, "_session", None) is None
        if is_beginning and self._built_of is not None:
            self._build_anew(set_since(self._built_of, kept_params(vars(self))))
        return self

    def _build_anew(self, names: list[str]) -> None:
        if not names:
            return
        if len(self.history):
            check_kept(self._built_of or {}, kept_params(vars(self)))
        why = self._format_reinit_msg("parts", dict.fromkeys(names))
        heads = {name.partition("__")[0] for name in names}
        if heads & {"module", "weight_net"}:  # else what a callback has loaded stays
            self._initialize_module(reason=why)
        if heads & {"module", "criterion", "class_weight"}:
            self._initialize_criterion()
        self._initialize_optimizer()
        self._built_of = kept_params(vars(self))
        for _, callback in self.callbacks_:
            if isinstance(callback, LRScheduler):  # of the optimizer that was
                callback.on_train_begin(self)

    def _go_on(self) -> None:
        """See to it that the parts are what the parameters say, where training goes on."""
        if self._built_of is not None:
            check_kept(self._built_of, kept_params(vars(self)))
        self._renew_weighting()
        self._check_optimizers()  # those there are, under a weighting that may be another
        self._class_shares()
        self._count_classes_anew()

    def _count_classes_anew(self) -> None:
        """Balance the classes of the rows of this fit; those of a stream are not all there yet."""
        if isinstance(self.class_weight, str) and not getattr(self, "_is_partial_fit", False):
            criterion = eager(self.criterion_)
            if isinstance(before := getattr(criterion, "weight", None), Tensor):
                criterion.weight = self._class_weights()["weight"].to(before)

    def initialize_module(self) -> BuiltNet:
        """Build ``module_``, ``weight_net_`` and ``weighting_``."""
        stream = RandomStream(self._seed(), torch.device("cpu"), beside_torch=True)
        with stream.active():
            kwargs = self.get_params_for("module")
            if isinstance(self.module, str):
                data = self._data
                if data is not None:
                    self._row_shape = shape_of_rows(data.train.X)
                check_auto_module(self.module, is_fitting=bool(self._row_shape))
                n_classes = len(self.classes_inferred_)
                ours = make_auto_module(self._row_shape, n_classes, **kwargs)
                if data is not None:
                    ours.fit_scaling(data.train.X)
                self.module_: nn.Module = ours
            else:
                module = make_module("module", self.module, kwargs, self.initialized_instance)
                # A copy: the caller's instance is not trained, and a refit starts afresh.
                self.module_ = copied(module) if module is self.module else module
            self._initialize_weight_net()
            self._initialize_weighting()
        return self

    def _initialize_weight_net(self) -> None:
        kwargs = self.get_params_for("weight_net")
        build = self.initialized_instance
        weight_net = make_module("weight_net", self.weight_net, kwargs, build)
        weight_net = copied(weight_net, "weight_net")
        self.weight_net_ = weight_net.to(self._weighting_dtype())

    def _initialize_weighting(self) -> None:
        known = () if self.classes is None else self.classes
        offered = {
            "weight_net": self.weight_net_,
            "meta_lr": self.meta_lr,
            "weight_clip": self.weight_clip,
            "n_classes": len(getattr(self, "classes_inferred_", known)),
        }
        weighting = make_weighting(self.weighting, self.get_params_for("weighting"), offered)
        self.weighting_ = weighting.to(self._weighting_dtype())
        self._weighting_of = self._weighting_params()

    def _weighting_params(self) -> dict[str, Any]:
        own = {"weighting": self.weighting, "meta_lr": self.meta_lr, "clip": self.weight_clip}
        return {**own, **self.get_params_for("weighting")}

    def _renew_weighting(self) -> None:
        """Build the weighting anew where its parameters were set since; what it learnt stays."""
        if not set_since(self._weighting_of, self._weighting_params()):
            return
        before = self.weighting_
        with self._current_init_context("module"):
            self._initialize_weighting()
            if type(before) is type(self.weighting_):
                take_over(before, self.weighting_)
            if self.device is not None:
                self.weighting_.to(self.device)
        learnt = {id(p) for p in self.weighting_.parameters()}
        if not learnt <= {id(p) for p in self.weight_net_.parameters()}:
            with self._current_init_context("optimizer"):
                self._initialize_weighting_optimizer()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: all but what loading takes from the parameters again."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_built_of"}

    def __setstate__(self, state: object) -> None:
        """Restore; nets saved before weightings were modules get theirs."""
        super().__setstate__(state)
        if hasattr(self, "module_"):
            self._built_of = kept_params(vars(self))
        if hasattr(self, "weight_net_") and not hasattr(self, "weighting_"):
            with self._current_init_context("module"):
                self._initialize_weighting()

    # What the weighting has found out.

    @property
    def transition_matrix_(self) -> NDArray[Any] | None:
        """How labels come of true classes, which stand in the rows; shape (c, c)."""
        weighting: Weighting = self.weighting_
        return weighting.transition_matrix()

    @property
    def class_prior_(self) -> NDArray[Any] | None:
        """Share of each true class among the training rows; shape (c,)."""
        weighting: Weighting = self.weighting_
        return weighting.class_prior()

    @property
    def noise_rate_(self) -> float | None:
        """Share of wrong labels among the training rows."""
        matrix, prior = self.transition_matrix_, self.class_prior_
        return None if matrix is None or prior is None else float(1 - prior @ matrix.diagonal())

    def _class_shares(self) -> NDArray[Any] | None:
        return class_shares(self.class_prior, self.classes_inferred_, self.class_prior_)

    def get_all_learnable_params(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what ``optimizer_`` trains: everything but the weighting."""
        parts = (self.weight_net_, self.weighting_)
        own = {id(p) for part in parts for p in part.parameters()}
        for name, parameter in super().get_all_learnable_params():
            if id(parameter) not in own:
                yield name, parameter

    def initialize_optimizer(self, triggered_directly: Any = None) -> BuiltNet:
        """Build ``optimizer_`` and ``weight_net_optimizer_``."""
        check_free(eager(self.module_), (one for _, one in self.get_all_learnable_params()))
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        if self.optimizer is SGD:
            own = _TABLES if isinstance(eager(self.module_), MLP) else _IMAGES
            trained = [one for _, one in self.get_all_learnable_params()]
            kwargs = {**own, **self._in_one_kernel(kwargs, trained), **kwargs}
        self.optimizer_ = make_optimizer("optimizer", self.optimizer, args, kwargs)
        self._initialize_weighting_optimizer()
        self._check_optimizers()
        return self

    def _check_optimizers(self) -> None:
        is_weighted = weighting_class(self.weighting).uses_meta
        for name in ("optimizer", "weight_net_optimizer"):
            check_optimizer(name, vars(self)[f"{name}_"], is_weighted=is_weighted)

    def _initialize_weighting_optimizer(self) -> None:
        args, kwargs = self.get_params_for_optimizer(
            "weight_net_optimizer", self.weight_net_.named_parameters()
        )
        learnt = {id(p) for p in self.weighting_.parameters()}
        if learnt != {id(p) for p in self.weight_net_.parameters()}:
            groups = [group for group in self.weighting_.parameter_groups() if group["params"]]
            args = (groups or args[0],)
        # Where none is set skorch would take the classifier's learning rate.
        kwargs["lr"] = self.get_params_for("weight_net_optimizer").get("lr", 1e-3)
        if self.weight_net_optimizer is Adam:
            decay = {"weight_decay": 1e-4}
            kwargs = {
                **decay,
                **self._in_one_kernel(kwargs, self.weighting_.parameters()),
                **kwargs,
            }
        self.weight_net_optimizer_ = make_optimizer(
            "weight_net_optimizer", self.weight_net_optimizer, args, kwargs
        )

    def _in_one_kernel(
        self, options: dict[str, Any], parameters: Iterable[Tensor]
    ) -> dict[str, bool]:
        # Not in plain training, which is to give what skorch gives to the last bit.
        is_weighted = weighting_class(self.weighting).uses_meta and speed_in_use().fused
        is_free = not {"foreach", "fused", "differentiable"} & options.keys()
        # Of 16 bits torch's kernel for CPUs leaves most numbers as they were.
        is_wide = all(one.dtype in _WIDE for one in parameters)
        return _ONE_KERNEL if is_weighted and is_free and is_wide else {}
