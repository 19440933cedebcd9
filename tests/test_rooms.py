"""The house: imports run one way, and no two files share a name."""

import ast
import collections
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each room may import, besides itself.
MODELS = ["config", "utils", "models"]
MAY_IMPORT = {
    "config": [],
    "utils": [],
    "models": ["utils"],
    "losses": MODELS,
    "imaging": MODELS,
    "data": [*MODELS, "imaging"],
    "inference": [*MODELS, "losses", "data", "imaging"],
    "training": [*MODELS, "losses", "data", "imaging", "inference"],  # which stylizes the monitor picture
}
ENGINES = [*MODELS, "losses", "data", "imaging", "inference", "training"]
MAY_IMPORT |= {name: ENGINES for name in ("begin_training", "begin_inference", "evaluation", "export", "demo")}
MAY_IMPORT["demo"] = [*ENGINES, "export"]  # whose models its static site runs
FREE = ("benchmarks", "docs", "tests")  # may import anything; none of the rooms imports them


def python_files() -> list[Path]:
    found = [path for name in (*MAY_IMPORT, *FREE) for path in (ROOT / name).rglob("*.py")]
    return [path.relative_to(ROOT) for path in (*ROOT.glob("*.py"), *found)]


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module.partition(".")[0])
    return names


def runs_up(path: Path, source: str) -> set[str]:
    """What a file of a room imports and may not."""
    here = room(path)
    ours = {*MAY_IMPORT, *FREE, "."}  # relative imports hide where they go
    wrong = (imported(ast.parse(source)) & ours) - {here} - set(MAY_IMPORT[here])
    if here == "config":
        wrong |= imported(ast.parse(source)) - set(sys.stdlib_module_names)
    return wrong


FILES = [path for path in python_files() if room(path) not in FREE]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_one_way(path):
    assert not runs_up(path, (ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path, source",
    [
        ("utils/files.py", "from data.loader import PhotographStream"), ("utils/files.py", "import config"),
        ("models/fusion.py", "def f():\n    from losses import functional"), ("imaging/icc.py", "import data.dataset"),
        ("data/dataset.py", "from . import loader"), ("data/dataset.py", "import losses.functional as f"),
        ("inference/stylizer.py", "import training.run"), ("training/run.py", "import begin_training"),
        ("training/run.py", "from benchmarks import common"), ("config.py", "import torch"),
    ],
)  # fmt: skip
def test_one_that_runs_up_is_found(path, source):
    assert runs_up(Path(path), source)


def test_every_room_is_known_and_looked_at():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - set(FREE)
    assert packages | {"begin_inference", "begin_training", "config"} == {room(path) for path in FILES}


def test_no_two_files_share_a_name():
    times = collections.Counter(path.name for path in python_files() if path.name not in ("__init__.py", "conftest.py"))
    assert [name for name, count in times.items() if count > 1] == []
