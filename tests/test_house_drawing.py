"""docs/house.rst has what it opens: every file of the rooms that it shows file by file."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Rooms that docs/house.rst shows file by file; the others it shows as wholes.
SHOWN = ("_feed", "_intake", "_net", "_training", "_training/step", "_training/trial", "weighting")


def test_the_drawing_has_every_file_of_the_rooms_it_opens():
    named = set(re.findall(r"^ +(_\w+\.py) ", (ROOT / "docs/house.rst").read_text("utf-8"), re.M))
    files = {path.name for room in SHOWN for path in (ROOT / "skgdw" / room).glob("_*.py")}
    assert files - {"__init__.py"} - named == set()
    assert named - {path.name for path in (ROOT / "skgdw").rglob("_*.py")} == set()
