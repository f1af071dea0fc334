"""Splitting off a meta set, pipelines that carry it along, and scoring on trusted rows."""

from skgdw.model_selection._pipeline import MetaPipeline, make_meta_pipeline
from skgdw.model_selection._scorer import trusted_scorer
from skgdw.model_selection._split import split_meta

__all__ = ["MetaPipeline", "make_meta_pipeline", "split_meta", "trusted_scorer"]
