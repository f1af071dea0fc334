"""Which of scikit-learn's tools hand the meta set on rightly: the table of docs/wrappers.rst.

Each tool is run with a meta set in 1-tuples and with a mask, for three kinds of labels. A
classifier that writes down what reaches it shows whether the labels of the meta rows still mean the
same as those of the training rows. `python tests/test_wrappers.py` writes the table into the page.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (makes the next import work)
from sklearn.feature_selection import RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    LearningCurveDisplay,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    ValidationCurveDisplay,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.semi_supervised import SelfTrainingClassifier

from skgdw import GDWClassifier
from skgdw.exceptions import MetaClassWarning, SkgdwWarning

PAGE = Path(__file__).resolve().parent.parent / "docs" / "wrappers.rst"
START, END = ".. Written by `python tests/test_wrappers.py`.\n", ".. Written up to here.\n"

# Centres of the classes. Every column tells all three apart, each in another order, so that neither
# labels that changed their meaning nor columns that were mixed up go unnoticed.
LEVELS = 6.0 * np.array([[0, 1, 2, 1], [1, 2, 0, 0], [2, 0, 1, 2]])
LABELS = {
    "0, 1, 2": [0, 1, 2],
    "integers": [1, 2, 5],
    "strings": ["ash", "elm", "oak"],
}
N, N_META = 72, 36
WAYS = ("X_meta", "meta_mask")
FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)


class Data(NamedTuple):
    """What a wrapper is given: rows, labels, the meta set, and the labels in their order."""

    X: Any
    y: Any
    meta: dict[str, Any]
    labels: Any


class Seen(NamedTuple):
    """Training and meta rows of one fit."""

    X: Any
    y: Any
    X_meta: Any
    y_meta: Any


SEEN: list[Seen] = []


class Watched(GDWClassifier):
    """Writes down what reaches it."""

    def fit(self, X, y=None, X_meta=None, y_meta=None, *, meta_mask=None):
        if meta_mask is not None and len(meta_mask) == len(X):
            X, y, mask = (np.asarray(a) for a in (X, y, meta_mask))
            SEEN.append(Seen(X[~mask], y[~mask], X[mask], y[mask]))
        elif meta_mask is None:
            SEEN.append(
                Seen(X, y, *(a[0] if isinstance(a, tuple) else a for a in (X_meta, y_meta)))
            )
        return super().fit(X, y, X_meta, y_meta, meta_mask=meta_mask)


def watched() -> Watched:
    return Watched(
        module__hidden=(16,), max_epochs=5, batch_size=16, lr=0.1, random_state=0, verbose=0
    )


def make(way: str, labels: Any, n_classes: int, n_outputs: int) -> Data:
    rng = np.random.default_rng(0)
    code = np.arange(N + N_META) % n_classes
    X = LEVELS[code] + rng.normal(scale=0.3, size=(len(code), 4))
    labels = np.asarray(labels)
    y = labels[code]
    if n_outputs == 2:  # the second says of each class whether it is the first
        y = np.column_stack([y, labels[(code == 0).astype(int)]])
    is_meta = np.arange(len(code)) >= N
    if way == "meta_mask":
        return Data(X, y, {"meta_mask": is_meta}, labels)
    meta = {"X_meta": (X[is_meta],), "y_meta": (y[is_meta],)}
    return Data(X[~is_meta], y[~is_meta], meta, labels)


# --- running a tool -------------------------------------------------------------------------------

Run = Callable[[Watched, Data], Any]  # returns scores that are near one where all went well


def fitted(make_wrapper: Callable[[Watched], Any]) -> Run:
    def run(net, data):
        wrapper = make_wrapper(net).fit(data.X, data.y, **data.meta)
        return np.mean(wrapper.predict(data.X) == data.y, axis=0)

    return run


def searched(search: Any, **options: Any) -> Run:
    options = {"cv": FOLDS, "error_score": "raise", **options}
    return fitted(lambda net: search(net, {"meta_lr": [0.1]}, **options))


def selecting(make_selector: Callable[[Watched], Any]) -> Run:
    def run(net, data):
        selector = make_selector(net).fit(data.X, data.y, **data.meta)
        return float(selector.get_support().any())

    return run


def importances(net):
    first = next(p for p in net.module_.parameters() if p.ndim == 2)
    return first.detach().abs().sum(dim=0).numpy()


def scored(tool: Any, pick: Any = None, **options: Any) -> Run:
    def run(net, data):
        found = tool(net, data.X, data.y, cv=FOLDS, params=data.meta, **options)
        return found if pick is None else found[pick]

    return run


def predicted(method: str) -> Run:
    def run(net, data):
        found = cross_val_predict(net, data.X, data.y, cv=FOLDS, method=method, params=data.meta)
        if method == "predict_proba":
            found = np.unique(data.y)[found.argmax(axis=1)]
        return np.mean(found == data.y)

    return run


def shown(display: Any, **options: Any) -> Run:
    def run(net, data):
        found = display.from_estimator(
            net, data.X, data.y, fit_params=data.meta, cv=FOLDS, error_score="raise", **options
        )
        plt.close("all")
        return found.test_scores

    return run


def looked_at(tool: Any, pick: str, **options: Any) -> Run:
    """Run a tool that looks at a trained net, of which each column should tell something."""

    return lambda net, data: float(
        np.ptp(tool(net.fit(data.X, data.y, **data.meta), data.X, **options)[pick]) > 0
    )


def importance(net, X, **options):
    return permutation_importance(net, X, net.predict(X), random_state=0, **options)


def nested(net, data):
    search = GridSearchCV(net, {"meta_lr": [0.1]}, cv=FOLDS, error_score="raise")
    return scored(cross_val_score, error_score="raise")(search, data)


def fixed_threshold(net, data):
    return fitted(lambda net: FixedThresholdClassifier(net, pos_label=data.labels[1]))(net, data)


def self_trained(net, data):
    y = data.y.astype(object) if data.y.dtype.kind == "U" else data.y.copy()
    y[:N:4] = -1  # no label
    wrapper = SelfTrainingClassifier(net).fit(data.X, y, **data.meta)
    return np.mean(wrapper.predict(data.X) == data.y)


def fitted_before(wrap: Callable[[Watched], Any]) -> Run:
    """Run a wrapper of a net that is trained already, and that gets no meta set itself."""

    def run(net, data):
        wrapper = wrap(net.fit(data.X, data.y, **data.meta)).fit(data.X, data.y)
        return np.mean(wrapper.predict(data.X) == data.y)

    return run


def bagging(**options: Any) -> Run:
    return fitted(lambda net: BaggingClassifier(net, n_estimators=2, random_state=0, **options))


def calibrated(**options: Any) -> Run:
    return fitted(lambda net: CalibratedClassifierCV(net, cv=FOLDS, **options))


# --- was it right? --------------------------------------------------------------------------------


def means_the_same(data: Data, seen: Seen) -> bool:
    """Tell whether a rule learnt on the training rows gives the meta rows their labels."""
    if np.shape(seen.X)[1:] != np.shape(seen.X_meta)[1:]:
        return False
    rule = NearestCentroid().fit(seen.X, np.asarray(seen.y).astype(str))
    return bool((rule.predict(seen.X_meta) == np.asarray(seen.y_meta).astype(str)).all())


def means_the_same_unless_permuted(data: Data, seen: Seen) -> bool:
    truth = NearestCentroid().fit(data.X, data.y.astype(str))
    is_permuted = bool((truth.predict(seen.X) != seen.y.astype(str)).any())
    return is_permuted or means_the_same(data, seen)


# --- the tools ------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A row of the table."""

    name: str
    run: Run
    note: str = ""
    n_classes: int = 3
    n_outputs: int = 1
    kinds: tuple[str, ...] = tuple(LABELS)
    is_right: Callable[[Data, Seen], bool] = means_the_same


