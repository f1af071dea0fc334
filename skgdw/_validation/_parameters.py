"""The estimator's own parameters: a table of rules, all of whose offenders are named at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skgdw._validation._class_prior import class_prior_fault
from skgdw._validation._names import argument_faults
from skgdw._validation._parts import part_faults
from skgdw._validation._weighting import weighting_fault

Test: TypeAlias = Callable[[object], bool]


class Rule(NamedTuple):
    """What a parameter must be, in words and as a test."""

    name: str
    text: str
    holds: Test


def _number(kind: type, *, least: float = -math.inf, above: float = -math.inf) -> Test:
    """Return the test of a finite number of a kind, no bool, that is large enough."""

    def holds(value: object) -> bool:
        if not isinstance(value, kind) or isinstance(value, bool | np.bool_):
            return False
        number = float(value)  # type: ignore[arg-type]
        return math.isfinite(number) and number >= least and number > above

    return holds


def _or(kind: type, test: Test) -> Test:
    """Return the test that also takes values of another kind."""
    return lambda value: isinstance(value, kind) or test(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_share(value: object) -> bool:
    return _number(Real, least=0)(value) and float(value) <= 1  # type: ignore[arg-type]


def _is_batch_size(value: object) -> bool:
    return _number(Integral, least=1)(value) or (value == -1 and _number(Integral)(value))


_BATCH_SIZE = "an integer >= 1, or -1 for all rows"


def _weighs_classes(value: object) -> bool:
    # A text first: arrays compare entry by entry.
    is_known = isinstance(value, str) and value == "balanced"
    return value is None or isinstance(value, Mapping) or is_known


RULES = (
    Rule("meta_lr", "a number >= 0", _number(Real, least=0)),
    Rule("weight_clip", "a number > 0", _number(Real, above=0)),
    Rule("meta_every", "an integer >= 1, or None", _or(type(None), _number(Integral, least=1))),
    Rule("max_epochs", "an integer >= 0", _number(Integral, least=0)),
    Rule("lr", "a number >= 0", _or(torch.Tensor, _number(Real, least=0))),
    Rule("lookahead_lr", "a number > 0, or None", _or(type(None), _number(Real, above=0))),
    Rule("balance_meta", "True or False", _is_flag),
    Rule("keep_best", "True or False", _is_flag),
    Rule("warm_start", "True or False", _is_flag),
    Rule("verbose", "an integer, True or False", _or(bool, _number(Integral))),
    Rule("fine_tune", "True or False", _is_flag),
    Rule("meta_weight", "a number >= 0, or None", _or(type(None), _number(Real, least=0))),
    Rule("min_gradient_share", "a number in [0, 1], or None", _or(type(None), _is_share)),
    Rule("class_weight", '"balanced", a mapping of labels to weights, or None', _weighs_classes),
    Rule("batch_size", _BATCH_SIZE, _is_batch_size),
    Rule("iterator_train__batch_size", _BATCH_SIZE, _is_batch_size),
    Rule("iterator_meta__batch_size", _BATCH_SIZE, _is_batch_size),
    Rule("iterator_valid__batch_size", _BATCH_SIZE, _is_batch_size),
)


def check_parameters(estimator: BaseEstimator, choices: Mapping[str, Collection[object]]) -> None:
    """Check the estimator's own parameters, all at once.

    Parameters
    ----------
    estimator : GDWClassifier
    choices : mapping of str to collection
        Parameter names with their allowed values.

    Raises
    ------
    ValueError
        If any breaks its rule; all that do are named.
    """
    rules = [
        *(Rule(name, f"one of {list(few)}", _is_among(few)) for name, few in choices.items()),
        *RULES,
    ]
    given = vars(estimator)  # those with a prefix are there only if they were set
    faults = [
        f"`{rule.name}` must be {rule.text}; got {given[rule.name]!r}."
        for rule in rules
        if rule.name in given and not rule.holds(given[rule.name])
    ]
    weighting, device = weighting_fault(estimator.weighting), _device_fault(estimator.device)
    faults = [fault for fault in (weighting, *faults, device) if fault is not None]
    faults += part_faults(estimator)
    if prior := class_prior_fault(given["class_prior"]):
        faults.append(prior)
    faults += argument_faults(estimator)
    if faults:
        raise ValueError(" ".join(faults))


def _is_among(few: Collection[object]) -> Test:
    return lambda value: value in list(few)


def check_device(device: object) -> None:
    """Check that torch can use a device; None leaves placing things to the caller."""
    if fault := _device_fault(device):
        raise ValueError(fault)


def _device_fault(device: object) -> str | None:
    if device is None:
        return None
    try:
        if torch.empty(0, device=device).is_meta:  # type: ignore[call-overload]
            raise ValueError("it holds no numbers")
    except Exception as error:  # of many types, by device
        why = str(error).split("\n", 1)[0]
        return (
            f'`device` must be one that torch can use here, "auto" or None; got {device!r}: {why}. '
            'Pass device="auto", which takes cuda where there is one, or "cpu".'
        )
    return None
