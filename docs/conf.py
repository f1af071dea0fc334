"""How Sphinx builds the documentation."""

import re
from pathlib import Path

import skgdw

project = "skgdw"
author = "skgdw developers"
copyright = author
version = release = skgdw.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "ignore_pattern": "quickstart",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "plot_gallery": True,
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
}
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = False

# One page for each class and function; the template of classes says which methods are shown.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_preserve_defaults = True  # weight_net=WeightNet, not <class ...>
# The page shows the constructor as it is written, which the line above reads from the source; the
# signature that scikit-learn's displays read has skorch's parameters besides.
del skgdw.GDWClassifier.__init__.__signature__
autodoc_typehints = "none"  # the docstrings give types in words
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"skgdw {release}"
html_static_path = ["_static"]
html_copy_source = False
html_show_sphinx = False


def _from_markdown(text):
    """Turn the little Markdown that CHANGELOG.md uses into reStructuredText."""
    lines = []
    for line in text.splitlines():
        heading = re.fullmatch(r"(#+) \[?(.*?)\]?( .*)?", line)
        if heading:
            title = heading[2] + (heading[3] or "")
            lines += [title, "=-~"[len(heading[1]) - 1] * len(title)]
        else:
            line = re.sub(r"`([^`]+)`", r"``\1``", line)
            lines.append(re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", line))
    return "\n".join(lines) + "\n"


def _put_in_changelog(app, docname, source):
    if docname == "changelog":
        path = Path(__file__).parent.parent / "CHANGELOG.md"
        source[0] = _from_markdown(path.read_text(encoding="utf-8"))
        app.env.note_dependency(str(path))


def _escape_shapes(app, what, name, obj, options, lines):
    # In "of shape (n_features_in_,)" the last underscore would make a hyperlink.
    lines[:] = [re.sub(r"(shape \(\w+)_,", r"\1\_,", line) for line in lines]


def setup(app):
    """Let the changelog page hold what CHANGELOG.md says, and docstrings mean what they show."""
    app.connect("source-read", _put_in_changelog)
    app.connect("autodoc-process-docstring", _escape_shapes, priority=900)  # after numpydoc
