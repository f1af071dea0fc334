"""Callbacks for `skgdw.GDWClassifier`; those of skorch work as well."""

from skgdw.callbacks._freeze_batch_norm import FreezeBatchNorm
from skgdw.callbacks._resume import Resume

__all__ = ["FreezeBatchNorm", "Resume"]
