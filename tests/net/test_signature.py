"""Signatures that tell the parameters which `**kwargs` stands for."""

import inspect

import pytest
from skorch import NeuralNet

from skgdw import GDWClassifier
from skgdw._net._signature import show_inherited


class Base:
    def __init__(self, needed, a=1, *args, b=2, **kwargs): ...


class Middle(Base):
    def __init__(self, *, b=3, **rest):
        super().__init__(0, b=b, **rest)


class Silent(Middle): ...


class Closed(Base):
    def __init__(self, c=4):
        super().__init__(c)


def text(cls):
    return str(inspect.signature(cls))


def test_names_and_defaults_of_all_constructors_are_told():
    show_inherited(Middle)
    assert text(Middle) == "(*, b=3, a=1, **rest)"


@pytest.mark.parametrize("cls", [Silent, Closed])
def test_other_constructors_keep_theirs(cls):
    before = text(cls)
    show_inherited(cls)
    assert text(cls) == before


def test_the_classifier_tells_those_of_skorch():
    told = inspect.signature(GDWClassifier).parameters
    ours = set(GDWClassifier().get_params(deep=False))
    assert ours == set(told) - {"kwargs"}
    given = GDWClassifier().get_params(deep=False)
    assert {name: told[name].default for name in ours} == given
    skorchs = inspect.signature(NeuralNet).parameters
    assert told["iterator_valid"].default is skorchs["iterator_valid"].default
