"""The versions that the project promises are those that its tests are run with."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from test_house import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# `make test-lowest` runs neither.
LINTERS = {"mypy", "ruff"}


def pins(name: str) -> dict[str, Version]:
    """Return the version of each package that a constraints file pins."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    split = [line.partition("#")[0].split("==") for line in lines if line[:1] not in ("", "#")]
    return {canonicalize_name(package): Version(version.strip()) for package, version in split}


def requirements(*extras: str) -> list[Requirement]:
    """Return what the package and some of its extras ask for, the package itself left out."""
    optional = PROJECT["optional-dependencies"]
    found, open_extras, seen = [*PROJECT["dependencies"]], [*extras], set()
    while open_extras:
        extra = open_extras.pop()
        seen.add(extra)
        for text in optional[extra]:
            parts = Requirement(text)
            if parts.name == PROJECT["name"]:
                open_extras += sorted(parts.extras - seen)  # the tests have one order
            else:
                found.append(text)
    return [Requirement(text) for text in found]


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = (part for part in requirement.specifier if part.operator == ">=")
    return Version(bound.version)


def test_extras_are_followed_into_extras():
    names = {requirement.name for requirement in requirements("test")}
    assert names >= {"torch", "matplotlib", "skops", "pytest"}
    assert "skgdw" not in names
    assert "matplotlib" not in {requirement.name for requirement in requirements()}


@pytest.mark.parametrize("requirement", requirements("test"), ids=lambda each: each.name)
def test_each_lower_bound_is_tested(requirement):
    if requirement.name in LINTERS:
        assert requirement.name not in pins("constraints-lowest.txt")
    else:
        pinned = pins("constraints-lowest.txt")[canonicalize_name(requirement.name)]
        assert pinned == lower_bound(requirement)


@pytest.mark.parametrize("requirement", requirements("test", "docs"), ids=lambda each: each.name)
def test_pinned_versions_are_allowed(requirement):
    assert pins("constraints.txt")[canonicalize_name(requirement.name)] in requirement.specifier


def test_everything_optional_is_in_the_extra_of_all():
    optional = {*PROJECT["optional-dependencies"]} - {"all", "test", "docs"}
    (everything,) = (Requirement(text) for text in PROJECT["optional-dependencies"]["all"])
    assert everything.extras == optional


def test_the_quickstart_tells_the_lower_bounds():
    text = " ".join((ROOT / "docs" / "quickstart.rst").read_text(encoding="utf-8").split())
    bounds = {requirement.name: lower_bound(requirement) for requirement in requirements()}
    names = {
        "PyTorch": "torch",
        "NumPy": "numpy",
        "scikit-learn": "scikit-learn",
        "skorch": "skorch",
    }
    told = [re.search(rf"{name} ([\d.]+\d)", text)[1] for name in names]
    assert told == [str(bounds[name]) for name in names.values()]


def test_pythons_of_the_classifiers_are_allowed_and_in_the_table():
    named = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if "Python :: 3." in text]
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    required = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert [python for python in named if Version(python) not in required] == []
    assert [python for python in named if f"| {python}." not in table] == []
