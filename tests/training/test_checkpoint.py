"""The state of a fit in a file: written in one step, read without code, put back where it was."""

import enum
import json
import math
import os
import re
import subprocess
import sys
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochTimer, LRScheduler, PrintLog
from skorch.history import History
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from classifier_cases import Net, blobs, quick
from resume_cases import differences, outcome
from skgdw._training._checkpoint import LAYOUT, check_belongs, collect, read, restore, sweep, write
from skgdw.callbacks import Resume

DATA = blobs()


class Session:
    """Stands for one: its state is handed through."""

    def __init__(self, state=None):
        self.state = state or {}

    def state_dict(self):
        return self.state


def saved(callbacks=(), *, state=None, history=(), source=None, seeds=()):
    source = source or np.random.RandomState(0)
    history = History(history)
    return collect(Session(state), history, source, dict(seeds), callbacks, {"lr": "0.1"})


# --- the file -----------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "resume.pt"
    state = {
        "tensors": [torch.arange(3.0), nn.Parameter(torch.ones(2)), torch.ones(1).bfloat16()],
        "ordered": OrderedDict(a=torch.zeros(2)),
        "numbers": (1, 0.1, math.inf, None, True, "text"),
        "sizes": [torch.Size([2]), torch.float64, torch.device("cpu"), {1, 2}],
    }
    write(path, saved(state=state, seeds={"train": 7}))
    again = read(path)
    assert again["session"]["numbers"] == state["numbers"]
    assert again["session"]["sizes"] == state["sizes"]
    assert again["seeds"] == {"train": 7}
    for first, second in zip(again["session"]["tensors"], state["tensors"], strict=True):
        assert torch.equal(first, second)
    assert [each.name for each in tmp_path.iterdir()] == ["resume.pt"]


