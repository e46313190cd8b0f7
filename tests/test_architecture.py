"""The shape of the package: who may import whom, sizes, names, and what is never used.

Imports are read from the source, not by running it. An import counts wherever it stands: at the top, inside a
function, or under ``TYPE_CHECKING``. A type that may not be named from a floor is a sign that a protocol is missing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    "clock": 0,
    "configuring": 0,
    "durable": 0,
    "errors": 0,
    "events": 0,
    "forking": 0,
    "lazy": 0,
    "plain": 0,
    "processes": 0,
    "redaction": 0,
    "validators": 0,
    "zones": 0,
    "conditions": 1,
    "journal": 1,
    "state": 1,
    "usage": 1,
    "backup": 2,
    "detection": 2,
    "forecasting": 2,
    "levers": 2,
    "policies": 2,
    "resources": 2,
    "healing": 3,
    "tasks": 3,
    "status": 4,
    "supervision": 4,
    "integrations": 5,
    "testing": 5,
    "cli": 6,
    "__main__": 7,
}
"""Room → floor. Imports go down only. The modules of floor 0 are one room; on the others, siblings are strangers."""

CORE = {"attr", "attrs", "cattrs", "dotenv", "numpy", "psutil", "sklearn", "typing_extensions"}
"""Third parties that the core may import; ``integrations`` and ``cli`` may import others."""

GENERATED_CODE = {"selfheal/policies/breaker/template.py"}
"""The only modules that may compile code they made themselves (as attrs does for ``__init__``)."""

BANNED_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
BANNED_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "pickle.loads", "pickle.load"}
WALL_CLOCK_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now"}
BANNED_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}
MODULE_LINES = 350
FUNCTION_LINES = 50


@attrs.frozen
class Module:
    """One source file of the package, and what it says."""

    name: str
    path: str
    tree: ast.Module
    lines: int
    is_package: bool

    @property
    def room(self) -> str:
        """First name below the package; empty for the package itself."""
        return self.name.partition(".")[2].partition(".")[0]

    def imports(self) -> Iterator[tuple[int, str, str]]:
        """Line, module and, for ``from``, the name taken from it; relative ones made absolute."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from ((node.lineno, base, alias.name) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def read_package(root: Path, package: str = "selfheal") -> dict[str, Module]:
    """Parse every module of the package below ``root``."""
    found = {}
    for file in sorted((root / package).rglob("*.py")):
        path = file.relative_to(root)
        is_package = file.name == "__init__.py"
        name = ".".join((path.parent if is_package else path.with_suffix("")).parts)
        text = file.read_text()
        found[name] = Module(name, path.as_posix(), ast.parse(text), text.count("\n"), is_package)
    return found


def check_floors(modules: dict[str, Module]) -> list[str]:
    """Upward and sideways arrows, rooms without a floor, and imports of the face from inside."""
    problems = []
    for module in modules.values():
        if not module.room:
            continue
        if module.room not in FLOORS:
            problems.append(f"{module.path}: {module.room!r} has no floor: give it one")
            continue
        for line, target, name in module.imports():
            if target == "selfheal" and name == "__version__":
                continue
            if target == "selfheal" and f"selfheal.{name}" not in modules:
                problems.append(f"{module.path}:{line}: imports the face of the package, not the module it needs")
            elif target.partition(".")[0] == "selfheal":
                problems += _arrow(module, line, [*target.split("."), name][1])
    return problems


def _arrow(module: Module, line: int, room: str) -> list[str]:
    here, there = FLOORS[module.room], FLOORS.get(room)
    if room == module.room or there is None or there < here or here == there == 0:
        return []
    way = "sideways" if there == here else "upwards"
    return [f"{module.path}:{line}: {module.room} (floor {here}) imports {way} from {room} (floor {there})"]


