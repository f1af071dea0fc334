"""The derivative along a direction: which way is taken, and what it asks for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import skgdw
from properties import assert_close
from recorded_cases import Of, passes
from recorded_cases import Passes as PassesOf
from skgdw.functional import directional_derivative

PACKAGE = Path(skgdw.__file__).parent


def along(on, method, **options):
    return directional_derivative(on, on.params, on.tangent, method=method, **options)


def test_recorded_makes_no_pass_and_gives_what_forward_gives():
    on = passes("MLP")
    given = along(on, "recorded", logits=on.logits)
    assert on.calls == 0
    assert_close(given, along(on, "forward"), 1e-12)
    assert on.calls == 1
    assert not given.requires_grad


def test_recorded_keeps_the_graph():
    on = passes("MLP")
    first = along(on, "recorded", logits=on.logits)
    assert torch.equal(first, along(on, "recorded", logits=on.logits))
    on.logits.sum().backward()


def test_recorded_needs_logits():
    on = passes("MLP")
    with pytest.raises(
        ValueError, match=r"`logits` must be given .*got None. Give logits=.*method=\"forward\""
    ):
        along(on, "recorded")


def test_recorded_says_what_it_does_not_cover():
    on = PassesOf(lambda: Of(torch.cos))
    with pytest.raises(NotImplementedError, match=r'does not cover CosBackward0.*method="forward"'):
        along(on, "recorded", logits=on.logits)
    assert on.calls == 0


def test_forward_is_dual_numbers_whether_there_are_logits_or_not():
    on = passes("MLP")
    expected = along(on, "forward")
    assert torch.equal(along(on, "forward", logits=on.logits), expected)
    assert torch.equal(along(on, "forward", logits=torch.full_like(on.logits, torch.nan)), expected)
    assert on.calls == 3


def test_the_methods_are_named():
    on = passes("MLP")
    with pytest.raises(ValueError, match=r"\['difference', 'forward', 'recorded'\]; got 'jvp'"):
        along(on, "jvp")


# The room can be taken out.


def imported(path, root):
    """Return the dotted names that a file imports, at any depth, relative ones resolved."""
    package = ("skgdw", *path.relative_to(root).parent.parts)
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = [*base, *([node.module] if node.module else [])]
            names += [".".join([*stem, alias.name]) for alias in node.names]
    return names


ROOM = "skgdw.functional._recorded."


def importers(root):
    """Return the files outside the room that import anything of it."""
    room = root / "functional" / "_recorded"
    return [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if room not in path.parents
        and any(f"{name}.".startswith(ROOM) for name in imported(path, root))
    ]


def test_one_file_imports_the_room():
    assert importers(PACKAGE) == ["functional/_directional.py"]


def test_the_room_imports_nothing_else_of_ours():
    inside = sorted((PACKAGE / "functional" / "_recorded").glob("*.py"))
    names = {name for path in inside for name in imported(path, PACKAGE)}
    ours = {name for name in names if f"{name}.".startswith("skgdw.")}
    assert ours
    word = "skgdw.functional._not_covered.NotCovered"
    assert {name for name in ours if not name.startswith(ROOM)} == {word}


@pytest.mark.parametrize(
    "line",
    [
        "from skgdw.functional._recorded import RULES",
        "from skgdw.functional._recorded._walk import recorded_derivative",
        "import skgdw.functional._recorded._rules",
        "from skgdw.functional import _recorded",
        "from ._recorded import RULES",
        "from . import _recorded",
        "def f():\n    from ..functional._recorded import RULES",
    ],
)
def test_other_importers_would_be_found(tmp_path, line):
    folder = tmp_path / "functional"
    folder.mkdir()
    (folder / "_other.py").write_text(line)
    (folder / "_innocent.py").write_text("from skgdw.functional._directional import Params")
    assert importers(tmp_path) == ["functional/_other.py"]


FIRST_IN_A_PROCESS = """
import torch
from skgdw.functional import directional_derivative
one = {"w": torch.ones(1)}
print(directional_derivative(lambda p: 2 * p["w"], one, one, method="forward").item())
"""


def test_the_first_forward_pass_of_a_process_gives_no_warning_of_torchs():
    command = [sys.executable, "-W", "error", "-c", FIRST_IN_A_PROCESS]
    run = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, "2.0"), run.stderr
