"""How skorch's life cycle is wired to the training: what is built, and what a step does."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch.callbacks import EpochTimer, LRScheduler, PassthroughScoring, PrintLog
from skorch.callbacks.scoring import EpochScoring
from skorch.dataset import unpack_data
from skorch.utils import TeeGenerator, to_device
from torch import Tensor
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Subset

from skgdw._feed._dataset import RowDataset
from skgdw._feed._loader import make_loader
from skgdw._feed._numbers import rows_of
from skgdw._feed._rounds import Rounds
from skgdw._intake._hold_out import Rows
from skgdw._net._auto_module import make_auto_module
from skgdw._net._sklearn_net import SklearnNet
from skgdw._step_setup import eager, set_up_step, set_up_update
from skgdw._training._random import RandomStream
from skgdw._training._run import Run, settle
from skgdw._training._schedule import FitSchedule
from skgdw._training._weighting import WEIGHTINGS
from skgdw._training.step._step import StepResult, forget_gradients, unfuse_where_incomplete
from skgdw._training.trial._probe import channels_last
from skgdw._validation import (
    check_auto_module,
    check_optimizer,
    check_reduction,
)
from skgdw.modules import MLP

# SGD's settings: the paper's for image networks. Under them an MLP hardly learns classes of a few
# rows among thousands, all the less as weights below one shorten its steps and leave the decay.
_IMAGES = {"momentum": 0.9, "weight_decay": 5e-4}
_TABLES = {"momentum": 0.93, "weight_decay": 1e-5}


def _is_schedule(callback: Any) -> bool:
    named = callback[1] if isinstance(callback, tuple) else callback
    return isinstance(named, LRScheduler) or named is LRScheduler


# Where calls are what costs, as on small networks, all of an optimizer's step in one.
_ONE_KERNEL = {"fused": True}


class WeightedNet(SklearnNet):
    """A net whose training step weights each class of each row."""

    # skorch finds its parts by these prefixes; modules and optimizers add theirs when built.
    prefixes_ = [*SklearnNet.prefixes_, "iterator_meta"]  # noqa: RUF012

    _run: Run | None = None

    @property
    def _running(self) -> Run:
        if self._run is None:
            # As for any attribute that is not there: dir() and notebooks ask for all of them.
            raise AttributeError("Training runs inside `fit` and `partial_fit`; call one of them.")
        return self._run

    @property
    def is_partial_fit(self) -> bool:
        """Whether ``partial_fit`` is running; the schedule asks."""
        return self._run is not None and self._run.is_partial_fit

    def _prefixes(self) -> set[str]:
        return super()._prefixes() | {"weight_net", "weight_net_optimizer"}

    @contextmanager
    def _as_before_if_refused(self) -> Iterator[None]:
        """Undo what checking and building did, where an error came before the first step."""
        before = self.__dict__.copy()
        try:
            yield
        except Exception:
            if self._run is None or not self._run.has_begun:
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        finally:
            self.__dict__.pop("_run", None)

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
        """Build ``module_`` and ``weight_net_``."""
        with RandomStream(self._seed(), torch.device("cpu")).active():
            kwargs = self.get_params_for("module")
            if isinstance(self.module, str):
                check_auto_module(self.module, is_fitting=self._run is not None)
                n_classes = len(self.classes_inferred_)
                self.module_ = make_auto_module(self._running.train.X, n_classes, **kwargs)
            else:
                module = self.initialized_instance(self.module, kwargs)
                # A copy: the caller's instance is not trained, and a refit starts afresh.
                self.module_ = copy.deepcopy(module) if module is self.module else module
            kwargs = self.get_params_for("weight_net")
            weight_net = self.initialized_instance(self.weight_net, kwargs)
            self.weight_net_ = copy.deepcopy(weight_net).to(self._module_dtype())
        return self

    def initialize_criterion(self) -> WeightedNet:
        """Build ``criterion_``, a copy where an instance is given."""
        criterion = self.initialized_instance(self.criterion, self.get_params_for("criterion"))
        check_reduction(criterion)
        self.criterion_ = copy.deepcopy(criterion) if criterion is self.criterion else criterion
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what ``optimizer_`` trains: everything but the weighting net."""
        own = {id(p) for p in self.weight_net_.parameters()}
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
        # Where none is set skorch would take the classifier's learning rate.
        kwargs["lr"] = self.get_params_for("weight_net_optimizer").get("lr", 1e-3)
        if self.weight_net_optimizer is Adam:
            own = {"weight_decay": 1e-4}
            kwargs = {**own, **(_ONE_KERNEL if self._may_fuse(kwargs) else {}), **kwargs}
        self.weight_net_optimizer_ = self._make_optimizer("weight_net_optimizer", args, kwargs)
        return self

    def _make_optimizer(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        factory = self.__dict__[name]
        # Names that skorch gives to settings of groups.
        of_groups = {k: kwargs.pop(k) for k in list(kwargs) if k.startswith("param_groups__")}
        try:
            optimizer = factory(*args, **kwargs)
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
        is_weighted = WEIGHTINGS[self.weighting](self.meta_lr, self.weight_clip).uses_meta
        return is_weighted and not {"foreach", "fused", "differentiable"} & options.keys()

    # Data.

    def _order_seed(self) -> int:
        return self._running.seeds["train"]

    def get_split_datasets(self, X: Any, y: Any = None, **kwargs: Any) -> tuple[Any, Any]:
        """Return training and validation data as datasets of whole batches."""
        train, valid = (
            part.dataset.subset(part.indices)
            if isinstance(part, Subset) and isinstance(part.dataset, RowDataset)
            else part
            for part in super().get_split_datasets(X, y, **kwargs)
        )
        return train, valid

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Return the dataset of X; training rows know their places."""
        dataset = super().get_dataset(X, y)
        if isinstance(dataset, RowDataset) and self._run is not None and X is self._run.train.X:
            dataset.rows = torch.as_tensor(self._run.train.rows)
        return dataset

    def _row_numbers(self, dataset: Any) -> Tensor | None:
        train = self._running.train
        return rows_of(dataset, train.X, train.rows)

    def _meta_loader(self, meta: Rows) -> Any:
        options = {
            "shuffle": True,
            "generator": torch.Generator().manual_seed(self._running.seeds["meta"]),
            **self.get_params_for("iterator_meta"),
            "batch_size": min(self.batch_rows("meta"), len(meta.rows)),
        }
        dataset = self.get_dataset(meta.X, meta.y)
        has_codes = self.balance_meta and meta.y is not None
        return make_loader(
            self.iterator_meta,
            dataset,
            balance=torch.as_tensor(meta.y) if has_codes else None,
            endless=True,
            device=torch.device(self.device or "cpu"),
            **options,
        )

    def meta_batches(self, meta: Rows) -> Iterator[tuple[Any, Tensor]]:
        """Return meta batches without end, on the device."""
        return map(self._on_device, Rounds(self._meta_loader(meta)))

    def batch_rows(self, part: str) -> int:
        """Return the rows of a batch; -1 stands for all of them."""
        size: Any = getattr(self, f"iterator_{part}__batch_size", self.batch_size)
        return sys.maxsize if size == -1 else int(size)

    def _on_device(self, batch: Any) -> tuple[Any, Tensor]:
        X, y = unpack_data(batch)
        device = self.device
        if device is not None:
            X = X.to(device) if isinstance(X, Tensor) else to_device(X, device)
            y = y.to(device) if isinstance(y, Tensor) else to_device(y, device)
        return channels_last(X) if self._running.channels_last else X, y

    def first_rows(self, rows: Rows, part: str, n: int) -> tuple[Any, Tensor]:
        """Return the first n rows as a batch on the device."""
        collate = self.get_params_for(f"iterator_{part}").get("collate_fn")
        loader = make_loader(
            DataLoader,
            self.get_dataset(rows.X, rows.y),
            batch_size=n,
            shuffle=False,
            generator=torch.Generator(),
            collate_fn=collate,
        )
        return self._on_device(next(iter(loader)))

    # Training.

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Build the step, now that callbacks have had their say, and run the epochs."""
        self._running.seeds = {name: self._seed() for name in ("stream", "train", "meta")}
        self._running.step = set_up_step(self, self._running)
        self._running.update = set_up_update(self, self._running, self._update)
        return super().fit_loop(X, y, epochs, **kwargs)

    def training_loss(self, y_pred: Any, y: Tensor, X: Any) -> Tensor:
        """Return the loss of a training batch."""
        loss: Tensor = self.get_loss(y_pred, y, X=X, training=True)
        return loss

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one optimizer step on a training batch."""
        update, ledger = self._running.update, self._running.ledger
        if update is None:
            raise RuntimeError("The step is built by `fit_loop`, which `fit` calls.")
        self._running.has_begun = True
        if not self.module_.training:  # a callback has predicted
            self._set_training(True)
        X, y = self._on_device(batch)
        result = update(X, y, batch)
        if result.weight is not None and ledger is not None:
            rows = getattr(batch, "rows", None)
            rows = None if rows is None else rows.to(y.device, non_blocking=True)
            for name, value in ledger.note(rows, y, result.weight).items():
                self.history.record_batch(name, value)
        if result.meta_loss is not None:
            self.history.record_batch("meta_loss", result.meta_loss)
        return {"loss": result.loss, "y_pred": result.logits}

    def _update(self, X: Any, y: Tensor, batch: Any) -> StepResult:
        """Change the module by one step on a batch that is on the device."""
        forget_gradients(self.optimizer_)
        result: StepResult = self._running.step(X, y)  # type: ignore[misc]
        self.notify(
            "on_grad_computed",
            named_parameters=TeeGenerator(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )
        unfuse_where_incomplete(self.optimizer_)
        self.optimizer_.step()
        return result

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Run the batches of one epoch; figures stay on the device until it ends."""
        if not training:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            return
        count = 0
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
            settle(self.history, f"{prefix}_loss", is_weighted=self._running.ledger is not None)
        self.history.record(prefix + "_batch_count", count)
