"""The rules of the house, read off the source: imports, file sizes, what hot code may not call.

Each rule is a function from the root of a tree to a list of offences. It is run on this tree, where
the list must be empty, and on small broken trees, where it must not be.
"""

import ast
import importlib
import importlib.resources
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_SOURCE_LINES = 350
MAX_TEST_LINES = 599
HOST_SYNC_METHODS = {"item", "cpu", "numpy", "tolist"}

# What each room may import of ours. A room is a child of `skgdw/` ("" is its `__init__`) or of
# `skgdw/_training/`. Every arrow of the tree stands here, and nothing that is no arrow.
MAY_IMPORT = {
    "": {"_classifier", "_version"},
    "_classifier": {"_intake", "_rows", "_weighted_net", "modules", "weighting"},
    "_weighted_net": {
        "_built_net",
        "_feed",
        "_intake",
        "_net",
        "_training._checkpoint",
        "_training._fingerprint",
        "_training._metrics",
        "_training._parts",
        "_training._plan",
        "_training._precision",
        "_training._progress",
        "_training._schedule",
        "_training._session",
        "_training.trial",
        "_validation",
        "callbacks",
        "weighting",
    },
    "_built_net": {
        "_net",
        "_training._progress",
        "_training._random",
        "_training._schedule",
        "_training._speed",
        "_training.trial",
        "_validation",
        "modules",
        "weighting",
    },
    "callbacks": {"_training._checkpoint"},
    "_training": set(),
    "_training._checkpoint": {"_training._session", "_training._state"},
    "_training._fingerprint": {"_intake"},
    "_training._state": {"_feed", "_training._buffers", "_training._keep_best"},
    "_training._session": {
        "_feed",
        "_intake",
        "_training._assembly",
        "_training._fine_tune",
        "_training._keep_best",
        "_training._ledger",
        "_training._metrics",
        "_training._parts",
        "_training._plan",
        "_training._precision",
        "_training._random",
        "_training._speed",
        "_training._state",
        "_training._survey",
        "_training._warm_up",
        "_training.step",
        "_training.trial",
        "weighting",
    },
    "_training._assembly": {
        "_feed",
        "_intake",
        "_tensors",
        "_training._parts",
        "_training._speed",
        "_training.speed",
        "_training.step",
        "_training.trial",
        "_validation",
        "weighting",
    },
    "_training._fine_tune": {
        "_feed",
        "_intake",
        "_training._plan",
        "_training._survey",
        "_training.step",
    },
    "_training._warm_up": {
        "_feed",
        "_training._parts",
        "_training._random",
        "_training._state",
        "_training._survey",
        "_training.step",
    },
    "_training.speed": {"_feed", "_training._random", "_training.step", "weighting"},
    "_training.trial": {
        "_feed",
        "_training._random",
        "_training.step",
        "_warn",
        "exceptions",
        "modules",
        "weighting",
    },
    "_training._survey": {"_feed", "_intake", "_training._random", "_training.step", "weighting"},
    "_training._parts": {"_feed", "_training.step", "weighting"},
    "_training.step": {
        "_feed",
        "_training._precision",
        "_training._random",
        "_validation",
        "_tensors",
        "functional",
        "weighting",
    },
    "_training._buffers": set(),
    "_training._keep_best": {"_training._buffers", "weighting"},
    "_training._ledger": {"weighting"},
    "_training._metrics": {"_warn", "exceptions"},
    "_training._plan": {"_intake"},
    "_training._precision": set(),
    "_training._progress": {"_training._metrics", "_training._plan"},
    "_training._random": {"_rows"},
    "_training._schedule": set(),
    "_training._speed": set(),
    "_net": {"_feed", "_intake", "_rows", "_validation", "_version", "exceptions", "modules"},
    "model_selection": {"_intake", "_rows", "_steps", "exceptions"},
    "_feed": {"_intake", "_rows"},
    "_intake": {"_rows", "_validation", "_warn", "exceptions"},
    "_validation": {"_rows", "_tensors", "_warn", "exceptions", "weighting"},
    "weighting": {"_tensors", "exceptions", "functional"},
    "corruption": {"_rows", "_steps", "exceptions"},
    "modules": {"_tensors"},
    "functional": set(),
    "_rows": set(),
    "_steps": set(),
    "_warn": set(),
    "_tensors": set(),
    "_version": set(),
    "exceptions": set(),
}
# Where only one file of a room may be imported.
ONLY_FILES = {("model_selection", "_intake"): "_balanced"}
# From the top down: children of `skgdw/` import lower layers only, never one beside them.
LAYERS = (
    {""},
    {"_classifier"},
    {"_weighted_net"},
    {"_built_net", "callbacks"},
    {"_training", "_net", "model_selection"},
    {"_feed"},
    {"_intake"},
    {"_validation"},
    {"weighting"},
    {"modules", "functional", "corruption"},
    {"_rows", "_steps", "_tensors", "_warn", "_version"},
    {"exceptions"},
)
LAYERS_OF_TRAINING = (
    {"_checkpoint"},
    {"_session"},
    {"_assembly", "_fine_tune", "_warm_up"},
    {"speed", "trial", "_survey", "_parts"},
    {"step", "_state", "_progress"},
    {"_fingerprint", "_keep_best", "_ledger", "_metrics", "_plan"},
    {"_buffers", "_precision", "_random", "_schedule", "_speed"},
)
WITHOUT_TORCH = {"exceptions", "_version", "_rows", "corruption"}

