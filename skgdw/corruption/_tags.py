"""Estimator tags with the fields imbalanced-learn reads, without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from sklearn.utils import InputTags, Tags


@dataclass(slots=True)
class SamplerInputTags(InputTags):
    """What `X` may be, data frames included."""

    dataframe: bool = True


@dataclass(slots=True)
class SamplerTags:
    """What a sampler records."""

    sample_indices: bool = True


@dataclass(slots=True)
class SamplerEstimatorTags(Tags):
    """Tags of a sampler."""

    sampler_tags: SamplerTags = field(default_factory=SamplerTags)


def make_sampler_tags(tags: Tags) -> SamplerEstimatorTags:
    """Return scikit-learn's default `tags` turned into those of a sampler of any rows."""
    input_tags = SamplerInputTags(**_as_dict(tags.input_tags))
    input_tags.three_d_array = True
    input_tags.sparse = True
    input_tags.string = True
    input_tags.allow_nan = True
    sampler_tags = SamplerEstimatorTags(**_as_dict(tags) | {"input_tags": input_tags})
    sampler_tags.estimator_type = "sampler"
    sampler_tags.target_tags.required = True
    return sampler_tags


def _as_dict(tags: Any) -> dict[str, Any]:
    return {f.name: getattr(tags, f.name) for f in fields(tags)}
