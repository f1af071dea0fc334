"""Where the random numbers of a sampler come from."""

from __future__ import annotations

import zlib
from numbers import Integral
from typing import NamedTuple

import numpy as np

from skgdw._rows import IntArray, local_random_state


class Draws(NamedTuple):
    """What a sampler draws from.

    Attributes
    ----------
    of_classes : RandomState
        For what is drawn of classes: the same under one seed, whichever rows come.
    of_rows : RandomState
        For what is drawn of rows.
    """

    of_classes: np.random.RandomState
    of_rows: np.random.RandomState


def make_draws(
    random_state: int | np.random.RandomState | None, name: str, codes: IntArray
) -> Draws:
    """Return the sources of one call of a sampler.

    A seed gives rows a stream that nobody else has. ``RandomState(seed).random_sample`` is what
    data are often made by, under the same seed, too: noise out of the same numbers would follow
    the data, or do nothing. Nor may the second of two steps with one seed draw what the first drew,
    so that the labels that come are part of it.

    Parameters
    ----------
    random_state : int, RandomState or None
        A RandomState is drawn from as it is.
    name : str
        Of the sampler.
    codes : ndarray of shape (n,)
        Classes of the rows.

    Returns
    -------
    Draws
    """
    generator = local_random_state(random_state)
    if not isinstance(random_state, Integral):
        return Draws(generator, generator)
    labels = np.ascontiguousarray(codes, dtype="<i8").tobytes()
    key = [int(random_state), zlib.crc32(name.encode()), zlib.crc32(labels)]
    rows = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(key)))
    return Draws(generator, rows)
