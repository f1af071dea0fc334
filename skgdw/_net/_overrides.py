"""Methods that a subclass has of its own, of those that training goes by or around."""

from __future__ import annotations

from skorch import NeuralNet

_OURS = ("skorch", "skgdw")


def overridden(net: NeuralNet, *names: str) -> frozenset[str]:
    """Return those of these methods that are a user's."""
    return frozenset(name for name in names if _is_users(net, name))


def check_overrides(net: NeuralNet) -> None:
    """Refuse methods that would never be called.

    Raises
    ------
    TypeError
        If there are any.
    """
    if overridden(net, "train_step_single"):
        raise TypeError(
            "`train_step_single` must be left as it is: steps are taken without it, and what "
            f"{type(net).__name__} does there would not be done. Override `train_step`, or put it "
            "into a callback."
        )


def _is_users(net: NeuralNet, name: str) -> bool:
    method = vars(net).get(name) or getattr(type(net), name)
    return getattr(method, "__module__", "").partition(".")[0] not in _OURS
