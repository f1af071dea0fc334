"""What was built, and what it returns: logits of the right shape, weights, batch statistics."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick, weights
from skgdw.exceptions import (
    ChannelsLastWarning,
    CriterionError,
    ModuleOutputError,
    ProbabilityOutputWarning,
)
from skgdw.modules import WeightNet

DATA = blobs()
X, Y, X_META, Y_META = DATA


class Returns(Net):
    """Returns what is asked for in place of logits."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, X):
        return self.what(super().forward(X))


WRONG_OUTPUTS = {
    "one column less": (lambda z: z[:, :2], r"\(8, 2\)"),
    "one column": (lambda z: z[:, :1], r"\(8, 1\)"),
    "one dimension": (lambda z: z[:, 0], r"\(8,\)"),
    "a dictionary": (lambda z: {"logits": z}, "dict"),
    "an image": (lambda z: z[:, :, None], r"\(8, 3, 1\)"),
    "None": (lambda z: None, "NoneType"),
}


@pytest.mark.parametrize("weighting", ["class", "uniform"])
@pytest.mark.parametrize("case", WRONG_OUTPUTS)
def test_module_without_logits_of_the_right_shape(case, weighting):
    what, found = WRONG_OUTPUTS[case]
    words = (
        r"`module` must return logits of shape \(n, 3\), one column for each of the classes "
        rf"\[0, 1, 2\]; Returns returned {found}. (Set its output width to 3|Return them alone)"
    )
    with pytest.raises(ModuleOutputError, match=words):
        quick(Returns(what), weighting=weighting).fit(*DATA)


@pytest.mark.parametrize("labels", [[*"abd"], [*"abcd"], [*"bcd"]])
def test_other_labels_do_not_reach_a_net_that_goes_on(labels):
    """Its outputs stand for the labels of the first fit."""
    net = quick(max_epochs=1, warm_start=True).fit(*DATA.labelled([*"abc"]))
    before, named = weights(net), np.array(labels)
    words = r"hold every label; got \['a', 'b', 'c'\], and labels \['d'\].*start afresh for others"
    with pytest.raises(ValueError, match=words):
        net.fit(X, named[np.arange(48) % len(labels)], X_META, named[np.arange(12) % len(labels)])
    assert np.array_equal(weights(net), before)
    assert list(net.classes_) == [*"abc"]


@pytest.mark.filterwarnings("ignore::skgdw.exceptions.ClassOrderWarning")
@pytest.mark.filterwarnings("ignore::skgdw.exceptions.MetaClassWarning")
def test_a_net_that_goes_on_keeps_labels_that_come_no_more():
    net = quick(max_epochs=1, warm_start=True, classes=[*"cab"]).fit(*DATA.labelled([*"abc"]))
    two, two_meta, named = Y != 2, Y_META != 2, np.array([*"abc"])
    net.fit(X[two], named[Y[two]], X_META[two_meta], named[Y_META[two_meta]])
    assert list(net.classes_) == [*"cab"]


class Warm(nn.Module):
    """A criterion with a temperature to learn."""

    def __init__(self, reduction="mean", *, learns=True):
        super().__init__()
        self.reduction = reduction
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=learns)

    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits * self.temperature, y, reduction=self.reduction)


@pytest.mark.parametrize("weighting", ["class_pair", "class", "instance", "network"])
def test_a_criterion_that_learns_is_refused_where_rows_are_weighted(weighting):
    words = r"must have nothing to train.*\['temperature'\] of Warm.*Move them into the module"
    with pytest.raises(CriterionError, match=words):
        quick(criterion=Warm, weighting=weighting).fit(*DATA)
    assert quick(criterion=Warm, criterion__learns=False, weighting=weighting).fit(*DATA)


def test_a_criterion_that_learns_is_trained_plainly():
    net = quick(criterion=Warm, weighting="uniform").fit(*DATA)
    assert net.criterion_.temperature.item() != 1


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_logits_wider_than_the_module(weighting):
    words = r"as wide as its parameters, torch.float32; Returns returned torch.float64"
    with pytest.raises(ModuleOutputError, match=words):
        quick(Returns(lambda z: z.double()), weighting=weighting).fit(*DATA)
    assert quick(Returns(lambda z: z.double()), weighting="uniform").fit(*DATA)


class Softmax(Net):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


@pytest.mark.parametrize("weighting", ["class", "uniform"])
def test_probabilities_for_logits(weighting):
    with pytest.warns(ProbabilityOutputWarning, match="of Softmax are positive and sum to one"):
        quick(Softmax, weighting=weighting).fit(*DATA)


def test_positive_logits_are_no_probabilities():
    quick(Returns(lambda z: z.exp())).fit(*DATA)


def test_a_single_logit_is_no_probability():
    with pytest.warns(match="No meta set was given"):
        quick(Net(n_classes=1)).fit(X, np.zeros(48))


