"""The link of a classifier's display: to a page that the documentation has, or none."""

from importlib import metadata

import pytest
from sklearn.utils import estimator_html_repr

from classifier_cases import quick
from skgdw import GDWClassifier
from skgdw._net._doc_link import documentation
from test_house import ROOT


@pytest.fixture
def found(monkeypatch):
    """Return metadata that stand for those of the package."""
    entries = {"Project-URL": []}

    class Found:
        def get_all(self, name):
            return entries[name]

    documentation.cache_clear()
    monkeypatch.setattr(metadata, "metadata", lambda name: Found())
    yield entries["Project-URL"]
    documentation.cache_clear()


def test_the_display_links_to_the_page_of_the_class(found):
    found += ["Source, https://source.example/skgdw", "Documentation, https://docs.example/skgdw/"]
    link = "https://docs.example/skgdw/generated/skgdw.GDWClassifier.html"
    assert quick()._get_doc_link() == link
    assert f'href="{link}"' in estimator_html_repr(quick())
    # The name that autosummary gives the page.
    listed = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    assert ".. currentmodule:: skgdw\n" in listed
    assert "\n   GDWClassifier\n" in listed


def test_without_an_address_there_is_no_link(found, monkeypatch):
    found += ["Source, https://source.example/skgdw"]
    assert quick()._get_doc_link() == ""
    documentation.cache_clear()

    def none(name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "metadata", none)
    assert documentation() == ""


def test_subclasses_of_users_have_no_page(found):
    class Own(GDWClassifier):
        pass

    found += ["Documentation, https://docs.example"]
    assert Own()._get_doc_link() == ""
