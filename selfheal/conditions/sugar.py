"""Conditions as one line of text, read by a grammar of its own; nothing of it is ever run.

::

    condition   = both, {"or", both}
    both        = one, {"and", one}
    one         = "not", one | "(", condition, ")" | metric | label
    metric      = name, operator, number, {"for", duration | "clear", number}
    label       = which, ("==" | "!="), text | which, ["not"], "in", "(", text, {",", text}, ")"
    which       = "label", (".", word | "[", text, "]")
    name        = word, {".", word} | text
    operator    = ">" | ">=" | "<" | "<=" | "==" | "!="

Words are ASCII letters, digits and ``_``, beginning with a letter; other names are written in quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from selfheal.conditions.durations import parse_duration
from selfheal.conditions.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    OPERATORS,
    All,
    AnyOf,
    Comparison,
    Condition,
    LabelIn,
    LabelIs,
    Not,
    clear_accepted,
)
from selfheal.conditions.showing import Described, shown
from selfheal.errors import ConfigError

MAX_TEXT = 1000
"""Characters of a condition as text."""

KEYWORDS = frozenset({"and", "or", "not", "in", "for", "clear", "label"})
"""Words that cannot name a metric without quotes."""

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<amount>[0-9][0-9.dhms]*(?![\w.]))
    | (?P<word>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*(?![\w.]))
    | (?P<text>'(?:[^'\\]|\\[\\'"])*'|"(?:[^"\\]|\\[\\'"])*")
    | (?P<sign>>=|<=|==|!=|[<>(),\[\].])
    )""",
    re.VERBOSE,
)
_WHOLE = re.compile(
    r"""[ \t\r\n]*+
    (?P<metric>(?!(?:and|or|not|in|for|clear|label)\b)[A-Za-z][A-Za-z0-9_]*+(?:\.[A-Za-z][A-Za-z0-9_]*+)*+)
    [ \t\r\n]*+(?P<op>>=|<=|==|!=|>|<)
    [ \t\r\n]*+(?P<value>[+-]?[0-9]{1,15}+(?:\.[0-9]{1,15}+)?+)
    (?:[ \t\r\n]++for[ \t\r\n]++(?P<held>[0-9][0-9.dhms]*+))?+
    (?:[ \t\r\n]++clear[ \t\r\n]++(?P<clear>[+-]?[0-9]{1,15}+(?:\.[0-9]{1,15}+)?+))?+
    (?=[ \t\r\n]*+(?:\)|\Z)|[ \t\r\n]++(?:and|or)[ \t\r\n(])""",
    re.VERBOSE,
)
"""A comparison as nearly all are written, and what follows it: one token instead of many, with no other meaning."""
_BLANKS = " \t\r\n"
_BLANK = re.compile(r"[ \t\r\n]*")
_ESCAPED = re.compile(r"\\(.)")


def parse(text: str, where: str = "condition") -> Condition:
    """Read a condition: ``"cpu_percent > 80 for 5m clear 70 and not label.zone == 'test'"``.

    ``not`` binds tighter than ``and``, ``and`` tighter than ``or``.

    Args:
        text: at most 1000 characters.
        where: the setting, for the message.

    Raises:
        ConfigError: if it is not a condition; the message says what was expected at which character.

    >>> parse("cpu > 80 for 5m")
    Comparison(metric='cpu', op='>', value=80.0, for_=300.0, clear=None)
    """
    if not isinstance(text, str):
        raise ConfigError(where, shown(text), "text")
    if len(text) > MAX_TEXT:
        raise ConfigError(where, Described(f"{len(text)} characters"), f"a condition of at most {MAX_TEXT} characters")
    return _alone(text) or _Reader(text, where).whole()


def _alone(text: str) -> Comparison | None:
    """The condition, if it is one comparison with nothing around it and nothing wrong with it, as most are."""
    found = _WHOLE.match(text)
    return _compared(found) if found is not None and not text[found.end() :].strip(_BLANKS) else None


def _compared(found: re.Match[str]) -> Comparison | None:
    """The comparison that was found; ``None`` if it is not accepted."""
    metric, op, value, held, clear = found.groups()
    try:
        return Comparison(metric, op, float(value), held or 0.0, clear=None if clear is None else float(clear))
    except ConfigError:
        return None


