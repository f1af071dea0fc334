"""A fit that was cut off and is called again gives what it would have given, to the last bit."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping, Freezer, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import StepLR

import resume_cases
from classifier_cases import DropoutNet, Net, Rows, quick
from resume_cases import CASES, Normed, differences, noisy_blobs, outcome
from skgdw._training._checkpoint import read
from skgdw._training._fine_tune import FineTuner
from skgdw.callbacks import Resume
from skgdw.weighting import Weighting

DATA, VALID = noisy_blobs()


class Cut(Exception):
    """Ends a fit as a failing machine would."""


class Cuts(Callback):
    """Counts the events of a training, and ends it at one of them."""

    def __init__(self, at=None):
        self.at = at

    def initialize(self):
        self.count = 0
        return self

    def tick(self, net, training=True, **kwargs):
        if training:
            self.count += 1
        if self.at is not None and self.count > self.at:
            raise Cut

    on_train_begin = on_epoch_begin = on_batch_begin = on_batch_end = tick
    on_grad_computed = on_epoch_end = on_train_end = tick


class Remembering(Weighting):
    """Warms up, has a parameter, and a memory of rows from where training starts."""

    warm_up = 0.4

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("n_ends", torch.tensor(0))

    def start(self, n_rows, n_classes):
        self.register_buffer("mean", torch.zeros(n_rows))

    def forward(self, evidence):
        kept = 0.0 if evidence.rows is None else self.mean[evidence.rows]
        return (self.gate * (kept + evidence.given_probability)).sigmoid().unsqueeze(1)

    def remember(self, evidence, pull):
        self.mean[evidence.rows] = 0.5 * (self.mean[evidence.rows] + evidence.given_probability)

    def on_warm_up_end(self, survey):
        for evidence in survey.training_rows():
            self.mean[evidence.rows] = evidence.given_probability

    def on_epoch_end(self, survey):
        self.n_ends += 1


def small(folder, callbacks=(), **params):
    """Return a classifier whose fit takes three steps an epoch."""
    own = [*callbacks, ("resume", Resume(folder))]
    return quick(
        **{"module": Normed, "max_epochs": 3, "batch_size": 20, "callbacks": own, **params}
    )


def cut_and_resumed(make, folder, at, **beside):
    """Fit until an event, and once more in a new classifier; return it."""
    with pytest.raises(Cut):
        make(folder, [("cuts", Cuts(at))]).fit(*DATA, **beside)
    return make(folder).fit(*DATA, **beside)


def n_events_of(net):
    return dict(net.callbacks_)["cuts"].count


# --- killed at any moment -----------------------------------------------------------------------


def killed(name, folder, n_kills):
    """Train in processes that are killed; return what came of it, and of training whole."""
    script = Path(resume_cases.__file__)
    root = script.parent.parent
    subprocess.run(
        [sys.executable, str(script), name, str(folder), str(n_kills)],
        check=True,
        timeout=600,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(root), str(script.parent)]),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    return [torch.load(folder / f"{state}.pt") for state in ("whole", "killed")]


def test_killed_processes_come_to_the_same_end(tmp_path):
    whole, resumed = killed("weighted", tmp_path, 10)
    assert differences(whole, resumed) == []
    assert sum(name.endswith("train_loss") for name in whole) == 6 * (1 + 5)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_processes_killed_often_come_to_the_same_end(name, tmp_path):
    whole, resumed = killed(name, tmp_path, 40)
    assert differences(whole, resumed) == []
    # Each has what it is there for: a second stage, or an end before the last epoch.
    n_epochs = len({name.split()[1] for name in whole if name.startswith("epoch")})
    assert n_epochs == {"careful": 36, "loaders": 11}.get(name, 6)


@pytest.mark.parametrize(
    "params",
    [
        {"weighting": "class"},
        {"weighting": "class", "module": DropoutNet, "meta_every": 2, "meta_weight": 0.1},
        {"weighting": "instance", "keep_best": True},
        {"weighting": "network", "batch_size": 25},
        {"weighting": "uniform"},
        {"weighting": Remembering},
    ],
    ids=lambda params: "-".join(str(getattr(v, "__name__", v)) for v in params.values()),
)
def test_cut_off_at_every_event(params, tmp_path):
    def make(folder, callbacks=()):
        return small(folder, callbacks, **params)

    whole = make(tmp_path / "whole", [("cuts", Cuts())]).fit(*DATA, **VALID)
    expected = outcome(whole)
    n_events = n_events_of(whole)
    assert n_events == 2 + 3 * (2 + 3 * 3)
    # Every batch has three events; the weightings differ in what they keep, not in when.
    every = params == {"weighting": "class"}
    for at in range(n_events) if every else [*range(0, n_events, 3), n_events - 1]:
        net = cut_and_resumed(make, tmp_path / str(at), at, **VALID)
        assert differences(outcome(net), expected) == [], f"cut off at event {at}"
        assert net.meta_gradient_ == whole.meta_gradient_


def test_resume_changes_nothing(tmp_path):
    net = small(tmp_path).fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path, callbacks=[]).fit(*DATA))) == []
    assert (
        differences(outcome(net), outcome(quick(Normed, max_epochs=3, batch_size=20).fit(*DATA)))
        == []
    )


# Fine-tuning begins after 34 events.
TUNED = [12, 33, 34, 36, 45, 100]


@pytest.mark.parametrize("weighting", ["uniform", Remembering])
@pytest.mark.parametrize("at", TUNED)
def test_cut_off_in_either_stage(weighting, at, tmp_path):
    def make(folder, callbacks=()):
        return small(folder, callbacks, weighting=weighting, fine_tune=True)

    whole = make(tmp_path / "whole", [("cuts", Cuts())]).fit(*DATA)
    assert len(whole.history) == 3 + 30
    net = cut_and_resumed(make, tmp_path / "cut", at)
    assert differences(outcome(net), outcome(whole)) == []
    assert net.meta_gradient_ == whole.meta_gradient_
    # Training goes on alike.
    for each in (net, whole):
        each.set_params(callbacks=[]).partial_fit(*DATA[:2], X_meta=DATA.X_meta, y_meta=DATA.y_meta)
    assert differences(outcome(net), outcome(whole)) == []


def test_images_are_fine_tuned_in_the_same_order_of_memory(tmp_path):
    """Convolutions round differently with channels last, which weighted steps have found out."""
    rng = np.random.default_rng(0)
    y, y_meta = np.arange(40) % 3, np.arange(30) % 3
    X, X_meta = (rng.normal(size=(n, 3, 8, 8)).astype(np.float32) for n in (40, 30))
    X[np.arange(40), y] += 0.5
    X_meta[np.arange(30), y_meta] += 0.5

    class Convolves(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3)
            )
            self.out = nn.Linear(16, 3)

        def forward(self, X):
            return self.out(self.layers(X).mean(dim=(2, 3)))

    seen = []

    class Looks(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            seen.append(net._running.feed.layout.channels_last)

    def fit(folder, callbacks):
        callbacks = [("looks", Looks()), *callbacks]
        params = {"module": Convolves, "fine_tune": True, "max_epochs": 2, "lr": 0.02}
        return small(folder, callbacks, **params).fit(X, y, X_meta, y_meta)

    whole = fit(tmp_path / "whole", [])
    assert len(whole.history) == 2 + 30
    with pytest.raises(Cut):
        fit(tmp_path / "cut", [("cuts", Cuts(60))])
    seen.clear()
    net = fit(tmp_path / "cut", [])
    assert len(net.history) == 32
    assert set(seen) == {True}
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, whole.module_.state_dict()[name]), name


def test_what_callbacks_did_to_the_network_and_know_goes_on(tmp_path):
    """Frozen parameters, schedules in the middle of a step, a patience nearly at its end."""

    def make(folder, callbacks=()):
        own = [
            ("freezer", Freezer("layers.0.*", at=2)),
            ("steps", LRScheduler(StepLR, step_size=2, gamma=0.3, step_every="batch")),
            ("early", EarlyStopping("train_loss", patience=2, threshold=0.9, load_best=True)),
        ]
        return small(folder, [*own, *callbacks], max_epochs=8)

    whole = make(tmp_path / "whole", [("cuts", Cuts())]).fit(*DATA)
    assert len(whole.history) == 3  # stopped early
    assert not whole.module_.layers[0].weight.requires_grad
    for at in range(1, n_events_of(whole)):
        net = cut_and_resumed(make, tmp_path / str(at), at)
        assert differences(outcome(net), outcome(whole)) == [], f"cut off at event {at}"
    again = make(tmp_path / "1", [("cuts", Cuts(2))]).fit(*DATA)  # begins and ends, nothing else
    assert differences(outcome(again), outcome(whole)) == []


def test_a_stage_that_was_stopped_early_has_ended(tmp_path, monkeypatch):
    """Cut off as the next stage begins, or called again after both."""
    monkeypatch.setattr(FineTuner, "choose_share", lambda tuner, rows, seed: 0.1)

    def make(folder, callbacks=()):
        early = EarlyStopping("train_loss", patience=2, threshold=0.9)
        params = {"weighting": "uniform", "fine_tune": True, "max_epochs": 8}
        return small(folder, [("early", early), *callbacks], **params)

    whole = make(tmp_path / "whole", [("cuts", Cuts())]).fit(*DATA)
    stages = whole.history[:, "stage"]
    assert 2 < stages.index("fine_tune") < 8
    n_events = 1 + stages.index("fine_tune") * 11
    net = cut_and_resumed(make, tmp_path / "cut", n_events)
    assert differences(outcome(net), outcome(whole)) == []
    again = make(tmp_path / "cut", [("cuts", Cuts(2))]).fit(*DATA)
    assert differences(outcome(again), outcome(whole)) == []


def test_ctrl_c_at_the_end_of_an_epoch_is_no_end_of_a_fit(tmp_path):
    class Pressed(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    small(tmp_path / "cut", [("pressed", Pressed())]).fit(*DATA)
    assert not (tmp_path / "cut" / "resume.pt").exists()
    net = small(tmp_path / "cut").fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "whole").fit(*DATA))) == []


def test_states_of_the_layout_before_are_read(tmp_path):
    with pytest.raises(Cut):
        small(tmp_path / "cut", [("cuts", Cuts(20))]).fit(*DATA)
    path = tmp_path / "cut" / "resume.pt"
    saved = read(path)
    del saved["session"]["was_stopped"]
    torch.save({**saved, "layout": 2}, path)
    net = small(tmp_path / "cut").fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "whole").fit(*DATA))) == []


def test_a_recorded_graph_that_was_left_stays_left(tmp_path):
    class Leaves(Callback):
        def on_epoch_end(self, net, **kwargs):
            net._running.weighted_step.look_ahead.leave_recorded()

    class Looks(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            self.was_recorded = net._running.weighted_step.look_ahead.is_recorded

    fresh, resumed = Looks(), Looks()
    quick(Net, callbacks=[("looks", fresh)]).fit(*DATA)
    assert fresh.was_recorded
    with pytest.raises(Cut):
        small(tmp_path, [("leaves", Leaves()), ("cuts", Cuts(13))], module=Net).fit(*DATA)
    small(tmp_path, [("looks", resumed)], module=Net).fit(*DATA)
    assert not resumed.was_recorded


def test_seeds_that_were_drawn_without_random_state_are_kept(tmp_path):
    """Here those of a second source stand for what another process would draw."""

    def make(folder, callbacks=(), seed=0):
        source = np.random.RandomState(seed)
        return small(folder, callbacks, weighting="uniform", fine_tune=True, random_state=source)

    whole = make(tmp_path / "whole").fit(*DATA)
    assert len(whole.history) == 33
    for at in (12, 33, 40):
        with pytest.raises(Cut):
            make(tmp_path / str(at), [("cuts", Cuts(at))]).fit(*DATA)
        net = make(tmp_path / str(at), seed=1).fit(*DATA)
        # The weighting net, which is not used, is another.
        assert differences(outcome(net), outcome(whole)) == []


# --- called again -------------------------------------------------------------------------------


def test_after_its_end_a_fit_only_reads_the_result(tmp_path):
    whole = small(tmp_path).fit(*DATA)
    written = (tmp_path / "resume.pt").stat().st_mtime_ns
    cuts = Cuts()
    again = small(tmp_path, [("cuts", cuts)]).fit(*DATA)
    assert cuts.count == 2  # where training begins and where it ends
    assert differences(outcome(again), outcome(whole)) == []
    assert again.history == whole.history
    assert (tmp_path / "resume.pt").stat().st_mtime_ns == written


def test_the_same_classifier_goes_on(tmp_path):
    cuts = Cuts(20)
    net = small(tmp_path / "cut", [("cuts", cuts)])
    with pytest.raises(Cut):
        net.fit(*DATA)
    net.set_params(callbacks__cuts=None).fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "whole").fit(*DATA))) == []


def test_ctrl_c_ends_a_fit_that_can_go_on(tmp_path):
    class Interrupts(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    net = small(tmp_path / "cut", [("interrupts", Interrupts())]).fit(*DATA)
    assert len(net.history) == 2
    net = small(tmp_path / "cut").fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "whole").fit(*DATA))) == []


def test_epochs_are_counted_in_all(tmp_path):
    seen = []
    with pytest.raises(Cut):
        small(tmp_path, [("cuts", Cuts(25))]).fit(*DATA)

    class Counts(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(len(net.history))

    net = small(tmp_path, [("counts", Counts())]).fit(*DATA)
    assert seen == [3]
    assert net.history[:, "epoch"] == [1, 2, 3]


def test_a_log_that_goes_on_has_headings(tmp_path, capsys):
    with pytest.raises(Cut):
        small(tmp_path, [("cuts", Cuts(15))], verbose=1).fit(*DATA)
    capsys.readouterr()
    small(tmp_path, verbose=1).fit(*DATA)
    lines = capsys.readouterr().out.splitlines()
    assert "train_loss" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ["2", "3"]


def test_pickle_and_clone(tmp_path):
    net = small(tmp_path).fit(*DATA)
    again = pickle.loads(pickle.dumps(net))
    assert differences(outcome(again), outcome(net)) == []
    assert again.get_params()["callbacks__resume__dirname"] == tmp_path
    twin = clone(net)
    assert dict(twin.callbacks)["resume"].dirname == tmp_path
    assert differences(outcome(twin.fit(*DATA)), outcome(net)) == []
    twin.set_params(callbacks__resume__dirname=tmp_path / "other")
    twin.fit(*DATA)
    assert (tmp_path / "other" / "resume.pt").exists()


# --- the file -----------------------------------------------------------------------------------


def test_the_file_is_whole_at_any_moment(tmp_path):
    path, ends, states = tmp_path / "resume.pt", threading.Event(), []

    def look():
        while not ends.is_set():
            if path.exists():
                states.append(read(path)["session"]["n_epochs"])

    reader = threading.Thread(target=look)
    reader.start()
    small(tmp_path, max_epochs=25).fit(*DATA)
    ends.set()
    reader.join()
    assert len(states) > 5
    assert states == sorted(states)
    assert [each.name for each in tmp_path.iterdir()] == ["resume.pt"]


def test_what_was_left_of_writing_is_taken_away(tmp_path):
    with pytest.raises(Cut):
        small(tmp_path, [("cuts", Cuts(15))]).fit(*DATA)
    (tmp_path / "resume.pt.123.tmp").write_bytes(b"half a state")
    (tmp_path / "mine.tmp").write_bytes(b"")
    net = small(tmp_path).fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "w").fit(*DATA))) == []
    assert {each.name for each in tmp_path.iterdir()} == {"resume.pt", "mine.tmp", "w"}


def test_the_directory_is_made(tmp_path):
    small(tmp_path / "a" / "b").fit(*DATA)
    assert (tmp_path / "a" / "b" / "resume.pt").exists()
    small(str(tmp_path / "a" / "b")).fit(*DATA)


@pytest.mark.parametrize("how", ["truncated", "empty", "text"])
def test_files_of_another_kind_are_refused(how, tmp_path):
    small(tmp_path).fit(*DATA)
    path = tmp_path / "resume.pt"
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"a"}[how])
    net = small(tmp_path)
    before = dict(vars(net))
    words = r"`dirname` must hold a state.*resume.pt, which is damaged or of another kind \(\w+\)"
    with pytest.raises(ValueError, match=words):
        net.fit(*DATA)
    assert vars(net).keys() == before.keys()
    path.unlink()
    net.fit(*DATA)


class Tells:
    """Something that runs code where it is unpickled."""

    told: list = []  # noqa: RUF012

    def __reduce__(self):
        return Tells.told.append, ("run",)


def test_no_code_of_a_file_is_run(tmp_path):
    for name, write in {"pickle": pickle.dump, "torch": torch.save}.items():
        folder = tmp_path / name
        folder.mkdir()
        with (folder / "resume.pt").open("wb") as file:
            write({"layout": 2, "other": Tells()}, file)
        with pytest.raises(ValueError, match=r"damaged or of .*Delete the file to start afresh"):
            small(folder).fit(*DATA)
    assert Tells.told == []


def test_another_layout_is_refused(tmp_path):
    small(tmp_path).fit(*DATA)
    path = tmp_path / "resume.pt"
    torch.save({**read(path), "layout": 1}, path)
    with pytest.raises(ValueError, match=r"of layout 2 or 3; got .* of layout 1.*another version"):
        small(tmp_path).fit(*DATA)


# --- refusals -----------------------------------------------------------------------------------


def test_other_parameters_are_refused_all_at_once(tmp_path):
    small(tmp_path).fit(*DATA)
    with pytest.raises(ValueError, match="must hold the state of this very fit") as caught:
        small(tmp_path, lr=0.2, max_epochs=4, module=DropoutNet).fit(*DATA)
    text = str(caught.value)
    assert "lr was 0.1, is 0.2; max_epochs was 3, is 4; module was resume_cases.Normed" in text
    assert "Choose another directory, or delete the file to start afresh" in text
    assert "batch_size" not in text
    with pytest.raises(ValueError, match="module__hidden was not there, is 5"):
        small(tmp_path, module=Net, module__hidden=5).fit(*DATA)


def test_other_data_are_refused_all_at_once(tmp_path):
    small(tmp_path).fit(*DATA, **VALID)
    flipped = DATA._replace(X=DATA.X[::-1].copy(), y_meta=DATA.y_meta[::-1].copy())
    with pytest.raises(ValueError, match="of another: the meta rows was 15 rows") as caught:
        small(tmp_path).fit(*flipped, **VALID)
    assert "the training rows was 60 rows" in str(caught.value)
    assert "validation" not in str(caught.value)
    with pytest.raises(
        ValueError, match=r"another: the validation rows was 24 rows .* is not there"
    ):
        small(tmp_path).fit(*DATA)


def test_nothing_is_changed_by_a_refusal(tmp_path):
    small(tmp_path).fit(*DATA)
    written = (tmp_path / "resume.pt").read_bytes()
    with pytest.raises(ValueError, match=r"lr was 0.1"):
        small(tmp_path, lr=0.2).fit(*DATA)
    assert (tmp_path / "resume.pt").read_bytes() == written


def test_what_does_not_count_may_differ(tmp_path, capsys):
    with pytest.raises(Cut):
        small(tmp_path, [("cuts", Cuts(15))]).fit(*DATA)
    callbacks = [("other", EarlyStopping("train_loss")), ("cuts", Freezer("nothing"))]
    net = small(tmp_path, callbacks, device="cpu", verbose=1).fit(*DATA)
    assert differences(outcome(net), outcome(small(tmp_path / "w").fit(*DATA))) == []


def test_parameters_that_callbacks_set_are_not_taken_for_others(tmp_path):
    class Sets(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.set_params(batch_size=30)

    with pytest.raises(Cut):
        small(tmp_path, [("sets", Sets()), ("cuts", Cuts(15))]).fit(*DATA)
    assert len(small(tmp_path, [("sets", Sets())]).fit(*DATA).history) == 3


def test_partial_fit_is_refused(tmp_path):
    net = small(tmp_path)
    with pytest.raises(
        ValueError, match=r"`Resume`.*`fit`; got `partial_fit`.*callbacks__resume=N"
    ):
        net.partial_fit(*DATA[:2], X_meta=DATA.X_meta, y_meta=DATA.y_meta)
    assert not hasattr(net, "module_")


def test_rows_of_a_dataset(tmp_path):
    X, y = torch.as_tensor(DATA.X, dtype=torch.float32), DATA.y

    def make(folder, callbacks=()):
        return small(folder, callbacks, classes=[0, 1, 2], weighting="uniform")

    def fit(net):
        return net.fit(Rows(X, y))

    with pytest.raises(Cut):
        fit(make(tmp_path / "cut", [("cuts", Cuts(20))]))
    expected = outcome(fit(make(tmp_path / "whole")))
    assert differences(outcome(fit(make(tmp_path / "cut"))), expected) == []
    with pytest.raises(ValueError, match=r"the training rows was 60 rows .* is 59 rows"):
        make(tmp_path / "cut").fit(Rows(X[:59], y[:59]))


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_where_the_directory_should_be(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"`dirname` must be the path of a directory.*file.*where a"):
        small(tmp_path / name).fit(*DATA)
    with pytest.raises(TypeError, match=r"`dirname` must be the path .*; got None. Pass another."):
        quick(callbacks=[("resume", Resume(None))]).fit(*DATA)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a place where none can be made")
def test_a_place_where_no_directory_can_be_made():
    with pytest.raises(
        OSError, match=r"`dirname` must be .*; got '/proc/none' \(.*\). Pass another"
    ):
        quick(callbacks=[("resume", Resume("/proc/none"))]).fit(*DATA)
