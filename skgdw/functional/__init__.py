"""The mathematics of Generalized Data Weighting: tensors in, tensors out.

Nothing here touches ``.grad``, writes in place, draws random numbers or moves data between
devices, so every function can be called on its own, in float32 or float64.
"""

from skgdw.functional._belief import LabelPosterior, belief_of, label_posterior, transition_of
from skgdw.functional._directional import directional_derivative
from skgdw.functional._logits import PROBABILITY_CAP, close_rows, logit_gradient, zero_mean
from skgdw.functional._lookahead import MetaGradient, look_ahead, meta_gradient
from skgdw.functional._not_covered import NotCovered
from skgdw.functional._transition import (
    TransitionEstimate,
    deconvolve_transition,
    pool_transition,
    transition_m_step,
)
from skgdw.functional._weight_gradient import (
    METHODS,
    PullGradient,
    WeightGradient,
    unrolled_derivative,
    weight_gradient,
)
from skgdw.functional._weights import keep_gradient_share, update_weight

__all__ = [
    "METHODS",
    "PROBABILITY_CAP",
    "LabelPosterior",
    "MetaGradient",
    "NotCovered",
    "PullGradient",
    "TransitionEstimate",
    "WeightGradient",
    "belief_of",
    "close_rows",
    "deconvolve_transition",
    "directional_derivative",
    "keep_gradient_share",
    "label_posterior",
    "logit_gradient",
    "look_ahead",
    "meta_gradient",
    "pool_transition",
    "transition_m_step",
    "transition_of",
    "unrolled_derivative",
    "update_weight",
    "weight_gradient",
    "zero_mean",
]