# Rooms whose parameters have types; the share of those that may be `Any` where none can be named.
TYPED = ("_training", "weighting", "_feed", "_intake")
MAX_ANY = 0.1

# Sources without a test file of their own name, and why.
WITHOUT_TEST = {
    "_version.py": "a constant",
    "exceptions.py": "names of classes; whoever raises one tests it",
    "_net/_protocol.py": "names of attributes, for mypy",
    "_training/_parts.py": "names of fields, for mypy",
    "functional/_recorded/_linear_rules.py": "test_rules.py goes through all rules",
    "functional/_recorded/_product_rules.py": "test_rules.py goes through all rules",
}

# --- reading the source -------------------------------------------------------------------------


def sources(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def room_of(root: Path, path: Path) -> str:
    return room_named(root, path.relative_to(root).with_suffix("").parts[1:])


def room_named(root: Path, names: Sequence[str]) -> str:
    """Return the room of what is called `skgdw.<names>`: "" for names of `skgdw` itself."""
    is_room = [
        (folder / name).is_dir() or (folder / f"{name}.py").is_file()
        for folder, name in zip((root / "skgdw", root / "skgdw" / "_training"), names, strict=False)
        if name != "__init__"
    ]
    if not any(is_room[:1]):
        return ""
    return ".".join(names[:2]) if names[0] == "_training" and any(is_room[1:]) else names[0]


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


def arrows(root: Path) -> Iterator[tuple[str, Path, ast.AST, str, str]]:
    """Yield each import of ours from another room: room, file and node, and what room and name."""
    for path in sources(root, "skgdw"):
        room = room_of(root, path)
        for node, name in imported_names(root, path):
            top, *names = name.split(".")
            other = room_named(root, names) if top == "skgdw" else room
            if other != room:
                yield room, path, node, other, name


# --- the rules ----------------------------------------------------------------------------------


def import_offences(root: Path) -> list[str]:
    offences = []
    for room, path, node, other, name in arrows(root):
        only = ONLY_FILES.get((room, other))
        is_allowed = other in MAY_IMPORT.get(room, ())
        if not is_allowed or (only is not None and name.split(".")[2:3] != [only]):
            named = f"skgdw.{other}" if other else "skgdw itself"
            offences.append(f"{where(root, path, node)} imports {named}, by {name}")
    for path in sources(root, "skgdw"):
        room = room_of(root, path)
        if room not in MAY_IMPORT:
            offences.append(f"{path.relative_to(root)} is in no room of the table")
        if room in WITHOUT_TORCH:
            offences += [
                f"{where(root, path, node)} imports {name}"
                for node, name in imported_names(root, path)
                if name.partition(".")[0] in {"torch", "skorch"}
            ]
    return offences


def unused_entries(root: Path, table: Mapping[str, set[str]]) -> list[str]:
    rooms = {room_of(root, path) for path in sources(root, "skgdw")}
    used = {(room, other) for room, _, _, other, _ in arrows(root)}
    return [f"{room!r} is no room" for room in table if room not in rooms] + [
        f"{room!r} does not import {other!r}"
        for room, others in table.items()
        for other in sorted(others)
        if (room, other) not in used
    ]


def layer_of(room: str) -> tuple[int, int]:
    """Return how far down a room stands: in the house, and within the room it is a part of."""
    outer, _, inner = room.partition(".")
    (floor,) = (i for i, rooms in enumerate(LAYERS) if outer in rooms)
    return floor, next((i for i, rooms in enumerate(LAYERS_OF_TRAINING) if inner in rooms), -1)


def layer_offences(table: Mapping[str, set[str]]) -> list[str]:
    """Report imports that do not go down. Where there are none there is no circle either."""

    def goes_down(room: str, other: str) -> bool:
        (floor, inner), (floor_below, inner_below) = layer_of(room), layer_of(other)
        if room.partition(".")[0] == other.partition(".")[0]:
            return inner < inner_below
        return floor < floor_below

    return [
        f"{room!r} imports {other!r}, which is not below it"
        for room, others in table.items()
        for other in sorted(others)
        if not goes_down(room, other)
    ]


def cycle_offences(root: Path) -> list[str]:
    """Report the rooms left when rooms that import no remaining room are taken away."""
    graph: dict[str, set[str]] = {room_of(root, path): set() for path in sources(root, "skgdw")}
    for room, _, _, other, _ in arrows(root):
        graph[room].add(other)
    while leaves := {room for room, others in graph.items() if not others & graph.keys()}:
        graph = {room: others for room, others in graph.items() if room not in leaves}
    return [f"skgdw.{room} is on, or leads into, a cycle of imports" for room in sorted(graph)]


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
    offences = []
    for path in sources(root, "skgdw/functional") + sources(root, "skgdw/_training/step"):
        for call in calls(path):
            func = call.func
            if isinstance(func, ast.Attribute) and func.attr in HOST_SYNC_METHODS:
                offences.append(f"{where(root, path, call)} calls .{func.attr}()")
            elif isinstance(func, ast.Name) and func.id == "float":
                offences.append(f"{where(root, path, call)} calls float()")
    return offences


def any_offences(root: Path) -> list[str]:
    """Report rooms in which too many parameters have no type but `Any`."""
    offences = []
    for room in TYPED:
        types = [
            None if parameter.annotation is None else ast.unparse(parameter.annotation)
            for path in sources(root, f"skgdw/{room}")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for parameter in parameters(node.args)
            if parameter.arg not in {"self", "cls"}
        ]
        n_any = sum(text in {"Any", "typing.Any", "'Any'"} for text in types)
        if n_any > MAX_ANY * len(types):
            offences.append(f"skgdw/{room}: {n_any} of {len(types)} parameters are `Any`")
    return offences


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    several = [arguments.vararg, arguments.kwarg]
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [argument for argument in several if argument is not None]


def mirror_offences(root: Path) -> list[str]:
    """Report sources without a test file of their own name: `_feed/_orders.py`, say."""
    offences = []
    for path in sources(root, "skgdw"):
        source = path.relative_to(root / "skgdw")
        folders = [name.lstrip("_") for name in source.parts[:-1]]
        test = root.joinpath("tests", *folders, f"test_{path.name.lstrip('_')}")
        exempt = path.name == "__init__.py" or str(source.as_posix()) in WITHOUT_TEST
        if not exempt and not test.is_file():
            offences.append(f"{path.relative_to(root)} has no {test.relative_to(root)}")
    return offences


# Trees as {file below skgdw/: text}, each with one offence, in the file named first.
BROKEN = {
    import_offences: [
        {"_feed/_orders.py": "from skgdw._classifier import A", "_classifier.py": ""},
        {"_feed/_orders.py": "from .. import _classifier", "_classifier.py": ""},
        {"_feed/_orders.py": "from skgdw import GDWClassifier"},
        {"_feed/_orders.py": "import skgdw"},
        {"_feed/_orders.py": "import skgdw._version as v", "_version.py": ""},
        {"functional/_a.py": "import skgdw._training", "_training/__init__.py": ""},
        {"functional/_a.py": "from ..exceptions import E", "exceptions.py": ""},
        {"functional/_a.py": "def f():\n    from skgdw import _rows", "_rows.py": ""},
        {"corruption/_a.py": "import torch.nn as nn"},
        {"corruption/_a.py": "def f():\n    from torch import nn"},
        {"corruption/_a.py": "import skgdw._validation", "_validation.py": ""},
        {"corruption/_a.py": "import_module('skgdw._feed')", "_feed/_orders.py": ""},
        {"_rows/_labels.py": "import torch"},
        {"exceptions.py": "from ._rows import f", "_rows.py": ""},
        {"_classifier.py": "from skgdw import __version__"},
        {
            "_training/step/_a.py": "from skgdw._training.speed._graph import c",
            "_training/speed/_graph.py": "",
        },
        {"_training/step/_a.py": "from ..trial import _probe", "_training/trial/_probe.py": ""},
        {"_training/_random.py": "from . import _plan", "_training/_plan.py": ""},
        {"_training/_plan.py": "from skgdw._net import _pickle", "_net/_pickle.py": ""},
        {
            "model_selection/_a.py": "from skgdw._intake import _hold_out",
            "_intake/_hold_out.py": "",
        },
        {"_training/_new.py": ""},
        {"new/__init__.py": ""},
    ],
    cycle_offences: [
        {"inspection/_a.py": "import skgdw._b", "_b.py": "from .inspection import c"},
        {"_a.py": "from ._b import x", "_b.py": "def f():\n    from skgdw._a import y"},
        {"__init__.py": "from ._a import x", "_a.py": "from skgdw import y"},
        {
            "_training/step/_a.py": "from skgdw._training.speed import _b",
            "_training/speed/_b.py": "from ..step import _a",
        },
    ],
    size_offences: [
        {"_classifier.py": "\n" * (MAX_SOURCE_LINES + 1)},
        {"../tests/test_a.py": "\n" * (MAX_TEST_LINES + 1)},
    ],
    name_offences: [{"utils.py": ""}, {"_training/_utils.py": ""}, {"utils/_a.py": ""}],
    print_offences: [{"_classifier.py": "def f():\n    print('x')"}],
    host_sync_offences: [
        {"_training/step/_a.py": "def f(x):\n    return x.sum().item()"},
        {"functional/_a.py": "x = y.cpu()"},
        {"functional/_a.py": "x = y.detach().numpy()"},
        {"functional/_recorded/_a.py": "x = y.tolist()"},
        {"functional/_a.py": "x = float(y)"},
    ],
    any_offences: [
        {"_feed/_a.py": "def f(self, x: Any, y: int): ..."},
        {"_training/step/_a.py": "class A:\n    async def f(self, *, x: typing.Any): ..."},
        {"weighting/_a.py": "def f(*args: Any): ...\ndef g(**kwargs: Any): ..."},
        {"_intake/_a.py": "def f(x: 'Any', /): ..."},
    ],
    mirror_offences: [
        {"_feed/_a.py": "", "../tests/feed/test_b.py": ""},
        {"functional/_recorded/_a.py": "", "../tests/functional/test_a.py": ""},
        {"_a.py": "", "../tests/test__a.py": ""},
    ],
}

SOUND = {
    "__init__.py": "from skgdw._classifier import A\nfrom ._version import __version__",
    "_version.py": "__version__ = '0'",
    "exceptions.py": "import warnings",
    "_rows/__init__.py": "import numpy\nfrom skgdw._rows._labels import f",
    "_rows/_labels.py": "import numpy",
    "_classifier.py": "from skgdw._weighted_net import A",
    "_weighted_net.py": "from skgdw._training import _session\nfrom skgdw._net._pickle import f",
    "_net/_pickle.py": "from skgdw import _version",
    "_training/__init__.py": "",
    "_training/_session.py": "from skgdw._training.step import step\nx: float = 1.0",
    "_training/_ledger.py": "a = b.item()",
    "_training/step/__init__.py": "from ._step import step",
    "_training/step/_step.py": "from skgdw.functional import f\nfrom .._random import g",
    "_training/_random.py": "def f(x: Tensor, y: list[Any], *z: Any | None, **k): ...",
    "_intake/_balanced.py": "from typing import Any\nx: Any = 1",
    "model_selection/_split.py": "from skgdw._intake import _balanced",
    "functional/__init__.py": "from ._logits import f",
    "functional/_logits.py": "import torch\n'>>> x.tolist()'\nblueprint(1)",
    "corruption/__init__.py": "from ._noise import LabelNoise",
    "corruption/_noise.py": "from skgdw._rows import f\nfrom ..exceptions import E",
    "../tests/rows/test_labels.py": "",
    "../tests/test_classifier.py": "",
    "../tests/test_weighted_net.py": "",
    "../tests/net/test_pickle.py": "",
    "../tests/training/test_session.py": "",
    "../tests/training/test_ledger.py": "",
    "../tests/training/step/test_step.py": "",
    "../tests/training/test_random.py": "",
    "../tests/intake/test_balanced.py": "",
    "../tests/model_selection/test_split.py": "",
    "../tests/functional/test_logits.py": "",
    "../tests/corruption/test_noise.py": "",
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


def test_the_table_has_no_entry_too_many(tmp_path):
    assert unused_entries(ROOT, MAY_IMPORT) == []
    write_tree(tmp_path, {"_feed/_a.py": "from skgdw import _rows", "_rows.py": ""})
    assert unused_entries(tmp_path, {"_feed": {"_rows"}, "_rows": set()}) == []
    assert unused_entries(tmp_path, {"_feed": {"_rows", "_intake"}}) == [
        "'_feed' does not import '_intake'"
    ]
    assert unused_entries(tmp_path, {"_intake": set()}) == ["'_intake' is no room"]


@pytest.mark.parametrize(
    ("room", "other"),
    [
        ("_net", "_training._random"),
        ("_training.step", "_net"),
        ("_rows", "_feed"),
        ("_training.step", "_training.speed"),
        ("_training.speed", "_training.trial"),
        ("_training._random", "_weighted_net"),
    ],
)
def test_the_table_goes_down_the_layers(room, other):
    assert layer_offences(MAY_IMPORT) == []
    assert layer_offences({room: {other}}) == [f"{room!r} imports {other!r}, which is not below it"]


def test_the_rules_read_this_tree():
    assert len(sources(ROOT, "skgdw")) >= 1
    assert Path(__file__) in sources(ROOT, "tests")
    assert [name for name in WITHOUT_TEST if not (ROOT / "skgdw" / name).is_file()] == []


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
