"""The state of a fit in a file: written in one step, read without unpickling code."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypedDict
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler, PrintLog
from skorch.history import History
from torch import Tensor, nn

from skgdw._training._session import Session
from skgdw._training._state import SessionState

LAYOUT = 3
# States of fits that a callback had stopped had no mark of that before.
_WITHOUT_STOPS = 2


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
    source : dict
        State of the source of seeds.
    seeds : dict of str to int
        Seeds that were drawn for this fit.
    callbacks : dict of str to dict
        Plain attributes by the callback.
    schedules : dict of str to dict
        States of torch's schedulers by the callback.
    """

    layout: int
    fingerprint: dict[str, str]
    session: SessionState
    history: str
    source: dict[str, Any]
    seeds: dict[str, int]
    callbacks: dict[str, dict[str, Any]]
    schedules: dict[str, dict[str, Any]]


# The file.


def write(path: Path, saved: Saved) -> None:
    """Replace the file in one step: a reader finds the old state or the new one, always whole.

    Raises
    ------
    TypeError
        If the state holds what could not be read again.
    RuntimeError
        If another fit has begun in this directory.
    """
    strange = list(_strange(saved))
    if strange:
        raise TypeError(
            "`Resume` must find tensors, numbers and texts in the state of a fit, so that no code "
            f"is run when it is read; got {'; '.join(strange)}. Have the part return plain values, "
            "or take the callback out: callbacks__resume=None."
        )
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file, _checksums():
            torch.save(dict(saved), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except FileNotFoundError as error:
        raise RuntimeError(
            f"`dirname` must belong to one fit at a time; {path.parent} was swept by another that "
            "began in it. Give each its own."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Take away what was left of files in the midst of writing."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def read(path: Path) -> Saved:
    """Read a file that `write` has written.

    Returns
    -------
    Saved

    Raises
    ------
    ValueError
        If it is damaged, none, or of a layout that is not known here.
    """
    with path.open("rb") as file:
        try:
            _check_whole(file)
            saved: Saved = torch.load(file, map_location="cpu", weights_only=True)
            layout = saved["layout"]
        except Exception as error:  # of many kinds, by what the file holds
            if isinstance(error, MemoryError):  # nothing is wrong with it
                raise
            raise ValueError(
                f"`dirname` must hold a state that `Resume` has written; got {path}, which is "
                f"damaged or of another kind ({type(error).__name__}). Delete the file to start "
                "afresh, or put an older copy in its place."
            ) from error
    if layout not in (LAYOUT, _WITHOUT_STOPS):
        raise ValueError(
            f"`dirname` must hold a state of layout {_WITHOUT_STOPS} or {LAYOUT}; got {path} of "
            f"layout {layout}, written by another version of skgdw. Delete the file to start "
            "afresh."
        )
    if missing := sorted(Saved.__required_keys__ - saved.keys()):
        raise ValueError(
            f"`dirname` must hold a state that `Resume` has written; got {path}, which lacks "
            f"{missing}. Delete the file to start afresh."
        )
    if layout == _WITHOUT_STOPS:
        saved["session"].setdefault("was_stopped", False)
    return saved


def _check_whole(file: IO[bytes]) -> None:
    """Compare the records of a file with their checksums, which ``torch.load`` does not look at."""
    with ZipFile(file) as records:
        if damaged := records.testzip():
            raise BadZipFile(damaged)
    file.seek(0)


@contextmanager
def _checksums() -> Iterator[None]:
    """Have ``torch.save`` write them inside the block, also where the user leaves them out."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


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


# A fit between two epochs, as plain values.


def collect(
    session: Session,
    history: History,
    source: np.random.RandomState,
    seeds: Mapping[str, int],
    callbacks: Sequence[tuple[str, Callback]],
    fingerprint: Mapping[str, str],
) -> Saved:
    """Return what a fit can go on from."""
    values, schedules = _callback_values(callbacks)
    return Saved(
        layout=LAYOUT,
        fingerprint=dict(fingerprint),
        session=session.state_dict(),
        history=_history_text(history),
        source=_source_values(source),
        seeds=dict(seeds),
        callbacks=values,
        schedules=schedules,
    )


def restore(
    saved: Saved, source: np.random.RandomState, callbacks: Sequence[tuple[str, Callback]]
) -> History:
    """Put seeds and callbacks where they were and return the history; sessions read their own."""
    _set_source(source, saved["source"])
    _set_callbacks(callbacks, saved)
    return History(json.loads(saved["history"]))


def _history_text(history: History) -> str:
    """Return a history as JSON; numbers come out of it to the last bit."""
    try:
        return json.dumps(list(history), default=_as_json)
    except TypeError as error:
        raise TypeError(
            "`Resume` must find numbers and texts in the history; got what is neither from a "
            f"callback: {error}. Record a number in its place."
        ) from error


def _as_json(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | Tensor):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _source_values(source: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a source of random numbers in plain values."""
    state = source.get_state(legacy=False)
    key = torch.as_tensor(state["state"]["key"].astype(np.int64))
    own = {name: state[name] for name in ("bit_generator", "has_gauss", "gauss")}
    return {**own, "key": key, "pos": state["state"]["pos"]}


def _set_source(source: np.random.RandomState, values: Mapping[str, Any]) -> None:
    """Put a source of random numbers into a saved state."""
    own = {name: values[name] for name in ("bit_generator", "has_gauss", "gauss")}
    key = values["key"].numpy().astype(np.uint32)
    source.set_state({**own, "state": {"key": key, "pos": values["pos"]}})


def _key(name: str, callback: Callback) -> str:
    """Name a callback by what it is, too: another one of its name has nothing to go on from."""
    return f"{name}: {type(callback).__module__}.{type(callback).__qualname__}"


def _callback_values(
    callbacks: Sequence[tuple[str, Callback]],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the plain attributes of callbacks, and the states of their schedulers."""
    values = {
        _key(name, callback): {
            key: _plain(value)
            for key, value in vars(callback).items()
            if key.endswith("_") and _is_plain(value)
        }
        for name, callback in callbacks
        if not isinstance(callback, PrintLog)  # a log that goes on wants its headings again
    }
    schedulers = {
        _key(name, callback): callback.lr_scheduler_
        for name, callback in callbacks
        if isinstance(callback, LRScheduler) and callback.lr_scheduler_ is not None
    }
    schedules = {
        key: {
            name: _plain(value)
            for name, value in scheduler.state_dict().items()
            if _is_plain(value)
        }
        for key, scheduler in schedulers.items()
    }
    return values, schedules


def _set_callbacks(callbacks: Sequence[tuple[str, Callback]], saved: Saved) -> None:
    """Give callbacks and their schedulers what was saved of them."""
    for name, callback in callbacks:
        own, key = vars(callback), _key(name, callback)
        values = saved["callbacks"].get(key, {})
        # What is no plain value by now was made when the training began, for this process.
        own.update({k: v for k, v in values.items() if _is_plain(own.get(k))})
        if key in saved["schedules"]:
            callback.lr_scheduler_.load_state_dict(saved["schedules"][key])


# What a weights-only load reads. The very types: of their subclasses it reads none.
_PLAIN = (bool, int, float, str, type(None))
_TENSORS = (Tensor, nn.Parameter)
_NUMPY = (np.bool_, np.integer, np.floating, np.str_)


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(type(key) in _PLAIN and _is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return type(value) in (*_PLAIN, *_TENSORS) or isinstance(value, _NUMPY)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _strange(value: object, place: str = "") -> Iterator[str]:
    """Yield what in a state a weights-only load would not read, each with its place."""
    if isinstance(value, Mapping) and type(value) in (dict, OrderedDict):
        for key, each in value.items():
            yield from _strange(each, f"{place}[{key!r}]" if place else str(key))
    elif isinstance(value, list | tuple | set) and type(value) in (list, tuple, set):
        for number, each in enumerate(value):
            yield from _strange(each, f"{place}[{number}]")
    elif type(value) not in (*_PLAIN, *_TENSORS, torch.Size, torch.dtype, torch.device):
        yield f"{place} of {type(value).__module__}.{type(value).__qualname__}"