def check_cycles(modules: dict[str, Module]) -> list[str]:
    """Modules that import one another in a ring, each ring once."""
    edges = {name: sorted(_imported(module, modules)) for name, module in modules.items() if module.room}
    rings: set[frozenset[str]] = set()
    problems = []
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            ring = trail[trail.index(name) :]
            if frozenset(ring) not in rings:
                rings.add(frozenset(ring))
                problems.append("import cycle: " + " -> ".join([*ring, name]))
            return
        if name not in done:
            for target in edges.get(name, ()):
                visit(target, [*trail, name])
            done.add(name)

    for name in edges:
        visit(name, [])
    return problems


def _imported(module: Module, modules: dict[str, Module]) -> set[str]:
    targets = {f"{base}.{name}" if f"{base}.{name}" in modules else base for _, base, name in module.imports()}
    return {target for target in targets if target in modules and target != module.name}


def check_third_parties(modules: dict[str, Module]) -> list[str]:
    """Packages that the core does not depend on, and ``time`` anywhere but in the clock."""
    problems = []
    for module in modules.values():
        for line, target, _ in module.imports():
            top = target.partition(".")[0]
            foreign = top not in sys.stdlib_module_names and top not in CORE and top != "selfheal"
            if foreign and module.room not in {"integrations", "cli"}:
                problems.append(f"{module.path}:{line}: the core does not depend on {top!r}: move it to integrations")
            if top == "time" and module.name != "selfheal.clock":
                problems.append(f"{module.path}:{line}: only selfheal/clock.py imports time: take a Clock")
            if top in BANNED_IMPORTS:
                problems.append(f"{module.path}:{line}: {top} runs what it reads")
    return problems


