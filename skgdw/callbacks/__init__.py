"""Callbacks for `skgdw.GDWClassifier`; those of skorch work as well."""

from skgdw.callbacks._resume import Resume

__all__ = ["Resume"]
