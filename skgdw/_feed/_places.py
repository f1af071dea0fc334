"""Which samples a collate function has made a batch of, and in which order."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

# A function that changes the order leaves labels of so many arrangements as they were by a chance
# that is nothing.
_PROOF = math.log(1e9)

# Larger than any class code: a function that treats some classes in a way of their own then raises,
# or gives itself away.
_FIRST_MARK = 1_000_003


class Collated:
    """A batch out of a collate function of the user's, which can tell its samples' places.

    Parameters
    ----------
    function : callable
        From a list of samples to a batch.
    samples : object
        A list of samples, or what a Dataset has collated by itself.
    """

    def __init__(self, function: Callable[[Any], Any], samples: Any) -> None:
        self._function, self._samples = function, samples
        self._state = _random_state()
        self.batch = function(samples)

    def places(self) -> Tensor | None:
        """Return where the rows of the batch, a pair, stand among the samples.

        They are as they came where inputs or labels prove it. Else the function is called once
        more, with the same random numbers, on samples that have marks of their places for labels.

        Returns
        -------
        Tensor of shape (n,), int64, or None
            None where it cannot be told: numbers of other rows would be worse than none.
        """
        inputs, y = self.batch
        if not isinstance(y, Tensor) or y.ndim != 1:
            return None
        as_they_came = torch.arange(len(y))
        if self._are_as_they_came(inputs, y):
            return as_they_came
        labels = self._codes()
        if labels is None:
            return None
        if torch.equal(labels.to(y), y) and _n_arrangements(labels.tolist()) > _PROOF:
            return as_they_came
        return self._called_again(labels, y)

    def _pairs(self) -> list[Any] | None:
        samples = self._samples
        if not isinstance(samples, list) or not samples:
            return None
        is_pair = all(isinstance(one, tuple | list) and len(one) == 2 for one in samples)
        return samples if is_pair else None

    def _are_as_they_came(self, inputs: Any, y: Tensor) -> bool:
        pairs = self._pairs()
        if pairs is None:
            whole = self._samples  # collated already, or to nobody knows what
            is_whole = isinstance(whole, tuple | list) and len(whole) == 2
            return is_whole and _is_same(whole[0], inputs) and _is_same(whole[1], y)
        if len(pairs) != len(y):
            return False
        return _is_stack([sample for sample, _ in pairs], inputs)

    def _codes(self) -> Tensor | None:
        """Return the labels of the samples, if they are class codes."""
        labels = [label for _, label in self._pairs() or ()]
        if not labels or not all(map(_is_code, labels)):
            return None
        return torch.stack([torch.as_tensor(label) for label in labels])

    def _called_again(self, labels: Tensor, y: Tensor) -> Tensor | None:
        marked = [
            (sample, torch.tensor(mark) if isinstance(label, Tensor) else mark)
            for mark, (sample, label) in enumerate(self._pairs() or (), start=_FIRST_MARK)
        ]
        with _random_numbers_from(self._state):
            try:
                _, marks = self._function(marked)
            except Exception:  # it may mind labels that are no classes
                return None
        if not isinstance(marks, Tensor) or marks.shape != y.shape or marks.is_floating_point():
            return None
        places = marks.long() - _FIRST_MARK
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(labels):
            return None
        return places if torch.equal(labels[places].to(y), y) else None


def _is_code(label: object) -> bool:
    if isinstance(label, Tensor):
        return label.ndim == 0 and not label.is_floating_point()
    return isinstance(label, int | np.integer)


def _is_same(one: object, other: object) -> bool:
    return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)


def _is_stack(rows: list[Any], inputs: Any) -> bool:
    """Tell whether inputs are those rows, one on the other, in a tensor or a mapping of some."""
    if isinstance(inputs, Mapping):
        return bool(inputs) and all(
            all(isinstance(row, Mapping) and name in row for row in rows)
            and _is_stack([row[name] for row in rows], value)
            for name, value in inputs.items()
        )
    if not isinstance(inputs, Tensor) or len(inputs) != len(rows):
        return False
    try:
        tensors = [torch.as_tensor(row) for row in rows]
    except (TypeError, ValueError, RuntimeError):
        return False
    if any(row.shape != inputs.shape[1:] for row in tensors):
        return False
    return torch.equal(torch.stack(tensors).to(inputs), inputs)


def _n_arrangements(labels: list[int]) -> float:
    """Return the logarithm of the number of orders that labels can stand in."""
    counts = Counter(labels).values()
    return math.lgamma(len(labels) + 1) - sum(math.lgamma(count + 1) for count in counts)


_State = tuple[Any, Any, Tensor]


def _random_state() -> _State:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002


def _set_random_state(state: _State) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    torch.set_rng_state(state[2])


@contextmanager
def _random_numbers_from(state: _State) -> Iterator[None]:
    """Draw the random numbers of a state inside the block; afterwards all is as before."""
    before = _random_state()
    _set_random_state(state)
    try:
        yield
    finally:
        _set_random_state(before)
