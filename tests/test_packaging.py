"""What is shipped: the wheel holds the package and its types, and says truly what it needs."""

from __future__ import annotations

import email
import importlib
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import selfheal

ROOT = Path(__file__).parent.parent

CORE = ["attrs", "cattrs", "numpy", "psutil", "python-dotenv", "scikit-learn", "typing-extensions"]

DATA = {
    "selfheal/py.typed",
    "selfheal/healing/strategies/shipped/events.json",
    "selfheal/healing/strategies/shipped/levels.json",
    "selfheal/healing/strategies/shipped/six.json",
    "selfheal/healing/strategies/strategies.schema.json",
}
"""What is shipped beside modules."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=250)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every module and the type marker are shipped; tests, examples and benchmarks are not."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "selfheal").rglob("*.py")}

    assert shipped == there | DATA
    assert len(licences) == 1


def test_the_sdist_holds_the_same_data(tmp_path: Path) -> None:
    """The source distribution, from which others build, has the strategies and their schema, too."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=250)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}

    assert held >= DATA


def test_the_shipped_strategies_are_read_from_the_wheel(wheel: Path) -> None:
    """What was packed is found and loaded by the package as it was packed, also straight from the archive."""
    code = (
        "import selfheal; from selfheal.healing.strategies import shipped;"
        "print(len(shipped('six', 'events', 'levels')), '.whl' in selfheal.__file__)"
    )
    environment = {"PYTHONPATH": str(wheel), "PATH": ""}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=wheel.parent, env=environment, capture_output=True, text=True, check=True
    )

    assert told.stdout == "15 True\n"


def test_the_metadata_says_what_it_is(metadata: Message) -> None:
    """Name, version, licence and Python are those of the project."""
    assert metadata["Name"] == "selfheal-kit"
    assert metadata["Version"] == selfheal.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert not [c for c in classifiers if c.startswith("License ::")]


def test_the_core_needs_seven_packages(metadata: Message) -> None:
    """Without extras exactly the core's packages are installed, each with a lowest version."""
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]

    assert sorted(r.partition(">=")[0] for r in required) == CORE
    assert all(">=" in r for r in required)


def test_all_means_all(metadata: Message) -> None:
    """The extra ``all`` brings what every other extra brings."""
    extras = set(metadata.get_all("Provides-Extra", []))
    needs = [r.partition(";") for r in metadata.get_all("Requires-Dist", []) if "extra ==" in r]
    brought = {extra: {need for need, _, when in needs if f"'{extra}'" in when} for extra in extras}

    assert len(extras) > 1
    assert brought["all"] == set().union(*(brought[extra] for extra in extras - {"all"}))


def test_groups_are_for_development_alone(metadata: Message) -> None:
    """What tests, documentation and benchmarks need is in groups, which are not shipped."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert {"dev", "test", "bench", "docs"} <= set(project["dependency-groups"])
    assert not [r for r in metadata.get_all("Requires-Dist", []) if "pytest" in r or "pybreaker" in r]


def test_the_command_is_shipped(wheel: Path) -> None:
    """``selfheal`` is a command of the distribution, and leads to a function that is there."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        points = archive.read(name).decode()

    assert points.split() == ["[console_scripts]", "selfheal", "=", "selfheal.cli:main"]
    assert callable(importlib.import_module("selfheal.cli").main)
