"""Class-level data weighting for scikit-learn, learnt from a small clean meta set."""

from skgdw._classifier import GDWClassifier

__all__ = ["GDWClassifier", "__version__"]

__version__ = "0.1.0.dev0"
