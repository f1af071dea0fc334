"""Warnings and errors a caller may catch.

Every warning derives from `SkgdwWarning`, so ``warnings.simplefilter("error", SkgdwWarning)``
turns all of them into errors.
"""

__all__ = [
    "ChannelsLastWarning",
    "ClassOrderWarning",
    "CriterionError",
    "MetaClassWarning",
    "MetaGradientFallbackWarning",
    "MetaOverlapWarning",
    "MetaScaleWarning",
    "MetaSlicedWarning",
    "ModuleOutputError",
    "NoMetaSetWarning",
    "NoiseNotLearnableWarning",
    "NonFiniteLossWarning",
    "ProbabilityOutputWarning",
    "SavedVersionError",
    "SkgdwWarning",
    "ValidationOverlapWarning",
]


class SkgdwWarning(UserWarning):
    """Base class of the warnings of this package."""


class NoMetaSetWarning(SkgdwWarning):
    """No meta set was given, so one was taken out of the training rows, labels as they are."""


class ClassOrderWarning(SkgdwWarning):
    """``classes`` are in an order of their own, which scikit-learn's scorers do not look at."""


class MetaClassWarning(SkgdwWarning):
    """A class lacks meta rows, or training rows, or cannot give the meta rows asked for."""


class MetaOverlapWarning(SkgdwWarning):
    """Rows of the meta set also stand in the training set."""


class MetaScaleWarning(SkgdwWarning):
    """The meta set, or the validation set, is on another scale than the training set."""


class MetaSlicedWarning(SkgdwWarning):
    """The meta set, or the validation set, is as long as X: a splitter may have cut it."""


class ValidationOverlapWarning(SkgdwWarning):
    """Validation rows also stand in the training set or in the meta set."""


class ChannelsLastWarning(SkgdwWarning):
    """Images seem to have their channels last, where the network takes them first."""


class MetaGradientFallbackWarning(SkgdwWarning):
    """The module cannot do the meta gradient as asked, and another way is used."""


class ProbabilityOutputWarning(SkgdwWarning):
    """The module seems to return probabilities where logits are expected."""


class NonFiniteLossWarning(SkgdwWarning):
    """The training loss became infinite or NaN."""


class NoiseNotLearnableWarning(SkgdwWarning):
    """Label noise hides a true class: behind another label, or among rows of other classes."""


class CriterionError(ValueError):
    """The criterion's logit gradient does not fit class-level weighting."""


class ModuleOutputError(ValueError):
    """The module does not return logits of shape (n_rows, n_classes)."""


class SavedVersionError(ValueError):
    """A saved classifier was written by a version of this package that this one cannot read."""
