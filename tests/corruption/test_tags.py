"""The tags of samplers."""

import pytest
from sklearn.utils import get_tags

from skgdw.corruption import ClassImbalance, InstanceDependentNoise, LabelNoise


def noise(**params):
    return LabelNoise(noise_rate=0.5, random_state=0, **params)


def imbalance(**params):
    return ClassImbalance(imbalance_ratio=4, random_state=0, **params)


def instance_noise(**params):
    return InstanceDependentNoise(random_state=0, **params)


SAMPLERS = [noise, imbalance, instance_noise]
OF_ANY_ROWS = [noise, imbalance]


@pytest.mark.parametrize("make", SAMPLERS)
def test_tags_have_what_imbalanced_learn_reads(make):
    tags = get_tags(make())
    assert tags.estimator_type == "sampler"
    assert tags.input_tags.dataframe
    assert tags.sampler_tags.sample_indices
    assert tags.target_tags.required
    assert tags.input_tags.string == tags.input_tags.allow_nan == (make in OF_ANY_ROWS)
