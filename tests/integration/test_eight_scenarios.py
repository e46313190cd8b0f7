"""The eight scenarios hold, on the virtual clock and on the running app, and a broken one is told as broken."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from examples.eight_scenarios import virtual
from examples.eight_scenarios.__main__ import summary
from examples.eight_scenarios.proofs import SCENARIOS, Fact, Facts, Place, Proof, printed
from selfheal import ExponentialBackoff, Healer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_all_sixteen_proofs_hold() -> None:
    """The command prints each scenario twice and ends with exit code 0."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.eight_scenarios"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("16 of 16 proofs hold\n")
    for number, title in SCENARIOS.items():
        for place in Place:
            assert f"ok      {number} · {title} · {place}" in done.stdout


def test_another_backoff_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wait that does not grow, the scenario about the growing one does not hold."""
    monkeypatch.setattr(virtual, "ExponentialBackoff", lambda: ExponentialBackoff(factor=1.0))

    assert 3 in {proof.number for proof in virtual.prove() if not proof.held}


def test_another_limit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a healer that gives up one failure earlier, the scenario about the tenth failure does not hold."""
    monkeypatch.setattr(virtual, "Healer", functools.partial(Healer, failure_limit=9))

    failed = {proof.number for proof in virtual.prove() if not proof.held}

    assert 4 in failed


def test_a_proof_without_facts_proves_nothing() -> None:
    """Nothing looked at is not held; one fact that does not hold is enough to fail."""
    assert not Facts().proof(1, Place.VIRTUAL).held
    good, bad = Fact(what="a", held=True, seen="1"), Fact(what="b", held=False, seen="2")
    assert Proof(number=1, place=Place.RUNNING, facts=(good,)).held
    assert not Proof(number=1, place=Place.RUNNING, facts=(good, bad)).held


def test_failures_are_printed_as_such() -> None:
    """The text of a proof marks what did not hold, and the summary counts it and what is missing."""
    facts = Facts()
    facts.equal("sum", 3, 4)
    proof = facts.proof(2, Place.VIRTUAL)

    text, code = summary([proof])

    assert printed(proof) == (
        "FAILED  2 · API key removed → failure detected · virtual clock\n            - sum: 3, wanted 4"
    )
    assert code == 1
    assert text.endswith("0 of 16 proofs hold")
    assert "missing" in text
