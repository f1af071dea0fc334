"""The tags of samplers."""

import pytest
from sklearn.utils import get_tags

from sampler_cases import OF_ANY_ROWS, SAMPLERS


@pytest.mark.parametrize("make", SAMPLERS)
def test_tags_have_what_imbalanced_learn_reads(make):
    tags = get_tags(make())
    assert tags.estimator_type == "sampler"
    assert tags.input_tags.dataframe
    assert tags.sampler_tags.sample_indices
    assert tags.target_tags.required
    assert tags.input_tags.string == tags.input_tags.allow_nan == (make in OF_ANY_ROWS)
