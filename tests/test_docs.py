"""The documentation tells the truth: its Python runs, prints what it says, and its links lead somewhere.

The convention, for README.md and every page below docs/:

- each ```` ```python ```` block runs, in order, all blocks of a page in one namespace and one empty directory;
- a ```` ```text ```` block after a paragraph that is just ``Output:`` is what the block before it prints. ``...`` in it
  stands for any text.
"""

from __future__ import annotations

import copy
import doctest
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import selfheal
from selfheal import events
from selfheal.errors import SelfhealError
from selfheal.events import Event
from selfheal.policies.breaker import BreakerConfig
from selfheal.policies.breaker.machine import NO_VERDICT, BreakerMachine, Outcome, Permit, Verdict

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / ".github" / "CONTRIBUTING.md"]

RUNNER = """
import contextlib, io, json, linecache, sys

blocks, told = json.load(sys.stdin), []
namespace = {"__name__": "__main__"}
for where, source in blocks:
    page, _, line = where.rpartition(":")
    source = "\\n" * (int(line) - 1) + source
    linecache.cache[page] = (len(source), None, source.splitlines(True), page)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, page, "exec"), namespace)
    told.append(out.getvalue())
print(json.dumps(told))
"""


@attrs.frozen
class Snippet:
    """A Python block, where it begins, and what the page says it prints."""

    where: str
    source: str
    output: str | None


def snippets(text: str, name: str) -> list[Snippet]:
    """Find the Python blocks of a page, each with the output given for it."""
    tokens = [t for t in MarkdownIt("commonmark").parse(text) if t.type in {"inline", "fence"}]
    found: list[Snippet] = []
    for i, token in enumerate(tokens):
        if token.type != "fence" or not token.map:
            continue
        where = f"{name}:{token.map[0] + 2}"
        if token.info == "python":
            found.append(Snippet(where, token.content, None))
        elif i and tokens[i - 1].content == "Output:":
            if token.info != "text" or i < 2 or tokens[i - 2].info != "python":
                raise ValueError(f"{where}: 'Output:' stands between a ```python and a ```text block")
            found[-1] = attrs.evolve(found[-1], output=token.content)
    return found


def run(found: list[Snippet], cwd: Path) -> list[str]:
    """Run a page's blocks in a fresh interpreter; give what each printed, or fail with the traceback."""
    blocks = json.dumps([(snippet.where, snippet.source) for snippet in found])
    command = [sys.executable, "-W", "error", "-c", RUNNER]
    done = subprocess.run(command, input=blocks, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: list[str] = json.loads(done.stdout)
    return told


def differences(found: list[Snippet], printed: list[str]) -> list[str]:
    """Compare what was printed with what the page says; one text for each block that differs."""
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS
    return [
        f"{snippet.where} printed\n{got}but the page says\n{snippet.output}"
        for snippet, got in zip(found, printed, strict=True)
        if snippet.output is not None and not checker.check_output(snippet.output, got, flags)
    ]


RUNNABLE = [page for page in PAGES if snippets(page.read_text(), page.name)]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run_and_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """All Python blocks of the page run in order and print the output given for them."""
    found = snippets(page.read_text(), str(page.relative_to(ROOT)))

    assert differences(found, run(found, tmp_path)) == []


def test_readme_has_an_example_with_its_output() -> None:
    """The README's first screen holds a tested example of about ten lines."""
    first = snippets((ROOT / "README.md").read_text(), "README.md")[0]

    assert first.output
    assert len(first.source.splitlines()) <= 16
    assert int(first.where.partition(":")[2]) < 40


@pytest.mark.parametrize("page", LINKED, ids=lambda p: str(p.relative_to(ROOT)))
def test_internal_links_resolve(page: Path) -> None:
    """Each link and picture that is not on the web leads to a file of this repository, and to a heading in it."""
    assert broken_links(page) == []


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for link in _links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        heading_missing = anchor and target.suffix == ".md" and target.exists() and anchor not in _anchors(target)
        if not target.exists() or heading_missing:
            broken.append(link)
    return broken


def _inline(text: str) -> list[Token]:
    return [child for token in MarkdownIt("commonmark").parse(text) for child in token.children or []]


def _links(text: str) -> list[str]:
    wanted = {"link_open": "href", "image": "src"}
    return [str(t.attrs[wanted[t.type]]) for t in _inline(text) if t.type in wanted]


def _anchors(page: Path) -> set[str]:
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    titles = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(selfheal.__path__, "selfheal.") if "__main__" not in m.name]


@pytest.mark.parametrize("module", _modules())
def test_docstring_examples(module: str) -> None:
    """The examples in the module's docstrings give what they say."""
    assert doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS).failed == 0


