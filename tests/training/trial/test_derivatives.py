"""Which way to the meta gradient is taken, and what is said about it."""

import logging
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cases import CASES, N_CLASSES, Case, OneWayNet, StoppedNet
from properties import assert_close
from skgdw._training.trial._derivatives import META_GRADIENTS, MetaGradient, choose_meta_gradient
from skgdw.exceptions import MetaGradientFallbackWarning
from skgdw.modules import ResNet32

FORWARD, UNROLLED, NARROW = map(MetaGradient, ("forward", "unrolled", "difference"))
DIFFERENCE = MetaGradient("difference", is_wide=True)
FORWARD_MATH = MetaGradient("forward", math_attention=True)
UNROLLED_MATH = MetaGradient("unrolled", math_attention=True)
LACKING = NotImplementedError("no such derivative\n(C++ trace)")


class Net(nn.Module):
    """Has a name."""


NET = Net()
ONE_WAY = Case(OneWayNet, exact=())


class Attempt:
    """Works for some ways, and remembers what was tried."""

    def __init__(self, *works, error=LACKING):
        self.works, self.error, self.tried = works, error, []

    def __call__(self, way):
        self.tried.append(way)
        if way not in self.works:
            raise self.error
        return torch.zeros(1, 1)


def attempt_on(training):
    """Return what the estimator tries: a weight gradient on a few rows."""
    X, y, X_meta, y_meta = training.problem[1:]
    return lambda way: training.step.attempt(way, X, y, (X_meta, y_meta))


def choose(training, requested):
    return choose_meta_gradient(requested, attempt_on(training), training.module)


def test_the_four_requests():
    assert set(META_GRADIENTS) == {"auto", "forward", "difference", "unrolled"}


@pytest.mark.parametrize("requested", META_GRADIENTS)
def test_what_was_asked_for_is_taken_silently_where_it_works(requested):
    chosen = {"auto": FORWARD, "difference": DIFFERENCE}
    expected = chosen.get(requested, MetaGradient(requested))
    attempt = Attempt(FORWARD, FORWARD_MATH, UNROLLED, UNROLLED_MATH, DIFFERENCE)
    assert choose_meta_gradient(requested, attempt, NET) == expected
    # Forward mode is compared with double backward.
    assert attempt.tried == ([FORWARD, UNROLLED] if expected == FORWARD else [expected])


@pytest.mark.parametrize(
    ("requested", "order"),
    [
        ("auto", [FORWARD, FORWARD_MATH, UNROLLED, UNROLLED_MATH, DIFFERENCE, NARROW]),
        ("forward", [FORWARD, FORWARD_MATH, UNROLLED, UNROLLED_MATH, DIFFERENCE, NARROW]),
        ("unrolled", [UNROLLED, UNROLLED_MATH, DIFFERENCE, NARROW]),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError])
def test_order_of_the_fallbacks(requested, order, error):
    for k, way in enumerate(order[1:], start=1):
        attempt = Attempt(way, error=error("no such derivative"))
        with pytest.warns(MetaGradientFallbackWarning, match="no such derivative"):
            assert choose_meta_gradient(requested, attempt, NET) == way
        compared = [UNROLLED_MATH] if way == FORWARD_MATH else []
        assert attempt.tried == order[: k + 1] + compared


def test_forward_mode_that_differs_from_double_backward_is_refused():
    values = {FORWARD: 1.0, FORWARD_MATH: 1.0, UNROLLED: 1.01, UNROLLED_MATH: 1.01}
    with pytest.warns(MetaGradientFallbackWarning, match=r"not that of its backward.*no_grad\?"):
        way = choose_meta_gradient("auto", lambda way: torch.tensor([[values[way]]]), NET)
    assert way == UNROLLED


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_forward_mode_may_differ_from_double_backward_by_rounding(dtype):
    rounding = 10 * torch.finfo(dtype).eps
    values = {FORWARD: 1.0, UNROLLED: 1.0 + rounding}
    attempt = lambda way: torch.tensor([[values[way]]], dtype=dtype)  # noqa: E731
    assert choose_meta_gradient("auto", attempt, NET) == FORWARD


def test_no_gradient_at_all_is_no_disagreement():
    assert choose_meta_gradient("auto", lambda way: torch.zeros(2, 3), NET) == FORWARD


