"""The weightings that have a name, and building one from what a classifier can offer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TypeAlias

from skgdw._tensors import deep_copy
from skgdw.weighting._base import Weighting
from skgdw.weighting._class_pair import ClassPairWeighting
from skgdw.weighting._weight_net import (
    ClassWeighting,
    InstanceWeighting,
    NetworkWeighting,
    UniformWeighting,
)

WeightingLike: TypeAlias = str | type[Weighting] | Weighting

WEIGHTINGS: dict[str, type[Weighting]] = {
    "class": ClassWeighting,
    "class_pair": ClassPairWeighting,
    "instance": InstanceWeighting,
    "network": NetworkWeighting,
    "uniform": UniformWeighting,
}
"""Weighting classes by the name that ``GDWClassifier(weighting=...)`` takes."""


def weighting_class(weighting: WeightingLike) -> type[Weighting]:
    """Return the class behind a name, a class or an instance."""
    if isinstance(weighting, str):
        return WEIGHTINGS[weighting]
    return type(weighting) if isinstance(weighting, Weighting) else weighting


def arguments_of(weighting: WeightingLike) -> list[str]:
    """Return the names of the arguments that a weighting is built with."""
    parameters = inspect.signature(weighting_class(weighting)).parameters.values()
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def make_weighting(
    weighting: WeightingLike, given: Mapping[str, object], offered: Mapping[str, object]
) -> Weighting:
    """Build a weighting.

    Parameters
    ----------
    weighting : str, Weighting class or instance
        An instance is copied, unless arguments are given, which then build another of its class.
    given : mapping of str to object
        Arguments that have to be taken.
    offered : mapping of str to object
        What the classifier has to offer, such as ``meta_lr`` and ``weight_net``: a weighting gets
        those of them that its constructor names.

    Returns
    -------
    Weighting
        One of its own for every fit.

    Raises
    ------
    TypeError
        If its constructor lacks arguments, or does not call that of the base class.
    """
    if isinstance(weighting, Weighting) and not given:
        made = deep_copy(weighting)
    else:
        wanted, cls = arguments_of(weighting), weighting_class(weighting)
        kwargs = {**{name: value for name, value in offered.items() if name in wanted}, **given}
        try:
            inspect.signature(cls).bind(**kwargs)
        except TypeError as error:
            raise TypeError(
                f"`weighting` must get the arguments of {cls.__name__}: {error}. Pass them as "
                "weighting__...=."
            ) from error
        made = cls(**kwargs)
    if "_parameters" not in vars(made):
        raise TypeError(
            "`weighting` must be a torch module from the first line of its constructor; "
            f"{type(made).__name__}.__init__ does not call that of Weighting. Begin it with "
            "super().__init__()."
        )
    return made


def take_over(before: Weighting, after: Weighting) -> None:
    """Give a weighting that was built with other arguments what one of its class has learnt.

    Buffers and parameters of another shape, such as memories of other rows, stay as they are.
    """
    known, own = before.state_dict(), after.state_dict()

    def fits(name: str) -> bool:
        shape = getattr(own[name], "shape", None)
        return name in known and shape == getattr(known[name], "shape", None)

    after.load_state_dict({name: known[name] for name in own if fits(name)}, strict=False)
    after.is_warm = before.is_warm