class _Reader:
    """One pass over the tokens of a text, each found when it is its turn: what is wrong ends it."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._nested = 0
        self._found: re.Match[str] | None = None
        self._token, self._end = self._read(0)

    def whole(self) -> Condition:
        condition = self._any()
        if self._kind() != "end":
            raise self._refused("the end, 'and' or 'or'")
        return condition

    def _read(self, at: int, *, whole: bool = True) -> tuple[tuple[str, str, int], int]:
        """The kind, text and place of the token that is next, and where it ends."""
        found = self._found = _WHOLE.match(self._text, at) if whole else None
        if found is not None:
            return ("whole", "", found.start("metric")), found.end()
        token = _TOKEN.match(self._text, at)
        if token is not None and token.lastgroup is not None:
            return (token.lastgroup, token[token.lastgroup], token.start(token.lastgroup)), token.end()
        at = _skipped(self._text, at)
        if at < len(self._text):
            raise self._refused_at(at, "a name, number, text or sign")
        return ("end", "", at), at

    def _advance(self) -> None:
        self._token, self._end = self._read(self._end)

    def _kind(self) -> str:
        return self._token[0]

    def _is(self, *accepted: str) -> bool:
        kind, text, _ = self._token
        return text in accepted and kind in ("word", "sign")

    def _take(self) -> str:
        text = self._token[1]
        self._advance()
        return text

    def _taken(self, *accepted: str) -> bool:
        """Whether the next is one of these; if so it is used up."""
        kind, text, _ = self._token
        found = text in accepted and kind in ("word", "sign")
        if found:
            self._advance()
        return found

    def _expect(self, sign: str) -> None:
        if not self._taken(sign):
            raise self._refused(repr(sign))

    def _refused(self, expected: str) -> ConfigError:
        return self._refused_at(self._token[2], expected)

    def _refused_at(self, at: int, expected: str) -> ConfigError:
        return ConfigError(self._where, self._seen(at), f"a condition with {expected} at character {at + 1}")

    def _seen(self, at: int) -> Described:
        rest = self._text[at : at + 20]
        return Described(f"{rest!r}{'…' if len(self._text) > at + 20 else ''}" if rest else "its end")

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._taken("or"):
            parts.append(self._all())
        return self._joined(AnyOf, parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._taken("and"):
            parts.append(self._one())
        return self._joined(All, parts)

    def _joined(self, kind: type[All] | type[AnyOf], parts: list[Condition]) -> Condition:
        if len(parts) > MAX_NODES:
            raise self._refused(f"at most {MAX_NODES} nodes")
        return parts[0] if len(parts) == 1 else self._made(self._where, lambda: kind(tuple(parts)))

    def _made(self, where: str, make: Callable[[], Condition]) -> Condition:
        """Make a node; what it says against it is told with the place in the text."""
        try:
            return make()
        except ConfigError as error:
            raise ConfigError(where, error.found, error.accepted) from None

    def _one(self) -> Condition:
        self._nested += 1
        if self._nested > 2 * MAX_DEPTH:  # parentheses add no level, but each is a call here
            raise self._refused(f"at most {2 * MAX_DEPTH} of 'not' and '(' around it")
        made = self._inner()
        self._nested -= 1
        return made

    def _inner(self) -> Condition:
        if self._found is not None:
            made = _compared(self._found)
            if made is not None:
                self._advance()
                return made
            self._token, self._end = self._read(self._token[2], whole=False)  # what is wrong is told where it stands
        if self._taken("not"):
            inner = self._one()
            return self._made(self._where, lambda: Not(inner))
        if self._taken("("):
            inside = self._any()
            self._expect(")")
            return inside
        kind, text, _ = self._token
        if kind == "word" and (text == "label" or text.startswith("label.")):
            return self._label()
        return self._comparison()

    def _comparison(self) -> Condition:
        at = self._token[2]
        metric = self._metric()
        if not self._is(*OPERATORS):
            raise self._refused("one of " + ", ".join(OPERATORS))
        op, value = self._take(), self._number()
        held, clear = 0.0, None
        given = set()
        while self._is("for", "clear") and self._token[1] not in given:
            word = self._take()
            given.add(word)
            if word == "for":
                held = self._duration()
            else:
                clear = self._number()
        if self._is(*OPERATORS):
            raise self._refused("one comparison at a time, as in 'a > 1 and a < 5',")
        accepted = clear_accepted(op, value, clear)
        if accepted:
            raise ConfigError(f"{self._where}, clear at character {at + 1}", clear, accepted)
        return self._made(
            f"{self._where}, metric at character {at + 1}", lambda: Comparison(metric, op, value, held, clear=clear)
        )

    def _metric(self) -> str:
        kind, text, _ = self._token
        if kind == "text":
            return self._string()
        if kind != "word" or text in KEYWORDS:
            raise self._refused("the name of a metric")
        return self._take()

    def _number(self) -> float:
        at = self._token[2]
        if self._kind() != "number":
            raise self._refused("a number")
        value = float(self._take())
        if not math.isfinite(value):
            raise self._refused_at(at, "a finite number")
        return value

    def _duration(self) -> float:
        if self._kind() != "amount":
            raise self._refused("a duration such as 5m")
        at = self._token[2]
        return parse_duration(self._take(), f"{self._where}, for at character {at + 1}")

    def _string(self) -> str:
        if self._kind() != "text":
            raise self._refused("a text in quotes")
        return _ESCAPED.sub(r"\1", self._take()[1:-1])

    def _label(self) -> Condition:
        where = f"{self._where}, label at character {self._token[2] + 1}"
        name = self._label_name()
        if self._is("==", "!="):
            unlike, value = self._take() == "!=", self._string()
            found = self._made(where, lambda: LabelIs(name, value))
        else:
            unlike, values = self._taken("not"), self._strings()
            found = self._made(where, lambda: LabelIn(name, values))
        return Not(found) if unlike else found

    def _strings(self) -> tuple[str, ...]:
        if not self._taken("in"):
            raise self._refused("one of ==, !=, in, not in")
        self._expect("(")
        values = [self._string()]
        while self._taken(",") and not self._is(")"):
            values.append(self._string())
        self._expect(")")
        return tuple(values)

    def _label_name(self) -> str:
        _, dot, name = self._take().partition(".")
        if dot:
            return name
        self._expect("[")
        name = self._string()
        self._expect("]")
        return name


def _skipped(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()
