"""What is proven, and how the outcome is written down."""

from __future__ import annotations

import enum

import attrs

SCENARIOS = {
    1: "initial state healthy",
    2: "API key removed → failure detected",
    3: "five consecutive failures → backoff grows",
    4: "ten failures → dormant",
    5: "breaker → PERMANENT_OPEN",
    6: "no duplicate background task",
    7: "manual recovery → works again",
    8: "backoff reset",
}


class Place(enum.StrEnum):
    """Where a scenario was run."""

    VIRTUAL = "virtual clock"
    RUNNING = "running app"


@attrs.frozen(kw_only=True)
class Fact:
    """One thing that has to hold in a scenario.

    Args:
        what: in words.
        held: whether it did.
        seen: what was seen.
    """

    what: str
    held: bool
    seen: str


@attrs.frozen(kw_only=True)
class Proof:
    """One scenario in one place.

    Args:
        number: 1 to 8.
        place: where.
        facts: what was looked at; it holds when all of them do, and there is at least one.
    """

    number: int
    place: Place
    facts: tuple[Fact, ...]

    @property
    def held(self) -> bool:
        """Whether the scenario went as it should."""
        return bool(self.facts) and all(fact.held for fact in self.facts)


class Facts:
    """Collects the facts of one scenario."""

    def __init__(self) -> None:
        self._facts: list[Fact] = []

    def equal(self, what: str, found: object, wanted: object) -> None:
        """``found`` has to be ``wanted``."""
        seen = repr(found) if found == wanted else f"{found!r}, wanted {wanted!r}"
        self._facts.append(Fact(what=what, held=found == wanted, seen=seen))

    def true(self, what: str, held: object, seen: object) -> None:
        """``held`` has to be true."""
        self._facts.append(Fact(what=what, held=bool(held), seen=str(seen)))

    def proof(self, number: int, place: Place) -> Proof:
        """All of them, as a proof."""
        return Proof(number=number, place=place, facts=tuple(self._facts))


def printed(proof: Proof) -> str:
    """One proof as text: a line, and one more for each fact."""
    mark = "ok" if proof.held else "FAILED"
    lines = [f"{mark:6}  {proof.number} · {SCENARIOS[proof.number]} · {proof.place}"]
    lines += [f"            {'+' if fact.held else '-'} {fact.what}: {fact.seen}" for fact in proof.facts]
    return "\n".join(lines)
