"""Which way to J g is taken, and what is said about it."""

import logging
import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cases import CASES, N_CLASSES, Case, OneWayNet, StoppedNet
from properties import assert_close, untouched
from skgdw._training.step._jvp import (
    Difference,
    DualNumbers,
    Recorded,
    Unrolled,
    WideDifference,
)
from skgdw._training.step._passes import TrainingPass
from skgdw._training.trial._derivatives import META_GRADIENTS, agree, choose_jvp, fastest
from skgdw.exceptions import MetaGradientFallbackWarning
from skgdw.functional._recorded import RULES
from skgdw.modules import ResNet32
from skgdw.weighting import Evidence
from training_cases import oracle, start

FORWARD, UNROLLED, NARROW = DualNumbers(), Unrolled(), Difference()
DIFFERENCE = WideDifference()
FORWARD_MATH = DualNumbers(math_attention=True)
UNROLLED_MATH = Unrolled(math_attention=True)
WAYS = {"auto": FORWARD, "forward": FORWARD, "unrolled": UNROLLED, "difference": DIFFERENCE}
LACKING = NotImplementedError("no such derivative\n(C++ trace)")


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


def choose(training, requested):
    return choose_jvp(requested, training.trial, type(training.module).__name__)


def test_the_four_requests():
    assert META_GRADIENTS == ("auto", "forward", "difference", "unrolled")


@pytest.mark.parametrize("requested", META_GRADIENTS)
def test_what_was_asked_for_is_taken_silently_where_it_works(requested):
    expected = WAYS[requested]
    attempt = Attempt(FORWARD, FORWARD_MATH, UNROLLED, UNROLLED_MATH, DIFFERENCE)
    assert choose_jvp(requested, attempt, "Net") == expected
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
            assert choose_jvp(requested, attempt, "Net") == way
        compared = [UNROLLED_MATH] if way == FORWARD_MATH else []
        assert attempt.tried == order[: k + 1] + compared


def test_forward_mode_that_differs_from_double_backward_is_refused():
    values = {FORWARD: 1.0, FORWARD_MATH: 1.0, UNROLLED: 1.01, UNROLLED_MATH: 1.01}
    with pytest.warns(MetaGradientFallbackWarning, match=r"not that of its backward.*no_grad\?"):
        way = choose_jvp("auto", lambda way: torch.tensor([[values[way]]]), "Net")
    assert way == UNROLLED


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_forward_mode_may_differ_from_double_backward_by_rounding(dtype):
    rounding = 10 * torch.finfo(dtype).eps
    values = {FORWARD: 1.0, UNROLLED: 1.0 + rounding}
    attempt = lambda way: torch.tensor([[values[way]]], dtype=dtype)  # noqa: E731
    assert choose_jvp("auto", attempt, "Net") == FORWARD


def test_no_gradient_at_all_is_no_disagreement():
    assert choose_jvp("auto", lambda way: torch.zeros(2, 3), "Net") == FORWARD


@pytest.mark.parametrize("requested", META_GRADIENTS)
def test_where_nothing_works_the_error_comes_out(requested):
    attempt = Attempt(error=RuntimeError("the module is broken"))
    with pytest.raises(RuntimeError, match="the module is broken"):
        choose_jvp(requested, attempt, "Net")
    assert attempt.tried[-1] == NARROW


def test_errors_of_another_kind_are_not_taken_for_a_missing_derivative():
    attempt = Attempt(DIFFERENCE, error=ValueError("Expected more than 1 value per channel"))
    with pytest.raises(ValueError, match="more than 1 value"):
        choose_jvp("auto", attempt, "Net")
    assert attempt.tried == [FORWARD]


def test_an_error_without_a_text_is_a_missing_derivative_too():
    attempt = Attempt(DIFFERENCE, error=NotImplementedError())
    with pytest.warns(MetaGradientFallbackWarning, match="NotImplementedError"):
        assert choose_jvp("auto", attempt, "Net") == DIFFERENCE


