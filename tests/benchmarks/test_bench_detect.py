"""The benchmark of detection runs on a folder in the layout of recorded data, and prints every figure with a gate."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import bench_detect, bench_leak, detect_choosing, detect_multivariate, detect_subsets
from benchmarks.detect_multivariate import Recorded
from benchmarks.ranking import event_recall, found
from benchmarks.table import Gate

START = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)
WINDOW = (700, 720)
SERIES = ("artificial/first.csv", "artificial/second.csv", "real/third.csv", "real/fourth.csv")


def series(file: Path, seed: int) -> dict[str, list[list[str]]]:
    """Three days of noise every five minutes with an incident in the last one, and its window."""
    draw = np.random.default_rng(seed)
    values = draw.normal(50.0, 2.0, 864)
    values[WINDOW[0] : WINDOW[1]] += 40.0
    times = [(START + datetime.timedelta(minutes=5 * n)).strftime("%Y-%m-%d %H:%M:%S") for n in range(len(values))]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["timestamp", "value"])
        rows.writerows(zip(times, values.tolist(), strict=True))
    return {f"{file.parent.name}/{file.name}": [[f"{times[n]}.000000" for n in WINDOW]]}


def machine(file: Path, seed: int) -> None:
    """Three metrics, one of them constant, that move together until they do not."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(0.0, 1.0, (500, 1)) * [1.0, 0.5, 0.0] + draw.normal(0.0, 0.1, (500, 3)) * [1.0, 1.0, 0.0]
    label = np.zeros(200, int)
    label[100:130] = 1
    rows[400:430, 0] += 6.0
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, train=rows[:300], test=rows[300:], label=label)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    windows: dict[str, list[list[str]]] = {}
    for seed, name in enumerate(SERIES):
        windows |= series(tmp_path / "nab" / "data" / name, seed)
    (tmp_path / "nab" / "labels").mkdir()
    (tmp_path / "nab" / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    for kind in ("asd", "smd", "services"):
        for seed in (1, 2):
            machine(tmp_path / kind / f"{kind}-{seed}.npz", seed)
    return tmp_path


ROWS = (
    "NAB standard as it ships, kept",
    "NAB standard, best budget, kept",
    "NAB low FP, best budget, all",
    "alarms a day on noise, every 1 min",
    "alarms a day on noise of four metrics, every 5 min",
    "one row, times as fast",
    "1,000 rows, times as fast",
    "baseline, score and learn, every 1 min, µs",
    "MetricDetector, KB",
    "tick of 1,000 metrics, µs",
    "asd kept in turn: AUC-PR",
    "smd kept in turn: VUS-PR",
    "services kept in turn: AUC-PR",
    "leak: false alarms, GC sawtooth, fourth day, %",
    "leak: power, fourth day",
)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as there can be of what takes long; what is measured is not looked at."""
    monkeypatch.setattr(detect_multivariate, "NOISE_RUNS", 1)
    monkeypatch.setattr(bench_leak, "KINDS", ("AR", "GC sawtooth"))


@pytest.mark.usefixtures("little")
@pytest.mark.timeout(600)
def test_every_figure_is_printed_with_its_gates(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a folder of tiny series all tables are printed, and each gate with what must be and what is aimed at."""
    bench_detect.main(["--data", str(data), "--quick", "--no-peers", "--jobs=1"])
    printed = capsys.readouterr().out
    gates = printed.partition("\ngates\n")[2].splitlines()[1:]

    assert all(any(line.startswith(f"  {row} ") for line in gates) for row in ROWS)
    assert all("ambitious" in line for line in gates)
    assert "nan" not in "".join(gates)
    assert "kept: artificial/second.csv, real/fourth.csv" in printed
    assert "searched on: artificial/first.csv, real/third.csv" in printed
    assert "asd, kept: asd-2" in printed
    assert "asd, kept, one machine only: asd-2" in printed
    assert "published, 58 series: Numenta HTM" in printed
    assert "usual samples called unusual" in printed


def test_a_slow_contender_is_judged_on_every_tenth_sample(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is given a tenth of the samples at ten times the step, and so are those beside it."""
    seen = []

    def contender(machine: Recorded) -> NDArray[np.float64]:
        seen.append((machine.name, machine.step, len(machine.train), len(machine.test)))
        return np.arange(len(machine.test), dtype=float)

    detect_subsets.run(data, "kept", {"random": contender, "rrcf of some trees": contender})

    assert seen[:2] == [("asd-2", 3000.0, 30, 20)] * 2
    assert len(seen) == 6
    assert "smd, kept, every 10th sample only: smd-2" in capsys.readouterr().out


def test_each_machine_is_judged_by_what_the_others_choose() -> None:
    """A machine's own figures never choose its setting, and the setting with the better worst figure is chosen."""
    steady = {"a": (0.5, 0.5), "b": (0.5, 0.5), "c": (0.5, 0.5)}
    lucky = {"a": (1.0, 1.0), "b": (0.45, 0.45), "c": (0.45, 0.45)}
    areas = {"steady": {"smd": steady}, "lucky": {"smd": lucky}}

    held, chosen = detect_choosing.in_turn(areas)

    assert chosen == {"a": "steady", "b": "lucky", "c": "lucky"}
    assert held["smd"] == {"a": (0.5, 0.5), "b": (0.45, 0.45), "c": (0.45, 0.45)}


def test_settings_to_choose_among_differ_in_what_they_say(data: Path) -> None:
    """A row of each form is what its name says, the one that ships finds what ships, and nothing stays changed."""
    machine = next(detect_multivariate.recordings(data, "asd", "all", 1))
    by_form = {name: rows(("cpu", "cpu again"), "UTC") for name, rows in detect_choosing.FORMS.items()}
    for n in range(2_000):
        sample = dict.fromkeys(("cpu", "cpu again"), 50.0 + 10.0 * (n % 288 < 144) + n % 2)
        for rows in by_form.values():
            rows.learn(300.0 * n, sample, 1.0)
    seen = {name: rows.usual(300.0 * 2_016 + 60.0, 0) for name, rows in by_form.items()}
    assert seen["from the whole"] == pytest.approx(55.5, abs=0.2)
    assert seen["from the time of day"] == pytest.approx(60.5, abs=0.2)
    assert 59.0 < seen["leaning"] < seen["from the time of day"]
    assert by_form["in two"].usual(300.0 * 2_016 + 60.0, 0) == seen["from the whole"]
    assert by_form["in two"].usual(300.0 * 2_016 + 60.0, 1) == seen["from the time of day"]

    ships = detect_choosing.Setting().areas(machine)
    found = {name: setting.areas(machine) for name, setting in detect_choosing.SETTINGS.items()}
    assert found["leaning, cut at 15, anchor 0.75"] == ships == detect_choosing.Setting().areas(machine)


def test_incidents_are_found_within_what_is_put_up_with() -> None:
    """An alarm that touches an incident finds it; one that touches none is wrong; thresholds keep to both bounds."""
    label = np.zeros(2_000, int)
    label[500:520] = label[1_500:1_520] = 1
    flagged = np.zeros(2_000, bool)
    flagged[510:530] = flagged[900:910] = True

    assert found(label, flagged, 86.4) == (0.5, pytest.approx(1 / 1.96), pytest.approx(20 / 1_960))
    scores = np.zeros(2_000)
    scores[505], scores[1_510], scores[900:905] = 5.0, 3.0, 4.0
    assert event_recall(label, scores, 86.4) == 1.0
    scores[[950, 1_000, 1_050]] = 4.0  # with the threshold under 3 there are four wrong alarms in two days
    assert event_recall(label, scores, 86.4) == 0.5


def quick() -> list[Gate]:
    print("a table")
    return [Gate("quick", 1.0, "≤", 2.0)]


def slow() -> list[Gate]:
    print("another table")
    return [Gate("slow", 3.0, "≤", 2.0)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_parts_are_told_in_their_order(jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Side by side or one after the other, tables and gates come in the order of the parts."""
    gates = [*bench_detect.measure({"first": slow, "second": quick}, jobs)]

    assert [gate.what for gate in gates] == ["slow", "quick"]
    assert capsys.readouterr().out.startswith("another table\na table\n\nCPU: first")


def test_a_gate_says_where_it_stands() -> None:
    """What is aimed at, what must be, or neither; and how far the aim is."""
    gate = Gate("score", 66.0, "≥", 58.0, 65.0)

    assert gate.standing == "ambitious"
    assert gate._replace(reached=60.0).standing == "must, 5 from ambitious"
    assert gate._replace(reached=50.0).standing == "MISSED, 15 from ambitious"
    assert Gate("cost", 9.0, "≤", 10.0).standing == "holds"
    assert Gate("cost", 11.0, "≤", 10.0).standing == "MISSED"


def test_what_is_aimed_at_is_known_for_several_metrics() -> None:
    """Each figure of the benchmark of several metrics finds its aim by name."""
    names = ["one row, µs", "one row, times as fast", "10 rows, times as fast", "smd kept in turn: VUS-PR"]

    assert [bench_detect.aimed(Gate(name, 0.0, "≥", 0.0)).ambitious for name in names] == [50.0, 200.0, 6.0, 0.48]
