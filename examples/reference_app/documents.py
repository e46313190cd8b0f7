"""Real documents to summarise: what Python's standard library and this project say about themselves."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import attrs

_PROJECT = Path(__file__).resolve().parents[2]
_SHORTEST = 400


@attrs.frozen(kw_only=True)
class Document:
    """One text.

    Args:
        name: where it is from.
        text: all of it.
    """

    name: str
    text: str


def documents(limit: int = 40) -> list[Document]:
    """At most ``limit`` texts of 400 characters and more, always in the same order.

    First this project's own pages, then the licence of Python if it was installed, then the
    documentation of standard library modules, read from their source.
    """
    found: list[Document] = []
    for document in _all():
        if len(document.text) >= _SHORTEST:
            found.append(document)
        if len(found) >= limit:
            break
    return found


def _all() -> Iterator[Document]:
    for page in [_PROJECT / "README.md", *sorted((_PROJECT / "docs").rglob("*.md"))]:
        if page.is_file():
            yield Document(name=str(page.relative_to(_PROJECT)), text=page.read_text(encoding="utf-8"))
    library = Path(sysconfig.get_paths()["stdlib"])
    for licence in (library / "LICENSE.txt", Path(sys.base_prefix) / "LICENSE.txt", Path(sys.base_prefix) / "LICENSE"):
        if licence.is_file():
            yield Document(name="Python LICENSE", text=licence.read_text(encoding="utf-8"))
            break
    for source in sorted(library.glob("[a-z]*.py")):
        said = _docstrings(source)
        if said:
            yield Document(name=f"module {source.stem}", text=said)


def _docstrings(source: Path) -> str:
    """What a module and its public classes and functions say, without running it."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    public = [
        node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    ]
    said = [ast.get_docstring(node) for node in (tree, *public)]
    return "\n\n".join(text for text in said if text)
