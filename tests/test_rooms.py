"""The house: imports run one way."""

import ast
import graphlib
import sys
from pathlib import Path

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
LOOPS = {"training/distill.py": ["begin_training"]}  # a script in a room, which runs that one's loop
MAY_IMPORT["demo"] = [*ENGINES, "export"]  # whose models its static site runs
FREE = ("benchmarks", "docs", "tests")  # may import anything; none of the rooms imports them


def python_files() -> list[Path]:
    found = [path for name in (*MAY_IMPORT, *FREE) for path in (ROOT / name).rglob("*.py")]
    return [path.relative_to(ROOT) for path in (*ROOT.glob("*.py"), *found)]


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def test_imports_run_one_way():
    files = [path for path in python_files() if room(path) not in FREE]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - set(FREE)
    assert packages | {"begin_inference", "begin_training", "config"} == {room(path) for path in files}
    ours = {*MAY_IMPORT, *FREE, ""}  # relative imports hide where they go
    for path in files:
        allowed = {room(path), *MAY_IMPORT[room(path)], *LOOPS.get(path.as_posix(), ())}
        names = {name.partition(".")[0] for name in imported(path)}
        assert names & ours <= allowed, path
        assert names <= sys.stdlib_module_names or room(path) != "config"


def test_no_modules_import_in_a_circle():
    modules = {".".join(path.with_suffix("").parts): path for path in python_files() if room(path) != "tests"}
    graph = {name: modules.keys() & imported(path) for name, path in modules.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_there_is_one_way_to_make_a_command_line():
    """``utils.settings``: see ``config.setting``."""
    files = [path for path in python_files() if room(path) != "tests" and "argparse" in imported(path)]
    assert files == [Path("utils", "settings.py")]
