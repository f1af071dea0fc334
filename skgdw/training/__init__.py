"""Training: what a step does to a module's gradients and to the weighting net."""

from skgdw.training._batches import RowDataset, make_loader
from skgdw.training._graph import (
    CudaRecorder,
    GraphedUpdate,
    GraphRates,
    HeldBatches,
    capture_faults,
    log_fallback,
)
from skgdw.training._ledger import Ledger
from skgdw.training._lookahead_rate import LookAheadRates
from skgdw.training._meta_gradient import META_GRADIENTS, choose_meta_gradient
from skgdw.training._meta_set import Rows, hold_out, relabel, separate
from skgdw.training._precision import PRECISIONS, Precision
from skgdw.training._random import RandomStream, StillStream
from skgdw.training._row_loss import make_row_loss
from skgdw.training._run import Run, settle
from skgdw.training._schedule import FitSchedule
from skgdw.training._stateless import Stateless
from skgdw.training._step import (
    MetaStep,
    PlainStep,
    Step,
    StepResult,
    forget_gradients,
    unfuse_where_incomplete,
)
from skgdw.training._trials import (
    channels_last,
    draws_numbers,
    gains_by_channels_last,
    repeats_itself,
    trial_logits,
)
from skgdw.training._weighting import WEIGHTINGS, make_weighting

CHOICES = {"weighting": WEIGHTINGS, "meta_gradient": META_GRADIENTS, "precision": PRECISIONS}
"""What the estimator's parameters of these names may be."""

__all__ = [
    "CHOICES",
    "META_GRADIENTS",
    "PRECISIONS",
    "WEIGHTINGS",
    "CudaRecorder",
    "FitSchedule",
    "GraphRates",
    "GraphedUpdate",
    "HeldBatches",
    "Ledger",
    "LookAheadRates",
    "MetaStep",
    "PlainStep",
    "Precision",
    "RandomStream",
    "RowDataset",
    "Rows",
    "Run",
    "Stateless",
    "Step",
    "StepResult",
    "StillStream",
    "capture_faults",
    "channels_last",
    "choose_meta_gradient",
    "draws_numbers",
    "forget_gradients",
    "gains_by_channels_last",
    "hold_out",
    "log_fallback",
    "make_loader",
    "make_row_loss",
    "make_weighting",
    "relabel",
    "repeats_itself",
    "separate",
    "settle",
    "trial_logits",
    "unfuse_where_incomplete",
]
