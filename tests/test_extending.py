"""The page on weightings of one's own: its code is run as it stands, and does what it says."""

import contextlib
import io

import numpy as np
import pytest
import torch

from skgdw.weighting import Weighting
from test_docs import DOCS, blocks, namespace_of, run_blocks

PAGE = DOCS / "extending.rst"


def code_of(name):
    """Return the lines of the block that defines a class, without those that are empty."""
    start = f"class {name}(Weighting):"
    (code,) = (c for _, language, c in blocks(PAGE) if language == "python" and start in c)
    assert code.startswith(start), "the block holds something else too"
    return [line for line in code.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the names that the page has defined, once all of its blocks have run."""
    folder = tmp_path_factory.mktemp("page")
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        namespace_of(PAGE) as namespace,
    ):
        run_blocks(PAGE, namespace)
        yield namespace
    assert list(folder.iterdir()) == [], "a snippet leaves files behind"


def test_the_code_is_as_short_as_is_said():
    assert len(code_of("Believed")) == 6
    assert len(code_of("Doubting")) <= 40


def test_it_overrides_what_the_page_lists(page):
    own = vars(page["Doubting"])
    assert {"start", "parameter_groups", "forward", "remember"} <= own.keys()
    assert issubclass(page["Doubting"], Weighting)


def test_fit_beats_plain_training_by_correcting_labels(page):
    clf, plain = page["clf"], page["plain"]
    X_test, y_test = page["X_test"], page["y_test"]
    assert clf.score(X_test, y_test) > plain.score(X_test, y_test) + 0.05
    corrected = clf.row_weights_ < 0
    assert corrected.sum() > 100
    assert page["noise"].noise_mask_[corrected].mean() > 0.9


def test_fit_has_learnt_the_parameter(page):
    untrained = page["Doubting"]().gate
    assert (page["clf"].weighting_.gate - untrained).abs().min() > 0.1


def test_weights_differ_between_the_classes_of_a_row(page):
    weighting, Evidence = page["clf"].weighting_, page["Evidence"]
    rows = torch.arange(50)
    logits = weighting.mean[rows].clamp(min=1e-3).log()
    weight = weighting(Evidence(logits, torch.as_tensor(page["y"][:50]), rows=rows))
    assert weight.shape == (50, 10)
    assert (weight.amin(dim=1) < 0).any()
    assert (weight.amax(dim=1) == 1).all()


def test_the_memory_holds_every_row(page):
    # A mean that starts at zero holds 1 - memory^k after k batches.
    clf, going_on = page["clf"], page["going_on"]
    assert clf.weighting_.mean.shape == (len(page["X"]), 10)
    held = 1 - 0.5 ** torch.as_tensor(clf.row_ledger_["times_seen"])
    torch.testing.assert_close(clf.weighting_.mean.sum(dim=1), held)
    assert going_on.weighting_.mean.shape == (len(page["X"]) - page["half"], 10)
    held = torch.full((len(going_on.weighting_.mean),), 1 - 0.5**5)
    torch.testing.assert_close(going_on.weighting_.mean.sum(dim=1), held)


def test_a_clone_is_fitted_alike(page):
    again, clf, X_test = page["again"], page["clf"], page["X_test"]
    assert again is not clf
    assert again.weighting_ is not clf.weighting_
    assert np.array_equal(again.predict_proba(X_test), clf.predict_proba(X_test))


def test_a_pickle_brings_everything_back(page):
    loaded, clf, X_test = page["loaded"], page["clf"], page["X_test"]
    assert type(loaded.weighting_) is page["Doubting"]
    assert np.array_equal(loaded.predict_proba(X_test), clf.predict_proba(X_test))
    for name, tensor in clf.weighting_.state_dict().items():
        assert torch.equal(loaded.weighting_.state_dict()[name], tensor), name


def test_a_pickle_trains_on_as_the_original(page):
    twins = [page["pickle"].loads(page["pickle"].dumps(page["loaded"])) for _ in range(2)]
    for twin in twins:
        twin.set_params(max_epochs=1)
        twin.partial_fit(page["X"], page["y"], X_meta=page["X_meta"], y_meta=page["y_meta"])
    gates = [twin.weighting_.gate for twin in twins]
    assert torch.equal(*gates)
    assert not torch.equal(gates[0], page["loaded"].weighting_.gate)


def test_the_search_tells_the_candidates_apart(page):
    search = page["search"]
    short, long = search.cv_results_["mean_test_score"]
    assert short != long
    best = search.best_params_["weighting__memory"]
    assert best == (0.5 if short > long else 0.98)
    assert search.best_estimator_.weighting_.memory == best


def test_partial_fit_goes_on_with_the_same_parameters(page):
    going_on, (weighting, after_first) = page["going_on"], page["after_first"]
    assert going_on.weighting_ is weighting
    untrained = page["Doubting"]().gate.tolist()
    assert after_first != untrained
    now = going_on.weighting_.gate.tolist()
    # Adam moves by about its rate at most, and each call has 5 epochs of few batches.
    steps = 5 * -(-page["half"] // 128) + 1
    assert now != after_first
    assert np.abs(np.subtract(now, after_first)).max() < 0.05 * steps * 1.5


def test_what_was_passed_is_not_trained(page):
    clf = page["by_instance"]
    assert clf.weighting.exponent.item() == 0.5
    assert clf.weighting_.exponent.item() != 0.5


def test_the_second_stage_and_the_pull_are_taken(page):
    for name in ("stepped", "bootstrapped"):
        clf = page[name]
        assert clf.score(page["X_test"], page["y_test"]) > 0.6, name
    # Steps away from the first weights give the classes of a row different ones.
    last = page["stepped"].history_[-1]
    assert last["weight_given"] != pytest.approx(last["weight_other"], rel=1e-3)
    # Its weight is one number, the share, at all labels.
    last = page["bootstrapped"].history_[-1]
    assert last["weight_given"] == pytest.approx(last["weight_other"], rel=1e-5)


def test_the_end_of_an_epoch_was_heard(page):
    recall = page["by_recall"].weighting_.recall
    assert recall.shape == (10,)
    assert ((recall >= 0) & (recall <= 1)).all()
    assert (recall < 1).any()
    # Five meta rows a class: shares of them, of the network as it is now.
    clf, X_meta, y_meta = page["by_recall"], page["X_meta"], page["y_meta"]
    right = clf.predict(X_meta) == y_meta
    assert recall.tolist() == pytest.approx([right[y_meta == k].mean() for k in range(10)])