@pytest.mark.parametrize("meta", ["one row", "batches of one row"])
def test_batch_statistics_of_one_meta_row(meta):
    """A batch of one row has no statistics: say so, or do without."""
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    options = {} if meta == "one row" else {"iterator_meta__batch_size": 1}
    n_meta = 1 if meta == "one row" else 4
    try:
        quick(module, **options).fit(X, np.zeros(48), X_META[:n_meta], np.zeros(n_meta))
    except ValueError as error:
        assert "meta" in str(error)  # noqa: PT017 (training is as good as a clear refusal)


def test_weighting_net_as_an_instance_is_copied():
    own = WeightNet(hidden=3)
    before = copy.deepcopy(own.state_dict())
    net = quick(weight_net=own).fit(*DATA)
    assert net.weight_net_.state_dict()["layers.0.weight"].shape == (3, 1)
    assert all(torch.equal(own.state_dict()[name], value) for name, value in before.items())


class ColumnWeightNet(nn.Linear):
    def __init__(self):
        super().__init__(1, 1)

    def forward(self, losses):
        return super().forward(losses[:, None]).sigmoid()


def test_weighting_net_that_returns_a_column():
    with pytest.raises((ValueError, TypeError, RuntimeError), match=r"`weight_net` .* \(n,\)"):
        quick(weight_net=ColumnWeightNet).fit(*DATA)


class InPlace(Net):
    def forward(self, X):
        return super().forward(X.mul_(2).sub_(1))


@pytest.mark.parametrize("weighting", ["class_pair", "class"])
def test_a_module_that_changes_its_inputs_is_refused_where_rows_are_weighted(weighting):
    words = r"`module` must leave its inputs as they are.*InPlace changes.*Write X = X \* 2, say"
    with pytest.raises(ValueError, match=words):
        quick(InPlace, weighting=weighting).fit(*DATA)
    quick(InPlace, weighting="uniform").fit(*DATA)


class Uncopied(Net):
    def __deepcopy__(self, memo):
        raise RuntimeError("no copies of this.")


def test_an_instance_that_cannot_be_copied():
    words = r"`module` as an instance must .*Uncopied cannot be: no copies of this. Pass its class"
    with pytest.raises(ValueError, match=words):
        quick(Uncopied()).fit(*DATA)
    quick(Uncopied).fit(*DATA)


class Twice(torch.optim.SGD):
    def step(self, closure):
        closure()
        return super().step(closure)


@pytest.mark.parametrize("optimizer", [Twice, torch.optim.LBFGS])
def test_an_optimizer_that_asks_for_a_closure_where_rows_are_weighted(optimizer):
    words = rf"`optimizer` must step without a closure where .* got {optimizer.__name__}, whose"
    with pytest.raises(ValueError, match=words + r".*or train plainly, weighting=\"uniform\""):
        quick(optimizer=optimizer).fit(*DATA)
    net = quick(optimizer=optimizer, weighting="uniform").fit(*DATA)
    with pytest.raises(ValueError, match=words):  # training goes on, under other weights
        net.set_params(weighting="class", warm_start=True).fit(*DATA)


def test_an_optimizer_that_compares_losses_where_rows_have_weights():
    net = quick(optimizer=torch.optim.LBFGS, weighting="uniform")
    words = "`optimizer` must step without a closure where rows have a `sample_weight`.*got LBFGS"
    with pytest.raises(ValueError, match=words + ".*or give no weights"):
        net.fit(DATA.X, DATA.y, sample_weight=np.arange(len(DATA.y)) + 1.0)


@pytest.mark.parametrize("name", ["optimizer", "weight_net_optimizer"])
def test_an_optimizer_of_sparse_gradients_alone(name):
    words = rf"`{name}` must take ordinary gradients.* got SparseAdam. Use Adam"
    with pytest.raises(ValueError, match=words):
        quick(**{name: torch.optim.SparseAdam}).fit(*DATA)


def mixed(samples):
    X = torch.stack([x for x, _ in samples])
    y = torch.nn.functional.one_hot(torch.tensor([int(y) for _, y in samples]), 3).double()
    return X, 0.5 * y + 0.5 * y.flip(0)


@pytest.mark.parametrize("weighting", ["class", "class_pair"])
def test_labels_that_are_mixed_are_refused_where_rows_are_weighted(weighting):
    words = r"one class code a row, int64.*got labels of float64 and shape \(8, 3\), as a collate"
    net = quick(weighting=weighting, iterator_train__collate_fn=mixed, batch_size=20)
    with pytest.raises(TypeError, match=words):
        net.fit(*DATA)


class Convolves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 2, 3), nn.Linear(2, 3)

    def forward(self, X):
        return self.out(self.conv(X).mean(dim=(2, 3)))


def test_images_with_their_channels_last_are_told_where_a_module_does_not_take_them():
    X = np.random.default_rng(0).random((60, 12, 12, 3), dtype=np.float32)
    X_meta = np.random.default_rng(1).random((12, 12, 12, 3), dtype=np.float32)
    with (
        pytest.warns(ChannelsLastWarning, match=r"X.transpose\(0, 3, 1, 2\)"),
        pytest.raises(RuntimeError, match="channels"),
    ):
        quick(Convolves).fit(X, np.arange(60) % 3, X_meta, np.arange(12) % 3)
