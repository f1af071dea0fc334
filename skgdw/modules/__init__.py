"""Networks that fit `GDWClassifier` well, the weight network, and image augmentation.

Any torch module that returns logits will do in their place. What these add: they standardise their
own inputs once `fit_scaling` has seen the training rows, and every one of them works under
forward-mode and double backward differentiation.
"""

from skgdw.modules._augment import RandomCropFlip
from skgdw.modules._mlp import MLP
from skgdw.modules._probabilities import Probabilities
from skgdw.modules._residual import ResNet32, SmallResNet
from skgdw.modules._standardize import Standardize
from skgdw.modules._weight_net import WeightNet
from skgdw.modules._wide import WideResNet

__all__ = [
    "MLP",
    "Probabilities",
    "RandomCropFlip",
    "ResNet32",
    "SmallResNet",
    "Standardize",
    "WeightNet",
    "WideResNet",
]