@pytest.mark.parametrize("requested", META_GRADIENTS)
def test_where_nothing_works_the_error_comes_out(requested):
    attempt = Attempt(error=RuntimeError("the module is broken"))
    with pytest.raises(RuntimeError, match="the module is broken"):
        choose_meta_gradient(requested, attempt, NET)
    assert attempt.tried[-1] == NARROW


def test_errors_of_another_kind_are_not_taken_for_a_missing_derivative():
    attempt = Attempt(DIFFERENCE, error=ValueError("Expected more than 1 value per channel"))
    with pytest.raises(ValueError, match="more than 1 value"):
        choose_meta_gradient("auto", attempt, NET)
    assert attempt.tried == [FORWARD]


def test_an_error_without_a_text_is_a_missing_derivative_too():
    attempt = Attempt(DIFFERENCE, error=NotImplementedError())
    with pytest.warns(MetaGradientFallbackWarning, match="NotImplementedError"):
        assert choose_meta_gradient("auto", attempt, NET) == DIFFERENCE


def test_warning_names_module_reasons_and_remedy():
    attempt = Attempt(DIFFERENCE)
    with pytest.warns(MetaGradientFallbackWarning) as caught:
        choose_meta_gradient("unrolled", attempt, NET)
    (warning,) = caught
    assert str(warning.message) == (
        '`meta_gradient` "unrolled" needs derivatives that Net does not have ("unrolled": no '
        'such derivative). Using "difference" instead; set meta_gradient="difference" to choose '
        "it yourself."
    )


def test_choice_is_logged(caplog, start):
    with caplog.at_level(logging.DEBUG, logger="skgdw"):
        choose(start(CASES["tanh"]), "auto")
    assert caplog.messages == ["meta gradient of Sequential: \"forward\" (asked for 'auto')"]


def test_fallback_is_logged(caplog, start):
    with (
        caplog.at_level(logging.DEBUG, logger="skgdw"),
        pytest.warns(MetaGradientFallbackWarning),
    ):
        choose(start(CASES["weight_norm"]), "forward")
    assert caplog.messages == ["meta gradient of Sequential: \"unrolled\" (asked for 'forward')"]


@pytest.mark.parametrize(
    ("name", "requested", "expected"),
    [
        ("conv_batchnorm", "auto", FORWARD),
        ("conv_batchnorm", "unrolled", UNROLLED),
        ("dropout", "auto", FORWARD),
        ("lstm", "auto", FORWARD),
        ("tied", "auto", FORWARD),
        ("transformer", "difference", DIFFERENCE),
    ],
)
def test_modules_that_have_what_is_asked(start, name, requested, expected):
    assert choose(start(CASES[name]), requested) == expected


@pytest.mark.parametrize(
    ("name", "requested", "expected", "reason"),
    [
        ("transformer", "auto", FORWARD_MATH, r'\("forward": .*forward AD.*attention'),
        ("transformer", "unrolled", UNROLLED_MATH, r'\("unrolled": .*attention'),
        ("spectral_norm", "auto", UNROLLED, r'\("forward": .*forward AD'),
        ("weight_norm", "auto", UNROLLED, r'\("forward": .*_weight_norm_interface'),
        (
            "one way",
            "auto",
            DIFFERENCE,
            r'\("forward": .*jvp.*; "unrolled": .*\). Using "difference"',
        ),
        ("one way", "forward", DIFFERENCE, r'`meta_gradient` "forward" needs .* OneWayNet does'),
        ("one way", "unrolled", DIFFERENCE, r'`meta_gradient` "unrolled" needs .* OneWayNet does'),
    ],
)
def test_modules_that_lack_it_fall_back(start, name, requested, expected, reason):
    training = start(CASES.get(name, ONE_WAY), method="difference")
    with pytest.warns(MetaGradientFallbackWarning, match=reason):
        assert choose(training, requested) == expected


def test_float32_lstm_falls_back(start):
    training = start(CASES["lstm"], dtype=torch.float32)
    with pytest.warns(MetaGradientFallbackWarning, match="forward AD"):
        assert choose(training, "auto") == UNROLLED


@pytest.mark.parametrize("name", ["weight_norm", "one way"])
def test_following_the_advice_ends_the_warning(start, name):
    training = start(CASES.get(name, ONE_WAY), method="difference")
    with pytest.warns(MetaGradientFallbackWarning) as caught:
        way = choose(training, "auto")
    assert f'set meta_gradient="{way.method}" to choose it' in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(training, way.method) == way