ENCODES = "encodes y anew"
SHOWS = "``from_estimator(..., fit_params=...)``"
PREFIT = "the meta set goes to ``net.fit``, none to the wrapper"
HALVING = {"min_resources": 60, "random_state": 0}
CASES = [
    Case("GridSearchCV", searched(GridSearchCV)),
    Case("RandomizedSearchCV", searched(RandomizedSearchCV, n_iter=1)),
    Case("HalvingGridSearchCV", searched(HalvingGridSearchCV, **HALVING)),
    Case("HalvingRandomSearchCV", searched(HalvingRandomSearchCV, n_candidates=1, **HALVING)),
    Case("cross_validate", scored(cross_validate, "test_score", error_score="raise")),
    Case("cross_val_score(GridSearchCV(net))", nested, "a search inside cross-validation"),
    Case("cross_val_predict", predicted("predict")),
    Case('cross_val_predict(method="predict_proba")', predicted("predict_proba"), ENCODES),
    Case("learning_curve", scored(learning_curve, 2, train_sizes=[1.0], error_score="raise")),
    Case(
        "validation_curve",
        scored(validation_curve, 1, param_name="meta_lr", param_range=[0.1], error_score="raise"),
    ),
    Case("cross_val_score", scored(cross_val_score, error_score="raise")),
    Case("LearningCurveDisplay", shown(LearningCurveDisplay, train_sizes=[0.9, 1.0]), SHOWS),
    Case(
        "ValidationCurveDisplay",
        shown(ValidationCurveDisplay, param_name="meta_lr", param_range=[0.1, 0.2]),
        SHOWS,
    ),
    Case(
        "permutation_test_score",
        scored(permutation_test_score, 0, n_permutations=2, random_state=0),
        "permutes y, and with it the labels under a mask, but not ``y_meta``",
        is_right=means_the_same_unless_permuted,
    ),
    Case("CalibratedClassifierCV", calibrated()),
    Case(
        'CalibratedClassifierCV(method="temperature")',
        calibrated(method="temperature"),
        "encodes strings anew",
    ),
    Case("CalibratedClassifierCV(ensemble=False)", calibrated(ensemble=False), ENCODES),
    Case(
        "CalibratedClassifierCV(FrozenEstimator(net))",
        fitted_before(lambda net: CalibratedClassifierCV(FrozenEstimator(net))),
        PREFIT,
    ),
    Case(
        "TunedThresholdClassifierCV",
        fitted(lambda net: TunedThresholdClassifierCV(net, cv=FOLDS, thresholds=5)),
        "two classes",
        n_classes=2,
    ),
    Case(
        'TunedThresholdClassifierCV(cv="prefit")',
        fitted_before(lambda net: TunedThresholdClassifierCV(net, cv="prefit", refit=False)),
        f"two classes; {PREFIT}",
        n_classes=2,
    ),
    Case("FixedThresholdClassifier", fixed_threshold, "two classes", n_classes=2),
    Case(
        "FixedThresholdClassifier(FrozenEstimator(net))",
        fitted_before(
            lambda net: FixedThresholdClassifier(FrozenEstimator(net), pos_label=net.classes_[1])
        ),
        f"two classes; {PREFIT}",
        n_classes=2,
    ),
    Case(
        "SelfTrainingClassifier", self_trained, "drops unlabelled rows, but does not cut the mask"
    ),
    Case("BaggingClassifier", bagging(), ENCODES),
    Case(
        "BaggingClassifier(max_features=0.5)",
        bagging(max_features=0.5),
        "cuts the columns of X alone",
    ),
    Case(
        "BaggingClassifier(bootstrap_features=True)",
        bagging(bootstrap_features=True),
        "draws the columns of X alone, as many as there are",
    ),
    Case(
        "VotingClassifier",
        fitted(lambda net: VotingClassifier([("a", net)], voting="soft")),
        ENCODES,
    ),
    Case(
        "StackingClassifier",
        fitted(lambda net: StackingClassifier([("net", net)], cv=FOLDS)),
        f"{ENCODES}; hands all it gets to the final estimator, too",
    ),
    Case(
        "StackingClassifier(final_estimator=GDWClassifier())",
        fitted(lambda net: StackingClassifier([("net", net)], net, cv=FOLDS)),
        f"{ENCODES}; the final estimator sees other columns",
    ),
    Case(
        'StackingClassifier(cv="prefit")',
        fitted_before(lambda net: StackingClassifier([("net", net)], cv="prefit")),
        PREFIT,
    ),
    Case("OneVsRestClassifier", fitted(OneVsRestClassifier), "encodes y as 0 and 1"),
    Case("OneVsOneClassifier", fitted(OneVsOneClassifier), "encodes y as 0 and 1"),
    Case(
        "OutputCodeClassifier",
        fitted(lambda net: OutputCodeClassifier(net, random_state=0)),
        "encodes y as -1 and 1",
    ),
    Case(
        "MultiOutputClassifier", fitted(MultiOutputClassifier), "one column of y a net", n_outputs=2
    ),
    Case(
        "ClassifierChain",
        fitted(ClassifierChain),
        "one column of y a net, and more columns of X",
        n_outputs=2,
        kinds=("0, 1, 2", "integers"),  # it stacks y beside X
    ),
    Case(
        "AdaBoostClassifier",
        fitted(lambda net: AdaBoostClassifier(net, n_estimators=2)),
        "hands nothing on but ``sample_weight``, which wrong labels raise",
    ),
    Case(
        "SequentialFeatureSelector",
        selecting(lambda net: SequentialFeatureSelector(net, n_features_to_select=1, cv=FOLDS)),
        "cuts the columns of X alone",
    ),
    Case(
        "RFECV",
        selecting(
            lambda net: RFECV(
                net, cv=FOLDS, importance_getter=importances, min_features_to_select=2
            )
        ),
        "cuts the columns of X alone; needs an ``importance_getter``",
    ),
    Case(
        "SelectFromModel",
        selecting(lambda net: SelectFromModel(net, importance_getter=importances)),
        "needs an ``importance_getter``",
    ),
    Case("permutation_importance", looked_at(importance, "importances", n_repeats=2), PREFIT),
    Case(
        "partial_dependence",
        looked_at(partial_dependence, "average", features=[0], grid_resolution=5),
        PREFIT,
    ),
]