def test_warning_names_module_reasons_and_remedy():
    attempt = Attempt(DIFFERENCE)
    with pytest.warns(MetaGradientFallbackWarning) as caught:
        choose_jvp("unrolled", attempt, "Net")
    (warning,) = caught
    assert str(warning.message) == (
        '`meta_gradient` "unrolled" needs derivatives that Net does not have ("unrolled": no '
        'such derivative). Using "difference" instead; set meta_gradient="difference" to choose '
        "it yourself."
    )


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
def test_modules_that_have_what_is_asked(name, requested, expected):
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
def test_modules_that_lack_it_fall_back(name, requested, expected, reason):
    training = start(CASES.get(name, ONE_WAY), method="difference")
    with pytest.warns(MetaGradientFallbackWarning, match=reason):
        assert choose(training, requested) == expected


def test_float32_lstm_falls_back():
    training = start(CASES["lstm"], dtype=torch.float32)
    with pytest.warns(MetaGradientFallbackWarning, match="forward AD"):
        assert choose(training, "auto") == UNROLLED


@pytest.mark.parametrize("name", ["weight_norm", "one way"])
def test_following_the_advice_ends_the_warning(name):
    training = start(CASES.get(name, ONE_WAY), method="difference")
    with pytest.warns(MetaGradientFallbackWarning) as caught:
        way = choose(training, "auto")
    assert f'set meta_gradient="{way.method}" to choose it' in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(training, way.method) == way


def test_following_the_advice_on_attention_ends_the_warning():
    training = start(CASES["transformer"], method="difference")
    with pytest.warns(MetaGradientFallbackWarning, match="math attention instead; build the"):
        choose(training, "auto")
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("error")
        assert choose(training, "auto") == FORWARD


@pytest.mark.parametrize("name", [*CASES, "one way"])
def test_the_way_chosen_gives_the_gradient_of_the_oracle(name):
    case = CASES.get(name, ONE_WAY)
    training = start(case, method="difference")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetaGradientFallbackWarning)
        way = choose(training, "auto")
    assert_attempt_equals_the_oracle(training, oracle(training), way, name == "one way")


def test_a_module_that_stops_its_gradient_gets_the_gradient_of_its_backward():
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
    assert_close(training.trial(way), expected, 1e-5 if is_difference else 1e-9)


class OnesWithGraph:
    """The value one, with a graph to the parameters of a net."""

    def __init__(self, net):
        self.parameters = list(net.parameters())

    def __call__(self, losses):
        zero = sum(parameter.sum() for parameter in self.parameters) * 0
        return torch.ones_like(losses) + zero


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
def test_modules_without_double_precision_are_differenced_in_single(make, reason):
    training = start(Case(make, exact=()), method="difference", dtype=torch.float32)
    text = rf"({reason}).*Using \"difference\" in single precision instead"
    with pytest.warns(MetaGradientFallbackWarning, match=text):
        assert choose(training, "difference") == NARROW
    training.step.look_ahead.jvp = NARROW
    training.take(*training.problem[1:3])


@pytest.mark.parametrize("way", [FORWARD, DIFFERENCE])
def test_every_method_is_within_a_hundredth_of_double_backward_on_resnet32(way):
    case = Case(lambda: ResNet32(N_CLASSES, in_channels=1), (1, 12, 12))
    attempt = start(case, dtype=torch.float32).trial
    expected = attempt(UNROLLED)
    off = torch.linalg.vector_norm(attempt(way) - expected)
    assert off < 0.01 * torch.linalg.vector_norm(expected)


def test_along_the_live_pass_forward_mode_is_as_close_on_resnet32():
    case = Case(lambda: ResNet32(N_CLASSES, in_channels=1), (1, 12, 12))
    training = start(case, dtype=torch.float32)
    step, (X, y, *meta_batch) = training.step, training.problem[1:]
    recorded = Recorded(FORWARD)
    with step.passes.stream.active():
        begin = step.passes.start()
        logits = step.infer(X)
        evidence = Evidence(logits.detach(), y, step.row_loss)
        batch = TrainingPass(step.passes, begin, X, logits)
        along, expected = (
            replace(step.look_ahead, jvp=jvp)(batch, evidence, evidence.logit_grad, meta_batch)[1]
            for jvp in (recorded, UNROLLED)
        )
    assert recorded.is_on
    off = torch.linalg.vector_norm(along.by_weight - expected.by_weight)
    assert 0 < off < 1e-4 * torch.linalg.vector_norm(expected.by_weight)


