"""The checks of what reaches the estimator, and the words for what may not."""

from skgdw._validation._inputs import (
    as_host_array,
    as_plain_mapping,
    check_enough_rows,
    check_mapping,
    check_X,
    n_samples,
    passes_through,
)
from skgdw._validation._labels import (
    check_dataset_labels,
    check_labels,
    check_not_missing,
    check_same_classes,
    encode,
    find_classes,
)
from skgdw._validation._meta import (
    CheckedData,
    check_can_hold_out,
    check_meta_arguments,
    check_meta_mask,
    check_meta_X,
    check_same_length,
)
from skgdw._validation._meta_warnings import warn_of_meta_set
from skgdw._validation._names import check_arguments, check_names, check_settable
from skgdw._validation._parameters import (
    check_auto_module,
    check_batch_statistics,
    check_device,
    check_logits,
    check_optimizer,
    check_parameters,
    check_weights,
)
from skgdw._validation._parts import check_callbacks, check_prediction, check_reduction

__all__ = [
    "CheckedData",
    "as_host_array",
    "as_plain_mapping",
    "check_X",
    "check_arguments",
    "check_auto_module",
    "check_batch_statistics",
    "check_callbacks",
    "check_can_hold_out",
    "check_dataset_labels",
    "check_device",
    "check_enough_rows",
    "check_labels",
    "check_logits",
    "check_mapping",
    "check_meta_X",
    "check_meta_arguments",
    "check_meta_mask",
    "check_names",
    "check_not_missing",
    "check_optimizer",
    "check_parameters",
    "check_prediction",
    "check_reduction",
    "check_same_classes",
    "check_same_length",
    "check_settable",
    "check_weights",
    "encode",
    "find_classes",
    "n_samples",
    "passes_through",
    "warn_of_meta_set",
]