# What a refusal may say. Anything else that is raised needs a warning of ours before it.
CLEAR = re.compile(
    "`y_meta` must hold labels of the same kind as y's"
    "|`X_meta` must have the columns of X"
    "|`meta_mask` must have one entry for each row of X"
    r"|`y_meta` must hold one label per row, .*; got shape \(36, 2\); .*`meta_mask`"
    r"|\.fit\(\) got an unexpected keyword argument '(X_meta|y_meta|meta_mask)'"
    "|only supported if enable_metadata_routing=True"
)


def observe(case: Case, way: str, kind: str, *, routing: bool = True) -> str:
    """Run a tool; return "right", "refused", "warned" or, the worst, "silent"."""
    data = make(way, LABELS[kind], case.n_classes, case.n_outputs)
    SEEN.clear()
    scores: Any = 0.0
    with warnings.catch_warnings(), sklearn.config_context(enable_metadata_routing=routing):
        warnings.simplefilter("always", SkgdwWarning)
        with warnings.catch_warnings(record=True) as caught:
            try:
                scores, refusal = case.run(watched(), data), None
            except Exception as error:  # what it says is looked at below
                refusal = error
    ours = [w for w in caught if issubclass(w.category, SkgdwWarning)]
    if refusal is not None:
        if not ours and not CLEAR.search(str(refusal)):
            raise refusal
        return "refused"
    if SEEN and all(case.is_right(data, seen) for seen in SEEN) and not ours:
        assert np.min(scores) > 0.9, f"{case.name}: right labels, wrong predictions"
        return "right"
    return "warned" if ours else "silent"


