"""Rows of any container: counted, compared in number, taken and joined."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class RowContainer(Protocol):
    """What hands out rows: an array, frame, sparse matrix, tensor, list, mapping or Dataset."""

    def __getitem__(self, key: Any, /) -> Any: ...


def is_mapping(data: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether data is a mapping of names to containers."""
    return isinstance(data, Mapping) and not hasattr(data, "tocsr")  # sparse "dok" is a dict


def is_dataset(data: object) -> bool:
    """Tell whether data is a torch Dataset, which hands out one row at a time."""
    return _is_of_torch(data, "Dataset")


def check_no_loader(data: object, name: str) -> None:
    """Refuse what torch makes batches with: it has a length, but hands out no row."""
    is_of_torch = any(kind.startswith("torch.utils.data.") for kind in _names_of_kinds(data))
    if is_of_torch and not is_dataset(data):
        raise TypeError(
            f"`{name}` must be an array, a frame, a mapping or a torch Dataset; got "
            f"{type(data).__name__}. Pass the Dataset, as loader.dataset; `iterator_train__...` "
            "and `iterator_valid__...` set the loaders that the classifier makes."
        )
    _check_chained(data, name)


def _check_chained(data: Any, name: str) -> None:
    """Refuse Datasets with rows by number in a chain, which takes streams alone."""
    parts = getattr(data, "datasets", ())
    if not (_is_of_torch(data, "ChainDataset") and isinstance(parts, list | tuple)):
        return
    odd = [
        f"{type(part).__name__} in place {i}"
        for i, part in enumerate(parts)
        if not _is_stream(part)
    ]
    if odd:
        raise TypeError(
            f"`{name}` as a ChainDataset must chain streams, each an IterableDataset; got "
            f"{', '.join(odd)}. Join these by torch.utils.data.ConcatDataset."
        )


def check_no_stream(data: object) -> None:
    """Refuse to take some of the rows of a stream."""
    if _is_stream(data):
        raise TypeError(
            "Rows must be found by number where some are taken out, as for a meta set or a split; "
            "got a stream, which gives them in an order of its own. Wrap it in a map-style "
            "Dataset, or pass these rows apart: X_meta and y_meta, X_val and y_val."
        )


def _is_stream(data: object) -> bool:
    return _is_of_torch(data, "IterableDataset")


def _is_of_torch(data: object, kind: str) -> bool:
    return f"torch.utils.data.dataset.{kind}" in _names_of_kinds(data)


def has_length(dataset: Any) -> bool:
    """Tell whether a Dataset can count its rows: a chain of streams has the method in any case."""
    try:
        return len(dataset) >= 0
    except Exception:  # of many kinds, by what the Dataset is
        return False


def check_has_length(dataset: Any, name: str) -> int:
    """Return the number of rows of a Dataset, or raise."""
    if not has_length(dataset):
        raise TypeError(
            f"`{name}` as a Dataset must have a length; got {type(dataset).__name__} without one. "
            "Wrap it in a map-style Dataset, or give it, or the streams that it chains, a "
            "`__len__`."
        )
    return len(dataset)


def _names_of_kinds(data: object) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(data).__mro__]


def as_host_array(data: RowContainer) -> Any:
    """Return a tensor as an array in the host's memory, anything else as it is."""
    if not hasattr(data, "detach"):
        return data
    tensor = data.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def as_rows(data: Any) -> Any:
    """Return `data`, as an array where it can do nothing but become one."""
    return data if hasattr(data, "__len__") or not hasattr(data, "__array__") else np.asarray(data)


def check_countable(data: Any, name: str) -> None:
    """Refuse what has no rows by number: what is yet to be computed, and sparse tensors."""
    if hasattr(data, "collect") and not hasattr(data, "__len__"):
        raise TypeError(
            f"`{name}` must be in memory; got a {type(data).__name__}, which is yet to be "
            f"computed. Pass {name}.collect()."
        )
    if getattr(data, "is_nested", False) is True:
        raise TypeError(
            f"`{name}` must hold rows of one shape; got a nested tensor. Pass torch.nested."
            f"to_padded_tensor({name}, 0), or a Dataset and a collate function that pads."
        )
    if hasattr(data, "detach") and str(data.layout) != "torch.strided":
        kind = str(data.layout).removeprefix("torch.")
        found = "sparse tensor" if kind.startswith("sparse") else f"tensor of layout {kind}"
        raise TypeError(f"`{name}` must be dense; got a {found}. Pass {name}.to_dense().")


