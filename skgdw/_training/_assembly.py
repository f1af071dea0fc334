"""What comes before the first step: the module is tried, the weighted step put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from skgdw._feed._dataset import Batch
from skgdw._feed._feed import Feed
from skgdw._feed._layout import Inputs
from skgdw._feed._rounds import Rounds
from skgdw._intake._check_fit import TrainingData
from skgdw._intake._hold_out import Rows
from skgdw._tensors import is_narrow
from skgdw._training._parts import Parts, Settings
from skgdw._training._speed import Speed
from skgdw._training.step._jvp import Difference, Jvp
from skgdw._training.step._meta_step import LookAhead, MetaStep
from skgdw._training.step._passes import Passes
from skgdw._training.step._plain_step import Update
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._sample_weights import SampleWeights
from skgdw._training.step._stateless import Output, evaluating, first_output
from skgdw._training.trial._derivatives import choose_jvp, fastest
from skgdw._training.trial._probe import TRIAL_ROWS, Probe, Trial, eager, wake
from skgdw._training.trial._scaling import fill_lazy_parts, fit_input_scaling
from skgdw._validation import (
    check_batch_statistics,
    check_closure,
    check_codes,
    check_criterion_frozen,
    check_gradient,
    check_inputs_kept,
    check_logits_dtype,
    warn_of_channels_last,
)
from skgdw._validation._weighting import check_weighting
from skgdw.weighting import Evidence
from skgdw.weighting._row_loss import RowLoss, make_row_loss

logger = logging.getLogger("skgdw")

Number = TypeVar("Number", int, float)


def try_module(
    parts: Parts,
    rows: TrainingData,
    feed: Feed,
    probe: Probe,
    check_logits: Callable[[Tensor, bool], None],
) -> Batch:
    """Fit the module's input scaling, and see what it makes of a few rows.

    Parameters
    ----------
    parts, rows, feed, probe
        Of the training run.
    check_logits : callable
        Raises where the logits will not do; hears whether logits are what is expected.

    Returns
    -------
    Batch
        The rows, not placed yet.

    Raises
    ------
    ValueError
        If `infer` is a user's, and does more than to call the module; if the optimizer compares
        losses where rows have weights.
    RuntimeError
        Of the module's own, if it does not take the rows.
    TypeError
        Likewise.
    """
    check_closure(parts.optimizer, has_sample_weight=rows.sample_weight is not None)
    wake(parts.device)
    parts.set_training(True)
    first_rows = feed.first_training_rows(rows.train, TRIAL_ROWS)
    X, _ = feed.layout(first_rows)

    def first_passes() -> None:
        with probe.stream.undone():
            fill_lazy_parts(probe.stateless.module, X)
            fit_input_scaling(probe.stateless.module, rows.train.X, X)
        parts.set_training(True)
        try:
            probe.logits(X)
        except RuntimeError:
            if isinstance(X, Tensor):  # perhaps that is why
                warn_of_channels_last(tuple(X.shape))
            raise

    try:
        probe.stream.take_in(first_passes)
    except (RuntimeError, TypeError) as error:
        if "infer" in parts.overridden:  # which may make of rows what the module takes
            raise ValueError(_INFER) from error
        raise
    takes_logits = parts.weighting.uses_meta or isinstance(parts.criterion, nn.CrossEntropyLoss)
    if "infer" in parts.overridden:
        _check_infer(parts, probe, X)
    check_logits(probe.logits(X), takes_logits)
    if not any(parameter.requires_grad for parameter in parts.criterion.parameters()):
        check_gradient(probe.logits_with_graph(X), probe.stateless.module)
    n_meta = None if rows.meta is None else min(feed.meta.rows_at_once, len(rows.meta.rows))
    check_batch_statistics(probe.stateless.module, feed.train.rows_at_once, n_meta)
    return first_rows


_INFER = (
    "`infer` must return what the module returns for a batch: passes that look ahead, and those "
    "that judge epochs, call the module alone. Put what it does into the module's `forward`, other "
    "modules into that module, and what it does to rows into the Dataset."
)


def _check_infer(parts: Parts, probe: Probe, X: Inputs) -> None:
    """Refuse an `infer` of the user's that does more than to call the module."""
    stateless = probe.stateless
    precision = stateless.precision
    with torch.no_grad(), probe.stream.undone(), evaluating(stateless.module):
        found = first_output(precision.wrap(parts.infer)(X)).float()
        plain = stateless({}, X).float()
    if found.shape != plain.shape:
        raise ValueError(_INFER)
    rounding = 1e-3 if precision.eps is None else 10 * precision.eps
    off, size = (torch.linalg.vector_norm(each) for each in (found - plain, plain))
    if off > rounding * size:  # what is not finite says nothing
        raise ValueError(_INFER)