PAGE = """
# A page

```python
x = 1
print("one", x)
```

Output:

```text
one ...
```

```python
print(x + 1)
```

Output:

```text
2
```
"""


def test_a_true_page_passes(tmp_path: Path) -> None:
    """Blocks share a namespace, and printed text is compared with ``...`` standing for any."""
    found = snippets(PAGE, "page.md")

    assert [snippet.where for snippet in found] == ["page.md:5", "page.md:16"]
    assert differences(found, run(found, tmp_path)) == []


@pytest.mark.parametrize(("true", "false"), [("\n2\n", "\n3\n"), ("one ...", "two ..."), ("x + 1", "x + 2")])
def test_an_untrue_page_fails(tmp_path: Path, true: str, false: str) -> None:
    """A block that prints something else than the page says is told."""
    found = snippets(PAGE.replace(true, false), "page.md")

    assert len(differences(found, run(found, tmp_path))) == 1


def test_a_broken_block_fails_naming_its_line(tmp_path: Path) -> None:
    """A block that raises fails the page with a traceback into the page."""
    with pytest.raises(AssertionError, match=r'File "page.md", line 5, in <module>(.|\n)*NameError'):
        run(snippets(PAGE.replace("x = 1", "x = y"), "page.md"), tmp_path)


def test_output_of_nothing_is_an_error() -> None:
    """``Output:`` that does not stand between the two blocks is refused, rather than not compared."""
    with pytest.raises(ValueError, match=r"page\.md:\d+: 'Output:' stands between"):
        snippets(PAGE.replace("```text", "```console", 1), "page.md")


def test_broken_links_are_found(tmp_path: Path) -> None:
    """Missing files and missing headings are told, in links and pictures; those on the web are left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "# The `x` Page!\n[a](b.md) ![c](d.png) [e](#the-x-page) [f](#nope) [g](page.md#nope) [h](http://x)"
    )

    assert broken_links(page) == ["b.md", "d.png", "#nope", "page.md#nope"]


@pytest.mark.parametrize(("page", "base"), [("errors.md", SelfhealError), ("events.md", Event)])
def test_reference_lists_every_record(page: str, base: type) -> None:
    """The page of errors, and that of events, has a row for each class there is, and no other."""
    rows = re.findall(r"^\| `([A-Z]\w+)` \|.*\|$", (ROOT / "docs" / "reference" / page).read_text(), re.M)
    module = importlib.import_module(f"selfheal.{page.removesuffix('.md')}")
    there = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base) and c is not Event]

    assert sorted(rows) == sorted(there)


def test_reference_of_events_lists_every_field() -> None:
    """Each row of the events page names the fields of its record, in order."""
    text = (ROOT / "docs" / "reference" / "events.md").read_text()
    for name, fields in re.findall(r"^\| `([A-Z]\w+)` \|.*\| (.*) \|$", text, re.M):
        declared = [field.name for field in attrs.fields(getattr(events, name)) if field.name != "at"]
        assert re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", fields)) == declared, name


def test_the_state_diagram_is_the_machine() -> None:
    """The README draws exactly the moves that the breaker's machine makes by itself, and the forced reset."""
    text = (ROOT / "README.md").read_text()
    drawn = set(re.findall(r"^    (\w+) --> (\w+):", text, re.M))

    assert drawn == _moves() | {("PERMANENT_OPEN", "CLOSED")}


def _moves() -> set[tuple[str, str]]:
    """All moves of the machine in any run of eight steps: calls that end in any way, and time."""
    rules = BreakerConfig(failure_threshold=2, permanent_threshold=4, open_for=60.0)
    outcomes = [(o, NO_VERDICT) for o in Outcome] + [(Outcome.FAILURE, Verdict(permanent="unauthorized"))]
    seen: set[tuple[str, str]] = set()
    runs = [BreakerMachine(rules, 1000.0)]
    for step in range(1, 9):
        after = {}
        for machine in runs:
            for outcome, verdict in outcomes:
                moved = copy.deepcopy(machine)
                now = 1000.0 + 61.0 * step
                permit = moved.acquire(now)
                if isinstance(permit, Permit):
                    moved.record(permit, outcome, now, verdict=verdict)
                seen |= {(move.old.value, move.new.value) for move in moved.moves}
                moved.moves.clear()
                after[moved.state, moved.consecutive] = moved
        runs = list(after.values())
    return seen


def test_every_page_is_in_the_index() -> None:
    """Each page below docs/ is linked from the index, so that none is written for nobody."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _links(index.read_text())}

    assert [str(page) for page in (ROOT / "docs").rglob("*.md") if page not in linked | {index}] == []
