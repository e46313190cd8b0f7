"""Prove the eight scenarios: ``python -m examples.eight_scenarios``. Exit code 0 only if all sixteen hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from examples.eight_scenarios import running, virtual
from examples.eight_scenarios.proofs import SCENARIOS, Place, Proof, printed


def main() -> int:
    """Print each proof as it is made, then one line for each scenario."""
    proofs = []
    for proof in _all():
        print(printed(proof), flush=True)
        proofs.append(proof)
    text, code = summary(proofs)
    print(text)
    return code


def summary(proofs: Sequence[Proof]) -> tuple[str, int]:
    """One line for each scenario and the count of proofs that hold; and the exit code, 0 only if all sixteen do."""
    made = {(proof.number, proof.place): proof for proof in proofs}
    lines = ["", "   scenario                                        virtual clock   running app"]
    for number, title in SCENARIOS.items():
        marks = [_mark(made.get((number, place))) for place in Place]
        lines.append(f"{number}  {title:47} {marks[0]:15} {marks[1]}")
    held, wanted = sum(proof.held for proof in made.values()), len(Place) * len(SCENARIOS)
    lines += ["", f"{held} of {wanted} proofs hold"]
    return "\n".join(lines), 0 if held == wanted else 1


def _all() -> Iterator[Proof]:
    yield from virtual.prove()
    yield from running.prove()


def _mark(proof: Proof | None) -> str:
    return "missing" if proof is None else "ok" if proof.held else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
