"""The samplers of an estimator by name: read, set, searched and refused."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

from classifier_cases import quick
from corruption_cases import FOLDS, Watch, X, Y, imbalance, noise
from skgdw.corruption import CorruptedClassifier, InstanceDependentNoise, LabelNoise


def test_parameters_of_a_single_sampler():
    noisy = CorruptedClassifier(quick(), noise())
    assert noisy.get_params()["corruption__noise_rate"] == 0.5
    assert noisy.get_params(deep=False).keys() == {"estimator", "corruption", "random_state"}
    noisy.set_params(corruption__noise_rate=0.1, estimator__meta_lr=0.7)
    assert (noisy.corruption.noise_rate, noisy.estimator.meta_lr) == (0.1, 0.7)
    both = noisy.set_params(corruption=imbalance(), corruption__imbalance_ratio=3)
    assert both.corruption.imbalance_ratio == 3
    with pytest.raises(ValueError, match="Invalid parameter 'noise_rate'"):
        noisy.set_params(corruption__noise_rate=0.1)


def test_names_in_a_list_are_those_of_a_pipeline():
    samplers = [noise(0.1), imbalance(), noise(0.2), ("mine", noise(0.3)), None]
    params = CorruptedClassifier(Watch(), samplers).get_params()
    assert params["corruption__labelnoise-1"] is samplers[0]
    assert params["corruption__classimbalance"] is samplers[1]
    assert params["corruption__labelnoise-2__noise_rate"] == 0.2
    assert params["corruption__mine__noise_rate"] == 0.3
    assert params["corruption"] is samplers
    assert "corruption__mine" not in CorruptedClassifier(Watch(), samplers).get_params(deep=False)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("is_named", [True, False], ids=["pairs", "bare"])
def test_parameters_in_a_list(kind, is_named):
    entries = [("classimbalance", imbalance()), ("labelnoise", noise())]
    given = kind(entries if is_named else [sampler for _, sampler in entries])
    noisy = CorruptedClassifier(Watch(), given)
    copy = clone(noisy).set_params(
        corruption__labelnoise__noise_rate=0.9, corruption__classimbalance=imbalance(profile="step")
    )
    assert type(copy.corruption) is kind
    assert copy.get_params()["corruption__labelnoise__noise_rate"] == 0.9
    assert copy.get_params()["corruption__classimbalance__profile"] == "step"
    # Neither the list given nor its samplers have changed.
    assert noisy.corruption is given
    assert noisy.get_params()["corruption__labelnoise__noise_rate"] == 0.5
    assert noisy.get_params()["corruption__classimbalance__profile"] == "exp"
    # The whole goes before its parts, whatever their order.
    copy.set_params(
        corruption__labelnoise__noise_rate=0.3, corruption__labelnoise=noise(0.7, kind="pair")
    )
    inner = copy.get_params()["corruption__labelnoise"]
    assert (inner.kind, inner.noise_rate) == ("pair", 0.3)
    copy.set_params(corruption__classimbalance=None)
    assert [name for name, _ in copy.fit(X, Y).corruption_] == ["labelnoise"]
    noisy.set_params(corruption__labelnoise__noise_rate=0.2)
    assert noisy.corruption is given


def test_names_stay_with_their_places():
    other = noise()
    noisy = CorruptedClassifier(Watch(), [("few", imbalance()), imbalance()])
    noisy.set_params(corruption__few=other, corruption__classimbalance=other)
    assert noisy.corruption == [("few", other), ("classimbalance", other)]


@pytest.mark.parametrize("kind", [list, tuple])
def test_names_stay_where_samplers_are_replaced(kind):
    noisy = CorruptedClassifier(Watch(), kind([noise(0.1), imbalance(), noise(0.2)]))
    noisy.set_params(corruption__classimbalance=None)
    other = InstanceDependentNoise()
    noisy.set_params(**{"corruption__labelnoise-1": other})
    again = imbalance()
    noisy.set_params(
        **{"corruption__classimbalance": again, "corruption__labelnoise-2__noise_rate": 0.4}
    )
    assert type(noisy.corruption) is kind
    params = clone(noisy).get_params()
    assert type(params["corruption__labelnoise-1"]) is InstanceDependentNoise
    assert params["corruption__labelnoise-2__noise_rate"] == 0.4
    assert noisy.get_params()["corruption__classimbalance"] is again


def test_a_search_goes_into_a_list_and_over_whole_samplers():
    noisy = CorruptedClassifier(GaussianNB(), [("few", imbalance()), ("noise", noise())])
    grid = {
        "corruption__noise__noise_rate": [0, 0.2],
        "corruption__few": [None, imbalance(imbalance_ratio=2)],
        "estimator__var_smoothing": [1e-9],
    }
    search = GridSearchCV(noisy, grid, cv=FOLDS, error_score="raise").fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.corruption_[-1][0] == "noise"
    kinds = GridSearchCV(
        noisy, {"corruption": [None, noise(), [imbalance(), noise()]]}, error_score="raise"
    )
    assert np.isfinite(kinds.fit(X, Y).cv_results_["mean_test_score"]).all()


def test_unknown_names_are_refused_and_change_nothing():
    noisy = CorruptedClassifier(Watch(), [noise(), imbalance()])
    with pytest.raises(
        ValueError,
        match=r"Invalid parameters \['corruption__x', 'corruption__y__z'\]: .* must name a sampler "
        r"of `corruption`; got \['labelnoise', 'classimbalance'\] there; name one of these",
    ):
        noisy.set_params(corruption__x=1, corruption__labelnoise=None, corruption__y__z=2)
    assert isinstance(noisy.corruption[0], LabelNoise)
    with pytest.raises(ValueError, match="Invalid parameter 'rate'"):
        noisy.set_params(corruption__labelnoise__rate=1)
    with pytest.raises(ValueError, match="Invalid parameter 'noise'"):
        noisy.set_params(noise=1)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (StandardScaler(), r"StandardScaler\(\);"),
        (LabelNoise, r"<class '.*LabelNoise'>;"),
        ([noise(), GaussianNB(), ("a", 3)], r"GaussianNB\(\), 3;"),
        (("a", noise()), "'a';"),
        ("labels", "'labels';"),
    ],
)
def test_samplers_are_checked(wrong, found):
    match = rf"`corruption` must be a sampler with fit_resample, .*; got {found} pass instances"
    with pytest.raises(TypeError, match=match):
        CorruptedClassifier(GaussianNB(), wrong).fit(X, Y)


@pytest.mark.parametrize(
    "wrong",
    [[("a", noise()), ("a", noise())], [("a__b", noise())], [("labelnoise", noise()), noise()]],
)
def test_names_are_checked(wrong):
    with pytest.raises(ValueError, match=r"a name of its own, without '__'; got \[.*\]; rename"):
        CorruptedClassifier(GaussianNB(), wrong).fit(X, Y)
