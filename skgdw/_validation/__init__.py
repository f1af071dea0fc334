"""The checks of what reaches the estimator; the only room that words argument errors."""

from skgdw._validation._inputs import as_host_array, check_enough_rows, check_X, passes_through
from skgdw._validation._labels import check_dataset_labels, check_labels, encode, find_classes
from skgdw._validation._meta import (
    CheckedData,
    check_can_hold_out,
    check_meta_arguments,
    check_meta_mask,
    check_meta_X,
    check_same_length,
)
from skgdw._validation._meta_warnings import warn_of_meta_set
from skgdw._validation._parameters import check_auto_module, check_logits, check_parameters

__all__ = [
    "CheckedData",
    "as_host_array",
    "check_X",
    "check_auto_module",
    "check_can_hold_out",
    "check_dataset_labels",
    "check_enough_rows",
    "check_labels",
    "check_logits",
    "check_meta_X",
    "check_meta_arguments",
    "check_meta_mask",
    "check_parameters",
    "check_same_length",
    "encode",
    "find_classes",
    "passes_through",
    "warn_of_meta_set",
]
