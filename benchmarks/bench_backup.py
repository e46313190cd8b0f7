"""Verification of a backup beside ``sha256sum -c``, ``openssl dgst``, ``restic check --read-data`` and ``borg check``.

The same files, warm in the cache of the system, each contender in a process of its own, taking turns. A service that
verifies its backups has Python and selfheal loaded already: what counts is the call, in a process just begun; what
the whole process takes is told beside it. Peers that are not installed are told as missing, and their gates with them.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Gate, print_gates, print_table
from selfheal.backup import BackupStore, Section

ROUNDS = 3
SMALL = 10_000
LARGE = 1024**3
PIECE = 64 * 1024 * 1024

VERIFY = """
import sys, time
from selfheal.backup import BackupStore, verify
begun = time.perf_counter()
verification = verify(BackupStore(sys.argv[1]), kind=sys.argv[2], record=False)
print("took", time.perf_counter() - begun)
assert verification.ok, verification.damages
print(open("/proc/self/status").read())
"""

Run = Callable[[], float]
"""Runs once, and gives the seconds that it took."""


def small_files(root: Path) -> None:
    """Files as configuration and state have them: half of them below 8 KB, few above a hundred."""
    rng = random.Random(7)
    for number in range(SMALL):
        directory = root / f"{number % 100:02d}"
        directory.mkdir(parents=True, exist_ok=True)
        size = min(int(rng.lognormvariate(9.0, 1.2)), 512 * 1024)
        (directory / f"{number:05d}.dat").write_bytes(rng.randbytes(size))


def large_file(root: Path) -> None:
    root.mkdir(parents=True)
    with open(root / "large.bin", "wb") as file:
        for _ in range(LARGE // PIECE):
            file.write(os.urandom(PIECE))


def command(*words: str | Path, at: Path | None = None, env: dict[str, str] | None = None) -> Run:
    def run() -> float:
        begun = time.perf_counter()
        done = subprocess.run([*map(str, words)], cwd=at, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr[-500:]}")
        return time.perf_counter() - begun

    return run


def ours(store: Path, kind: str, peaks: list[float], *, whole: bool = False) -> Run:
    """Verification by selfheal in a new process: the call, or the whole process; its peak of memory is kept, in MiB."""

    def run() -> float:
        begun = time.perf_counter()
        words = [sys.executable, "-c", VERIFY, str(store), kind]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        took = time.perf_counter() - begun
        if done.returncode:
            raise RuntimeError(done.stderr[-2_000:])
        peak, call = re.search(r"VmHWM:\s+(\d+) kB", done.stdout), re.search(r"took (\S+)", done.stdout)
        assert peak is not None
        assert call is not None
        peaks.append(int(peak[1]) / 1024)
        return took if whole else float(call[1])

    return run


def restic(source: Path, place: Path) -> Run | None:
    if shutil.which("restic") is None:
        return None
    words: list[str | Path] = ["restic", "--no-cache", "--repo", place / "restic"]
    env = {**os.environ, "RESTIC_PASSWORD": "benchmark"}
    command(*words, "init", env=env)()
    command(*words, "backup", source, env=env)()
    return command(*words, "check", "--read-data", env=env)


def borg(source: Path, place: Path) -> Run | None:
    if shutil.which("borg") is None:
        return None
    env = {**os.environ, "BORG_BASE_DIR": str(place / "borg-base"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    command("borg", "init", "--encryption=none", place / "borg", env=env)()
    command("borg", "create", f"{place / 'borg'}::one", source, env=env)()
    return command("borg", "check", "--verify-data", place / "borg", env=env)


def race(runs: dict[str, Run | None]) -> dict[str, float]:
    """Median seconds of each that is there, taking turns; one round before to warm up."""
    there = {name: run for name, run in runs.items() if run is not None}
    took: dict[str, list[float]] = {name: [] for name in there}
    for number in range(ROUNDS + 1):
        for name, run in there.items():
            seconds = run()
            if number:
                took[name].append(seconds)
    return {name: statistics.median(times) for name, times in took.items()}


def show(title: str, runs: dict[str, Run | None], took: dict[str, float], size: int) -> None:
    rows = []
    for name in runs:
        if name in took:
            rows.append([name, f"{took[name]:.3f}", f"{size / took[name] / 1e6:,.0f}"])
        else:
            rows.append([name, "missing", "-"])
    print_table(title, ["", "s", "MB/s"], rows)


def make_store(place: Path, source: Path) -> tuple[Path, float]:
    store = BackupStore(place / "store", [Section("data", source)])
    begun = time.perf_counter()
    store.create()
    return store.directory, time.perf_counter() - begun


def small(place: Path, peaks: list[float]) -> list[Gate]:
    source = place / "source"
    small_files(source)
    size = sum(path.stat().st_size for path in source.rglob("*.dat"))
    store, made = make_store(place, source)
    backup = BackupStore(store).get().path
    runs: dict[str, Run | None] = {
        "selfheal, deep": ours(store, "deep", peaks),
        "sha256sum -c": command("sha256sum", "--quiet", "-c", "SHA256SUMS", at=backup),
        "selfheal, deep, process": ours(store, "deep", peaks, whole=True),
        "selfheal, quick": ours(store, "quick", peaks),
        "restic check --read-data": restic(source, place),
        "borg check --verify-data": borg(source, place),
    }
    took = race(runs)
    show(f"{SMALL:,} files, {size / 1e6:,.0f} MB (made in {made:.1f} s)", runs, took, size)
    deep = took["selfheal, deep"]
    gates = [Gate("deep, of sha256sum -c", deep / took["sha256sum -c"], "≤", 0.8)]
    if "restic check --read-data" in took:
        gates.append(Gate("deep, of restic check --read-data", deep / took["restic check --read-data"], "≤", 0.35))
    return gates


def large(place: Path, peaks: list[float]) -> list[Gate]:
    source = place / "source"
    large_file(source)
    store, made = make_store(place, source)
    kept = BackupStore(store).get().path / "data" / "data" / "large.bin"
    openssl = command("openssl", "dgst", "-sha256", kept) if shutil.which("openssl") else None
    runs: dict[str, Run | None] = {"selfheal, deep": ours(store, "deep", peaks), "openssl dgst -sha256": openssl}
    took = race(runs)
    show(f"one file of 1 GiB (made in {made:.1f} s)", runs, took, LARGE)
    if openssl is None:
        return []
    return [Gate("1 GiB, of openssl dgst", took["selfheal, deep"] / took["openssl dgst -sha256"], "≤", 1.5)]


def main() -> int:
    gates = []
    peaks: list[float] = []
    for part in (small, large):
        with tempfile.TemporaryDirectory() as place:
            gates += part(Path(place), peaks)
    return print_gates([*gates, Gate("peak memory, MiB", max(peaks), "≤", 64.0)])


if __name__ == "__main__":
    raise SystemExit(main())
