"""What the estimator's parameters of these names may be."""

from skgdw._training._weighting import WEIGHTINGS
from skgdw._training.speed._precision import PRECISIONS
from skgdw._training.trial._derivatives import META_GRADIENTS

CHOICES = {"weighting": WEIGHTINGS, "meta_gradient": META_GRADIENTS, "precision": PRECISIONS}
