"""Callbacks as they are saved: a scheduler of torch's would drag a second network along."""

from skorch.callbacks import EarlyStopping, LRScheduler

from classifier_cases import blobs, quick
from skgdw._net._schedulers import without_schedulers

STOP = EarlyStopping(monitor="train_loss")


def fitted():
    callback = LRScheduler("StepLR", step_size=1)
    net = quick(callbacks=[("rates", callback), ("stop", STOP)], callbacks__lr_schedule=None)
    net.fit(*blobs())
    running = dict(net.callbacks_)["rates"]
    assert running.lr_scheduler_ is not None
    return running


def test_the_scheduler_is_left_out_of_a_copy():
    running = fitted()
    scheduler = running.lr_scheduler_
    state = without_schedulers({"callbacks_": [("rates", running), ("stop", STOP)], "lr": 0.1})
    (name, saved), (_, stop) = state["callbacks_"]
    assert name == "rates"
    assert saved is not running
    assert saved.lr_scheduler_ is None
    assert saved.step_size == 1
    assert running.lr_scheduler_ is scheduler
    assert stop is STOP
    assert state["lr"] == 0.1


def test_a_callback_in_several_places_stays_one():
    running = fitted()
    state = without_schedulers({"callbacks": (running,), "callbacks__rates": running})
    assert isinstance(state["callbacks"], tuple)
    assert state["callbacks"][0] is state["callbacks__rates"]


def test_other_attributes_are_not_looked_into():
    running = fitted()
    assert without_schedulers({"of_the_users": [running]})["of_the_users"][0] is running
    unused = LRScheduler()
    assert without_schedulers({"callbacks__mine": unused})["callbacks__mine"] is unused
