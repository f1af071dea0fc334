"""skorch's life cycle, handed to the training session: what is built, and when it is called."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import EpochTimer, LRScheduler, PassthroughScoring, PrintLog
from skorch.callbacks.scoring import EpochScoring
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import Dataset, Subset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._feed import Feed, Loading
from skgdw._feed._layout import Layout
from skgdw._feed._numbers import rows_of
from skgdw._intake._check_fit import TrainingData
from skgdw._net._auto_module import make_auto_module, shape_of_rows
from skgdw._net._sklearn_net import SklearnNet, listens
from skgdw._training._metrics import settle
from skgdw._training._parts import Parts, Settings
from skgdw._training._plan import Stage, make_plan
from skgdw._training._random import RandomStream
from skgdw._training._schedule import FitSchedule
from skgdw._training._session import Session
from skgdw._training.speed._switch import speed_in_use
from skgdw._training.trial._probe import eager
from skgdw._validation import check_auto_module, check_logits, check_optimizer, check_reduction
from skgdw.modules import MLP
from skgdw.weighting._registry import arguments_of, make_weighting, weighting_class

# SGD's settings: the paper's for image networks. Under them an MLP hardly learns classes of a few
# rows among thousands, all the less as weights below one shorten its steps and leave the decay.
_IMAGES = {"momentum": 0.9, "weight_decay": 5e-4}
_TABLES = {"momentum": 0.93, "weight_decay": 1e-5}

# Where calls are what costs, as on small networks, all of an optimizer's step in one.
_ONE_KERNEL = {"fused": True}


@dataclass(frozen=True)
class Call:
    """One call of ``fit`` or ``partial_fit``."""

    rows: TrainingData
    is_partial_fit: bool


def _is_schedule(callback: Any) -> bool:
    named = callback[1] if isinstance(callback, tuple) else callback
    return isinstance(named, LRScheduler) or named is LRScheduler


class WeightedNet(SklearnNet):
    """A net whose training step weights each class of each row."""

    # skorch finds its parts by these prefixes; modules and optimizers add theirs when built.
    prefixes_ = [*SklearnNet.prefixes_, "iterator_meta"]  # noqa: RUF012

    _call: Call | None = None
    _session: Session | None = None

    @property
    def _running(self) -> Session:
        if self._session is None:
            # As for any attribute that is not there: dir() and notebooks ask for all of them.
            raise AttributeError("Training runs inside `fit` and `partial_fit`; call one of them.")
        return self._session

    @property
    def has_constant_rate(self) -> bool:
        """Whether the learning rate stays as it is: the schedule asks."""
        is_partial_fit = self._call is not None and self._call.is_partial_fit
        stage = None if self._session is None else self._session.stage
        return is_partial_fit or (stage is not None and stage.fine_tunes)

    def _prefixes(self) -> set[str]:
        return super()._prefixes() | {"weighting", "weight_net", "weight_net_optimizer"}

    @contextmanager
    def _as_before_if_refused(self) -> Iterator[None]:
        """Undo what checking and building did, where an error came before the first step."""
        before = self.__dict__.copy()
        try:
            yield
        except Exception:
            if self._session is None or not self._session.has_begun:
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        finally:
            self.__dict__.pop("_call", None)
            self.__dict__.pop("_session", None)

    # What is built.

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        given = self.callbacks if isinstance(self.callbacks, list) else []
        is_given = any(map(_is_schedule, given))  # two schedules would multiply
        schedule = None if is_given else FitSchedule(CosineAnnealingLR)
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
            ("valid_acc", EpochScoring("accuracy", name="valid_acc", lower_is_better=False)),
            ("lr_schedule", schedule),
            ("print_log", PrintLog()),
        ]

    def initialize_module(self) -> WeightedNet:
        """Build ``module_``, ``weight_net_`` and ``weighting_``."""
        with RandomStream(self._seed(), torch.device("cpu")).active():
            kwargs = self.get_params_for("module")
            if isinstance(self.module, str):
                data = None if self._call is None else self._call.rows
                if data is not None:
                    self._row_shape = shape_of_rows(data.train.X)
                check_auto_module(self.module, is_fitting=bool(self._row_shape))
                n_classes = len(self.classes_inferred_)
                self.module_ = make_auto_module(self._row_shape, n_classes, **kwargs)
                if data is not None:
                    self.module_.fit_scaling(data.train.X)
            else:
                module = self.initialized_instance(self.module, kwargs)
                # A copy: the caller's instance is not trained, and a refit starts afresh.
                self.module_ = copy.deepcopy(module) if module is self.module else module
            self._initialize_weight_net()
            self._initialize_weighting()
        return self

    def _initialize_weight_net(self) -> None:
        kwargs = self.get_params_for("weight_net")
        weight_net = copy.deepcopy(self.initialized_instance(self.weight_net, kwargs))
        self.weight_net_ = weight_net.to(self._module_dtype())

    def _initialize_weighting(self) -> None:
        offered = {
            "weight_net": self.weight_net_,
            "meta_lr": self.meta_lr,
            "weight_clip": self.weight_clip,
        }
        weighting = make_weighting(self.weighting, self.get_params_for("weighting"), offered)
        self.weighting_ = weighting.to(self._module_dtype())

    def __setstate__(self, state: object) -> None:
        """Restore; nets saved before weightings were modules get theirs."""
        super().__setstate__(state)
        if hasattr(self, "weight_net_") and not hasattr(self, "weighting_"):
            with self._current_init_context("module"):
                self._initialize_weighting()

    def initialize_criterion(self) -> WeightedNet:
        """Build ``criterion_``, a copy where an instance is given."""
        criterion = self.initialized_instance(self.criterion, self.get_params_for("criterion"))
        check_reduction(criterion)
        self.criterion_ = copy.deepcopy(criterion) if criterion is self.criterion else criterion
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what ``optimizer_`` trains: everything but the weighting."""
        parts = (self.weight_net_, self.weighting_)
        own = {id(p) for part in parts for p in part.parameters()}
        for name, parameter in super().get_all_learnable_params():
            if id(parameter) not in own:
                yield name, parameter

    def initialize_optimizer(self, triggered_directly: Any = None) -> WeightedNet:
        """Build ``optimizer_`` and ``weight_net_optimizer_``."""
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        if self.optimizer is SGD:
            own = _TABLES if isinstance(eager(self.module_), MLP) else _IMAGES
            kwargs = {**own, **(_ONE_KERNEL if self._may_fuse(kwargs) else {}), **kwargs}
        self.optimizer_ = self._make_optimizer("optimizer", args, kwargs)
        args, kwargs = self.get_params_for_optimizer(
            "weight_net_optimizer", self.weight_net_.named_parameters()
        )
        if "weight_net" not in arguments_of(self.weighting):
            groups = [group for group in self.weighting_.parameter_groups() if group["params"]]
            args = (groups or args[0],)
        # Where none is set skorch would take the classifier's learning rate.
        kwargs["lr"] = self.get_params_for("weight_net_optimizer").get("lr", 1e-3)
        if self.weight_net_optimizer is Adam:
            own = {"weight_decay": 1e-4}
            kwargs = {**own, **(_ONE_KERNEL if self._may_fuse(kwargs) else {}), **kwargs}
        self.weight_net_optimizer_ = self._make_optimizer("weight_net_optimizer", args, kwargs)
        return self

    def _make_optimizer(self, name: str, args: Any, kwargs: dict[str, Any]) -> Optimizer:
        factory = self.__dict__[name]
        # Names that skorch gives to settings of groups.
        of_groups = {k: kwargs.pop(k) for k in list(kwargs) if k.startswith("param_groups__")}
        try:
            optimizer: Optimizer = factory(*args, **kwargs)
        except TypeError as error:  # what torch says of wrong types tells no names
            what = getattr(factory, "__name__", name)
            raise TypeError(
                f"`{name}__...` must be of the types that {what} takes; got {kwargs}: {error}. "
                "Correct the one of another type."
            ) from error
        check_optimizer(optimizer)
        groups = {str(index): group for index, group in enumerate(optimizer.param_groups)}
        for key, value in of_groups.items():
            index, _, option = key.removeprefix("param_groups__").partition("__")
            if option not in groups.get(index, ()):
                raise ValueError(
                    f"`{name}__param_groups__...` must name a group, {', '.join(groups)}, and a "
                    f"setting that it has; got `{name}__{key}`."
                )
            groups[index][option] = value
        return optimizer

    def _may_fuse(self, options: dict[str, Any]) -> bool:
        # Not in plain training, which is to give what skorch gives to the last bit.
        is_weighted = weighting_class(self.weighting).uses_meta and speed_in_use().fused
        return is_weighted and not {"foreach", "fused", "differentiable"} & options.keys()

    # Data.

    def _order_seed(self) -> int:
        seed: int = self._seeds["train"]
        return seed

    def get_split_datasets(self, X: Any, y: Any = None, **kwargs: Any) -> tuple[Any, Any]:
        """Return training and validation data as datasets of whole batches."""
        train, valid = (
            part.dataset.subset(part.indices)
            if isinstance(part, Subset) and isinstance(part.dataset, RowDataset)
            else part
            for part in super().get_split_datasets(X, y, **kwargs)
        )
        return train, valid

    def get_dataset(self, X: Any, y: Any = None) -> Dataset[Any]:
        """Return the dataset of X; training rows know their places."""
        dataset = super().get_dataset(X, y)
        call = self._call
        if isinstance(dataset, RowDataset) and call is not None and X is call.rows.train.X:
            dataset.rows = torch.as_tensor(call.rows.train.rows)
        return dataset

    def _row_numbers(self, dataset: Dataset[Any]) -> Tensor | None:
        if self._call is None:
            return None
        train = self._call.rows.train
        return rows_of(dataset, train.X, train.rows)

    def _loading(self, part: str) -> Loading:
        options = self.get_params_for(f"iterator_{part}")
        size = options.get("batch_size", self.batch_size)
        return Loading(getattr(self, f"iterator_{part}"), size, options)

    # Training.

    def _new_session(self, rows: TrainingData) -> Session:
        """Build the session, now that callbacks have had their say."""
        self._seeds = {name: self._seed() for name in ("stream", "train", "meta")}
        parts = Parts(
            module=self.module_,
            criterion=self.criterion_,
            optimizer=self.optimizer_,
            weighting=self.weighting_,
            weighting_optimizer=self.weight_net_optimizer_,
            infer=self.infer,
            loss=self.training_loss,
            set_training=self._set_training,
            on_gradients=self._on_gradients,
            listeners=[name for name, part in self.callbacks_ if listens(part, "on_grad_computed")],
            device=torch.device(self.device or "cpu"),
        )
        settings = Settings(
            n_classes=len(self.classes_inferred_),
            learning_rate=self.lr,
            meta_gradient=self.meta_gradient,
            precision=self.precision,
            lookahead_lr=self.lookahead_lr,
            meta_every=self.meta_every,
            meta_weight=self.meta_weight,
            min_gradient_share=self.min_gradient_share,
        )
        feed = Feed(
            dataset=self.get_dataset,
            train=self._loading("train"),
            meta=self._loading("meta"),
            layout=Layout(self.device),
            balance_meta=self.balance_meta,
            meta_seed=self._seeds["meta"],
        )

        def check(logits: Tensor, takes_logits: bool) -> None:
            check_logits(logits, self.module_, self.classes_inferred_, warns=takes_logits)

        return Session(parts, settings, rows, feed, self._seeds["stream"], check)

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Run the stages of a fit, each a loop of skorch's."""
        if self._call is None:
            raise RuntimeError("`fit_loop` runs inside `fit` and `partial_fit`; call one of them.")
        rows = self._call.rows
        session = self._session = self._new_session(rows)
        plan = make_plan(
            rows,
            epochs=self.max_epochs if epochs is None else epochs,
            is_weighted=session.is_weighted,
            fine_tune=self.fine_tune,
            keep_best=self.keep_best,
        )
        for k, stage in enumerate(plan):
            with session.on(stage, self._seeds["train"]):
                self._run_stage(stage, is_last=k == len(plan) - 1, **kwargs)
        self.meta_gradient_ = session.meta_gradient
        return self

    def _run_stage(self, stage: Stage, *, is_last: bool, **kwargs: Any) -> None:
        super().fit_loop(stage.rows.X, stage.rows.y, stage.epochs, **kwargs)

    def training_loss(self, y_pred: Any, y: Tensor, X: Any) -> Tensor:
        """Return the loss of a training batch."""
        loss: Tensor = self.get_loss(y_pred, y, X=X, training=True)
        return loss

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one optimizer step on a training batch."""
        result = self._running.take(batch, self.history)
        return {"loss": result.loss, "y_pred": result.evidence.logits}

    def _on_gradients(self, batch: Any) -> None:
        self.notify(
            "on_grad_computed",
            named_parameters=TeeGenerator(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Run the batches of one epoch; figures stay on the device until it ends."""
        if not training:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            return
        session, count = self._running, 0
        self._set_training(True)
        try:
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=True)
                step = step_fn(batch, **fit_params)
                self.history.record_batch(prefix + "_loss", step["loss"])
                self.history.record_batch(prefix + "_batch_size", len(step["y_pred"]))
                self.notify("on_batch_end", batch=batch, training=True, **step)
                count += 1
        finally:
            is_weighted = session.stage is not None and session.stage.is_weighted
            settle(self.history, f"{prefix}_loss", is_weighted=is_weighted)
        self.history.record(prefix + "_batch_count", count)
        session.end_epoch(self.history)