def n_rows(data: object, name: str = "X") -> int:
    """Count the rows of `data`."""
    check_no_loader(data, name)
    check_countable(data, name)
    if is_mapping(data):
        return min((n_rows(value, name) for value in data.values()), default=0)
    if is_dataset(data):
        return check_has_length(data, name)
    shape = getattr(data, "shape", None)
    if shape is not None and len(shape) > 0:
        return int(shape[0])
    if shape is None and hasattr(data, "__len__") and not isinstance(data, (str, bytes)):
        return len(data)
    if shape is None and as_rows(data) is not data:
        return n_rows(as_rows(data), name)
    raise TypeError(
        f"`{name}` must be an array-like with rows; got {type(data).__name__}; "
        "pass an array, a DataFrame, a sparse matrix, a tensor or a list."
    )


def check_same_length(
    X: RowContainer | None,
    y: RowContainer | None,
    X_name: str = "X",
    y_name: str = "y",
    *,
    remedy: str = "pass one label per row.",
) -> int:
    """Return the common number of rows of `X` and `y`, or raise."""
    check_no_mapping(y, y_name)
    n_X, n_y = n_rows(X, X_name), n_rows(y, y_name)
    if n_X != n_y:
        raise ValueError(
            f"`{X_name}` and `{y_name}` must have the same number of rows; got {n_X} and {n_y}; "
            f"{remedy}"
        )
    return n_X


def check_no_mapping(y: object, name: str) -> None:
    """Refuse labels under names: neither the names nor their order need be those of rows."""
    if is_mapping(y):
        raise TypeError(
            f"`{name}` must hold one label per row, in the order of the rows; got a "
            f"{type(y).__name__} with the keys {list(y)[:5]}. Pass the labels themselves, as "
            f"{name}[...] or [{name}[row] for row in rows]."
        )


def take_rows(data: Any, indices: Any) -> Any:
    """Take the rows `indices` (m,) of `data` in that order, as a new object of its own kind."""
    data = as_rows(data)
    if is_mapping(data):
        return {name: take_rows(value, indices) for name, value in data.items()}
    if hasattr(data, "iloc"):
        return data.iloc[indices]
    if hasattr(data, "to_pandas") and hasattr(data, "take"):  # an arrow table, or a column of one
        return data.take(indices)
    if hasattr(data, "tocsr"):  # most sparse formats have no row indexing
        return data.tocsr()[indices].asformat(data.format)
    if is_dataset(data):  # loaded, or there were no Dataset
        check_no_stream(data)
        return sys.modules["torch.utils.data"].Subset(data, indices.tolist())
    if hasattr(data, "shape"):
        return data[indices]
    rows = [data[i] for i in indices.tolist()]
    return tuple(rows) if isinstance(data, tuple) else rows


def join_rows(first: Any, second: Any) -> Any:
    """Return the rows of `first`, then those of `second`, in the container of `first`."""
    if is_mapping(first):
        return {name: join_rows(value, second[name]) for name, value in first.items()}
    if isinstance(first, list | tuple):
        return type(first)([*first, *second])
    if hasattr(first, "iloc"):
        return sys.modules["pandas"].concat([first, second])  # loaded, or there were no frame
    if hasattr(first, "tocsr"):
        return sys.modules["scipy.sparse"].vstack([first, second], format=first.format)
    if is_dataset(first):
        return sys.modules["torch.utils.data"].ConcatDataset([first, second])
    if hasattr(first, "new_empty"):  # a tensor
        joined = first.new_empty((len(first) + len(second), *first.shape[1:]))
        joined[: len(first)], joined[len(first) :] = first, second
        return joined
    return np.concatenate([first, second])
