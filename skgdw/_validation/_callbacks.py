"""Callbacks: what may stand for one, and what it is built with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skorch import NeuralNet
from skorch.callbacks import Callback

# What skorch calls of each, were it no Callback.
_CALLED = ("initialize", "set_params", "on_train_begin", "on_batch_end")


def check_callbacks(net: NeuralNet) -> None:
    """Check the callbacks that are given, alone and by name; all that are none are named."""
    given = net.callbacks
    if not (given is None or given == "disable" or isinstance(given, list)):
        raise TypeError(
            f'`callbacks` must be None, "disable" or a list of skorch callbacks; got {given!r}. '
            "Put them into a list, a single one too."
        )
    faults = [
        f"`{name}` must be a skorch callback, its class or None; got {entry!r}. See "
        "skorch.callbacks for those there are."
        for name, entry in _entries(net)
        if entry is not None and not _is_callback(entry)
    ]
    faults += [
        f"`callbacks[{i}]` must have a text for its name; got {entry[0]!r}. Pass "
        f'("name", {type(entry[1]).__name__}(...)).'
        for i, entry in enumerate(given if isinstance(given, list) else ())
        if _is_pair(entry) and not isinstance(entry[0], str)
    ]
    if faults:
        raise TypeError(" ".join(faults))


def _entries(net: NeuralNet) -> Iterator[tuple[str, object]]:
    """Yield what stands for callbacks, and where."""
    for name, value in vars(net).items():
        if name.startswith("callbacks__") and "__" not in name.removeprefix("callbacks__"):
            yield name, value
    for i, entry in enumerate(net.callbacks if isinstance(net.callbacks, list) else ()):
        yield f"callbacks[{i}]", entry[1] if _is_pair(entry) else entry


def _is_pair(entry: object) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2


def _is_callback(entry: object) -> bool:
    kind = entry if isinstance(entry, type) else type(entry)
    return issubclass(kind, Callback) or all(hasattr(entry, name) for name in _CALLED)


def explain_callbacks(
    net: NeuralNet, callbacks: Iterable[tuple[str, object]], error: Exception
) -> None:
    """Say which callbacks cannot be built, or lack a setting, if that is why building failed.

    Parameters
    ----------
    net : NeuralNet
        With their settings, and others in their place, as ``callbacks__...``.
    callbacks : iterable of pairs
        Names, and instances or classes.
    error : Exception
        What building them raised.

    Raises
    ------
    TypeError, ValueError
        As `error`; all are named.
    """
    faults = [
        fault
        for name, callback in callbacks
        if (
            fault := _fault(
                name,
                vars(net).get(f"callbacks__{name}", callback),
                net.get_params_for(f"callbacks__{name}"),
            )
        )
    ]
    if faults:
        raise type(error)(" ".join(faults)) from error


def _fault(name: str, callback: object, settings: dict[str, object]) -> str | None:
    if isinstance(callback, type):
        kind = callback.__name__
        try:
            callback(**settings)
        except TypeError as error:
            return (
                f"`callbacks__{name}__...` must be the arguments that {kind} takes, where its "
                f"class is given; got {sorted(settings)}: {error}. Correct them, or give an "
                f"instance, {kind}(...)."
            )
        return None
    if not (callback is None or isinstance(callback, Callback)):  # nobody knows what it has
        return None
    known = [] if callback is None else sorted(callback.get_params(deep=False))
    unknown = sorted(key for key in settings if key.partition("__")[0] not in known)
    what = "None" if callback is None else type(callback).__name__
    words = (
        f"`callbacks__{name}__...` must be a setting of the callback, {what}, which has {known}; "
        f"got {unknown}. Correct the name, or leave it out."
    )
    return words if unknown else None