def _check_loss(
    parts: Parts, probe: Probe, batch: tuple[Inputs, Tensor], row_loss: RowLoss
) -> None:
    """Refuse a `get_loss` of the user's that is not the criterion's loss."""
    X, y = batch
    with torch.no_grad(), probe.stream.undone(), evaluating(probe.stateless.module):
        output = probe.stateless.precision.wrap(parts.infer)(X)
        logits = first_output(output)
        try:
            found = parts.loss(output, y, X)
        except Exception:  # one that records into an epoch, say, of which there is none yet
            return
        plain = row_loss.whole(row_loss.losses(logits, y), logits, y)
    if not torch.allclose(found.float(), plain.float(), 1e-3, 1e-5, equal_nan=True):
        raise ValueError(
            f"`get_loss` must return the criterion's loss where rows are weighted, {plain:.4g} for "
            f"the first rows; got {found:.4g}. Steps weigh the criterion's gradient by rows, and "
            "know nothing of what is added. Put what is about rows into the criterion, a penalty "
            'into the optimizer (weight_decay) or a callback, or take weighting="uniform".'
        )


def _tensors(X: Inputs) -> list[Tensor]:
    return [X] if isinstance(X, Tensor) else [*X.values()]


def _first(asked: Number | None, own: Number) -> Number:
    """Return what the user asks for, or what the weighting takes where that is None."""
    return own if asked is None else asked