# --- the table ------------------------------------------------------------------------------------


def verdict(found: dict[str, str]) -> str:
    """Put what was observed for each kind of labels into words."""
    right = [kind for kind, outcome in found.items() if outcome == "right"]
    outcomes = set(found.values())
    if outcomes == {"right"}:
        return "works"
    if "silent" in outcomes:
        return "**wrong, and silent**"
    if right == ["0, 1, 2"]:
        return "labels 0, ..., c - 1 only"
    if right == ["0, 1, 2", "integers"]:
        return "numbers only"
    assert not right, found
    return "refused" if outcomes == {"refused"} else "wrong, and warned of"


def row(case: Case) -> list[str]:
    """Run a tool in every way; return its cells."""
    cells = {way: verdict({kind: observe(case, way, kind) for kind in case.kinds}) for way in WAYS}
    works = [way for way in WAYS if cells[way] == "works"]
    routing = "--"
    if works:
        alone = observe(case, works[0], "0, 1, 2", routing=False)
        routing = {"right": "not needed", "refused": "needed"}[alone]
    if works == ["meta_mask"]:
        cells["X_meta"] += "; use ``meta_mask``"
    return [f"``{case.name}``", *cells.values(), routing, case.note]


def as_text(cells: list[str]) -> str:
    first, *others = cells
    return "\n".join([f"   * - {first}", *(f"     - {cell}".rstrip() for cell in others)]) + "\n"


HEADER = as_text(["Tool", "``X_meta``, ``y_meta``", "``meta_mask``", "Routing", "Note"])
TABLE = "\n.. list-table::\n   :header-rows: 1\n   :widths: 32 20 14 12 22\n\n"


