"""The parts a net is built of: what may stand for each."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from skorch import NeuralNet

from skgdw._validation._names import argument_faults

# What has to be a class, or another callable that builds the part.
_BUILT = {
    "module": '"auto", a torch module or its class',
    "criterion": "a torch criterion or its class, such as torch.nn.CrossEntropyLoss",
    "optimizer": "a torch optimizer class, such as torch.optim.SGD",
    "weight_net": "a torch module or its class, such as skgdw.modules.WeightNet",
    "weight_net_optimizer": "a torch optimizer class, such as torch.optim.Adam",
    "iterator_train": "a class such as torch.utils.data.DataLoader",
    "iterator_valid": "a class such as torch.utils.data.DataLoader",
    "iterator_meta": "a class such as torch.utils.data.DataLoader",
}


def part_faults(net: NeuralNet, parts: set[str] | None = None) -> list[str]:
    """Say which parameters, of all or of `parts`, cannot stand for their part."""
    rules = {name: rule for name, rule in _BUILT.items() if not callable(getattr(net, name))}
    if isinstance(net.module, str):
        rules.pop("module")  # there is a text of its own
    if not (callable(net.dataset) or hasattr(net.dataset, "__getitem__")):
        rules["dataset"] = "a class such as skorch.dataset.Dataset"
    if not (net.train_split is None or callable(net.train_split)):
        rules["train_split"] = "None or a skorch split, such as skorch.dataset.ValidSplit(5)"
    if not (net.predict_nonlinearity in ("auto", None) or callable(net.predict_nonlinearity)):
        rules["predict_nonlinearity"] = '"auto", None or a callable'
    if net.classes is not None and (isinstance(net.classes, str) or np.ndim(net.classes) != 1):
        rules["classes"] = "None or a sequence of labels"
    return [
        f"`{name}` must be {rule}; got {getattr(net, name)!r}."
        for name, rule in rules.items()
        if parts is None or name in parts
    ]


def loader_options(net: NeuralNet, name: str) -> dict[str, Any]:
    """Return the arguments of a loader: those bound by a `partial`, under those set by prefix."""
    iterator = getattr(net, name)
    bound = iterator.keywords if isinstance(iterator, partial) else {}
    return {**bound, **net.get_params_for(name)}


# What leaves rows out or brings them into another order, and what it is where rows are predicted.
_REORDERING = {"shuffle": False, "drop_last": False, "sampler": None, "batch_sampler": None}


def check_prediction(net: NeuralNet) -> None:
    """Check what prediction takes out of parameters that may have been set since `fit`."""
    faults = part_faults(net, {"iterator_valid", "dataset", "predict_nonlinearity"})
    faults += argument_faults(net, ["iterator_valid"])
    given = {} if faults else loader_options(net, "iterator_valid")
    faults += [
        f"`iterator_valid__{name}` must be {rule} to predict: predictions come in the order of the "
        f"rows; got {given[name]!r}."
        for name, rule in _REORDERING.items()
        if (given.get(name) is not None if rule is None else given.get(name))
    ]
    if faults:
        raise ValueError(" ".join(faults))


def check_reduction(criterion: object) -> None:
    """Refuse a criterion that gives a loss for each row: a step needs one number."""
    if getattr(criterion, "reduction", None) == "none":
        raise ValueError(
            '`criterion` must reduce the losses of a batch to one number; got reduction="none". '
            "Leave it out: where rows have to be told apart, that is done without it."
        )