def test_a_failed_write_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "resume.pt"
    write(path, saved(seeds={"train": 1}))

    def fails(file):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="no space left"):
        write(path, saved(seeds={"train": 2}))
    assert read(path)["seeds"] == {"train": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["resume.pt"]


def test_nothing_half_written_has_the_name_of_the_file(tmp_path, monkeypatch):
    path, fsync, seen = tmp_path / "resume.pt", os.fsync, []

    def looks(file):
        seen.append((path.exists(), [each.name for each in tmp_path.iterdir()]))
        fsync(file)

    monkeypatch.setattr(os, "fsync", looks)
    write(path, saved())
    assert seen == [(False, [f"resume.pt.{os.getpid()}.tmp"])]


def test_another_fit_that_began_meanwhile_is_told(tmp_path, monkeypatch):
    path = tmp_path / "resume.pt"
    monkeypatch.setattr(os, "fsync", lambda file: sweep(path))
    with pytest.raises(RuntimeError, match=r"`dirname` must belong to one fit at a time; .* swept"):
        write(path, saved())


class Colour(enum.IntEnum):
    RED = 1


Pair = namedtuple("Pair", "a b")


def test_what_could_not_be_read_is_refused_all_at_once(tmp_path):
    path = tmp_path / "resume.pt"
    state = {
        "parts": {"module": OrderedDict(scale=np.ones(2), weight=torch.ones(1))},
        "rates": [{"lr": Colour.RED}],
        "best": Pair(1, 2),
    }
    with pytest.raises(TypeError, match="must find tensors, numbers and texts") as caught:
        write(path, saved(state=state))
    text = str(caught.value)
    assert "session['parts']['module']['scale'] of numpy.ndarray; " in text
    assert re.search(r"session\['rates'\]\[0\]\['lr'\] of [\w.]*Colour; ", text)
    assert re.search(r"session\['best'\] of [\w.]*Pair\. Have the part return", text)
    assert "['weight']" not in text
    assert "callbacks__resume=None" in text
    assert not path.exists()


def test_a_file_that_cannot_be_opened_is_no_file_of_another_kind(tmp_path):
    (tmp_path / "resume.pt").mkdir()
    with pytest.raises(IsADirectoryError):
        read(tmp_path / "resume.pt")


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("has_checksums", [True, False])
@pytest.mark.parametrize("content", [b"fingerprint", torch.arange(7.0, 9.0).numpy().tobytes()])
def test_a_flipped_bit_is_told(has_checksums, content, tmp_path):
    path = tmp_path / "resume.pt"
    torch.serialization.set_crc32_options(has_checksums)
    try:
        write(path, saved(state={"tensors": [torch.arange(300.0)]}))
        assert torch.serialization.get_crc32_options() is has_checksums
    finally:
        torch.serialization.set_crc32_options(True)
    at = path.read_bytes().index(content)
    flipped(path, at)
    words = r"must hold a state .*resume.pt, which is damaged or of another kind \(BadZipFile\).*"
    with pytest.raises(ValueError, match=words + "put an older copy in its place"):
        read(path)
    flipped(path, at)
    assert torch.equal(read(path)["session"]["tensors"][0], torch.arange(300.0))


def test_what_does_not_belong_is_named(tmp_path):
    path = tmp_path / "resume.pt"
    state = saved()
    check_belongs(state, {"lr": "0.1"}, path)
    with pytest.raises(ValueError, match=r"of another: lr was 0.1, is 0.2; seed was not"):
        check_belongs(state, {"lr": "0.2", "seed": "1"}, path)
    with pytest.raises(ValueError, match=r"lr was 0.1, is not there. Choose another directory"):
        check_belongs(state, {}, path)


# --- history ------------------------------------------------------------------------------------


def test_history_comes_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    epochs = [
        {
            "epoch": 1,
            "loss": float(rng.normal()),
            "nan": math.nan,
            "inf": math.inf,
            "text": "weighted",
            "none": None,
            "batches": [{"train_loss": rng.normal(), "n": np.int64(3)}],
            "single": np.float32(0.1),
            "flag": np.bool_(True),
            "array": np.arange(2),
            "tensor": torch.tensor(0.1),
        }
    ]
    write(tmp_path / "f", saved(history=epochs))
    (again,) = restore(read(tmp_path / "f"), np.random.RandomState(), [])
    (before,) = epochs
    assert math.isnan(again.pop("nan"))
    assert again.pop("array") == [0, 1]
    assert again.pop("tensor") == before["tensor"].item()
    assert again == {key: before[key] for key in again}
    assert again["flag"] is True
    assert type(again["batches"][0]["n"]) is int
    assert isinstance(restore(read(tmp_path / "f"), np.random.RandomState(), []), History)


def test_what_a_history_cannot_keep_is_told():
    with pytest.raises(TypeError, match=r"texts in the history; got .*: object <object"):
        saved(history=[{"figure": object(), "batches": []}])


# --- random numbers and callbacks ---------------------------------------------------------------


def test_the_source_of_seeds_goes_on(tmp_path):
    source = np.random.RandomState(3)
    source.normal(size=5)  # an odd number: one is left over
    write(tmp_path / "f", saved(source=source))
    other = np.random.RandomState(4)
    restore(read(tmp_path / "f"), other, [])
    assert np.array_equal(other.normal(size=9), source.normal(size=9))
    assert other.randint(2**31) == source.randint(2**31)


class Knows(Callback):
    def __init__(self, **values):
        vars(self).update(values)


def there_and_back(tmp_path, before, after):
    write(tmp_path / "f", saved(before))
    restore(read(tmp_path / "f"), np.random.RandomState(), after)


def test_plain_attributes_of_callbacks_are_kept(tmp_path):
    values = {
        "best_": np.float64(0.5),
        "flag_": np.bool_(False),
        "nested_": {"a": [1, (2, None)], 3: "x"},
        "weights_": OrderedDict(a=torch.ones(2)),
        "name_": np.str_("x"),
    }
    others = {
        "module_": nn.Linear(1, 1),
        "colour_": Colour.RED,
        "pair_": Pair(1, 2),
        "mixed_": [1, object()],
        "array_": np.ones(2),
        "given": 5,
    }
    after = Knows(given=6)
    there_and_back(tmp_path, [("knows", Knows(**values, **others))], [("knows", after)])
    assert vars(after).keys() == values.keys() | {"given"}
    assert after.given == 6
    assert (after.best_, after.flag_, after.nested_) == (0.5, False, values["nested_"])
    assert type(after.best_) is float
    assert torch.equal(after.weights_["a"], torch.ones(2))


def test_what_a_training_has_made_by_now_stays(tmp_path):
    bar = object()
    after = Knows(bar_=bar, n_=0)
    there_and_back(tmp_path, [("knows", Knows(bar_=None, n_=3))], [("knows", after)])
    assert after.bar_ is bar
    assert after.n_ == 3


def test_callbacks_of_another_kind_or_name_get_nothing(tmp_path):
    before = [("one", Knows(n_=1)), ("log", PrintLog().initialize())]
    before[1][1].first_iteration_ = False
    named, kind, log = Knows(n_=0), EpochTimer(), PrintLog().initialize()
    there_and_back(tmp_path, before, [("two", named), ("one", kind), ("log", log)])
    assert named.n_ == 0
    assert not hasattr(kind, "n_")
    assert log.first_iteration_


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        (ExponentialLR, {"gamma": 0.7}),
        (CosineAnnealingWarmRestarts, {"T_0": 2}),
        (OneCycleLR, {"max_lr": 0.3, "total_steps": 12, "step_every": "batch"}),
        (ReduceLROnPlateau, {"monitor": "train_loss", "patience": 0, "threshold": 0.9}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_schedules_of_torch_go_on(policy, options, tmp_path):
    class Cut(Exception):
        pass

    class Cuts(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == 3:
                raise Cut

    class Rates(Callback):
        def initialize(self):
            self.seen = []

        def on_batch_begin(self, net, training=False, **kwargs):
            self.seen.append(net.optimizer_.param_groups[0]["lr"])

    def fit(folder, *others):
        rate, rates = LRScheduler(policy, **options), Rates()
        callbacks = [("rate", rate), ("rates", rates), ("resume", Resume(folder)), *others]
        params = {"max_epochs": 6, "batch_size": 24, "callbacks": callbacks}
        return quick(Net, **params).fit(*DATA), rates.seen

    whole, rates = fit(tmp_path / "whole")
    with pytest.raises(Cut):
        fit(tmp_path / "cut", ("cuts", Cuts()))
    net, rest = fit(tmp_path / "cut")
    assert differences(outcome(net), outcome(whole)) == []
    assert rest == rates[4:]
    assert len(set(rest)) > 1


# --- other processes ----------------------------------------------------------------------------


def test_a_module_with_a_state_of_its_own_kind_is_refused_at_the_first_epoch(tmp_path):
    class Extra(Net):
        def get_extra_state(self):
            return Pair(1, 2)

        def set_extra_state(self, state):
            pass

    net = quick(Extra, callbacks=[("resume", Resume(tmp_path))])
    with pytest.raises(
        TypeError, match=r"session\['parts'\]\['states'\]\['module'\]\['_extra_state'\] of .*Pair"
    ):
        net.fit(*DATA)


def test_a_fingerprint_is_the_same_in_another_process(tmp_path):
    code = (
        "import json, sys, torch, numpy as np\n"
        "from test_fingerprint import Built, of\n"
        "print(json.dumps(of(module=Built(), sets={'a', 'b', 'c'}, weight=torch.ones(3))))"
    )
    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(here), os.path.dirname(os.path.dirname(here))]
    found = []
    for seed in "12":
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
        found.append(json.loads(ran.stdout))
    assert found[0] == found[1]


def test_a_file_that_lacks_parts_is_refused(tmp_path):
    torch.save({"layout": LAYOUT}, tmp_path / "f")
    with pytest.raises(ValueError, match=r"got .*f, which lacks \['callbacks', 'fingerprint', "):
        read(tmp_path / "f")
