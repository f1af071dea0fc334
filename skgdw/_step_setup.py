"""How the step of one ``fit`` is put together, and tried on a few rows first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import CrossEntropyLoss

from skgdw._auto_module import fit_input_scaling
from skgdw._validation import check_batch_statistics, check_logits, check_weights
from skgdw.training import (
    PRECISIONS,
    Ledger,
    LookAheadRates,
    MetaStep,
    PlainStep,
    Precision,
    RandomStream,
    Run,
    Stateless,
    Step,
    choose_meta_gradient,
    gains_by_channels_last,
    make_row_loss,
    make_weighting,
    repeats_itself,
    trial_logits,
)

# Rows on which output and meta gradient are tried out.
TRIAL_ROWS = 8


def eager(module: Any) -> Any:
    """Return what torch.compile wrapped, or the module itself."""
    return getattr(module, "_orig_mod", module)


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
        criterion=net.criterion_,
        row_loss=make_row_loss(eager(net.criterion_), len(net.classes_inferred_)),
        weight_net=net.weight_net_,
        weight_net_optimizer=net.weight_net_optimizer_,
        weighting=weighting,
        rates=LookAheadRates(stateless, net.optimizer_, net.lookahead_lr),
        meta_batches=net.meta_batches(run.meta),
        meta_every=net.meta_every,
        stream=stream,
        shares_pass=module is net.module_ and repeats_itself(stateless, X, stream),
    )
    meta_trial = net.first_rows(run.meta, "meta", TRIAL_ROWS)
    way = choose_meta_gradient(
        net.meta_gradient,
        lambda way: step.attempt(way, X, y, meta_trial),
        type(module).__name__,
        eps=precision.eps,
    )
    net.meta_gradient_ = way.method
    run.ledger = Ledger(run.n_rows, device)
    shares = step.shares_pass and (precision.dtype is None or way.method != "difference")
    return replace(step, way=way, shares_pass=shares)
