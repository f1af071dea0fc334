"""The rules of the house, read off the source: imports, file sizes, what hot code may not call.

Each rule is a function from the root of a tree to a list of offences. It is run on this tree, where
the list must be empty, and on small broken trees, where it must not be.
"""

import ast
import importlib
import importlib.resources
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_SOURCE_LINES = 350
MAX_TEST_LINES = 599
HOST_SYNC_METHODS = {"item", "cpu", "numpy", "tolist"}

# What each part may import of ours. A part is a child of `skgdw/`; "" is `skgdw/__init__.py`.
MAY_IMPORT = {
    "exceptions": set(),
    "functional": {"functional"},
    "_rows": {"_rows", "exceptions"},
    "corruption": {"corruption", "_rows", "exceptions"},
}
MAY_NOT_IMPORT = {
    "_validation": {"", "_classifier", "_training", "model_selection", "inspection"},
    "modules": {"", "_classifier", "_training", "model_selection", "inspection"},
    "_training": {"", "_classifier", "model_selection", "inspection"},
    "_classifier": {""},
}
WITHOUT_TORCH = {"exceptions", "_rows", "corruption"}


# --- reading the source -------------------------------------------------------------------------


def sources(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def part_of(root: Path, path: Path) -> str:
    first = path.relative_to(root / "skgdw").parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def where(root: Path, path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(root)}:{node.lineno}"


def calls(path: Path) -> Iterator[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported_names(root: Path, path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield every dotted name the file imports, at any depth, relative imports resolved.

    `from a import b` gives `a.b`: whether b is a module or not is for the caller to tell.
    """
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = (*base, *(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                yield node, ".".join((*stem, alias.name))
        elif isinstance(node, ast.Call) and node.args:
            func = node.func
            called = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", None)
            target = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(target, ast.Constant):
                yield node, str(target.value)


def imported_parts(root: Path, path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield the part of ours behind each import; "" where the name is `skgdw`'s own."""
    for node, name in imported_names(root, path):
        top, _, rest = name.partition(".")
        if top == "skgdw":
            child = rest.partition(".")[0]
            folder = root / "skgdw" / child
            is_part = bool(child) and (folder.is_dir() or folder.with_suffix(".py").is_file())
            yield node, child if is_part else ""


# --- the rules ----------------------------------------------------------------------------------


def import_offences(root: Path) -> list[str]:
    offences = []
    for path in sources(root, "skgdw"):
        part = part_of(root, path)
        for node, other in imported_parts(root, path):
            allowed = MAY_IMPORT.get(part)
            forbidden = other not in allowed if allowed is not None else False
            if forbidden or other in MAY_NOT_IMPORT.get(part, ()):
                named = f"skgdw.{other}" if other else "skgdw itself"
                offences.append(f"{where(root, path, node)} imports {named}")
        if part in WITHOUT_TORCH:
            offences += [
                f"{where(root, path, node)} imports {name}"
                for node, name in imported_names(root, path)
                if name.partition(".")[0] in {"torch", "skorch"}
            ]
    return offences


def cycle_offences(root: Path) -> list[str]:
    """Report the parts left when parts that import no remaining part are taken away."""
    graph: dict[str, set[str]] = {}
    for path in sources(root, "skgdw"):
        graph.setdefault(part_of(root, path), set()).update(
            other for _, other in imported_parts(root, path)
        )
    graph = {part: others & graph.keys() - {part} for part, others in graph.items() if part}
    while leaves := {part for part, others in graph.items() if not others & graph.keys()}:
        graph = {part: others for part, others in graph.items() if part not in leaves}
    return [f"skgdw.{part} is on, or leads into, a cycle of imports" for part in sorted(graph)]


def size_offences(root: Path) -> list[str]:
    offences = []
    for folder, limit in (("skgdw", MAX_SOURCE_LINES), ("tests", MAX_TEST_LINES)):
        for path in sources(root, folder):
            n_lines = len(path.read_text(encoding="utf-8").splitlines())
            if n_lines > limit:
                offences.append(f"{path.relative_to(root)} has {n_lines} lines, over {limit}")
    return offences


def name_offences(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)} is a grab bag by name"
        for path in sorted((root / "skgdw").rglob("*"))
        if path.name.removesuffix(".py").strip("_") in {"util", "utils"}
    ]


def print_offences(root: Path) -> list[str]:
    return [
        f"{where(root, path, call)} prints"
        for path in sources(root, "skgdw")
        for call in calls(path)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]


def host_sync_offences(root: Path) -> list[str]:
    """Report calls that make the host wait for the device, in the code run for every batch."""
    paths = sources(root, "skgdw/functional")
    step = root / "skgdw" / "_training" / "step" / "_step.py"
    paths += [step] if step.is_file() else []
    offences = []
    for path in paths:
        for call in calls(path):
            func = call.func
            if isinstance(func, ast.Attribute) and func.attr in HOST_SYNC_METHODS:
                offences.append(f"{where(root, path, call)} calls .{func.attr}()")
            elif isinstance(func, ast.Name) and func.id == "float":
                offences.append(f"{where(root, path, call)} calls float()")
    return offences


# Trees as {file below skgdw/: text}, each with one offence, in the file named first.
BROKEN = {
    import_offences: [
        {"_training/_step.py": "from skgdw._classifier import A", "_classifier.py": ""},
        {"_training/_step.py": "from .. import _classifier", "_classifier.py": ""},
        {"_training/_step.py": "from skgdw import GDWClassifier"},
        {"_training/_step.py": "import skgdw"},
        {"functional/_a.py": "import skgdw._training", "_training/__init__.py": ""},
        {"functional/_a.py": "from ..exceptions import E", "exceptions.py": ""},
        {"functional/_a.py": "def f():\n    from skgdw import _rows", "_rows.py": ""},
        {"corruption/_a.py": "import torch.nn as nn"},
        {"corruption/_a.py": "def f():\n    from torch import nn"},
        {"corruption/_a.py": "import skgdw._validation", "_validation.py": ""},
        {"corruption/_a.py": "import_module('skgdw._training')", "_training/_step.py": ""},
        {"_rows.py": "import torch"},
        {"exceptions.py": "from ._rows import f", "_rows.py": ""},
        {"_classifier.py": "from skgdw import __version__"},
    ],
    cycle_offences: [
        {"inspection/_a.py": "import skgdw._b", "_b.py": "from .inspection import c"},
        {"_a.py": "from ._b import x", "_b.py": "def f():\n    from skgdw._a import y"},
    ],
    size_offences: [
        {"_classifier.py": "\n" * (MAX_SOURCE_LINES + 1)},
        {"../tests/test_a.py": "\n" * (MAX_TEST_LINES + 1)},
    ],
    name_offences: [{"utils.py": ""}, {"_training/_utils.py": ""}, {"utils/_a.py": ""}],
    print_offences: [{"_classifier.py": "def f():\n    print('x')"}],
    host_sync_offences: [
        {"_training/step/_step.py": "def f(x):\n    return x.sum().item()"},
        {"functional/_a.py": "x = y.cpu()"},
        {"functional/_a.py": "x = y.detach().numpy()"},
        {"functional/_a.py": "x = y.tolist()"},
        {"functional/_a.py": "x = float(y)"},
    ],
}

SOUND = {
    "__init__.py": "from skgdw._classifier import A\n__version__ = '0'",
    "exceptions.py": "import warnings",
    "_rows.py": "import numpy\nfrom skgdw.exceptions import E",
    "_classifier.py": "from skgdw._training import step\nfrom skgdw.inspection import label_report",
    "inspection/__init__.py": "from ._report import label_report",
    "inspection/_report.py": "from skgdw.exceptions import E",
    "_training/__init__.py": "from ._step import step",
    "_training/_step.py": "from skgdw.functional import f\nfrom . import _run\nx: float = 1.0",
    "_training/_weighting.py": "a = b.item()",
    "functional/__init__.py": "from ._logits import f",
    "functional/_logits.py": "import torch\n'>>> x.tolist()'\nblueprint(1)",
    "corruption/__init__.py": "from ._noise import LabelNoise",
    "corruption/_noise.py": "from skgdw._rows import f\nfrom ..exceptions import E",
}


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "skgdw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def by_name(rule: Callable[[Path], list[str]]) -> str:
    return rule.__name__


@pytest.mark.parametrize("rule", BROKEN, ids=by_name)
def test_this_tree_keeps_the_rule(rule):
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", BROKEN, ids=by_name)
def test_rule_sees_every_broken_tree(rule, tmp_path):
    for number, files in enumerate(BROKEN[rule]):
        root = tmp_path / str(number)
        (root / "skgdw").mkdir(parents=True)
        write_tree(root, files)
        assert len(rule(root)) >= 1, files


@pytest.mark.parametrize("rule", BROKEN, ids=by_name)
def test_rule_passes_a_sound_tree(rule, tmp_path):
    write_tree(tmp_path, SOUND)
    assert rule(tmp_path) == []


def test_the_rules_read_this_tree():
    assert len(sources(ROOT, "skgdw")) >= 1
    assert Path(__file__) in sources(ROOT, "tests")


# --- what the package ships ---------------------------------------------------------------------


def public_modules() -> list[str]:
    """Return `skgdw` and its public children, packages and modules alike."""
    names = [
        path.stem
        for path in (ROOT / "skgdw").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]
    public = {name for name in names if not name.startswith("_")}
    return ["skgdw", *sorted(f"skgdw.{name}" for name in public)]


def test_typing_marker_ships():
    assert importlib.resources.files("skgdw").joinpath("py.typed").is_file()


@pytest.mark.parametrize("module_name", public_modules())
def test_every_promised_name_is_importable(module_name):
    module = importlib.import_module(module_name)
    promised = module.__all__
    assert len(set(promised)) == len(promised)
    assert [name for name in promised if not hasattr(module, name)] == []