def documented() -> dict[str, str]:
    """Return the rows of the page by the name of the tool."""
    table = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    assert table.startswith(TABLE + HEADER)
    rows = re.findall(r"   \* - .*\n(?:     -.*\n)+", table.removeprefix(TABLE + HEADER))
    return {text.split("``")[1]: text for text in rows}


def write_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    table = TABLE + HEADER + "".join(as_text(row(case)) for case in CASES) + "\n"
    PAGE.write_text(before + START + table + END + rest.split(END)[1], encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_page_says_what_happens(case):
    assert documented()[case.name] == as_text(row(case)), "run python tests/test_wrappers.py"


def test_the_page_has_a_row_for_each_tool_and_no_other():
    assert list(documented()) == [case.name for case in CASES]


# --- what fit cannot see --------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [OneVsRestClassifier, OneVsOneClassifier])
def test_a_meta_set_of_two_classes_under_binary_encodings_is_silent(wrapper):
    """As the page says: y is 0 and 1 inside, and two of three classes look like both of it."""
    data = make("X_meta", LABELS["0, 1, 2"], 3, 1)
    y_meta = data.meta["y_meta"][0]
    few = {name: (values[0][y_meta < 2],) for name, values in data.meta.items()}
    SEEN.clear()
    with sklearn.config_context(enable_metadata_routing=True):
        wrapper(watched()).fit(data.X, data.y, **few)
    assert len(SEEN) == 3
    assert not all(means_the_same(data, seen) for seen in SEEN)
    with pytest.warns(MetaClassWarning, match="without a meta row"):
        watched().fit(data.X, data.y, **few)


def test_one_column_of_meta_labels_for_two_outputs_is_silent():
    data = make("X_meta", LABELS["0, 1, 2"], 2, 2)
    meta = {"X_meta": data.meta["X_meta"], "y_meta": (data.meta["y_meta"][0][:, 0],)}
    SEEN.clear()
    MultiOutputClassifier(watched()).fit(data.X, data.y, **meta)
    assert [means_the_same(data, seen) for seen in SEEN] == [True, False]


def test_permuted_labels_are_those_under_the_mask_only():
    case = next(case for case in CASES if case.name == "permutation_test_score")
    agree = {}
    for way in WAYS:
        data = make(way, LABELS["0, 1, 2"], 3, 1)
        SEEN.clear()
        case.run(watched(), data)
        truth = NearestCentroid().fit(data.X, data.y)
        agree[way] = [bool((truth.predict(s.X_meta) == s.y_meta).all()) for s in SEEN]
    assert agree == {"X_meta": [True] * 6, "meta_mask": [True] * 2 + [False] * 4}


# --- the watching itself --------------------------------------------------------------------------


def test_changed_meanings_and_mixed_columns_are_noticed():
    data = make("X_meta", LABELS["integers"], 3, 1)
    X_meta, y_meta = (values[0] for values in data.meta.values())
    assert means_the_same(data, Seen(data.X, data.y, X_meta, y_meta))
    wrong = [
        Seen(data.X, np.searchsorted(data.labels, data.y), X_meta, y_meta),
        Seen(data.X, data.y, X_meta, np.roll(y_meta, 1)),
        Seen(data.X[:, [1, 2, 0, 3]], data.y, X_meta, y_meta),
        Seen(data.X[:, :2], data.y, X_meta, y_meta),
    ]
    assert not any(means_the_same(data, seen) for seen in wrong)


def raises(error):
    def run(net, data):
        raise error

    return run


def test_an_error_without_a_reason_is_no_refusal():
    assert (
        observe(
            Case("a", raises(TypeError("C.fit() got an unexpected keyword argument 'X_meta'"))),
            "X_meta",
            "strings",
        )
        == "refused"
    )
    with pytest.raises(IndexError, match="out of bounds"):
        observe(Case("b", raises(IndexError("out of bounds"))), "X_meta", "strings")


def test_right_labels_with_wrong_predictions_fail():
    def run(net, data):
        net.fit(data.X, data.y, **data.meta)
        return 0.5

    with pytest.raises(AssertionError, match="wrong predictions"):
        observe(Case("a", run), "X_meta", "strings")


def test_a_tool_that_never_fits_is_not_right():
    assert observe(Case("a", lambda net, data: 1.0), "X_meta", "strings") == "silent"


if __name__ == "__main__":
    write_table()
