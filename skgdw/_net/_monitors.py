"""Callbacks that watch a figure of the history: what is said where it is not recorded."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler, PassthroughScoring
from skorch.callbacks.scoring import ScoringBase
from skorch.exceptions import SkorchException

# What callbacks raise where a figure is missing.
MISSING = (KeyError, ValueError, SkorchException)

_BEST = "_best"


def check_monitors(net: NeuralNet) -> None:
    """Refuse callbacks that watch validation rows where there are none, before an epoch is lost.

    A callback of the user's may record what others watch: with one among them nobody knows.

    Raises
    ------
    ValueError
        If there are some; all are named.
    """
    if _has_validation_rows(net):
        return
    callbacks = [callback for _, callback in net.callbacks_]
    if any(type(one).__module__.partition(".")[0] not in ("skorch", "skgdw") for one in callbacks):
        return
    of_validation = {_figure(one) for one in callbacks if _scores_validation_rows(one)}
    watching = [one for one in callbacks if str(_watched(one)).removesuffix(_BEST) in of_validation]
    if watching:
        raise ValueError(_words([_named(one) for one in watching], _recorded(callbacks)))


def explain(net: NeuralNet, callback: Callback, error: Exception) -> None:
    """Say in words that a figure is not recorded, if that is why a callback failed.

    Parameters
    ----------
    net : GDWClassifier
    callback : Callback
        The one that failed.
    error : Exception
        Its own.

    Raises
    ------
    ValueError
        If so; all that watch a missing figure are named.
    """
    recorded = net.history[-1].keys() if net.history else ()
    callbacks = [one for _, one in net.callbacks_]
    missing = [one for one in callbacks if _watched(one) not in (None, *recorded)]
    if callback in missing:
        found = [_named(one) for one in missing]
    elif not _has_validation_rows(net) and isinstance(error, KeyError) and "valid_" in str(error):
        found = [f"{type(callback).__name__}, which reads {_key_in(error)}"]
    else:
        return
    figures = sorted(name for name in recorded if name not in ("batches", "epoch"))
    raise ValueError(_words(found, figures)) from error


def _words(found: list[str], recorded: list[str]) -> str:
    return (
        f"`callbacks` must watch figures that are recorded, {recorded}; got {', '.join(found)}. "
        "Figures of validation rows need some: pass X_val and y_val to `fit`, or set "
        '`train_split`. Or watch the training rows, as monitor="train_loss" does.'
    )


def _has_validation_rows(net: NeuralNet) -> bool:
    data = vars(net).get("_data")
    return net.train_split is not None or (data is not None and data.valid is not None)


def _scores_validation_rows(callback: Callback) -> bool:
    scores = isinstance(callback, ScoringBase | PassthroughScoring)
    return scores and not callback.on_train


def _recorded(callbacks: list[Callback]) -> list[str]:
    scoring = [one for one in callbacks if isinstance(one, ScoringBase | PassthroughScoring)]
    return sorted(_figure(one) for one in scoring if one.on_train)


def _figure(callback: Callback) -> str:
    name: str = callback.name if isinstance(callback, PassthroughScoring) else callback.name_
    return name


def _watched(callback: Callback) -> str | None:
    """Return the figure that a callback watches, if it is one of the history."""
    monitor: Any = getattr(callback, "monitor", None)
    if isinstance(callback, LRScheduler):
        policy = getattr(callback.policy, "__name__", callback.policy)
        monitor = monitor if policy == "ReduceLROnPlateau" else None
    return monitor if isinstance(monitor, str) else None


def _named(callback: Callback) -> str:
    return f"{type(callback).__name__}(monitor={_watched(callback)!r})"


def _key_in(error: KeyError) -> str:
    """Return the name in an error of a dict, or of skorch's history."""
    words = str(error.args[0] if error.args else "").split("'")
    return repr(words[1] if len(words) > 1 else words[0])
