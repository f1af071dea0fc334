"""How the weighted step of a fit is put together."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from classifier_cases import Net, blobs, quick
from skgdw._training._assembly import Assembly
from skgdw._training.step._jvp import Difference, DualNumbers, Recorded, Unrolled, WideDifference
from skgdw.exceptions import CriterionError, MetaGradientFallbackWarning
from skgdw.weighting import Weighting

DATA = blobs()


class Moody(Net):
    """Rounds otherwise where no graph is made."""

    def forward(self, X):
        return super().forward(X) * (1 + 1e-6 * (not torch.is_grad_enabled()))


class Single(Net):
    """Gives other numbers in double precision."""

    def forward(self, X):
        return super().forward(X if X.dtype is torch.float32 else 1.5 * X)


class Cosine(Net):
    """Takes a function that no rule of the recorded graph covers."""

    def forward(self, X):
        return torch.cos(super().forward(X))


@pytest.fixture
def step_of(monkeypatch):
    """Return a function that fits a classifier and returns the step that it took."""
    made = []
    weighted_step = Assembly.weighted_step

    def watched(assembly, *args):
        made.append((weighted_step(assembly, *args), assembly))
        return made[-1][0]

    monkeypatch.setattr(Assembly, "weighted_step", watched)

    def fit(module=Net, data=DATA, **options):
        made.clear()
        net = quick(module, **options).fit(*data)
        ((step, assembly),) = made
        assert net.meta_gradient_ == step.look_ahead.jvp.method
        return step, assembly

    return fit


@pytest.mark.parametrize(
    ("module", "method", "expected"),
    [
        (Net, "auto", Recorded),
        (Net, "forward", Recorded),
        (Cosine, "auto", DualNumbers),
        (Moody, "auto", DualNumbers),  # whose recorded graph is not that of the look-ahead
        (Net, "unrolled", Unrolled),
        (Net, "difference", WideDifference),
    ],
)
def test_the_way_to_the_derivative(step_of, module, method, expected):
    step, _ = step_of(module, meta_gradient=method)
    assert type(step.look_ahead.jvp) is expected
    assert step.look_ahead.shares_pass is (module is not Moody)


def test_compiled_modules_do_not_share_their_pass(step_of):
    step, _ = step_of(compile=True, compile__backend="eager")
    assert step.look_ahead.shares_pass is False
    assert type(step.look_ahead.jvp) is DualNumbers


@pytest.mark.parametrize(("precision", "shares"), [("float32", True), ("bf16", False)])
def test_differences_start_from_the_live_pass_where_that_has_all_digits(step_of, precision, shares):
    with pytest.warns(MetaGradientFallbackWarning, match='"difference" in single precision'):
        step, _ = step_of(Single, meta_gradient="difference", precision=precision)
    assert step.look_ahead.jvp == Difference(shares_pass=shares)


def test_differences_make_their_own_passes_where_passes_differ(step_of):
    class Both(Single, Moody):
        pass

    with pytest.warns(MetaGradientFallbackWarning, match='"difference" in single precision'):
        step, _ = step_of(Both, meta_gradient="difference")
    assert step.look_ahead.jvp == Difference(shares_pass=False)


def test_settings_reach_the_step(step_of):
    step, assembly = step_of(
        meta_every=3, meta_weight=0.25, min_gradient_share=0.4, lookahead_lr=0.7
    )
    assert (step.meta_every, step.meta_weight, step.min_share) == (3, 0.25, 0.4)
    assert step.look_ahead.rates.fixed == 0.7
    assert step.weighting is assembly.parts.weighting
    assert step.weighting_optimizer is assembly.parts.weighting_optimizer
    assert step.count > 0


@pytest.mark.parametrize("speed", ["0", "1"])
def test_the_order_of_memory_follows_the_module(step_of, monkeypatch, speed):
    class Convolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten(), nn.Linear(12, 3))

        def forward(self, X):
            return self.layers(X.reshape(-1, 1, 2, 2))

    monkeypatch.setenv("SKGDW_SPEED", speed)
    _, tables = step_of(Convolution)
    assert not tables.feed.layout.channels_last  # it is the rows that are images or not
    data = DATA._replace(X=DATA.X.reshape(-1, 1, 2, 2), X_meta=DATA.X_meta.reshape(-1, 1, 2, 2))
    _, images = step_of(Convolution, data)
    assert images.feed.layout.channels_last is (speed == "1")


def test_the_choice_is_logged(step_of, caplog):
    with caplog.at_level(logging.DEBUG, logger="skgdw"):
        step_of()
    expected = "J g of Net: \"forward\" along the recorded graph (asked for 'auto')"
    assert caplog.messages == [expected]


def test_what_does_not_fit_is_refused_before_the_first_step(monkeypatch):
    monkeypatch.setattr(Assembly, "_choose_jvp", None)  # nothing is tried any more
    with pytest.raises(CriterionError, match=r"`criterion` must have .*got LabelSmoothing"):
        quick(criterion=LabelSmoothing).fit(*DATA)


class LabelSmoothing(nn.CrossEntropyLoss):
    def __init__(self):
        super().__init__(label_smoothing=0.5)


class Asked(Weighting):
    """Writes down the rows that it is asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, evidence):
        self.asked.append(None if evidence.rows is None else evidence.rows.tolist())
        return torch.ones(len(evidence.y), 1)


def test_a_weighting_is_tried_on_rows_where_they_stand():
    X, y = DATA[:2]
    is_meta = np.arange(len(y)) % 4 == 0
    net = quick(weighting=Asked, max_epochs=1).fit(X, y, meta_mask=is_meta)
    unknown, places, *_ = net.weighting_.asked
    assert unknown is None
    assert places == np.flatnonzero(~is_meta)[:8].tolist()
