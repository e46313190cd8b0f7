"""Tests of conditions as text: what it means, what is refused and where, and the way back."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.conditions import All, AnyOf, Comparison, Condition, LabelIn, LabelIs, Not, describe, parse, sugar
from selfheal.errors import ConfigError
from tests.conditions.forms import conditions

A, B, C = Comparison("a", ">", 1.0), Comparison("b", "<", 2.0), Comparison("c", "==", 3.0)

MEANT: list[tuple[str, Condition]] = [
    ("cpu_percent > 80 for 5m clear 70", Comparison("cpu_percent", ">", 80.0, 300.0, clear=70.0)),
    ("cpu_percent > 80 clear 70 for 5m", Comparison("cpu_percent", ">", 80.0, 300.0, clear=70.0)),
    ("a>1", A),
    ("  a\n>\t1  ", A),
    ("a > 1 and b < 2 or c == 3", AnyOf((All((A, B)), C))),
    ("a > 1 or b < 2 and c == 3", AnyOf((A, All((B, C))))),
    ("(a > 1 or b < 2) and c == 3", All((AnyOf((A, B)), C))),
    ("a > 1 and b < 2 and c == 3", All((A, B, C))),
    ("a > 1 and (b < 2 and c == 3)", All((A, All((B, C))))),
    ("not a > 1 and b < 2", All((Not(A), B))),
    ("not (a > 1 and b < 2)", Not(All((A, B)))),
    ("not not a > 1", Not(Not(A))),
    ("((((a > 1))))", A),
    ("a > 1 and not (b < 2 or label.zone == 'x')", All((A, Not(AnyOf((B, LabelIs("zone", "x"))))))),
    ("label.zone in ('a','b')", LabelIn("zone", ("a", "b"))),
    ('label.zone in ("a",)', LabelIn("zone", ("a",))),
    ("label.zone not in ('a')", Not(LabelIn("zone", ("a",)))),
    ("label.zone != 'x'", Not(LabelIs("zone", "x"))),
    ("label['a b'] == ''", LabelIs("a b", "")),
    ("label.z == 'it\\'s \\\\ \"'", LabelIs("z", "it's \\ \"")),
    ("'disk /var' >= -1.5e3", Comparison("disk /var", ">=", -1500.0)),
    ("queue.depth.max != .5", Comparison("queue.depth.max", "!=", 0.5)),
    ("labels > +5.", Comparison("labels", ">", 5.0)),
    ("android > 1 for 500ms", Comparison("android", ">", 1.0, 0.5)),
    ("a <= 1e308", Comparison("a", "<=", 1e308)),
]


@pytest.mark.parametrize(("text", "condition"), MEANT)
def test_what_a_text_means(text: str, condition: Condition) -> None:
    """Operators, precedence, parentheses, labels, quotes, durations and numbers are read as written."""
    assert parse(text) == condition


REFUSED: list[tuple[str, str]] = [
    ("", "the name of a metric at character 1, got its end"),
    ("   ", "the name of a metric at character 4, got its end"),
    ("a", "one of >, >=, <, <=, ==, != at character 2, got its end"),
    ("a >", "a number at character 4, got its end"),
    ("a > b", "a number at character 5, got 'b'"),
    ("a > true", "a number at character 5"),
    ("a > 1e400", "a finite number at character 5"),
    ("a > -1e999", "a finite number at character 5"),
    ("a > nan", "a number at character 5"),
    ("a > 1 > 0", "one comparison at a time, as in 'a > 1 and a < 5', at character 7"),
    ("0 < a < 1", "the name of a metric at character 1"),
    ("a > 1 b < 2", "the end, 'and' or 'or' at character 7"),
    ("a > 1 for", "a duration such as 5m at character 10"),
    ("a > 1 for 5", "a duration such as 5m at character 11"),
    ("a > 1 for 5x", "a name, number, text or sign at character 11"),
    ("a > 1 for 9d", "for at character 11 must be"),
    ("a > 1 for 5m for 6m", "the end, 'and' or 'or' at character 14"),
    ("a > 1 clear 2", "clear at character 1 must be at most the value (1), got 2.0"),
    ("a == 1 clear 1", "clear at character 1 must be left out where the operator is =="),
    ("a > 1 and", "the name of a metric at character 10"),
    ("and a > 1", "the name of a metric at character 1"),
    ("(a > 1", "')' at character 7"),
    ("a > 1)", "the end, 'and' or 'or' at character 6"),
    ("not", "the name of a metric at character 4"),
    ("label > 1", "'[' at character 7"),
    ("label.zone > 1", "one of ==, !=, in, not in at character 12"),
    ("label.zone == x", "a text in quotes at character 15"),
    ("label.zone in ()", "a text in quotes at character 16"),
    ("label.zone in ('a' 'b')", "')' at character 20"),
    ("label.zone in ('a', 'a')", "1 to 64 different texts"),
    ("'a' == 'b'", "a number at character 8"),
    ("'' > 1", "text of 1 to 200 characters"),
    ("a > 1 & b < 2", "a name, number, text or sign at character 7, got '& b < 2'"),
    ("a > 'b", "a name, number, text or sign at character 5"),
    ("a <> 1", "a number at character 4"),
    ("A > 1 AND b < 2", "the end, 'and' or 'or' at character 7"),
]


@pytest.mark.parametrize(("text", "told"), REFUSED)
def test_what_is_refused_and_where(text: str, told: str) -> None:
    """The message says what was expected, at which character, and what is there."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "strategies[0].condition")
    assert told in str(caught.value)
    assert caught.value.where.startswith("strategies[0].condition")


