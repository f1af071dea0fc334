"""README and documentation: snippets run as written, names and links lead somewhere."""

import contextlib
import doctest
import importlib
import io
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_house import ROOT, public_modules

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
# `test_extending.py` runs that page, once, and looks at what has come of it.
RUN_HERE = [path for path in PAGES if path.name != "extending.rst"]
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *PAGES]
# GitHub's words for what we call bash, and ours.
SHELL = {"bash", "sh", "shell", "console"}


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- reading the pages --------------------------------------------------------------------------


def markdown_blocks(text: str) -> list[tuple[int, str, str]]:
    """Return line number, language and code of each fenced block."""
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [(text[: m.start(2)].count("\n"), m[1], m[2]) for m in found]


def rst_blocks(text: str) -> list[tuple[int, str, str]]:
    """Return line number, language and code of each code-block directive."""
    blocks = []
    found = re.finditer(r"^( *)\.\. code-block:: (\w+)\n((?:\1 +.*\n|\n)+)", text + "\n", re.M)
    for m in found:
        lines = m[3].split("\n")
        first = next(i for i, line in enumerate(lines) if line and line.lstrip()[0] != ":")
        code = textwrap.dedent("\n".join(lines[first:])).rstrip() + "\n"
        blocks.append((text[: m.start(3)].count("\n") + first, m[2], code))
    return blocks


def blocks(path: Path) -> list[tuple[int, str, str]]:
    text = path.read_text(encoding="utf-8")
    return markdown_blocks(text) if path.suffix == ".md" else rst_blocks(text)


@contextlib.contextmanager
def namespace_of(path: Path) -> Iterator[dict[str, object]]:
    """Return a namespace whose classes can be pickled inside the block: that of a module."""
    module = types.ModuleType(f"page_{path.stem}")
    sys.modules[module.__name__] = module
    try:
        yield vars(module)
    finally:
        del sys.modules[module.__name__]


def run_blocks(path: Path, namespace: dict[str, object]) -> int:
    """Run a page's Python blocks in one namespace; return how many there were."""
    count = 0
    for line, language, code in blocks(path):
        if language != "python":
            continue
        count += 1
        name = f"{path.name}, line {line + 1}"
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, namespace, name, str(path), line)
            report = io.StringIO()
            failed = doctest.DocTestRunner(verbose=False).run(
                test, out=report.write, clear_globs=False
            )
            assert failed.failed == 0, report.getvalue()
            namespace.update(test.globs)
        else:
            # Empty lines put the code where it stands on the page, for the traceback.
            exec(compile("\n" * line + code, str(path), "exec"), namespace)
    return count


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))


# --- snippets -----------------------------------------------------------------------------------


def test_blocks_are_found_and_run(tmp_path):
    markdown, rst = tmp_path / "a.md", tmp_path / "b.rst"
    markdown.write_text(
        "x\n```python\na = 1\n```\n```bash\nmake demo\n```\n```python\na + 1\n```\n"
    )
    rst.write_text(
        "x\n\n.. code-block:: python\n   :caption: c\n\n   a = 1\n\n   b = a\n\ny\n\n"
        ".. code-block:: python\n\n   >>> b\n   1\n"
    )
    assert [(line, code) for line, _, code in blocks(markdown)] == [
        (2, "a = 1\n"),
        (5, "make demo\n"),
        (8, "a + 1\n"),
    ]
    assert blocks(rst)[0] == (5, "python", "a = 1\n\nb = a\n")
    assert run_blocks(markdown, {}) == run_blocks(rst, {}) == 2
    rst.write_text(".. code-block:: python\n\n   >>> 1 + 1\n   3\n")
    with pytest.raises(AssertionError, match="Expected"):
        run_blocks(rst, {})
    rst.write_text(
        ".. code-block:: python\n\n   import pickle\n\n   class A:\n       pass\n\n"
        "   found = type(pickle.loads(pickle.dumps(A())))\n"
    )
    with namespace_of(rst) as namespace:
        run_blocks(rst, namespace)
    assert namespace["found"] is namespace["A"]
    assert "page_b" not in sys.modules


@pytest.mark.parametrize("path", [ROOT / "README.md", *RUN_HERE], ids=by_path)
def test_snippets_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()), namespace_of(path) as namespace:
        run_blocks(path, namespace)
    assert list(tmp_path.iterdir()) == [], "a snippet leaves files behind"


def test_the_pages_that_should_show_code_do():
    pages = (DOCS / f"{name}.rst" for name in ("quickstart", "user_guide", "extending"))
    for path in (ROOT / "README.md", *pages):
        assert any(language == "python" for _, language, _ in blocks(path)), path.name


@pytest.mark.parametrize("path", TEXTS, ids=by_path)
def test_make_targets_exist(path):
    text = path.read_text(encoding="utf-8")
    shell = "\n".join(code for _, language, code in blocks(path) if language in SHELL)
    quoted = "\n".join(re.findall(r"`+([^`\n]+)`+", text))
    named = set(re.findall(r"^\s*make (?:[A-Z]+=\S+ )*([a-z-]+)", f"{shell}\n{quoted}", re.M))
    assert named - make_targets() == set()


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module_name", public_modules())
def test_every_public_name_is_on_the_api_page(module_name):
    text = (DOCS / "api.rst").read_text(encoding="utf-8")
    sections = re.split(r"^\.\. currentmodule:: (\S+)$", text, flags=re.M)[1:]
    section = dict(zip(sections[::2], sections[1::2], strict=True)).get(module_name, "")
    listed = re.findall(
        r"^   ([A-Za-z_]\w*)$|^\.\. \S+:: (?:skgdw\.)?(?:\w+\.)*(\w+)$", section, re.M
    )
    missing = set(importlib.import_module(module_name).__all__) - {a or b for a, b in listed}
    assert missing == set(), f"docs/api.rst misses names of {module_name}"


def test_references_to_our_names_lead_somewhere():
    wrong = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"(?<!`)`(?:[^`<]*<)?(skgdw[\w.]*)>?`(?!`)", text):
            module, _, attribute = name.rpartition(".")
            try:
                found = hasattr(importlib.import_module(module or name), attribute)
            except ModuleNotFoundError:
                found = False
            if not found:
                wrong.append(f"{path.name}: {name}")
    assert wrong == []


def test_the_house_page_shows_the_house():
    text = (DOCS / "house.rst").read_text(encoding="utf-8")
    tree = next(code for _, language, code in blocks(DOCS / "house.rst") if language == "text")
    folders: list[str] = []
    shown = set()
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders[depth:] = [name]
        shown.add("".join(folders).rstrip("/"))
    assert [name for name in sorted(shown) if not (ROOT / name).exists()] == []
    package = {f"skgdw/{path.name}" for path in (ROOT / "skgdw").iterdir()}
    unseen = package - shown - {"skgdw/__pycache__", "skgdw/py.typed"}
    assert unseen == set(), "docs/house.rst misses these"
    assert "test_house.py" in text


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=by_path)
def test_links_within_the_project_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
        targets = ["".join(pair).partition("#")[0] for pair in targets]
    else:
        targets = re.findall(
            r"^\s*\.\. (?:image|figure|include|literalinclude):: (\S+)", text, re.M
        )
        targets += [f"{name}.rst" for name in re.findall(r":doc:`(?:[^`<]*<)?([\w/]+)>?`", text)]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", TEXTS, ids=by_path)
def test_no_absolute_paths(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w:/.\]`)>-])/(?:[a-z]\w*)(?:/[\w.-]+)*", text) == []
    assert "file:" not in text
