"""Class-pair weights: what is sent back, how beliefs are learnt, and whole fits."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

import oracles
import saving_cases
from cases import CASES, seeded
from classifier_cases import Net, blobs, quick, weights
from properties import assert_close
from skgdw import GDWClassifier
from skgdw.callbacks import Resume
from skgdw.corruption import LabelNoise
from skgdw.exceptions import MetaClassWarning
from skgdw.functional import TransitionEstimate, belief_of, pool_transition, transition_of
from skgdw.modules import WeightNet
from skgdw.weighting import ClassPairWeighting, Evidence
from skgdw.weighting._mean_predictions import drawn_rows
from skgdw.weighting._row_loss import make_row_loss
from training_cases import LR, SEED, start


def made(c=3, **params):
    """A weighting in float64 whose beliefs and prior are in the middle of learning."""
    net = seeded(lambda: WeightNet(hidden=6), seed=2)
    weighting = ClassPairWeighting(net, c, **params).double()
    generator = torch.Generator().manual_seed(c)
    believed = torch.rand((c, c), generator=generator, dtype=torch.float64) + torch.eye(c)
    with torch.no_grad():
        weighting.belief.copy_(belief_of(believed / believed.sum(dim=1, keepdim=True)))
        weighting.prior.copy_(torch.arange(1, c + 1) / (c * (c + 1) / 2))
    return weighting


def drawn(n=8, c=3, *, seed=0, scale=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn((n, c), generator=generator, dtype=torch.float64)
    return Evidence(logits.to(dtype), torch.arange(n) % c)


def asked(weighting, evidence):
    return weighting.pull(evidence, weighting(evidence))


class Surveyed:
    """Passes over rows that are given."""

    copies = ()

    def __init__(self, training, meta, n_training_rows=0):
        self.training, self.meta = training, meta
        self.n_training_rows = n_training_rows

    def training_rows(self):
        return iter(self.training)

    def meta_rows(self):
        return iter(self.meta)


# --- what is sent back ---------------------------------------------------------------------------


@pytest.mark.parametrize("c", [2, 3, 7])
def test_sends_back_the_gate_times_prediction_less_posterior(c):
    weighting, evidence = made(c), drawn(c=c)
    pull, weight = asked(weighting, evidence), weighting(evidence)
    opened = weighting.weight_net(evidence.losses)
    for i, label in enumerate(evidence.y.tolist()):
        p = torch.softmax(evidence.logits[i] + weighting.prior.log(), dim=0)
        joint = p * weighting.belief[label].exp()
        odds = 19 * opened[i] / (1 - opened[i])  # of 0.95
        gate, posterior = odds / (1 + odds), joint / joint.sum()
        assert_close(pull.grad[i], gate * (p - posterior), 1e-10)
        expected = gate * (1 - weighting.belief[label].exp() / joint.sum())
        assert_close(weight[i], expected, 1e-10)
        expected[label] = gate * posterior[label]
        assert_close(pull.weight[i], expected, 1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_rows_balance_by_themselves(dtype, tolerance, scale):
    weighting = made(5).to(dtype)
    grad = asked(weighting, drawn(200, 5, scale=scale, dtype=dtype)).grad
    assert grad.sum(dim=1).abs().max() < tolerance
    assert grad.abs().max() <= 1


def test_right_labels_alone_are_plain_training_through_the_gate():
    weighting, evidence = made(), drawn()
    with torch.no_grad():
        weighting.belief.copy_(1000 * torch.eye(3))
        weighting.prior.fill_(1 / 3)
    pull = asked(weighting, evidence)
    plain = evidence.probabilities - F.one_hot(evidence.y, 3)
    gate = weighting.gate(evidence.losses)
    assert_close(pull.grad, gate.unsqueeze(1) * plain, 1e-12)
    assert_close(pull.weight.gather(1, evidence.y.unsqueeze(1)).squeeze(1), gate, 1e-12)


def test_labels_that_tell_nothing_send_nothing_back():
    weighting, evidence = made(), drawn()
    with torch.no_grad():
        weighting.belief.zero_()
    assert asked(weighting, evidence).grad.abs().max() < 1e-15


def test_what_a_label_pushes_down_is_raised_where_it_is_taken_for_another():
    weighting = made()
    evidence = Evidence(torch.tensor([[2.0, 0.0, 0.0]]).double(), torch.tensor([1]))
    with torch.no_grad():
        weighting.prior.fill_(1 / 3)
        weighting.belief.copy_(belief_of(torch.eye(3)))
    pull = asked(weighting, evidence)
    assert pull.grad[0, 0] > 0
    assert pull.weight[0, 0] > 0
    with torch.no_grad():
        weighting.belief[1, 0] = 2.0  # label 1 is given to class 0 above all
    pull = asked(weighting, evidence)
    assert pull.grad[0, 0] < 0 < pull.grad[0, 1]
    assert pull.weight[0, 0] < 0 < pull.weight[0, 2]


def test_the_gate_starts_open_and_stays_between_nothing_and_one():
    weighting = ClassPairWeighting(WeightNet(), 3)
    losses = torch.tensor([0.0, 0.5, 3.0, 1e9])
    gate = weighting.gate(losses)
    assert ((gate >= 0) & (gate <= 1)).all()
    assert gate[:3].min() > 0.85
    with torch.no_grad():
        weighting.weight_net.layers[2].weight.zero_()
        weighting.weight_net.layers[2].bias.zero_()
    assert_close(weighting.gate(losses), torch.full((4,), 0.95), 1e-6)


def test_half_open_gates_are_what_the_net_says():
    weighting, losses = made(gate_start=0.5), drawn().losses
    assert_close(weighting.gate(losses), weighting.weight_net(losses), 1e-12)


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5]).double()),
        nn.CrossEntropyLoss(reduction="sum"),
    ],
)
def test_what_a_criterion_does_to_a_row_is_done_to_its_pull(criterion):
    weighting, plain = made(), drawn()
    own = Evidence(plain.logits, plain.y, make_row_loss(criterion, 3))
    factor = (own.logit_grad / plain.logit_grad)[:, :1]
    gates = (weighting.gate(own.losses) / weighting.gate(plain.losses)).unsqueeze(1)
    expected = asked(weighting, plain).grad * factor * gates
    assert_close(asked(weighting, own).grad, expected, 1e-10)
    if criterion.reduction == "mean" and criterion.weight is None:
        assert torch.equal(factor, torch.ones_like(factor))


def test_the_bound_is_the_likelihood_of_the_label_to_a_power():
    """Of the best likelihood that the label could have; none where q is zero."""
    weighting, evidence = made(), drawn()
    free = asked(weighting, evidence)
    weighting.exponent.fill_(1.5)
    bounded = asked(weighting, evidence)
    likelihood = weighting.posterior(evidence).log_likelihood.exp()
    best = weighting.belief.exp().amax(dim=1)[evidence.y]
    expected = free.grad * ((likelihood / best) ** 1.5).unsqueeze(1)
    assert_close(bounded.grad, expected, 1e-10)
    assert bounded.grad.abs().sum() < 0.9 * free.grad.abs().sum()


@pytest.mark.parametrize(("right", "up"), [(0.1, True), (0.99, False)])
def test_the_exponent_follows_how_many_labels_seem_right(right, up):
    weighting, evidence = made(meta_lr=0.05), drawn()
    weighting.exponent.fill_(1.0)
    weighting.right_share.fill_(right)
    seem = (
        weighting.posterior(evidence).posterior.gather(1, evidence.y.unsqueeze(1)).mean().detach()
    )
    weighting.remember(evidence, asked(weighting, evidence))
    expected = 1 + 20 * 0.05 * (float(seem) - right - 0.02)
    assert float(weighting.exponent) == pytest.approx(max(expected, 0))
    assert (expected > 1) is up
    for _ in range(50):
        weighting.remember(evidence, asked(weighting, evidence))
    assert float(weighting.exponent) == (4 if up else 0)


def test_what_was_worked_out_for_a_batch_is_not_taken_for_another():
    weighting, one, other = made(), drawn(seed=1), drawn(seed=2)
    first = weighting(one)
    pull = weighting.pull(other, weighting(other))
    assert_close(weighting.pull(one, first).grad, asked(weighting, one).grad, 1e-15)
    assert_close(pull.grad, asked(weighting, other).grad, 1e-15)


# --- the warm-up ---------------------------------------------------------------------------------


def test_the_warm_up_leaves_the_same_rows_aside_and_knows_the_frequencies():
    weighting = made(hold_out=0.25)
    weighting.start(1000, 3)
    rows = torch.arange(40)
    evidence = Evidence(drawn(40).logits, torch.tensor([0, 0, 0, 1] * 10), rows=rows)
    sent = weighting.warm_up_pull(evidence)
    aside = drawn_rows(rows, 0.25)
    assert 0 < aside.sum() < 20
    assert not sent[aside].any()
    frequencies = torch.tensor([31.0, 11.0, 1.0]).double().log()
    plain = torch.softmax(evidence.logits + frequencies, dim=1) - F.one_hot(evidence.y, 3)
    assert_close(sent[~aside], plain[~aside] * 40 / int((~aside).sum()), 1e-10)


def test_without_row_numbers_or_a_share_nothing_is_left_aside():
    evidence = drawn()
    for weighting in (made(), made(hold_out=0.0)):
        weighting.start(8, 3)
        assert (weighting.warm_up_pull(evidence).abs().sum(dim=1) > 0).all()


# --- learning by the meta loss -------------------------------------------------------------------


def meta_loss_of(training, evidence):
    """Take a real look-ahead along what is sent back; return the meta loss there."""
    X, _, X_meta, y_meta = training.problem[1:]
    with torch.no_grad():
        pull = asked(training.step.weighting, evidence).grad
    return oracles.meta_loss_after(
        training.module, torch.ones_like(pull), pull, (X, X_meta, y_meta), lambda name: LR, SEED
    )


@pytest.mark.parametrize("name", ["tanh", "conv_batchnorm"])
@pytest.mark.parametrize("method", ["forward", "unrolled"])
def test_belief_and_gate_learn_by_the_gradient_of_the_meta_loss(name, method):
    training = start(CASES[name], weighting=made(), method=method)
    weighting = training.step.weighting
    for group in training.step.weighting_optimizer.param_groups:
        group["lr"] = 0.0  # the parameters stay, their gradients can be read
    twin = copy.deepcopy(training.module)
    with torch.no_grad():
        evidence = Evidence(twin(training.problem.X), training.problem.y)
    expected, h = {}, 1e-4
    for key, parameter in weighting.named_parameters():
        expected[key] = torch.zeros_like(parameter)
        for place in range(parameter.numel()):
            entry = parameter.data.view(-1)[place : place + 1]
            own, losses = entry.clone(), []
            for shift in (2 * h, h, -h, -2 * h):
                entry.copy_(own + shift)
                losses.append(meta_loss_of(training, evidence))
            entry.copy_(own)
            far, near, back, far_back = losses
            expected[key].view(-1)[place] = (8 * (near - back) - (far - far_back)) / (12 * h)
    training.take(training.problem.X, training.problem.y)
    assert expected["belief"].abs().max() > 1e-5
    assert max(expected[key].abs().max() for key in expected if key != "belief") > 1e-6
    for key, parameter in weighting.named_parameters():
        off = (parameter.grad - expected[key]).abs().max()
        assert off <= 1e-6 * expected[key].abs().max() + 1e-11, key


def test_the_gradient_by_beliefs_is_the_closed_form():
    """dL/dV[y, j] = scale * sum over rows of label y of u t_j ((J g)_j - sum_k t_k (J g)_k)."""
    weighting, evidence = made(), drawn()
    derivative = torch.randn(8, 3, generator=torch.Generator().manual_seed(5)).double()
    asked(weighting, evidence).grad.backward(-0.2 * derivative)
    gate = weighting.gate(evidence.losses)
    posterior = weighting.posterior(evidence).posterior
    expected = torch.zeros(3, 3).double()
    for i, label in enumerate(evidence.y.tolist()):
        off = derivative[i] - (posterior[i] * derivative[i]).sum()
        expected[label] += 0.2 * (gate[i] * posterior[i] * off).detach()
    assert_close(weighting.belief.grad, expected, 1e-10)


def test_the_belief_has_a_rate_of_its_own_and_no_decay():
    net = quick(weighting="class_pair", meta_lr=0.2).fit(*blobs())
    gate, belief = net.weight_net_optimizer_.param_groups
    assert (gate["lr"], gate["weight_decay"]) == (1e-3, 1e-4)
    assert belief["params"] == [net.weighting_.belief]
    assert (belief["lr"], belief["weight_decay"]) == (pytest.approx(0.01), 0.0)
    assert gate["params"] == list(net.weight_net_.parameters())


# --- from epoch to epoch -------------------------------------------------------------------------


def test_sums_of_posteriors_are_those_of_a_recount():
    weighting, parts = made(), [drawn(seed=1), drawn(5, seed=2), drawn(seed=3)]
    weighting.start(21, 3)
    for evidence in parts:
        weighting.remember(evidence, asked(weighting, evidence))
    expected = torch.zeros(3, 3).double()
    for evidence in parts:
        posterior = weighting.posterior(evidence).posterior.detach()
        for i, label in enumerate(evidence.y.tolist()):
            expected[:, label] += posterior[i]
    assert_close(weighting.posterior_sums, expected, 1e-12)
    assert float(expected.sum()) == pytest.approx(21)
    # The M-step: counted by true class, blended by 0.3, and counting begins anew.
    before, prior = transition_of(weighting.belief.detach()), weighting.prior.clone()
    weighting.on_epoch_end(Surveyed([], [], 21))
    counted = expected / expected.sum(dim=1, keepdim=True)
    shares = 0.7 * prior + 0.3 * expected.sum(dim=1) / 21
    blended = TransitionEstimate(0.7 * before + 0.3 * counted, shares)
    assert_close(weighting.transition_matrix(), pool_transition(blended, 21).matrix, 1e-10)
    assert_close(weighting.class_prior(), 0.7 * prior + 0.3 * expected.sum(dim=1) / 21, 1e-10)
    assert not weighting.posterior_sums.any()


def test_too_few_rows_wait_for_the_next_epoch():
    weighting, evidence = made(), drawn()
    weighting.start(20, 3)
    before = weighting.belief.detach().clone()
    weighting.remember(evidence, None)
    weighting.on_epoch_end(Surveyed([], [], 20))
    assert torch.equal(weighting.belief, before)
    assert float(weighting.posterior_sums.sum()) == pytest.approx(8)
    weighting.remember(evidence, None)
    weighting.on_epoch_end(Surveyed([], [], 20))
    assert not torch.equal(weighting.belief, before)


def test_trusted_rows_of_a_mask_are_no_training_rows():
    X, y, X_meta, y_meta = blobs(n=20, n_meta=30)
    params = {"weighting": "class_pair", "max_epochs": 3, "batch_size": 8}
    beside = quick(Net, **params).fit(X, y, X_meta, y_meta)
    is_meta = np.arange(50) >= 20
    rows, labels = np.concatenate([X, X_meta]), np.concatenate([y, y_meta])
    masked = quick(Net, **params).fit(rows, labels, meta_mask=is_meta)
    assert np.array_equal(masked.transition_matrix_, beside.transition_matrix_)
    assert np.array_equal(weights(masked), weights(beside))


def test_the_first_beliefs_are_taken_from_mean_predictions():
    """A network that is half sure; of label 1 two fifths are of class 0."""
    sure = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]]).double().log()
    y = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 2])
    true = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2])
    meta = [Evidence(sure, torch.arange(3)), Evidence(sure[:2], torch.arange(2))]
    training = [Evidence(sure[true[:4]], y[:4]), Evidence(sure[true[4:]], y[4:])]
    weighting = made()
    weighting.on_warm_up_end(Surveyed(training, meta))
    expected = torch.tensor([[3 / 5, 2 / 5, 0], [0, 1, 0], [0, 0, 1]])
    prior = torch.tensor([5 / 9, 3 / 9, 1 / 9])
    pooled = pool_transition(TransitionEstimate(expected, prior), 9)
    assert_close(weighting.transition_matrix(), pooled.matrix, 2e-3)
    assert_close(weighting.class_prior(), prior, 2e-3)
    assert float(weighting.right_share) == pytest.approx(7 / 9, abs=5e-3)


def half_sure(true, y):
    """Rows of three classes about which a network is half sure, and not equally so."""
    sure = torch.eye(3).double()[true] + 0.1 * torch.sin(torch.arange(3.0 * len(true))).view(-1, 3)
    return Evidence(sure, y)


def test_labels_that_cannot_be_told_wrong_are_taken_for_right():
    true = torch.arange(600) % 3
    weighting, meta = made(), half_sure(torch.arange(60) % 3, torch.arange(60) % 3)
    mistaken = half_sure(torch.where(torch.arange(600) % 100 < 2, (true + 1) % 3, true), true)
    weighting.on_warm_up_end(Surveyed([mistaken], [meta]))
    assert float(weighting.right_share) < 1  # two in a hundred, and known well
    uneven = torch.cat([true[:300], torch.zeros(100, dtype=torch.long)])
    weighting.on_warm_up_end(Surveyed([half_sure(uneven, uneven)], [meta]))
    assert float(weighting.right_share) == 1
    assert torch.equal(weighting.belief.detach(), belief_of(torch.eye(3).double()))
    assert_close(weighting.class_prior(), torch.tensor([0.5, 0.25, 0.25]), 1e-12)


def test_without_any_class_told_beliefs_begin_with_the_first_fit():
    weighting = ClassPairWeighting(WeightNet())
    optimizer = torch.optim.Adam(weighting.parameter_groups())
    weighting.start(10, 4)
    assert_close(weighting.transition_matrix(), torch.eye(4), 1e-3)
    assert_close(weighting.class_prior(), torch.full((4,), 0.25), 1e-6)
    assert optimizer.param_groups[1]["params"][0] is weighting.belief
    before = weighting.belief.detach().clone()
    asked(weighting, drawn(c=4, dtype=torch.float32)).grad[:, 0].sum().backward()
    optimizer.step()
    assert not torch.equal(weighting.belief, before)


def step_of(net, method="fit"):
    """Fit, and return the step that was taken."""
    steps, (X, y, X_meta, y_meta) = [], blobs()
    seen = Callback()
    seen.on_epoch_end = lambda net, **kwargs: steps.append(net._running.weighted_step)
    net.set_params(callbacks=[("seen", seen)])
    getattr(net, method)(X, y, X_meta=X_meta, y_meta=y_meta)
    return steps[0]


def test_steps_are_what_was_measured_to_be_best():
    assert made().step_defaults(1000, 100) == (5, pytest.approx(0.8), 0.0)
    few_rows = made().step_defaults(150, 200)
    assert made().in_a_stream(few_rows) == (1, 0.4, 0.0)  # as beside many
    assert made().in_a_stream(few_rows._replace(meta_weight=0.0)).meta_weight == 0.0
    for net in (quick(weighting="class_pair"), quick()):
        step = step_of(net)
        own = net.weighting_.step_defaults(len(blobs()[0]), len(blobs()[2]))
        assert (step.meta_every, step.meta_weight, step.min_share) == own
    step = step_of(quick(meta_every=3, meta_weight=0.0, min_gradient_share=0.5))
    assert (step.meta_every, step.meta_weight, step.min_share) == (3, 0.0, 0.5)
    assert step_of(quick(weighting="class_pair")).meta_weight == 2
    assert step_of(quick(weighting="class_pair"), "partial_fit").meta_weight == 0.4
    assert step_of(quick(weighting="class_pair", meta_weight=1), "partial_fit").meta_weight == 1


# --- refusals ------------------------------------------------------------------------------------


def test_arguments_out_of_range_are_named_together():
    match = (
        r"`warm_up` must be in \[0, 1\); got 1. `blend` must be in \[0, 1\]; got -1. "
        r"`gate_start` must be in \(0, 1\); got 1.0. Pass shares"
    )
    with pytest.raises(ValueError, match=match):
        quick(
            weighting="class_pair",
            weighting__warm_up=1,
            weighting__blend=-1,
            weighting__gate_start=1.0,
        ).fit(*blobs())


def test_another_number_of_classes_is_refused():
    own = ClassPairWeighting(WeightNet(), n_classes=4)
    match = "`n_classes` must be the number of classes, 3; got 4. Leave it out."
    with pytest.raises(ValueError, match=match):
        quick(weighting=own).fit(*blobs())


# --- whole fits ----------------------------------------------------------------------------------


def noisy(kind="pair", rate=0.4, *, n=900, n_classes=4, seed=0):
    """Blobs that overlap a little, with wrong labels: training rows, meta rows, clean test rows."""
    rng = np.random.default_rng(seed)
    centres = 3.2 * np.eye(6)[:n_classes]

    def rows(k):
        y = np.arange(k) % n_classes
        return centres[y] + rng.normal(size=(k, 6)), y

    (X, y), meta, test = rows(n), rows(15 * n_classes), rows(800)
    _, given = LabelNoise(kind=kind, noise_rate=rate, random_state=seed).fit_resample(X, y)
    return (X, given, *meta), test, y


FIT = {"max_epochs": 20, "batch_size": 64, "random_state": 0, "verbose": 0}


def test_finds_pair_noise_and_learns_what_is_behind_it():
    data, test, true = noisy()
    clf = GDWClassifier(weighting="class_pair", meta_weight=0.3, **FIT).fit(*data)
    plain = GDWClassifier(weighting="uniform", **FIT).fit(*data)
    counted = np.zeros((4, 4))
    np.add.at(counted, (true, data[1]), 1)
    counted /= counted.sum(axis=1, keepdims=True)
    found = clf.weighting_.transition_matrix()
    assert np.abs(found - counted).max() < 0.1
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5
    assert np.abs(clf.weighting_.class_prior() - 0.25).max() < 0.05
    assert clf.score(*test) > plain.score(*test) + 0.03
    # Labels that are wrong count for less.
    wrong = data[1] != true
    assert clf.row_weights_[wrong].mean() < 0.3 < 0.7 < clf.row_weights_[~wrong].mean()


def test_right_labels_stay_right():
    data, test, _ = noisy(rate=0.0)
    clf = GDWClassifier(weighting="class_pair", meta_weight=0.1, **FIT).fit(*data)
    plain = GDWClassifier(weighting="uniform", **FIT).fit(*data)
    assert clf.weighting_.transition_matrix().diagonal().min() > 0.95
    assert clf.score(*test) > plain.score(*test) - 0.01


def test_two_classes_are_enough():
    data, _, true = noisy("symmetric", 0.3, n_classes=2)
    clf = GDWClassifier(weighting="class_pair", meta_weight=0.3, **FIT).fit(*data)
    found = clf.weighting_.transition_matrix()
    kept = np.array([(data[1][true == k] == k).mean() for k in range(2)])
    assert np.abs(found.diagonal() - kept).max() < 0.1


def test_a_class_may_be_missing_from_the_meta_set():
    data, test, _ = noisy(n=400)
    X, y, X_meta, y_meta = data
    with pytest.warns(MetaClassWarning, match="1"):
        clf = GDWClassifier(weighting="class_pair", **{**FIT, "max_epochs": 5}).fit(
            X, y, X_meta[y_meta != 1], y_meta[y_meta != 1]
        )
    assert np.isfinite(clf.predict_proba(test[0])).all()
    assert np.isfinite(clf.weighting_.transition_matrix()).all()


def test_every_few_steps_and_without_a_warm_up():
    data, test, _ = noisy(n=300)
    for params in ({"meta_every": 4}, {"weighting__warm_up": 0.0}, {"weighting__blend": 0.0}):
        clf = GDWClassifier(weighting="class_pair", **{**FIT, "max_epochs": 4}, **params)
        assert clf.fit(*data).score(*test) > 0.4
        assert clf.weighting_.is_warm is ("weighting__warm_up" not in params)


def test_the_same_seed_gives_the_same_fit_and_clones_start_afresh():
    data, _, _ = noisy(n=300)
    clf = GDWClassifier(weighting="class_pair", **{**FIT, "max_epochs": 3}).fit(*data)
    again = clone(clf).fit(*data)
    assert torch.equal(again.weighting_.belief, clf.weighting_.belief)
    assert np.array_equal(again.row_weights_, clf.row_weights_)


@pytest.mark.parametrize("way", ["pickle", "skops"])
def test_beliefs_are_kept_and_go_on_without_another_warm_up(way):
    data, test, _ = noisy(n=300)
    clf = quick(module="auto", weighting="class_pair", max_epochs=4, batch_size=32)
    clf.partial_fit(*data[:2], X_meta=data[2], y_meta=data[3])
    kept = getattr(saving_cases, f"through_{way}")(clf)
    assert np.array_equal(kept.predict_proba(test[0]), clf.predict_proba(test[0]))
    for name in ("transition_matrix", "class_prior"):
        before, after = getattr(clf.weighting_, name)(), getattr(kept.weighting_, name)()
        assert np.array_equal(before, after)
    assert kept.weighting_.is_warm
    before = kept.weighting_.belief.detach().clone()
    kept.set_params(max_epochs=1).partial_fit(*data[:2], X_meta=data[2], y_meta=data[3])
    assert kept.row_ledger_["times_seen"].sum() == np.isfinite(kept.row_weights_).sum()
    moved = (kept.weighting_.belief - before).abs().max()
    assert 0 < moved < 2


def test_a_fit_that_was_cut_off_goes_on_as_if_nothing_had_been(tmp_path):
    data, _, _ = noisy(n=300)
    params = {**FIT, "max_epochs": 6, "weighting": "class_pair", "meta_every": 2}
    whole = GDWClassifier(**params).fit(*data)

    class Stop(Exception):
        pass

    class StopAt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise Stop

    cut = GDWClassifier(**params, callbacks=[("resume", Resume(tmp_path)), ("stop", StopAt())])
    with pytest.raises(Stop):
        cut.fit(*data)
    resumed = GDWClassifier(**params, callbacks=[("resume", Resume(tmp_path))]).fit(*data)
    for name, value in whole.weighting_.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(resumed.weighting_.state_dict()[name], value), name
    assert np.array_equal(resumed.row_weights_, whole.row_weights_)


def test_an_instance_with_a_net_of_its_own():
    own = ClassPairWeighting(WeightNet(hidden=4))
    net = quick(weighting=own, max_epochs=2).fit(*blobs())
    assert len(own.belief) == 0
    assert net.weighting_.transition_matrix().shape == (3, 3)
    assert pickle.loads(pickle.dumps(net)).weighting_.is_warm


def test_another_rate_leaves_beliefs_as_they_are():
    X, y, X_meta, y_meta = blobs()
    net = quick(weighting="class_pair", max_epochs=10, batch_size=16).fit(X, y, X_meta, y_meta)
    found = net.transition_matrix_
    net.set_params(meta_lr=0.01, max_epochs=0)
    net.partial_fit(X, y, X_meta=X_meta, y_meta=y_meta)
    assert net.weighting_.meta_lr == 0.01
    assert net.weighting_.is_warm
    np.testing.assert_array_equal(net.transition_matrix_, found)
