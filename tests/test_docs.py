"""What README, manuals and scripts name exists: files, modules, tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted([ROOT / "README.md", ROOT / ".ci" / "run", *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.sh")])
PACKAGES = [path.parent.name for path in ROOT.glob("*/__init__.py")]
ROOMS = "|".join([*PACKAGES, "checkpoints", "content", "docs", "styles", "tests"])
FILE = re.compile(rf"(?<![\w./])(?:{ROOMS})/[\w./]+\.(?:py|sh|md|json|jpg|png|pth)\b|\bbegin_\w+\.py\b|\bconfig\.py\b")
MODULE = re.compile(rf"(?:-m|from|import) ((?:{ROOMS})\.\w+)")
TEST = re.compile(r"(?<=[`:])(test_\w+?)(_\.\.\.|(?=`))")

EXAMPLES = {"checkpoints/PAINTING.pth"}  # what the commands of the manuals themselves write


@pytest.fixture(scope="module")
def tests():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_named_exists(path, tests):
    text = path.read_text(encoding="utf-8")
    missing = [name for name in FILE.findall(text) if name not in EXAMPLES and not (ROOT / name).exists()]
    missing += [name for name in MODULE.findall(text) if not (ROOT / f"{name.replace('.', '/')}.py").exists()]
    for name, rest in TEST.findall(text):
        if not any(test == name or (rest and test.startswith(name)) for test in tests):
            missing.append(name)
    assert not missing
