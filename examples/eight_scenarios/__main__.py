"""Prove the eight scenarios: ``python -m examples.eight_scenarios``. Exit code 0 only if all sixteen hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from examples.eight_scenarios import running, virtual
from examples.eight_scenarios.proofs import SCENARIOS, Place, Proof, printed


def main() -> int:
    """Print each proof as it is made, then one line for each scenario."""
    proofs: dict[tuple[int, Place], Proof] = {}
    for proof in _all():
        print(printed(proof), flush=True)
        proofs[proof.number, proof.place] = proof
    print("\n   scenario                                        virtual clock   running app")
    for number, title in SCENARIOS.items():
        marks = [_mark(proofs.get((number, place))) for place in Place]
        print(f"{number}  {title:47} {marks[0]:15} {marks[1]}")
    held = sum(proof.held for proof in proofs.values())
    print(f"\n{held} of {2 * len(SCENARIOS)} proofs hold")
    return 0 if held == 2 * len(SCENARIOS) else 1


def _all() -> Iterator[Proof]:
    yield from virtual.prove()
    yield from running.prove()


def _mark(proof: Proof | None) -> str:
    return "missing" if proof is None else "ok" if proof.held else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
