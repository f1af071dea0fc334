"""What the tests of the samplers share: tables, and corruption with the truth kept."""

import math
import warnings

import numpy as np

from skgdw.corruption import ClassImbalance, InstanceDependentNoise, LabelNoise
from skgdw.exceptions import NoiseNotLearnableWarning


def wanted_sizes(profile, n_max, ratio, n_classes):
    sizes = []
    for k in range(n_classes):
        if profile == "exp":
            size = n_max / ratio ** (k / (n_classes - 1))
        else:
            size = n_max if k < math.ceil(n_classes / 2) else n_max / ratio
        # 24 / 32**0.8 is 1.5, whatever floating point makes of it.
        sizes.append(max(1, math.floor(round(size, 9) + 0.5)))
    return sizes


def unbalance(counts, **params):
    y = np.random.RandomState(0).permutation(np.repeat(np.arange(len(counts)), counts))
    imbalance = ClassImbalance(**params)
    rows, y_kept = imbalance.fit_resample(np.arange(len(y)), y)
    return imbalance, y, rows, y_kept


def labels_of(counts, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.RandomState(seed).permutation(y)


def corrupt_labels(y, **params):
    noise = LabelNoise(**params)
    X = np.zeros((len(y), 1))
    _, y_noisy = noise.fit_resample(X, y)
    return noise, y_noisy


def table(counts, n_columns=3, seed=0):
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return rng.normal(size=(len(y), n_columns)) * [1, 50, 0.01][:n_columns] + 3, y


def corrupt_rows(X, y, **params):
    noise = InstanceDependentNoise(**params)
    with warnings.catch_warnings():  # few rows and high rates hide the truth now and then
        warnings.simplefilter("ignore", NoiseNotLearnableWarning)
        _, y_noisy = noise.fit_resample(X, y)
    return noise, y_noisy


def noise(**params):
    return LabelNoise(noise_rate=0.5, random_state=0, **params)


def imbalance(**params):
    return ClassImbalance(imbalance_ratio=4, random_state=0, **params)


def instance_noise(**params):
    return InstanceDependentNoise(random_state=0, **params)


SAMPLERS = [noise, imbalance, instance_noise]


OF_ANY_ROWS = [noise, imbalance]
