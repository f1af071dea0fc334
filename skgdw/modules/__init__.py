"""Networks that fit `GDWClassifier` well, the weight network, and image augmentation.

Any torch module that returns logits will do in their place. What these add: they standardise their
own inputs once `fit_scaling` has seen the training rows, and every one of them works under
forward-mode and double backward differentiation.
"""

from ._augment import RandomCropFlip
from ._mlp import MLP
from ._residual import ResNet32, SmallResNet
from ._standardize import Standardize
from ._weight_net import WeightNet
from ._wide import WideResNet

__all__ = [
    "MLP",
    "RandomCropFlip",
    "ResNet32",
    "SmallResNet",
    "Standardize",
    "WeightNet",
    "WideResNet",
]
