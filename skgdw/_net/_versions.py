"""Which saved classifiers can be read: by the version that wrote them, and what they lack."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection

from skgdw import _version
from skgdw._net._protocol import SkorchNet
from skgdw.exceptions import SavedVersionError

VERSION = "_skgdw_version"
# Files of this minor version and later ones can be read; so can those without a version.
_OLDEST = (0, 1)


def own_version() -> str:
    """Return the version of the package."""
    return _version.__version__


def check_saved(state: object, layouts: Collection[frozenset[str]]) -> dict[str, object]:
    """Return a saved state without its version, which must be one that can be read.

    Parameters
    ----------
    state : object
        What a file held.
    layouts : collection of frozenset of str
        Names of which a state must hold all of one set.

    Returns
    -------
    dict of str to object
        The state, its layout and version known.

    Raises
    ------
    SavedVersionError
        If it is of another layout or version.
    """
    here = own_version()
    if not isinstance(state, dict) or not any(layout <= state.keys() for layout in layouts):
        raise SavedVersionError(
            "A saved classifier must have a layout that skgdw has written; got one that version "
            f"{here} does not know. Load it with the version that wrote it."
        )
    written = state.get(VERSION)
    minor, latest = _minor(written), _minor(here)
    if written is not None and (minor is None or latest is None or not _OLDEST <= minor <= latest):
        older = minor is not None and minor < _OLDEST
        raise SavedVersionError(
            f"A saved classifier must come from a version of skgdw from {_OLDEST[0]}.{_OLDEST[1]} "
            f"to the installed one, {here}; got one written by {written}. "
            + (
                f"Load it with skgdw {written}, store its networks with `save_params`, and load "
                "these here with `load_params`."
                if older
                else f"Install skgdw {written}, or fit and save anew."
            )
        )
    return {key: value for key, value in state.items() if key != VERSION}


# Parameters that older versions had.
_GONE = ("cuda_graph",)


def without_gone(params: dict[str, object]) -> dict[str, object]:
    """Return parameters, or attributes, without those that only older versions had."""
    return {name: value for name, value in params.items() if name not in _GONE}


def fill_in_parameters(net: SkorchNet) -> None:
    """Give a net that an older version saved the defaults of parameters that came later."""
    for cls in type(net).__mro__:
        constructor = vars(cls).get("__init__", object.__init__)
        for name, parameter in inspect.signature(constructor).parameters.items():
            if parameter.default is not parameter.empty:
                vars(net).setdefault(name, parameter.default)


def _minor(version: object) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", str(version))
    return None if found is None else (int(found[1]), int(found[2]))
