"""Class-level data weighting for scikit-learn, learnt from a small clean meta set."""

from skgdw._classifier import GDWClassifier
from skgdw._version import __version__

__all__ = ["GDWClassifier", "__version__"]