def test_length_is_looked_at_first() -> None:
    """A thousand characters are read, one more is refused whatever it is."""
    assert parse("a > 1" + " " * 995) == A

    with pytest.raises(ConfigError, match=r"at most 1000 characters, got 1001 characters"):
        parse("a > 1" + " " * 996)


def test_what_is_no_text_is_refused() -> None:
    """Bytes are no text."""
    with pytest.raises(ConfigError, match="condition must be text"):
        parse(b"a > 1")  # type: ignore[arg-type]


def test_parentheses_and_not_are_bounded() -> None:
    """Sixteen of them around a comparison are read, seventeen refused."""
    assert parse("(" * 15 + "a > 1" + ")" * 15) == A

    with pytest.raises(ConfigError, match="at most 16 of 'not' and '\\('"):
        parse("(" * 16 + "a > 1" + ")" * 16)


def test_text_side_by_side_does_not_count_as_nested() -> None:
    """Many parentheses one after the other are as good as none."""
    assert parse(" or ".join(["(a > 1)"] * 40)) == AnyOf((A,) * 40)


@given(conditions(fewest=2))
def test_described_and_read_again_it_is_the_same(condition: Condition) -> None:
    """describe() writes what parse() reads as the same condition, as long as text may be."""
    text = describe(condition)

    if len(text) <= 1000:
        assert parse(text) == condition
    else:
        with pytest.raises(ConfigError, match="at most 1000 characters"):
            parse(text)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Comparison("a", ">", 1.0, 5400.0, clear=0.5), "a > 1 for 1h30m clear 0.5"),
        (Comparison("label", "<", 1e300), "'label' < 1e+300"),
        (Comparison("and", "<", -0.25), "'and' < -0.25"),
        (All((AnyOf((A, B)), Not(All((A, C))))), "(a > 1 or b < 2) and not (a > 1 and c == 3)"),
        (LabelIn("a.b", ("x", "it's")), "label['a.b'] in ('x', 'it\\'s')"),
        (Not(LabelIs("zone", "x")), "not label.zone == 'x'"),
    ],
)
def test_described_for_people(condition: Condition, text: str) -> None:
    """Text is as short as it can be, with quotes only where a name needs them."""
    assert describe(condition) == text


PIECES = [
    "a",
    "cpu.max",
    "x-y",
    "and",
    "or",
    "not",
    "in",
    "for",
    "clear",
    "label",
    "label.z",
    "'q'",
    "(",
    ")",
    ">",
    ">=",
    "<",
    "==",
    "!=",
    "1",
    "80",
    "-5",
    "1e3",
    "1e400",
    "1.5",
    "5m",
    "8d",
    ".",
    "\n",
]
WRITTEN = st.lists(
    st.sampled_from([*PIECES, "a > 1", "b<2", "c >= 3 for 5m clear 0", "d < 1 for 9d"]), max_size=9
).flatmap(lambda pieces: st.sampled_from([" ", "  ", ""]).map(lambda blank: blank.join(pieces)))


def outcome(text: str) -> object:
    """The condition, or what is said against it."""
    try:
        return parse(text)
    except ConfigError as error:
        return str(error)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITTEN)
def test_a_comparison_in_one_token_is_the_same_as_in_many(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Taking a whole comparison at once is quicker, and changes neither what is read nor what is refused."""
    with monkeypatch.context() as slow:
        slow.setattr(sugar, "_WHOLE", re.compile("(?!)(?P<metric>)"))
        expected = outcome(text)

    assert outcome(text) == expected
