"""Which saved classifiers can be read, and what is said of those that cannot."""

import gzip
import pickle
from functools import partial

import numpy as np
import pytest
import skops.io

from classifier_cases import blobs, quick
from saving_cases import (
    PREDICTED,
    PREDICTED_LATER,
    SAVED,
    TYPES,
    TYPES_OF_NET,
    through_pickle,
    through_skops,
)
from skgdw import GDWClassifier, __version__
from skgdw.exceptions import SavedVersionError

DATA = blobs()
X, Y, X_META, Y_META = DATA


def read(path):
    if path.suffix == ".skops":
        return skops.io.load(path, trusted=sorted(TYPES))
    return pickle.loads(gzip.decompress(path.read_bytes()))


FILES = sorted({*SAVED.glob("*.pkl.gz"), *SAVED.glob("*.skops")})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_classifiers_of_earlier_versions(path):
    """Written by `data/write_classifier.py`."""
    net = read(path)
    np.testing.assert_allclose(net.predict_proba(X[:3]), PREDICTED, rtol=1e-5)
    assert net.predict(X[:6]).tolist() == [*"abcabc"]
    assert len(net.history_) == 3
    assert (
        net.get_params().keys()
        == quick("auto", module__hidden=(), weight_net__hidden=2).get_params().keys()
    )
    for again in (through_pickle(net), through_skops(net)):
        np.testing.assert_allclose(again.predict_proba(X[:3]), PREDICTED, rtol=1e-5)
    y, y_meta = DATA.labelled([*"abc"])[1::2]
    net.partial_fit(X, y, X_meta=X_META, y_meta=y_meta)
    np.testing.assert_allclose(net.predict_proba(X[:3]), PREDICTED_LATER, rtol=1e-4)


def test_there_is_a_classifier_of_this_version():
    minor = ".".join(__version__.split(".")[:2])
    names = {f"classifier_{minor}.pkl.gz", f"classifier_{minor}.skops"}
    assert {*names, "classifier_unversioned.pkl.gz"} <= {path.name for path in FILES}


def loaded_from(state):
    net = GDWClassifier.__new__(GDWClassifier)
    net.__setstate__(state)
    return net


def test_the_version_is_in_the_file_and_nowhere_else():
    net = quick().fit(*DATA)
    assert net.__getstate__()["_skgdw_version"] == __version__
    for each in (net, through_pickle(net), through_skops(net)):
        assert not [name for name in vars(each) if "version" in name]
        assert not [name for name in each.get_params() if "version" in name]


@pytest.mark.parametrize("here", ["0.1.0", "0.1.7", "0.2.0rc1", "1.0.0"])
@pytest.mark.parametrize("keep", [through_pickle, through_skops])
def test_later_versions_load_and_fill_in_what_is_new(here, keep, monkeypatch):
    net = quick(meta_lr=0.5).fit(*DATA)
    state = net.__getstate__()
    del state["meta_every"], state["warm_start"]
    monkeypatch.setattr("skgdw._version.__version__", here)
    again = loaded_from(state)
    assert (again.meta_every, again.warm_start, again.meta_lr) == (None, False, 0.5)
    assert again.get_params().keys() == net.get_params().keys()
    assert np.array_equal(keep(again).predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize(
    ("written", "here", "said"),
    [
        ("0.3.1", "0.2.0", r"from 0.1 to .* 0.2.0; got one written by 0.3.1. Install skgdw 0.3.1"),
        ("1.0.0", "0.9.0", "got one written by 1.0.0. Install skgdw 1.0.0"),
        ("0.0.9", "0.2.0", "got one written by 0.0.9. Load it with skgdw 0.0.9.*`load_params`"),
        ("new", "0.2.0", "got one written by new"),
    ],
)
@pytest.mark.parametrize("kind", ["pickle", "skops"])
def test_other_versions_are_refused_in_words(written, here, said, kind, monkeypatch):
    net = quick().fit(*DATA)
    monkeypatch.setattr("skgdw._version.__version__", written)
    file = {"pickle": pickle, "skops": skops.io}[kind].dumps(net)
    monkeypatch.setattr("skgdw._version.__version__", here)
    load = {"pickle": pickle.loads, "skops": partial(skops.io.loads, trusted=sorted(TYPES_OF_NET))}
    with pytest.raises(SavedVersionError, match=said):
        load[kind](file)


@pytest.mark.parametrize("state", [{}, {"device": "cpu"}, None, {"params": {}}])
def test_an_unknown_layout_is_refused_in_words(state):
    with pytest.raises(SavedVersionError, match="must have a layout that skgdw has written"):
        loaded_from(state)
