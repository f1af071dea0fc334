"""Of what form rows were, and that later ones, and those beside them, are of the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, cast

from skorch.dataset import Dataset as SkorchDataset

from skgdw._rows import RowContainer, is_dataset, is_mapping
from skgdw._validation._mappings import check_container, check_keys, open_mapping

Columns = Mapping[str, tuple[Any, ...]]


class RemembersForm(Protocol):
    """What remembers of what form the rows of ``fit`` were.

    Attributes
    ----------
    _row_names : tuple of str or None
        Names of the arrays in a mapping; empty for arrays without a name, None for a Dataset, or
        where it is not known.
    _row_shapes : mapping of str to tuple of int
        Shape of a row of each entry of a mapping.
    _row_columns : mapping of str to tuple
        Names of the columns of frames by the entry whose they are; "" for rows that are no mapping.
    """

    _row_names: tuple[str, ...] | None
    _row_columns: Columns
    _row_shapes: Mapping[str, tuple[int, ...]]


def knows_form(net: RemembersForm) -> bool:
    """Tell whether rows came before; a net out of ``load_params`` has seen none."""
    # Files of early versions tell no more than the number of columns.
    return getattr(net, "_row_names", None) is not None or hasattr(net, "n_features_in_")


def check_form(net: RemembersForm, X: RowContainer, *, reset: bool) -> Any:
    """Return rows that are of the form that `fit` was given, a mapping opened, or raise.

    Parameters
    ----------
    net : GDWClassifier
        Remembers the form.
    X : array-like, mapping or Dataset
    reset : bool
        Whether X defines the form, or has to agree with it.

    Returns
    -------
    dict of str to ndarray or Tensor, or X itself
        As `open_mapping` returns it.

    Raises
    ------
    TypeError
        If one is a mapping and the other is not.
    ValueError
        If the keys differ, or the columns of frames.
    """
    opened = open_mapping(X, "X")
    check_container(opened, "X")
    is_map = is_mapping(opened)
    names = None if is_dataset(opened) else tuple(sorted(opened)) if is_map else ()
    if reset:
        net._row_names, net._row_columns, net._row_shapes = names, columns_of(X), _shapes_of(opened)
        if names != ():  # an earlier fit may have counted columns
            for counted in ("n_features_in_", "feature_names_in_"):
                vars(net).pop(counted, None)
        return opened
    known = getattr(net, "_row_names", None)
    _check_names(opened, names, known)
    check_columns(net, X, "X", "that `fit` was given")
    return opened


def _check_names(X: Any, names: tuple[str, ...] | None, known: tuple[str, ...] | None) -> None:
    if names is None and known == () and type(X) is SkorchDataset and hasattr(X.X, "columns"):
        raise TypeError(
            "`X` must be of the form that `fit` was given, an array or a frame; got a Dataset over "
            "a frame, whose columns reach the module by name. Pass the frame itself."
        )
    if names is None or known is None or names == known:
        return
    if not (names and known):
        is_to = f"a mapping with the keys {list(known)}" if known else "an array or a frame"
        found = f"a mapping with the keys {list(names)}" if names else type(X).__name__
        raise TypeError(f"`X` must be of the form that `fit` was given, {is_to}; got {found}.")
    check_keys(cast("Mapping[str, Any]", X), known, "X", "`fit` was given")


def columns_of(X: Any) -> Columns:
    """Return the names of the columns of frames, but those that scikit-learn compares itself."""
    if is_dataset(X):
        return {}
    if not is_mapping(X):
        names = _names_in(X)
        return {} if _are_texts(names) else {"": names}
    found = {key: _names_in(value) for key, value in X.items()}
    return {key: names for key, names in found.items() if names}


def _names_in(frame: Any) -> tuple[Any, ...]:
    # What an arrow table calls columns has no names.
    return tuple(getattr(frame, "column_names", getattr(frame, "columns", ())))


def _are_texts(names: tuple[Any, ...]) -> bool:
    return all(isinstance(name, str) for name in names)


def check_columns(net: RemembersForm, X: Any, name: str, of: str = "of X") -> None:
    """Refuse frames that have not the columns of X, or in another order: rows go by places."""
    known, found = getattr(net, "_row_columns", {}), columns_of(X)
    unlike = [key for key in found if key in known and _is_unlike(known[key], found[key])]
    if unlike:
        where = {key: f"{name}[{key!r}]" if key else name for key in unlike}
        got = [f"{list(found[key])} beside {list(known[key])}" for key in unlike]
        raise ValueError(
            f"{' and '.join(f'`{place}`' for place in where.values())} must have the columns {of}, "
            f"in their order; got {', and '.join(got)}. Pass the columns by these names, as "
            f"{where[unlike[0]]}[names]."
        )


def _is_unlike(known: tuple[Any, ...], names: tuple[Any, ...]) -> bool:
    """Tell other columns: names that are numbers may only count them, so that others say little."""
    if known == names:
        return False
    return (_are_texts(known) and _are_texts(names)) or Counter(known) == Counter(names)


def explain_shapes(net: RemembersForm, error: Exception, **rows: Any) -> None:
    """Raise in place of an error if entries differ in shape from those that `fit` was given.

    It is not asked beforehand: a module may well take sequences of other lengths.

    Parameters
    ----------
    net : GDWClassifier
    error : Exception
        What came of rows in the module.
    **rows : mapping, or anything else
        By the names of arguments.

    Raises
    ------
    ValueError
        If there are such entries; all are named.
    """
    known = getattr(net, "_row_shapes", {})
    unlike = [
        (f"`{name}[{key!r}]`", f"{shape} beside {known[key]}")
        for name, given in rows.items()
        for key, shape in _shapes_of(given).items()
        if key in known and known[key] != shape
    ]
    if unlike:
        where, found = zip(*unlike, strict=True)
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{' and '.join(where)} must have rows of the shape that `fit` was given in X, as the "
            f"module takes no other; got {', and '.join(found)} ({said[0][:200]}). Send all rows "
            "through the same preprocessing."
        ) from error


def _shapes_of(X: Any) -> dict[str, tuple[int, ...]]:
    if not is_mapping(X):
        return {}
    return {key: tuple(value.shape[1:]) for key, value in X.items() if hasattr(value, "shape")}
