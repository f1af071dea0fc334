"""The state of a fit in a file: written in one step, read without unpickling code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.history import History
from torch import Tensor

from skgdw._intake._check_fit import TrainingData
from skgdw._training._session import Session
from skgdw._training._state import SessionState

LAYOUT = 1


class Saved(TypedDict):
    """A fit between two epochs.

    Attributes
    ----------
    layout : int
        Of this record.
    fingerprint : dict of str to str
        What it was made with.
    session : SessionState
    history : str
        As JSON.
    random : dict
        State of the source of seeds.
    callbacks : dict of str to dict
        Plain attributes by the callback's name.
    schedules : dict of str to dict
        States of torch's schedulers by the callback's name.
    """

    layout: int
    fingerprint: dict[str, str]
    session: SessionState
    history: str
    random: dict[str, Any]
    callbacks: dict[str, dict[str, Any]]
    schedules: dict[str, dict[str, Any]]


# The file.


def write(path: Path, saved: Saved) -> None:
    """Replace the file in one step: a reader finds the old state or the new one, always whole."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            torch.save(dict(saved), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path) -> Saved:
    """Read a file that `write` has written.

    Returns
    -------
    Saved

    Raises
    ------
    ValueError
        If it is none, or of a layout that is not known here.
    """
    try:
        saved: Saved = torch.load(path, map_location="cpu", weights_only=True)
        layout = saved["layout"]
    except Exception as error:  # of many kinds, by what the file holds
        raise ValueError(
            f"`dirname` must hold a state that `Resume` has written; got {path}, which cannot be "
            f"read: {str(error).splitlines()[0]}. Delete the file to start afresh."
        ) from error
    if layout != LAYOUT:
        raise ValueError(
            f"`dirname` must hold a state of layout {LAYOUT}; got {path} of layout {layout}, "
            "written by another version of skgdw. Delete the file to start afresh."
        )
    return saved


def check_belongs(saved: Saved, fingerprint: Mapping[str, str], path: Path) -> None:
    """Refuse the state of a fit with other parameters or other data."""
    before = saved["fingerprint"]
    names = sorted(before.keys() | fingerprint.keys())
    other = [name for name in names if before.get(name) != fingerprint.get(name)]
    if other:
        found = "; ".join(
            f"{name} was {before.get(name, 'not there')}, is {fingerprint.get(name, 'not there')}"
            for name in other
        )
        raise ValueError(
            f"`dirname` must hold the state of this very fit; got {path} of another: {found}. "
            "Choose another directory, or delete the file to start afresh."
        )


# What a state must have been made with.

_PLAIN = (bool, int, float, str, type(None))


def describe(params: Mapping[str, object], data: TrainingData) -> dict[str, str]:
    """Return parameters and data in short texts, the same in every process."""
    texts = {
        name: _text(value)
        for name, value in params.items()
        if not name.startswith("callbacks") and name not in ("verbose", "device")
    }
    parts = {"training rows": data.train, "meta rows": data.meta, "validation rows": data.valid}
    for name, rows in parts.items():
        if rows is not None:
            texts[f"the {name}"] = f"{len(rows.rows)} rows {_digest([rows.X, rows.y])}"
    texts["classes"] = str(data.classes.tolist())
    return texts


def _text(value: object) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple | list):
        return str([_text(each) for each in value])
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _digest(parts: Sequence[object]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        arrays = part.values() if isinstance(part, Mapping) else [part]
        for array in arrays:
            if isinstance(array, Tensor):
                array = array.detach().cpu().numpy()
            if isinstance(array, np.ndarray):
                found.update(str((array.shape, array.dtype)).encode())
                found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()


# A fit between two epochs, as plain values.


def collect(
    session: Session,
    history: History,
    source: np.random.RandomState,
    callbacks: Sequence[tuple[str, Callback]],
    fingerprint: dict[str, str],
) -> Saved:
    """Return what a fit can go on from."""
    values, schedules = _callback_values(callbacks)
    return Saved(
        layout=LAYOUT,
        fingerprint=fingerprint,
        session=session.state_dict(),
        history=_history_text(history),
        random=_random_values(source),
        callbacks=values,
        schedules=schedules,
    )


def restore(
    saved: Saved, source: np.random.RandomState, callbacks: Sequence[tuple[str, Callback]]
) -> History:
    """Put seeds and callbacks where they were and return the history; sessions read their own."""
    _set_random(source, saved["random"])
    _set_callbacks(callbacks, saved)
    return _history_of(saved["history"])


def _history_text(history: History) -> str:
    """Return a history as JSON."""
    return json.dumps(list(history), default=float)


def _history_of(text: str) -> History:
    """Return the history behind a JSON text."""
    return History(json.loads(text))


def _random_values(source: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a source of random numbers in plain values."""
    state = source.get_state(legacy=False)
    key = torch.as_tensor(state["state"]["key"].astype(np.int64))
    own = {name: state[name] for name in ("bit_generator", "has_gauss", "gauss")}
    return {**own, "key": key, "pos": state["state"]["pos"]}


def _set_random(source: np.random.RandomState, values: Mapping[str, Any]) -> None:
    """Put a source of random numbers into a saved state."""
    own = {name: values[name] for name in ("bit_generator", "has_gauss", "gauss")}
    key = values["key"].numpy().astype(np.uint32)
    source.set_state({**own, "state": {"key": key, "pos": values["pos"]}})


def _callback_values(
    callbacks: Sequence[tuple[str, Callback]],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the plain attributes of callbacks, and the states of their schedulers, by name."""
    values = {
        name: {
            key: _plain(value)
            for key, value in vars(callback).items()
            if key.endswith("_") and _is_plain(value)
        }
        for name, callback in callbacks
    }
    schedules = {
        name: {k: v for k, v in scheduler.state_dict().items() if _is_plain(v)}
        for name, callback in callbacks
        if isinstance(callback, LRScheduler)
        and (scheduler := getattr(callback, "lr_scheduler_", None)) is not None
    }
    return values, {name: _plain(state) for name, state in schedules.items()}


def _set_callbacks(callbacks: Sequence[tuple[str, Callback]], saved: Saved) -> None:
    """Give callbacks and their schedulers what was saved of them."""
    for name, callback in callbacks:
        vars(callback).update(saved["callbacks"].get(name, {}))
        if name in saved["schedules"]:
            callback.lr_scheduler_.load_state_dict(saved["schedules"][name])


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, np.generic, Tensor))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value
