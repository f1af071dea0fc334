"""Controlled corruption of clean data: wrong labels and uneven classes, with the truth kept.

The samplers follow imbalanced-learn's contract (`fit_resample`) without needing it. Decide the
imbalance on true labels: apply `ClassImbalance` before `LabelNoise` or `InstanceDependentNoise`.
"""

from ._corrupted import CorruptedClassifier
from ._imbalance import ClassImbalance
from ._instance_noise import InstanceDependentNoise
from ._label_noise import LabelNoise
from ._transition import transition_matrix

__all__ = [
    "ClassImbalance",
    "CorruptedClassifier",
    "InstanceDependentNoise",
    "LabelNoise",
    "transition_matrix",
]