def check_calls(modules: dict[str, Module]) -> list[str]:
    """Code run from text, shells, and the wall clock read behind the clock's back."""
    problems = []
    for module in modules.values():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in BANNED_CALLS and module.path not in GENERATED_CODE:
                problems.append(f"{module.path}:{node.lineno}: {called}() is never used")
            if called in WALL_CLOCK_CALLS:
                problems.append(f"{module.path}:{node.lineno}: {called}() bypasses the clock")
            if any(k.arg == "shell" and not _is(k.value, False) for k in node.keywords):
                problems.append(f"{module.path}:{node.lineno}: shell= is never used")
    return problems


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def check_names(modules: dict[str, Module]) -> list[str]:
    """Modules and classes named after nothing in particular."""
    problems = []
    for module in modules.values():
        names = [module.name.rpartition(".")[2]]
        names += [node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
        for name in names:
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
            problems += [f"{module.path}: {name!r} says nothing: name what it does" for w in words if w in BANNED_NAMES]
    return problems


def check_sizes(modules: dict[str, Module]) -> list[str]:
    """Modules and functions too long to be read at once; a docstring does not count as length."""
    problems = [
        f"{m.path}: {m.lines} lines, at most {MODULE_LINES}" for m in modules.values() if m.lines > MODULE_LINES
    ]
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                length = (node.end_lineno or 0) - first.lineno + 1
                if length > FUNCTION_LINES:
                    where = f"{module.path}:{node.lineno}: {node.name}()"
                    problems.append(f"{where} has {length} lines, at most {FUNCTION_LINES}")
    return problems


CHECKS = [check_floors, check_cycles, check_third_parties, check_calls, check_names, check_sizes]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_package(check: object) -> None:
    """The package keeps this rule."""
    modules = read_package(ROOT)
    assert len(modules) > 10
    assert callable(check)
    assert check(modules) == []


def test_generated_code_is_still_generated() -> None:
    """Each module allowed to compile generated code is there and does; nothing is allowed for the future."""
    modules = {module.path: module for module in read_package(ROOT).values()}
    for path in GENERATED_CODE:
        assert "compile" in {ast.unparse(n.func) for n in ast.walk(modules[path].tree) if isinstance(n, ast.Call)}


MADE_UP = [
    (check_floors, "policies/flags.py", "from selfheal.healing import Healer", "upwards"),
    (check_floors, "policies/flags.py", "from selfheal import healing", "upwards"),
    (check_floors, "policies/flags.py", "import selfheal.status.report", "upwards"),
    (check_floors, "policies/flags.py", "from ..tasks import TaskRegistry", "upwards"),
    (check_floors, "events.py", "def late():\n    from selfheal.state import Store", "upwards"),
    (check_floors, "tasks/engine.py", "from selfheal.healing import Healer", "sideways"),
    (check_floors, "healing/healer.py", "if TYPE_CHECKING:\n    from selfheal.tasks import Task", "sideways"),
    (check_floors, "healing/healer.py", "from selfheal import CircuitBreaker", "face"),
    (check_floors, "kitchen/sink.py", "", "no floor"),
    (check_third_parties, "state/redis.py", "import redis", "does not depend on 'redis'"),
    (check_third_parties, "policies/backoff.py", "from time import monotonic", "take a Clock"),
    (check_third_parties, "state/files.py", "import pickle", "runs what it reads"),
    (check_calls, "policies/rules.py", "eval('1')", "eval() is never used"),
    (check_calls, "policies/rules.py", "def f(s):\n    exec(s)", "exec() is never used"),
    (check_calls, "policies/rules.py", "compile('1', '', 'eval')", "compile() is never used"),
    (check_calls, "policies/rules.py", "os.system('ls')", "os.system() is never used"),
    (check_calls, "policies/rules.py", "run('ls', shell=True)", "shell= is never used"),
    (check_calls, "policies/rules.py", "datetime.now(UTC)", "bypasses the clock"),
    (check_names, "policies/utils.py", "", "says nothing"),
    (check_names, "policies/task_manager.py", "", "says nothing"),
    (check_names, "policies/pool.py", "class PoolManager: ...", "says nothing"),
    (check_sizes, "policies/long.py", "x = 1\n" * 351, "351 lines"),
    (check_sizes, "policies/long.py", "def f():\n" + "    x = 1\n" * 51, "f() has 51 lines"),
]


@pytest.mark.parametrize(("check", "path", "source", "told"), MADE_UP)
def test_a_breach_is_found(tmp_path: Path, check: object, path: str, source: str, told: str) -> None:
    """Each check finds the one breach in a tree made for it."""
    modules = _tree(tmp_path, {"healing/__init__.py": "", "tasks/__init__.py": "", path: source})
    assert callable(check)
    problems = check(modules)
    assert len(problems) == 1
    assert told in problems[0]
    assert path in problems[0]


def test_a_cycle_is_found_once(tmp_path: Path) -> None:
    """A ring of three modules is reported once, as a ring, also when one link is inside a function."""
    modules = _tree(
        tmp_path,
        {
            "state/a.py": "from selfheal.state import b",
            "state/b.py": "from .c import thing",
            "state/c.py": "def f():\n    import selfheal.state.a",
            "state/d.py": "import selfheal.state.a",
        },
    )
    assert check_cycles(modules) == [
        "import cycle: selfheal.state.a -> selfheal.state.b -> selfheal.state.c -> selfheal.state.a"
    ]


def test_a_clean_tree_passes(tmp_path: Path) -> None:
    """Nothing is found in a tree that keeps every rule."""
    modules = _tree(
        tmp_path,
        {
            "clock.py": "import time",
            "healing/healer.py": "import attrs\nfrom selfheal.clock import Clock\nfrom selfheal import __version__",
            "integrations/page.py": "import fastapi\nfrom selfheal.healing.healer import Healer",
            "state/text.py": "re.compile('x')\nmodel.eval\nrun(['ls'], shell=False)",
        },
    )
    assert [problem for check in CHECKS for problem in check(modules)] == []


def _tree(root: Path, files: dict[str, str]) -> dict[str, Module]:
    for path, source in {"__init__.py": "", "clock.py": "", **files}.items():
        file = root / "selfheal" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return read_package(root)


def test_the_page_shows_the_floors() -> None:
    """The table of floors in the architecture page has every room there is, on its floor."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| (.*?) \|", page, re.M)
    drawn = {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    there = {module.room for module in read_package(ROOT).values()} - {""}

    assert {room: FLOORS[room] for room in drawn} == drawn
    assert there <= drawn.keys()


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring of one paragraph that ends like a sentence."""
    mute = []
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = (ast.get_docstring(node) or "").strip()
                if not said.endswith(".") or "\n\n" in said:
                    mute.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert mute == []
