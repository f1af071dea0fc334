"""How much each class's gradient of each row counts, and how that is learnt from the meta set.

`Weighting` is what ``GDWClassifier(weighting=...)`` takes besides a name, as a class or an
instance; subclass it to write one of your own.
"""

from skgdw.weighting._base import Pull, Survey, Weighting
from skgdw.weighting._class_pair import ClassPairWeighting
from skgdw.weighting._evidence import Evidence
from skgdw.weighting._registry import WEIGHTINGS
from skgdw.weighting._step_defaults import StepDefaults
from skgdw.weighting._weight_net import (
    ClassWeighting,
    InstanceWeighting,
    NetworkWeighting,
    UniformWeighting,
)

__all__ = [
    "WEIGHTINGS",
    "ClassPairWeighting",
    "ClassWeighting",
    "Evidence",
    "InstanceWeighting",
    "NetworkWeighting",
    "Pull",
    "StepDefaults",
    "Survey",
    "UniformWeighting",
    "Weighting",
]
