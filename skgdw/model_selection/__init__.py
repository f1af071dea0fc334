"""Splitting off a meta set, and pipelines that carry it along."""

from skgdw.model_selection._pipeline import MetaPipeline, make_meta_pipeline
from skgdw.model_selection._split import split_meta

__all__ = ["MetaPipeline", "make_meta_pipeline", "split_meta"]