@dataclass(frozen=True)
class Assembly:
    """Puts the weighted step of a training run together.

    Parameters
    ----------
    parts : Parts
    settings : Settings
    infer : callable
        Calls the module, in its precision.
    feed : Feed
        Gets the order of memory that suits the module.
    probe : Probe
        Of the module.
    speed : Speed
        What may be done to be faster.
    first_rows : Batch
        Training rows to try things on, not placed yet.
    """

    parts: Parts
    settings: Settings
    infer: Callable[[Inputs], Output]
    feed: Feed
    probe: Probe
    speed: Speed
    first_rows: Batch

    @property
    def _name(self) -> str:
        return type(self.probe.stateless.module).__name__

    @property
    def _is_compiled(self) -> bool:
        return self.probe.stateless.module is not self.parts.module

    def weighted_step(
        self, train: Rows, meta: Rows, meta_rounds: Rounds, weights: SampleWeights
    ) -> MetaStep:
        """Return the step, which takes meta batches out of rounds that are not placed yet.

        Parameters
        ----------
        train, meta : Rows
        meta_rounds : Rounds

        Returns
        -------
        MetaStep
            Ready to be taken.

        Raises
        ------
        CriterionError, ValueError
            If criterion or weighting do not fit the data.
        """
        parts, settings, layout = self.parts, self.settings, self.feed.layout
        check_criterion_frozen(parts.criterion)
        batch = self._placed()
        row_loss = make_row_loss(eager(parts.criterion), settings.n_classes)
        X, y = batch
        check_codes(y)
        versions = [each._version for each in _tensors(X)]
        logits = self.probe.logits(X)
        check_inputs_kept([each._version for each in _tensors(X)] == versions, self._name)
        check_logits_dtype(logits, parts.weighting, self._name)
        if "get_loss" in parts.overridden:
            _check_loss(parts, self.probe, batch, row_loss)
        rows = self.first_rows.rows
        if rows is not None:  # which counts from the first of them
            rows = torch.as_tensor(train.rows)[rows].to(y.device)
        with self.probe.stream.undone():
            check_weighting(parts.weighting, Evidence(logits, y, row_loss), rows)
        rates = LookAheadRates(self.probe.stateless, parts.optimizer, settings.lookahead_lr)
        passes = Passes(self.probe.stateless, self.probe.stream)
        # The graphs of torch.compile can be walked back only once.
        shares_pass = not self._is_compiled and self.probe.repeats_itself(X, logits)
        meta_batch = layout(self.feed.first_meta_rows(meta, TRIAL_ROWS))
        jvp = self._choose_jvp(Trial(passes, row_loss, rates, batch, meta_batch, shares_pass))
        own = parts.weighting.step_defaults(len(train.rows), len(meta.rows))
        own = parts.weighting.in_a_stream(own) if settings.is_stream else own
        return MetaStep(
            infer=self.infer,
            passes=passes,
            row_loss=row_loss,
            weighting=parts.weighting,
            weighting_optimizer=parts.weighting_optimizer,
            look_ahead=LookAhead(rates, jvp, shares_pass),
            meta_batches=map(layout, meta_rounds),
            meta_every=_first(settings.meta_every, own.meta_every),
            meta_weight=_first(settings.meta_weight, own.meta_weight),
            min_share=_first(settings.min_gradient_share, own.min_gradient_share),
            weights=weights,
        )

    def _placed(self) -> tuple[Inputs, Tensor]:
        """Return the first rows in the order of memory that suits the module, from now on."""
        layout = self.feed.layout
        batch = layout(self.first_rows)
        if self.speed.channels_last and self.probe.gains_by_channels_last(batch[0]):
            layout.channels_last = True
            batch = layout(self.first_rows)
        return batch

    def _choose_jvp(self, trial: Trial) -> Jvp:
        """Choose how J g is computed, and log it once."""
        precision, eps = self.probe.stateless.precision, self._rounding()
        attempt = cast("Callable[[Jvp], Tensor]", cache(trial))
        jvp = choose_jvp(self.settings.meta_gradient, attempt, self._name, eps=eps)
        if trial.shares_pass and self.speed.recorded:
            jvp = fastest(jvp, attempt, trial.nearby, eps=eps)
        if trial.shares_pass and isinstance(jvp, Difference):
            # Not from a pass in bf16: a difference of short numbers would be noise.
            jvp = replace(jvp, shares_pass=precision.dtype is None)
        logger.info("J g of %s: %s (asked for %r)", self._name, jvp, self.settings.meta_gradient)
        return jvp

    def _rounding(self) -> float | None:
        """Return the relative rounding error of a pass; None where the logits' format tells."""
        stateless = self.probe.stateless
        found = [torch.finfo(p.dtype).eps for p in stateless.parameters.values() if is_narrow(p)]
        return max(found, default=stateless.precision.eps)

    def captured(self, update: Update, step: MetaStep) -> tuple[Update, MetaStep]:
        """Return the update captured as CUDA graphs, and its step, where that can be done."""
        try:  # a way to save time that has to be asked for: its folder can be deleted
            from skgdw._training.speed._graph import (
                CudaRecorder,
                capture_faults,
                captured,
                log_fallback,
            )
        except ModuleNotFoundError as error:
            logger.warning("`cuda_graph` is not used: %s.", error)
            return update, step
        parts = self.parts
        optimizers = [parts.optimizer]
        if parts.weighting_optimizer is not None:
            optimizers.append(parts.weighting_optimizer)
        faults = [] if parts.device.type == "cuda" else [f"the device is {parts.device}"]
        if self._is_compiled:
            faults.append(f"{self._name} is compiled")
        X, _ = self.feed.layout(self.first_rows)
        if self.probe.draws_numbers(X):
            faults.append(f"{self._name} draws random numbers, which passes of one step must share")
        if parts.listeners:
            faults.append(f"callbacks listen to gradients: {parts.listeners}")
        faults += [fault for optimizer in optimizers for fault in capture_faults(optimizer)]
        if faults:
            log_fallback(faults)
            return update, step
        step, update = captured(update, step, optimizers, parts.device, CudaRecorder())
        return update, step
