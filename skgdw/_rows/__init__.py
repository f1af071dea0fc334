"""Rows and labels of any container: counted, taken, encoded, grouped, masked.

The one vocabulary of the package. Containers are told apart by what they can do (`iloc`, `tocsr`,
`detach`), so that arrays, frames, sparse matrices, lists, tensors, mappings and torch Datasets all
work without pandas or torch being imported here.
"""

from skgdw._rows._codes import (
    encode,
    encode_labels,
    rows_by_class,
    take_labels,
)
from skgdw._rows._containers import (
    BoolArray,
    IntArray,
    RowContainer,
    as_host_array,
    as_rows,
    check_countable,
    check_has_length,
    check_no_loader,
    check_no_stream,
    check_same_length,
    has_length,
    is_dataset,
    is_mapping,
    join_rows,
    n_rows,
    take_rows,
)
from skgdw._rows._labels import as_labels, is_column, join_labels, label_kind
from skgdw._rows._masks import check_mask
from skgdw._rows._random_state import GLOBAL_STATES, local_random_state
from skgdw._rows._readable import check_readable

__all__ = [
    "GLOBAL_STATES",
    "BoolArray",
    "IntArray",
    "RowContainer",
    "as_host_array",
    "as_labels",
    "as_rows",
    "check_countable",
    "check_has_length",
    "check_mask",
    "check_no_loader",
    "check_no_stream",
    "check_readable",
    "check_same_length",
    "encode",
    "encode_labels",
    "has_length",
    "is_column",
    "is_dataset",
    "is_mapping",
    "join_labels",
    "join_rows",
    "label_kind",
    "local_random_state",
    "n_rows",
    "rows_by_class",
    "take_labels",
    "take_rows",
]
