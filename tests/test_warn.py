"""Warnings point at the line of the caller's, however deep they arise."""

import contextlib
import warnings
from pathlib import Path

import pytest
import skorch

import skgdw
from skgdw._warn import warn


def call_from(file, inner):
    """Call a function from a frame of that file."""
    names = {"inner": inner}
    exec(compile("def outer():\n    inner()", str(file), "exec"), names)
    names["outer"]()


def place_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (entry,) = caught
    assert str(entry.message) == "text"
    return entry.filename


def hint():
    warn("text", UserWarning)


def ours(name="_classifier.py"):
    return Path(skgdw.__file__).with_name(name)


DEEP = """
def deep():
    warn("text", UserWarning)

def managed():
    deep()
    yield
"""
# As if it stood in a file of ours.
INNER = {"warn": warn}
exec(compile(DEEP, str(ours("_deep.py")), "exec"), INNER)


def test_the_caller_of_warn_is_the_place_where_nothing_of_ours_lies_between():
    assert place_of(hint) == __file__


@pytest.mark.parametrize("between", [ours(), Path(skorch.__file__).with_name("net.py")])
def test_frames_of_the_packages_are_passed_over(between):
    assert place_of(lambda: call_from(between, INNER["deep"])) == __file__


def test_context_managers_of_ours_are_passed_over():
    managed = contextlib.contextmanager(INNER["managed"])

    def enter():
        with managed():
            pass

    assert place_of(enter) == __file__


def test_the_frame_that_calls_from_elsewhere_is_the_place(tmp_path):
    script = tmp_path / "script.py"
    assert place_of(lambda: call_from(script, INNER["deep"])) == str(script)
