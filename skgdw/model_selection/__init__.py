"""Splitting and composing with a meta set."""

from ._split import split_meta

__all__ = ["split_meta"]
