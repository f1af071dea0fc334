"""Names of parameters that cannot be: refused in words, with what was meant."""

import functools
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.dataset import Dataset
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw import GDWClassifier

DATA = blobs()
X, Y, X_META, Y_META = DATA

# --- names ----------------------------------------------------------------------------------------

TYPOS = {
    "lr_": "lr",
    "_lr": "lr",
    "meta_rate": "meta_lr",
    "max_epoch": "max_epochs",
    "weight_net_optimiser__lr": "weight_net_optimizer__lr",
    "optimiser__momentum": "optimizer__momentum",
    "moduel__hidden": "module__hidden",
    "iterator_mta__batch_size": "iterator_meta__batch_size",
    "iterator_train_shuffle": "iterator_train__shuffle",
    "callback__lr_schedule": "callbacks__lr_schedule",
}


@pytest.mark.parametrize("name", TYPOS)
def test_unknown_names_are_refused_with_what_was_meant(name):
    words = re.escape(f"got unexpected `{name}` (did you mean `{TYPOS[name]}`?).")
    for net in (quick(**{name: 1}), clone(quick(**{name: 1}))):
        with pytest.raises(ValueError, match=words):
            net.fit(*DATA)
    words = f"Invalid parameter .*; got `{name}` \\(did you mean `{TYPOS[name]}`\\?\\)"
    for net in (quick(), quick().fit(*DATA)):
        with pytest.raises(ValueError, match=words):
            net.set_params(**{name: 1})


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(ValueError, match=r"got unexpected `qqq`, `zzz__`\. A subclass"):
        quick(qqq=1, zzz__=3).fit(*DATA)


def test_a_search_refuses_them_too():
    search = GridSearchCV(quick(lr_=1), {"meta_lr": [0.1]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="unexpected `lr_`"):
        search.fit(X, Y, X_meta=(X_META,), y_meta=(Y_META,))


def test_names_inside_a_parameter_that_has_none():
    with pytest.raises(ValueError, match=r"Invalid parameter 'lr': .*; got `lr__start`"):
        quick().set_params(lr__start=1)


def test_a_subclass_may_add_parameters_and_parts():
    class Own(GDWClassifier):
        def __init__(self, module=Net, *, extra=1, **kwargs):
            super().__init__(module, **kwargs)
            self.extra = extra

        def initialize_module(self):
            super().initialize_module()
            self.head_ = nn.Linear(**self.get_params_for("head"))
            return self

    net = Own(extra=3, head__in_features=2, head__out_features=2, max_epochs=1, verbose=0)
    net.fit(*DATA).set_params(extra=4, head__bias=False)
    assert net.fit(*DATA).head_.bias is None


PART_TYPOS = {
    "module__hiden": ("Net", "module__hidden"),
    "weight_net__hiden": ("WeightNet", "weight_net__hidden"),
    "criterion__wieght": ("CrossEntropyLoss", "criterion__weight"),
    "optimizer__momentun": ("SGD", "optimizer__momentum"),
    "weight_net_optimizer__weight_dacay": ("Adam", "weight_net_optimizer__weight_decay"),
    "iterator_meta__batch_siz": ("DataLoader", "iterator_meta__batch_size"),
    "iterator_train__shufle": ("DataLoader", "iterator_train__shuffle"),
    "iterator_valid__batchsize": ("DataLoader", "iterator_valid__batch_size"),
    "compile__backnd": ("compile", "compile__backend"),
}


@pytest.mark.parametrize("name", PART_TYPOS)
def test_arguments_that_a_part_does_not_take(name):
    Net.built = 0
    part, meant = PART_TYPOS[name]
    prefix = name.split("__")[0]
    words = re.escape(
        f"`{prefix}__...` must be arguments of {part}; got `{name}` (did you mean `{meant}`?). "
        "Those it takes are ["
    )
    with pytest.raises(ValueError, match=words):
        quick(**{name: 1}).fit(*DATA)
    assert Net.built == 0
    with pytest.raises(ValueError, match=words):
        quick().fit(*DATA).set_params(**{name: 1}).fit(*DATA)


def test_parts_that_take_any_argument_are_left_to_themselves():
    class Any(Net):
        def __init__(self, **kwargs):
            super().__init__()
            self.kwargs = kwargs

    assert quick(Any, module__whatever=3).fit(*DATA).module_.kwargs == {"whatever": 3}


def test_arguments_of_the_default_dataset_have_no_place():
    with pytest.raises(
        ValueError, match=r"own as `dataset`; got `dataset__foo`, `dataset__length`"
    ):
        quick(dataset__length=3, dataset__foo=1).fit(*DATA)

    class Own(Dataset):
        def __init__(self, X, y=None, length=None, note=None):
            super().__init__(X.astype(np.float32), y, length=length)

    quick(dataset=Own, dataset__note="mine").fit(*DATA)
    with pytest.raises(ValueError, match="must be arguments of Own; got `dataset__nte`"):
        quick(dataset=Own, dataset__nte="mine").fit(*DATA)


def test_parameter_groups_are_no_argument_of_the_optimizer():
    groups = [("layers.0*", {"lr": 0.01})]
    assert len(quick(optimizer__param_groups=groups).fit(*DATA).optimizer_.param_groups) == 2


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "part"),
    [("optimizer__momentum", "SGD"), ("weight_net_optimizer__lr", "Adam")],
)
def test_settings_of_another_type(name, part):
    words = f"`{name.split('__')[0]}__...` must be of the types that {part} takes; got .*'x'"
    with pytest.raises(TypeError, match=words):
        quick(**{name: "x"}).fit(*DATA)


def test_settings_of_an_optimizer_of_another_kind():
    """As after a search over optimizers."""
    net = quick(optimizer__momentum=0.5).set_params(optimizer=torch.optim.Adam)
    with pytest.raises(ValueError, match=r"arguments of Adam; got `optimizer__momentum`. Those"):
        net.fit(*DATA)


class WithAuxiliary(GDWClassifier):
    """A subclass that takes arguments for a part of its own, and one for itself."""

    def initialize_module(self):
        super().initialize_module()
        self.auxiliary_ = torch.nn.Linear(**self.get_params_for("auxiliary"))
        return self

    def get_params_for(self, prefix):
        params = super().get_params_for(prefix)
        params.pop("kept", None)
        return params


def test_arguments_of_a_subclass():
    options = {"auxiliary__in_features": 2, "auxiliary__out_features": 3, "module__kept": 1}
    net = WithAuxiliary("auto", max_epochs=1, verbose=0, **options)
    assert net.set_params(auxiliary__out_features=4).fit(*DATA).auxiliary_.out_features == 4


def test_a_wrapper_may_take_more_than_what_it_wraps():
    @functools.wraps(Net)
    def make(*args, extra=0, **kwargs):
        return Net(*args, **kwargs)

    quick(make, module__extra=1).fit(*DATA)