def test_following_the_advice_on_attention_ends_the_warning(start):
    training = start(CASES["transformer"], method="difference")
    with pytest.warns(MetaGradientFallbackWarning, match="math attention instead; build the"):
        choose(training, "auto")
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("error")
        assert choose(training, "auto") == FORWARD


@pytest.mark.parametrize("name", [*CASES, "one way"])
def test_the_way_chosen_gives_the_gradient_of_the_oracle(start, oracle, name):
    case = CASES.get(name, ONE_WAY)
    training = start(case, method="difference")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetaGradientFallbackWarning)
        way = choose(training, "auto")
    assert_attempt_equals_the_oracle(training, oracle(training), way, name == "one way")


def test_a_module_that_stops_its_gradient_gets_the_gradient_of_its_backward(start, oracle):
    """Under torch.no_grad forward mode goes on where backward stops: they differ."""
    training = start(Case(StoppedNet), method="difference")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetaGradientFallbackWarning)
        way = choose(training, "auto")
    assert_attempt_equals_the_oracle(training, oracle(training), way, is_difference=False)


def assert_attempt_equals_the_oracle(training, trainer, way, is_difference):
    if is_difference:
        # The oracle needs double backward; this module is the same without its obstacle.
        trainer.module.forward = lambda X: trainer.module.out(torch.tanh(trainer.module.first(X)))
    # A trial weights every row by one.
    trainer.weight_net.forward = OnesWithGraph(trainer.weight_net)
    with sdpa_kernel(SDPBackend.MATH):
        expected = trainer.step(*training.problem[1:]).weight_grad
    assert_close(attempt_on(training)(way), expected, 1e-5 if is_difference else 1e-9)


class OnesWithGraph:
    """The value one, with a graph to the parameters of a net."""

    def __init__(self, net):
        self.parameters = list(net.parameters())

    def __call__(self, losses):
        zero = sum(parameter.sum() for parameter in self.parameters) * 0
        return torch.ones_like(losses) + zero


def test_attention_is_switched_inside_the_block_only():
    before = torch.backends.cuda.flash_sdp_enabled()
    with FORWARD.attention():
        assert torch.backends.cuda.flash_sdp_enabled() is before
    with FORWARD_MATH.attention():
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.math_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled() is before


# Differences in double precision.


class SingleNet(OneWayNet):
    """Cannot be run in double precision."""

    def forward(self, X):
        return super().forward(X @ torch.eye(X.shape[1], dtype=torch.float32))


class OtherNumbersNet(OneWayNet):
    """Gives other numbers in double precision, as dropout does on some devices."""

    def forward(self, X):
        return super().forward(X if X.dtype is torch.float32 else 1.5 * X)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (SingleNet, "same dtype|Double"),
        (OtherNumbersNet, "its passes in double precision give other logits"),
    ],
)
def test_modules_without_double_precision_are_differenced_in_single(start, make, reason):
    training = start(Case(make, exact=()), method="difference", dtype=torch.float32)
    text = rf"({reason}).*Using \"difference\" in single precision instead"
    with pytest.warns(MetaGradientFallbackWarning, match=text):
        assert choose(training, "difference") == NARROW
    training.step.way = NARROW
    training.take(*training.problem[1:3])


@pytest.mark.parametrize("way", [FORWARD, DIFFERENCE])
def test_every_method_is_within_a_hundredth_of_double_backward_on_resnet32(start, way):
    case = Case(lambda: ResNet32(N_CLASSES, in_channels=1), (1, 12, 12))
    attempt = attempt_on(start(case, dtype=torch.float32))
    expected = attempt(UNROLLED)
    off = torch.linalg.vector_norm(attempt(way) - expected)
    assert off < 0.01 * torch.linalg.vector_norm(expected)


def test_along_the_live_pass_forward_mode_is_as_close_on_resnet32(start):
    case = Case(lambda: ResNet32(N_CLASSES, in_channels=1), (1, 12, 12))
    training = start(case, dtype=torch.float32)
    step, (X, y, *meta_batch) = training.step, training.problem[1:]
    with step.stream.active():
        begin = step._start()
        logits = step.infer(X)
        given = step.row_loss.logit_grad(logits, y), torch.ones(len(y)), meta_batch, begin
        along, expected = (
            replace(step, way=way)._weight_gradient(X, logits, *given)[0]
            for way in (FORWARD, UNROLLED)
        )
    off = torch.linalg.vector_norm(along - expected)
    assert 0 < off < 1e-4 * torch.linalg.vector_norm(expected)
