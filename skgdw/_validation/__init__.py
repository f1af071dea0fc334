"""The checks of what reaches the estimator, and the words for what may not."""

from skgdw._validation._built import (
    check_auto_module,
    check_batch_statistics,
    check_logits,
    check_optimizer,
    check_steps,
    check_weights,
)
from skgdw._validation._class_prior import check_class_prior
from skgdw._validation._inputs import (
    check_any_rows,
    check_enough_rows,
    check_X,
    passes_through,
    warn_of_channels_last,
)
from skgdw._validation._labels import (
    check_dataset_labels,
    check_given,
    check_known,
    check_labels,
    check_same_classes,
    find_classes,
)
from skgdw._validation._mappings import check_form, check_numbers, open_mapping
from skgdw._validation._names import check_arguments, check_names, check_settable
from skgdw._validation._parameters import check_device, check_parameters
from skgdw._validation._parts import check_callbacks, check_prediction, check_reduction
from skgdw._validation._trusted_rows import (
    META_SET,
    SPLIT_ROWS,
    VALIDATION_ROWS,
    GivenPair,
    TrustedPair,
    check_can_hold_out,
    check_meta_mask,
    check_one_meta_set,
    check_one_validation_set,
    check_pair,
    check_pair_labels,
    check_pair_rows,
    check_same_kind,
)
from skgdw._validation._trusted_warnings import (
    warn_of_meta_classes,
    warn_of_meta_overlap,
    warn_of_scale,
    warn_of_slicing,
    warn_of_validation_overlap,
)

__all__ = [
    "META_SET",
    "SPLIT_ROWS",
    "VALIDATION_ROWS",
    "GivenPair",
    "TrustedPair",
    "check_X",
    "check_any_rows",
    "check_arguments",
    "check_auto_module",
    "check_batch_statistics",
    "check_callbacks",
    "check_can_hold_out",
    "check_class_prior",
    "check_dataset_labels",
    "check_device",
    "check_enough_rows",
    "check_form",
    "check_given",
    "check_known",
    "check_labels",
    "check_logits",
    "check_meta_mask",
    "check_names",
    "check_numbers",
    "check_one_meta_set",
    "check_one_validation_set",
    "check_optimizer",
    "check_pair",
    "check_pair_labels",
    "check_pair_rows",
    "check_parameters",
    "check_prediction",
    "check_reduction",
    "check_same_classes",
    "check_same_kind",
    "check_settable",
    "check_steps",
    "check_weights",
    "find_classes",
    "open_mapping",
    "passes_through",
    "warn_of_channels_last",
    "warn_of_meta_classes",
    "warn_of_meta_overlap",
    "warn_of_scale",
    "warn_of_slicing",
    "warn_of_validation_overlap",
]
