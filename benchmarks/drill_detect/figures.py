"""The drill in figures: what is scaled, a table, what was not as it should be, and the gates."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.drill_detect.cases import Case, Settings
from benchmarks.drill_detect.outcome import Outcome
from benchmarks.table import Gate, print_gates, print_table

LEAST_FOUND = 95.0
"""Percent of the faults."""


def print_set_up(kinds: Sequence[Case], settings: Settings, runs: int, seed: int, cpus: int) -> None:
    """Say what is real, what is scaled, and from which seeds runs are drawn."""
    of_cpu, of_life, of_memory = settings.speeds
    sign, hold, of_one = 0.1 * of_memory / 60.0, settings.hold, 10.0 / of_cpu
    drawn = f"seeds {seed} to {seed + runs - 1}" if runs > 1 else f"seed {seed}"
    print(f"""\
{len(kinds) * runs} runs, {runs} of each kind, {drawn}; {cpus} CPUs
Each: two real processes alike, which work, give signs of life and answer HTTP requests, and a Monitor with a Sampler
that looks at both. One of the two, and the moment, are drawn from the seed: to that one it is done.
Rules that ship, {"as they are" if settings == Settings(speeds=settings.speeds) else "but that for CPU"}:
  CPU      above {settings.cpu:g} % of one for {hold:g} s, of each process: the machine does other things too
  silence  no sign of life for 30 s, or stopped for 30 s
  latency  95th percentile of 60 s above {settings.latency_ms:g} ms for 60 s
  leak     memory that grew over 18 h or more, the quiet ones before the leak included, and grows still
Scaled is the clock that the Monitor goes by. What is measured is real, CPU and milliseconds against real time, and is
stamped with that clock:
  CPU               {of_cpu:g} times as fast: {hold:g} s pass in {hold / of_cpu:.3g} s; a reading every {of_one:.2g} s
  silence, latency  {of_life:g} times as fast: 60 s pass in {60 / of_life:.3g} s, a reading every {10 / of_life:.2g} s
  leak              {of_memory:g} times as fast: 24 h pass in {86_400 / of_memory:.3g} s, a reading every
                    {300 / of_memory:.2g} s; by the leak rule alone: 0.1 s between signs of life are {sign:.2g} min here
Where the machine is busy, that clock waits for the Monitor: its seconds are then longer, never shorter.""")


def print_results(outcomes: Sequence[Outcome], kinds: Sequence[Case]) -> int:
    """Print what came of all runs; 0 if the gates hold, else 1."""
    by_case = {case.key: [one for one in outcomes if one.case.key == case.key] for case in kinds}
    faults = [case for case in kinds if case.kind]
    if faults:
        head = ["fault", "alert", "found", "other alarms", "median", "worst", "median, real", "worst, real"]
        title = (
            "faults: found is the right alert about the right process; time to detect by the Monitor's clock, and real"
        )
        print_table(title, head, [_of_fault(case, by_case[case.key]) for case in faults])
    for title, quiet in (("quiet: nothing is done", True), ("no faults, though they look like some", False)):
        rows = [_of_peace(case, by_case[case.key]) for case in kinds if not case.kind and case.quiet is quiet]
        if rows:
            print_table(title, ["done", "runs", "length", "alarms"], rows)
    again = sum(one.tries - 1 for one in outcomes)
    if again:
        print(f"\nCPU hogs begun again because the machine had no CPU for them: {again}")
    for one in outcomes:
        _print_if_not_good(one)
    return print_gates(list(_gates(outcomes)))


def _of_fault(case: Case, of_case: Sequence[Outcome]) -> list[str]:
    there = [one for one in of_case if not one.starved]
    found = [one.found for one in there if one.found is not None]
    wrong = str(sum(len(one.wrong) for one in of_case))
    row = [case.words, case.kind, f"{len(found)} / {len(there)}", wrong]
    if not found:
        return [*row, "", "", "", ""]
    times, real = [one.after for one in found], [one.real for one in found]
    return [*row, _time(median(times)), _time(max(times)), f"{median(real):.1f} s", f"{max(real):.1f} s"]


def _of_peace(case: Case, of_case: Sequence[Outcome]) -> list[str]:
    return [case.words, str(len(of_case)), _time(case.pace.length), str(sum(len(one.wrong) for one in of_case))]


def _print_if_not_good(one: Outcome) -> None:
    again = f"  (again: --only {one.case.key} --runs 1 --seed {one.seed})"
    for heard in one.wrong:
        alert = heard.alert
        print(f"\n{one.case.words}, {_time(heard.after)} after: {alert.kind} of {alert.target}: {alert.message}{again}")
    if one.starved:
        print(
            f"\n{one.case.words}: no fault was there, the machine was busy: {one.target} had the CPU for"
            f" {one.short:.0f} s too little, by what it says itself; not counted{again}"
        )
    elif one.case.kind and one.found is None:
        print(f"\n{one.case.words} of {one.target}: not found within {_time(one.case.pace.length)}{again}")


def _gates(outcomes: Sequence[Outcome]) -> list[Gate]:
    there = [one for one in outcomes if one.case.kind and not one.starved]
    gates = []
    if there:
        found = sum(one.found is not None for one in there)
        gates.append(Gate("faults found, percent", 100.0 * found / len(there), "≥", LEAST_FOUND))
    for key in dict.fromkeys(one.case.key for one in there):
        of_case = [one for one in there if one.case.key == key]
        found = sum(one.found is not None for one in of_case)
        gates.append(Gate(f"  {of_case[0].case.words}", 100.0 * found / len(of_case), "≥", LEAST_FOUND))
    for key in dict.fromkeys(one.case.key for one in outcomes if one.starved):
        shares = [not one.starved for one in outcomes if one.case.key == key]
        gates.append(
            Gate(f"  {key}: runs in which it was there, percent", 100.0 * sum(shares) / len(shares), "≥", 50.0)
        )
    for quiet, what in ((True, "alarms in quiet runs"), (False, "wrong alarms in all other runs")):
        of_sort = [len(one.wrong) for one in outcomes if one.case.quiet is quiet]
        gates += [Gate(what, sum(of_sort), "≤", 0.0)] if of_sort else []
    return gates


def _time(seconds: float) -> str:
    return f"{seconds / 3600.0:.1f} h" if seconds >= 7200.0 else f"{seconds:.0f} s"
