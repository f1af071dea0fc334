"""Every example of the gallery runs as it stands, without a warning."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("plot_*.py"))


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(path), run_name="__main__")
    plt.close("all")
    assert names["__doc__"].strip()
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_of_each():
    assert {path.stem for path in EXAMPLES} >= {
        "plot_tabular_pipeline",
        "plot_images",
        "plot_corruption",
        "plot_grid_search",
        "plot_pretrained_backbone",
    }