# The faster way, where it agrees.


@pytest.mark.parametrize("name", ["tanh", "relu", "conv_batchnorm", "dropout", "tied", "frozen"])
def test_forward_mode_goes_along_the_recorded_graph_where_it_can(name):
    training = start(CASES[name])
    with untouched(training.module):
        chosen = fastest(FORWARD, training.trial)
    assert isinstance(chosen, Recorded)
    assert chosen.otherwise == FORWARD
    assert chosen.is_on


@pytest.mark.parametrize("name", ["unknown", "lstm"])
def test_graphs_that_are_not_covered_are_left_to_dual_numbers(name, caplog):
    with caplog.at_level(logging.INFO, logger="skgdw"):
        assert fastest(FORWARD, start(CASES[name]).trial) == FORWARD
    assert "not along the recorded graph" in caplog.text


@pytest.mark.parametrize("way", [UNROLLED, UNROLLED_MATH, DIFFERENCE, NARROW], ids=str)
def test_other_ways_stay_as_they_are(way):
    attempt = Attempt()
    assert fastest(way, attempt) is way
    assert attempt.tried == []


def test_a_rule_that_is_wrong_leaves_dual_numbers_in_use(monkeypatch, caplog):
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: 1.5 * tangents[0])
    with caplog.at_level(logging.INFO, logger="skgdw"):
        assert fastest(FORWARD, start(CASES["tanh"]).trial) == FORWARD
    assert "it gives another derivative than dual numbers" in caplog.text


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_rule_that_gives_no_number_leaves_dual_numbers_in_use(monkeypatch, number):
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: number * tangents[0])
    assert fastest(FORWARD, start(CASES["tanh"]).trial) == FORWARD


class GatedNet(OneWayNet):
    """Has a branch that starts at zero, which is all that a rule on its nodes could spoil."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, X):
        hidden = self.first(X)
        return self.out(hidden + self.gain * torch.tanh(hidden))


def test_a_wrong_rule_on_a_branch_that_starts_at_zero_is_found_out(monkeypatch):
    training = start(Case(GatedNet))
    with untouched(training.module):
        assert isinstance(fastest(FORWARD, training.trial, training.trial.nearby), Recorded)
    monkeypatch.setitem(RULES, "TanhBackward0", lambda node, tangents: 100 * tangents[0].sign())
    assert isinstance(fastest(FORWARD, training.trial), Recorded)
    assert fastest(FORWARD, training.trial, training.trial.nearby) == FORWARD


def test_a_rule_that_raises_leaves_dual_numbers_in_use(monkeypatch, caplog):
    def fails(node, tangents):
        raise KeyError("gone")

    monkeypatch.setitem(RULES, "TanhBackward0", fails)
    with caplog.at_level(logging.INFO, logger="skgdw"):
        assert fastest(FORWARD, start(CASES["tanh"]).trial) == FORWARD
    assert "a rule of it fails: KeyError: 'gone'" in caplog.text


def test_a_module_of_short_numbers_may_differ_by_its_rounding():
    values = {"recorded": torch.tensor([[1.01]]), "dual": torch.tensor([[1.0]])}
    attempt = lambda way: values["recorded" if isinstance(way, Recorded) else "dual"]  # noqa: E731
    assert fastest(FORWARD, attempt) == FORWARD
    assert isinstance(fastest(FORWARD, attempt, eps=2.0**-8), Recorded)


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        ([1.0, 0.0], [1.0, 1e-5], True),
        ([1.0, 0.0], [1.0, 1e-2], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 0.0], [1e-9, 0.0], False),
        ([math.nan, 0.0], [1.0, 0.0], True),
    ],
)
def test_agreement_is_relative(one, other, agrees):
    assert agree(torch.tensor(one), torch.tensor(other)) is agrees
