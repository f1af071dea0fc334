"""Searches spread over workers: the serial scores, and what travels with a task."""

import contextlib
import os
from itertools import product

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from classifier_cases import blobs
from skgdw import GDWClassifier
from skgdw.model_selection import make_meta_pipeline

X, Y, X_META, Y_META = blobs(60, 12)
METAS = {
    "tuples": {"X_meta": (X_META,), "y_meta": (Y_META,)},
    "mask": {"meta_mask": np.arange(60) % 5 == 0},
}
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
NET = GDWClassifier(max_epochs=2, random_state=0, verbose=0)
ESTIMATORS = {"net": NET, "pipeline": make_meta_pipeline(StandardScaler(), NET)}


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def two_workers(folder):
    """Two worker processes of one thread each, which leave nothing behind."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    # Any free port: with None the scheduler takes 8787, which another process may have.
    address = "127.0.0.1:0"
    with (
        LocalCluster(**options, dashboard_address=address, local_directory=folder) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        pids = list(client.run(os.getpid).values())
        assert len({*pids, os.getpid()}) == 3
        yield client
    assert not any(map(is_alive, pids)), "workers are left behind"


def search(estimator, **options):
    name = "meta_lr" if estimator is NET else "gdwclassifier__meta_lr"
    return GridSearchCV(
        clone(estimator),
        {name: [0.03, 0.3]},
        scoring="neg_log_loss",
        cv=FOLDS,
        error_score="raise",
        **options,
    )


def scores(searched, meta):
    return searched.fit(X, Y, **meta).cv_results_["mean_test_score"]


def watch(client, monkeypatch):
    """Write down how many bytes go out with each task."""
    sizes = []
    submit = client.submit

    def watched(*args, **kwargs):
        sizes.append(len(cloudpickle.dumps((args, kwargs))))
        return submit(*args, **kwargs)

    monkeypatch.setattr(client, "submit", watched)
    return sizes


# One test, because every process of the suite that has a part of it would start workers of its own.
def test_dask_gives_the_serial_scores(tmp_path, monkeypatch):
    here, folder = tmp_path / "here", tmp_path / "workers"
    here.mkdir()
    monkeypatch.chdir(here)
    with two_workers(folder) as client:
        sent = watch(client, monkeypatch)
        for name, (kind, meta), routing in product(ESTIMATORS, METAS.items(), (True, False)):
            case = f"{name}, {kind}, routing {routing}"
            sent.clear()
            with sklearn.config_context(enable_metadata_routing=routing):
                serial = scores(search(ESTIMATORS[name]), meta)
                assert sent == []
                with joblib.parallel_config(backend="dask"):
                    parallel = scores(search(ESTIMATORS[name]), meta)
            assert len(sent) == 6, f"{case}: each fit is a task"
            assert np.array_equal(parallel, serial), case
            assert serial[0] != serial[1], "scores that are all the same show nothing"

        # What the page says of the traffic: without routing each task holds a copy of the meta set.
        large = blobs(60, 30_000)
        n_bytes = large.X_meta.nbytes + large.y_meta.nbytes
        for routing, n_copies in ((True, 0), (False, 1)):
            sent.clear()
            with (
                sklearn.config_context(enable_metadata_routing=routing),
                joblib.parallel_config(backend="dask"),
            ):
                scores(
                    search(NET, refit=False),
                    {"X_meta": (large.X_meta,), "y_meta": (large.y_meta,)},
                )
            assert len(sent) == 6
            assert all(0 < size - n_copies * n_bytes < 20_000 for size in sent), sent
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.long)], ids=str
)
@pytest.mark.parametrize("meta", METAS.values(), ids=METAS)
def test_joblib_gives_the_serial_scores(backend, meta):
    serial = scores(search(ESTIMATORS["pipeline"]), meta)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        parallel = scores(search(ESTIMATORS["pipeline"]), meta)
    assert np.array_equal(parallel, serial)


def test_read_only_memory_maps_are_taken(tmp_path):
    files = {"X_meta": X_META, "y_meta": Y_META}
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in files}
    found = clone(NET).fit(X, Y, **mapped).predict_proba(X)
    assert np.array_equal(found, clone(NET).fit(X, Y, X_META, Y_META).predict_proba(X))
    assert not any(values.flags.writeable for values in mapped.values())
