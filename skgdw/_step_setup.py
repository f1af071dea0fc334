"""How the step of one ``fit`` is put together, and tried on a few rows first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.nn import CrossEntropyLoss

from skgdw._net._auto_module import fit_input_scaling
from skgdw._net._sklearn_net import listens
from skgdw._training._ledger import Ledger
from skgdw._training._random import RandomStream, StillStream
from skgdw._training._run import Run
from skgdw._training._weighting import make_weighting
from skgdw._training.speed._graph import (
    CudaRecorder,
    GraphedUpdate,
    GraphRates,
    HeldBatches,
    capture_faults,
    log_fallback,
)
from skgdw._training.speed._precision import PRECISIONS, Precision
from skgdw._training.step._rates import LookAheadRates
from skgdw._training.step._row_loss import make_row_loss
from skgdw._training.step._stateless import Stateless
from skgdw._training.step._step import MetaStep, PlainStep, Step, StepResult
from skgdw._training.trial._derivatives import choose_meta_gradient
from skgdw._training.trial._probe import (
    draws_numbers,
    gains_by_channels_last,
    repeats_itself,
    trial_logits,
)
from skgdw._validation import check_batch_statistics, check_logits, check_weights

# Rows on which output and meta gradient are tried out.
TRIAL_ROWS = 8


def eager(module: Any) -> Any:
    """Return what torch.compile wrapped, or the module itself."""
    return getattr(module, "_orig_mod", module)


def set_up_update(net: Any, run: Run, update: Callable[..., StepResult]) -> Any:
    """Return `update`, captured as a CUDA graph where that is asked for and can be done.

    Parameters
    ----------
    net : WeightedNet
    run : Run
        Its step is set up; it gets meta batches that stay in their place.
    update : callable
        Changes the module by one step on a batch (X, y, batch).
    """
    if not net.cuda_graph:
        return update
    device, optimizers = torch.device(net.device or "cpu"), [net.optimizer_]
    faults = [] if device.type == "cuda" else [f"the device is {device}"]
    if not isinstance(run.step, MetaStep):
        log_fallback([*faults, "plain training is not captured"])
        return update
    optimizers.append(net.weight_net_optimizer_)
    faults += _module_faults(net, run, run.step)
    faults += [fault for optimizer in optimizers for fault in capture_faults(optimizer)]
    if faults:
        log_fallback(faults)
        return update
    return capture(run, run.step, update, optimizers, device, CudaRecorder())


def capture(
    run: Run,
    step: MetaStep,
    update: Callable[..., StepResult],
    optimizers: list[Any],
    device: torch.device,
    recorder: Any,
) -> GraphedUpdate:
    """Return the update that `recorder` captures; `run` gets the step made ready for it."""
    held = HeldBatches(step.meta_batches)
    # As nothing is drawn, no random state need be changed, which a graph does not allow.
    run.step = step = replace(step, meta_batches=held, stream=StillStream())
    rates = GraphRates(optimizers, device, capturable=recorder.capturable)
    return GraphedUpdate(update, step, held, rates, recorder)


def _module_faults(net: Any, run: Run, step: MetaStep) -> list[str]:
    name = type(eager(net.module_)).__name__
    faults = [f"{name} is compiled"] if eager(net.module_) is not net.module_ else []
    X, _ = net.first_rows(run.train, "train", TRIAL_ROWS)
    if draws_numbers(step.stateless, X, step.stream):
        faults.append(f"{name} draws random numbers, which passes of one step must share")
    listening = [name for name, part in net.callbacks_ if listens(part, "on_grad_computed")]
    return [*faults, f"callbacks listen to gradients: {listening}"] if listening else faults


def set_up_step(net: Any, run: Run) -> Step:
    """Return the step of a built net, having tried its module and what the weights need of it.

    Parameters
    ----------
    net : WeightedNet
        Built, with its parameters as callbacks left them.
    run : Run
        Gets the ledger and the order of memory that suits the module.

    Raises
    ------
    ModuleOutputError, CriterionError, ValueError
        If module, criterion or weighting net do not fit the data.
    """
    device, module = torch.device(net.device or "cpu"), eager(net.module_)
    stream = RandomStream(run.seeds["stream"], device)
    weighting = make_weighting(net.weighting, meta_lr=net.meta_lr, clip=net.weight_clip)
    net._set_training(True)
    X, _ = net.first_rows(run.train, "train", TRIAL_ROWS)
    with stream.active(), stream.replay(stream.mark()):
        fit_input_scaling(module, run.train.X, X)
    net._set_training(True)
    precision = Precision(device.type, PRECISIONS[net.precision])
    stateless = Stateless(module, precision)
    infer = precision.wrap(net.infer)
    takes_logits = weighting.uses_meta or isinstance(net.criterion_, CrossEntropyLoss)
    logits = trial_logits(stateless, X, stream)
    check_logits(logits, net.module_, net.classes_inferred_, warns=takes_logits)
    n_meta = None if run.meta is None else min(net.batch_rows("meta"), len(run.meta.rows))
    check_batch_statistics(module, net.batch_rows("train"), n_meta)
    net.meta_gradient_ = None
    if run.meta is None or not weighting.uses_meta:
        return PlainStep(infer, net.training_loss, stream)
    run.channels_last = gains_by_channels_last(stateless, X, stream)
    X, y = net.first_rows(run.train, "train", TRIAL_ROWS)
    losses = torch.zeros(TRIAL_ROWS, dtype=logits.dtype, device=device)
    check_weights(net.weight_net_(losses), TRIAL_ROWS, net.weight_net_)
    step = MetaStep(
        infer=infer,
        stateless=stateless,
        row_loss=make_row_loss(eager(net.criterion_), len(net.classes_inferred_)),
        weight_net=net.weight_net_,
        weight_net_optimizer=net.weight_net_optimizer_,
        weighting=weighting,
        rates=LookAheadRates(stateless, net.optimizer_, net.lookahead_lr),
        meta_batches=net.meta_batches(run.meta),
        meta_every=net.meta_every,
        stream=stream,
        min_share=net.min_gradient_share,
        shares_pass=module is net.module_ and repeats_itself(stateless, X, stream),
    )
    meta_trial = net.first_rows(run.meta, "meta", TRIAL_ROWS)
    way = choose_meta_gradient(
        net.meta_gradient,
        lambda way: step.attempt(way, X, y, meta_trial),
        module,
        eps=precision.eps,
    )
    net.meta_gradient_ = way.method
    run.ledger = Ledger(run.n_rows, device)
    starts_from_pass = way.method == "difference" and not way.is_wide
    shares = step.shares_pass and (precision.dtype is None or not starts_from_pass)
    return replace(step, way=way, shares_pass=shares)
