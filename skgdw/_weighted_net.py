"""skorch's life cycle, handed to the training session: when what is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.utils.data import Dataset

from skgdw._built_net import BuiltNet
from skgdw._feed._dataset import RowDataset
from skgdw._feed._draws import drawn
from skgdw._feed._feed import VALID, Feed
from skgdw._feed._layout import Layout
from skgdw._feed._numbers import rows_of
from skgdw._intake._check_fit import GivenRows, TrainingData, check_fit
from skgdw._net._hearers import listens
from skgdw._net._interrupts import is_stop, pass_on_interrupt
from skgdw._net._overrides import overridden
from skgdw._net._sklearn_net import SklearnNet
from skgdw._net._splits import split
from skgdw._training._checkpoint import Saved, collect, restore
from skgdw._training._fingerprint import fingerprint
from skgdw._training._metrics import as_figure, make_plain, settle
from skgdw._training._parts import Parts, Settings
from skgdw._training._plan import Stage, make_plan
from skgdw._training._precision import PRECISIONS, without_autocast
from skgdw._training._progress import Progress
from skgdw._training._schedule import FitSchedule, begin_anew, end_constant_rate
from skgdw._training._session import Session
from skgdw._training.trial._derivatives import META_GRADIENTS
from skgdw._validation import check_logits, check_parameters, check_steps, knows_form
from skgdw.callbacks import Resume
from skgdw.callbacks._freeze_batch_norm import put_into_training
from skgdw.weighting._registry import weighting_class

# What parameters of these names may be.
CHOICES = {"meta_gradient": META_GRADIENTS, "precision": PRECISIONS}


class WeightedNet(BuiltNet):
    """A net whose training step weights each class of each row."""

    # skorch finds its parts by these prefixes; modules and optimizers add theirs when built.
    prefixes_ = [*SklearnNet.prefixes_, "iterator_meta"]  # noqa: RUF012

    _session: Session | None = None
    _is_partial_fit = False

    @property
    def _running(self) -> Session:
        if self._session is None:
            # As for any attribute that is not there: dir() and notebooks ask for all of them.
            raise AttributeError("Training runs inside `fit` and `partial_fit`; call one of them.")
        return self._session

    @property
    def has_constant_rate(self) -> bool:
        """Whether the learning rate stays as it is: the schedule asks."""
        stage = None if self._session is None else self._session.stage
        return self._is_partial_fit or (stage is not None and stage.fine_tunes)

    @contextmanager
    def _as_before_if_refused(self) -> Iterator[None]:
        """Undo what checking and building did, where an error came before the first step."""
        before, n_epochs = self.__dict__.copy(), len(getattr(self, "history_", None) or ())
        try:
            yield
        except Exception:
            if self._session is None or not self._session.has_begun:
                self.__dict__.clear()
                self.__dict__.update(before)
                del (getattr(self, "history_", None) or [])[n_epochs:]
            raise
        finally:
            for name in ("_data", "_is_partial_fit", "_session", "_seeds"):
                self.__dict__.pop(name, None)
            for _, callback in getattr(self, "callbacks_", ()):
                if isinstance(callback, FitSchedule | Progress):
                    callback.forget()

    def _check_fit(
        self, given: GivenRows, classes: ArrayLike | None, *, fresh: bool
    ) -> TrainingData:
        """Check the parameters and what is given; a fresh fit starts the source of seeds anew."""

        def source() -> np.random.RandomState:
            if fresh or not hasattr(self, "_random"):
                self._new_random()
            return self._random

        check_parameters(self, CHOICES)
        return check_fit(
            self,
            given,
            classes=classes,
            reset=fresh or not knows_form(self),
            uses_meta=weighting_class(self.weighting).uses_meta or self.fine_tune,
            judges=self.keep_best,
            random_state=source,
        )

    def _train(self, data: TrainingData, *, fresh: bool, is_partial_fit: bool) -> None:
        """Build what is not built yet, and hand over to skorch."""
        self.classes_inferred_ = data.classes
        self._data, self._is_partial_fit = data, is_partial_fit
        self.row_weights_ = self.row_ledger_ = None
        self.meta_gradient_: str | None = None
        # Parameters of a module that is made in inference mode could never be trained.
        with torch.inference_mode(False), torch.enable_grad(), without_autocast(self.device):
            if fresh:
                self.initialize()
            else:
                self._go_on()
            super().partial_fit(data.train.X, data.train.y)
        pass_on_interrupt(self._session)
        if self._session is None:  # interrupted before the first step
            return
        columns = self._session.ledger.columns()
        self.row_ledger_ = {name: column.cpu().numpy() for name, column in columns.items()}
        if self._session.is_weighted:
            self.row_weights_ = self.row_ledger_["last_weight"]

    # Data.

    def _order_seed(self) -> int:
        return int(vars(self).get("_seeds", {"train": 0})["train"])  # outside of fit: 0

    def get_split_datasets(self, X: Any, y: Any = None, **kwargs: Any) -> tuple[Any, Any]:
        """Return training and validation data as datasets of whole batches."""
        data, session = self._data, self._running
        if data is not None and data.valid is not None:
            return self.get_dataset(X, y), self.get_dataset(data.valid.X, data.valid.y)
        if data is not None and session.stage is not None and session.stage.fine_tunes:
            if session.held_out is None:  # the fit goes on from within this stage
                _, session.held_out = split(self, data.train.X, data.train.y)
            return self.get_dataset(X, y), session.held_out
        train, session.held_out = split(self, X, y)
        return train, session.held_out

    def get_dataset(self, X: Any, y: Any = None) -> Dataset[Any]:
        """Return the dataset of X; training rows know their places."""
        dataset = super().get_dataset(X, y)
        data = self._data
        if isinstance(dataset, RowDataset) and data is not None and X is data.train.X:
            dataset.rows = torch.as_tensor(data.train.rows)
        return dataset

    def get_iterator(self, dataset: Dataset[Any], training: bool = False) -> Any:
        """Return the loader of a dataset; that of training can be saved and resumed."""
        session = self._session
        if session is not None and not training:
            return drawn(super().get_iterator(dataset), self._seeds["meta"], VALID)
        if session is None or session.stage is None or session.epochs is not None:
            return super().get_iterator(dataset, training)
        if session.stage.fine_tunes:
            return session.begin(session.fine_tuning_loader(self._seeds["train"]))
        return session.begin(super().get_iterator(dataset, training))

    def _row_numbers(self, dataset: Dataset[Any]) -> Tensor | None:
        train = None if self._data is None else self._data.train
        return None if train is None else rows_of(dataset, train.X, train.rows)

    # Training.

    def _new_session(self, data: TrainingData) -> Session:
        """Build the session, now that callbacks have had their say."""
        self._seeds = {name: self._seed() for name in ("stream", "train", "meta")}
        parts = Parts(
            module=self.module_,
            criterion=self.criterion_,
            current_optimizer=lambda: self.optimizer_,
            weighting=self.weighting_,
            weighting_optimizer=self.weight_net_optimizer_,
            infer=self.infer,
            loss=self.training_loss,
            set_training=self._set_training,
            set_modes=partial(put_into_training, self.callbacks_),
            on_gradients=self._on_gradients,
            on_new_rate=self._begin_schedule,
            listeners=[name for name, part in self.callbacks_ if listens(part, "on_grad_computed")],
            device=torch.device(self.device or "cpu"),
            overridden=overridden(self, "infer", "get_loss"),
        )
        settings = Settings(
            n_classes=len(self.classes_inferred_),
            meta_gradient=self.meta_gradient,
            precision=self.precision,
            lookahead_lr=self.lookahead_lr,
            meta_every=self.meta_every,
            meta_weight=self.meta_weight,
            min_gradient_share=self.min_gradient_share,
            judges=self.keep_best or self.fine_tune,
            is_stream=self._is_partial_fit,
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

        return Session(parts, settings, data, feed, self._seeds["stream"], check)

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Run the stages of a fit, each a loop of skorch's."""
        if self._data is None:
            raise RuntimeError("`fit_loop` runs inside `fit` and `partial_fit`; call one of them.")
        session = self._session = self._new_session(self._data)
        plan = make_plan(
            self._data,
            epochs=self.max_epochs if epochs is None else epochs,
            is_weighted=session.is_weighted,
            fine_tune=self.fine_tune,
            keep_best=self.keep_best,
        )
        session.has_stages = len(plan) > 1
        saved = self._resumed()
        done = 0 if saved is None else [s.name for s in plan].index(saved["session"]["stage"])
        for stage in plan[done:]:
            with session.on(stage, self._seeds["train"], saved and saved["session"]) as epochs:
                self.meta_gradient_ = session.meta_gradient
                if saved is not None:
                    self.history_ = restore(saved, self._random, self.callbacks_)
                    self._seeds, saved = saved["seeds"], None
                self._run_stage(stage, epochs, is_last=stage is plan[-1], **kwargs)
        session.has_ended = True
        return self

    def _run_stage(self, stage: Stage, epochs: int, *, is_last: bool, **kwargs: Any) -> None:
        try:
            super().fit_loop(stage.rows.X, stage.rows.y, epochs, **kwargs)
        except KeyboardInterrupt:
            # A callback that stops early ends its stage; the user ends all of them.
            if is_last or not self._running.was_stopped:
                raise
            self._running.was_stopped = False
        finally:
            for _, callback in self.callbacks_:
                end_constant_rate(callback)

    def _begin_schedule(self) -> None:
        """Have callbacks begin anew with a stage that has rates of its own, and keeps them."""
        for group in self.optimizer_.param_groups:
            group["initial_lr"] = group["lr"]
        for _, callback in self.callbacks_:
            begin_anew(self, callback)

    # Resuming.

    def _resumes(self) -> Resume | None:
        return next((part for _, part in self.callbacks_ if isinstance(part, Resume)), None)

    def _resumed(self) -> Saved | None:
        resume = self._resumes()
        return None if resume is None else resume.load(self)

    def fingerprint(self) -> dict[str, str]:
        """Return what a state must have been saved with to go on from it."""
        if self._data is None:
            raise AttributeError("Training runs inside `fit` and `partial_fit`; call one of them.")
        return fingerprint(self.get_params(deep=False), self._data)

    def saved_state(self, fingerprint: dict[str, str]) -> Saved:
        """Return the state of the fit between two epochs."""
        kept = (self._random, self._seeds, self.callbacks_)
        return collect(self._running, self.history, *kept, fingerprint)

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Tell the callbacks; at the end of an epoch see who stops, and save what is to be."""
        if method_name != "on_epoch_end":
            super().notify(method_name, **kwargs)
            return
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as interrupt:
            if is_stop(interrupt):
                self._running.was_stopped = True
                self._end_epoch()
            raise
        self._end_epoch()

    def _end_epoch(self) -> None:
        make_plain(self.history)
        # After all callbacks, so that what they change is part of what is saved.
        if (resume := self._resumes()) is not None:
            resume.save(self)

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
            if iterator is not None:
                check_steps(self.history[-1, prefix + "_batch_count"], iterator, "iterator_valid")
            return
        session, count = self._running, 0
        if session.stage is not None and session.has_stages:
            self.history.record("stage", session.stage.name)
        self._set_training(True)
        try:
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=True)
                step = step_fn(batch, **fit_params)
                self.history.record_batch(prefix + "_loss", as_figure(step["loss"]))
                self.history.record_batch(prefix + "_batch_size", len(step["y_pred"]))
                self.notify("on_batch_end", batch=batch, training=True, **step)
                count += 1
        finally:
            is_weighted = session.stage is not None and session.stage.is_weighted
            settle(self.history, f"{prefix}_loss", is_weighted=is_weighted)
        check_steps(count, iterator, "iterator_train")
        self.history.record(prefix + "_batch_count", count)
        session.end_epoch(self.history)
