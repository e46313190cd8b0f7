"""CPU and memory in percent of what the process may use."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.testing import FakeClock
from selfheal.usage import PsutilMachine, UsageReader
from tests.usage.trees import GIB, NONE_V1, V1_MOUNTS, FakeMachine, version_2, write


def reader(root: Path, clock: FakeClock, machine: FakeMachine | None = None) -> UsageReader:
    return UsageReader(root=root, machine=machine or FakeMachine(), clock=clock)


def test_memory_is_current_without_inactive_file_cache(tmp_path: Path) -> None:
    """Cache that the kernel takes back first does not count as used."""
    stat = f"anon 5\ninactive_file {GIB // 4}\nactive_file 7\n"
    files = {"memory.max": f"{GIB}\n", "memory.current": f"{GIB * 3 // 4}\n", "memory.stat": stat}
    usage = reader(version_2(tmp_path, pod_app=files), FakeClock()).read()

    assert (usage.memory, usage.memory_used, usage.memory_limit) == (50.0, GIB // 2, GIB)
    assert usage.memory_source.endswith("pod/app")
    assert usage.problems == ()


@pytest.mark.parametrize(
    ("own", "parent", "percent"), [("max", GIB, 75.0), (2 * GIB, GIB, 75.0), (GIB // 2, GIB, 50.0)]
)
def test_the_tightest_of_all_ancestors_decides(tmp_path: Path, own: object, parent: int, percent: float) -> None:
    """An ancestor's limit binds, with what siblings use of it; the cgroup nearest to its limit is told."""
    used = GIB // 4
    root = version_2(
        tmp_path,
        pod_app={"memory.max": f"{own}\n", "memory.current": f"{used}\n"},
        pod={"memory.max": f"{parent}\n", "memory.current": f"{3 * used if percent == 75.0 else used}\n"},
    )

    assert reader(root, FakeClock()).read().memory == percent


def test_an_ancestor_that_does_not_say_what_it_uses_is_judged_by_the_own_use(tmp_path: Path) -> None:
    """The limit is the minimum over the ancestors even where only the own use can be read."""
    root = version_2(
        tmp_path, pod_app={"memory.max": "max\n", "memory.current": f"{GIB // 2}\n"}, pod={"memory.max": f"{GIB}\n"}
    )

    assert reader(root, FakeClock()).read().memory == 50.0


def test_no_limit_is_the_machine(tmp_path: Path) -> None:
    """Where no cgroup limits anything, the machine as a whole is what may be used."""
    clock, machine = FakeClock(), FakeMachine()
    root = version_2(tmp_path, pod_app={"memory.max": "max\n", "memory.current": "5\n", "cpu.max": "max 100000\n"})
    it = reader(root, clock, machine)
    clock.advance(10)
    machine.busy += 5
    machine.total += 20
    usage = it.read()

    assert (usage.cpu, usage.cpu_source, usage.cpu_cores) == (25.0, "machine", 2.0)
    assert (usage.memory, usage.memory_source, usage.memory_limit) == (25.0, "machine", 8 * GIB)


def test_a_limit_beyond_the_machine_is_none(tmp_path: Path) -> None:
    """A limit or quota of more than there is binds nothing."""
    files = {
        "memory.max": f"{99 * GIB}\n",
        "memory.current": "5\n",
        "cpu.max": "400000 100000",
        "cpu.stat": "usage_usec 1",
    }
    usage = reader(version_2(tmp_path, pod_app=files), FakeClock()).read()

    assert (usage.memory_source, usage.cpu_source) == ("machine", "machine")


def test_cpu_is_measured_against_the_quota(tmp_path: Path) -> None:
    """Half a CPU of quota, 2 s of CPU in 10 s: 40 %."""
    clock = FakeClock()
    root = version_2(tmp_path, pod_app={"cpu.max": "50000 100000\n", "cpu.stat": "usage_usec 7000000\nuser_usec 1\n"})
    it = reader(root, clock)
    first = it.read()
    clock.advance(10)
    write(root, {"sys/fs/cgroup/pod/app/cpu.stat": "usage_usec 9000000\n"})
    usage = it.read()

    assert (first.cpu, first.cpu_cores) == (None, 0.5)
    assert usage.cpu == pytest.approx(40.0)
    assert usage.cpu_cores == 0.5


def test_the_first_answer_is_unknown_and_the_second_is_primed(tmp_path: Path) -> None:
    """Nothing is told of CPU before there are two readings; making the reader takes the first."""
    clock, machine = FakeClock(), FakeMachine()
    it = reader(tmp_path, clock, machine)

    assert it.read().cpu is None
    clock.advance(1)
    machine.busy, machine.total = machine.busy + 1, machine.total + 2
    assert it.read().cpu == 50.0
    assert it.read().cpu == 50.0


def test_a_quota_of_an_ancestor_binds(tmp_path: Path) -> None:
    """The level nearest to its quota is told, siblings' use included."""
    clock = FakeClock()
    root = version_2(
        tmp_path,
        pod_app={"cpu.max": "100000 100000", "cpu.stat": "usage_usec 0"},
        pod={"cpu.max": "150000 100000", "cpu.stat": "usage_usec 0"},
    )
    it = reader(root, clock)
    clock.advance(10)
    for place, used in (("pod/app", 5_000_000), ("pod", 12_000_000)):
        write(root, {f"sys/fs/cgroup/{place}/cpu.stat": f"usage_usec {used}"})
    usage = it.read()

    assert usage.cpu == pytest.approx(80.0)
    assert usage.cpu_source.endswith("/pod")


def test_counters_that_go_back_say_nothing(tmp_path: Path) -> None:
    """After a move to another cgroup one reading is unknown rather than wrong."""
    clock = FakeClock()
    root = version_2(tmp_path, pod_app={"cpu.max": "50000 100000", "cpu.stat": "usage_usec 7000000"})
    it = reader(root, clock)
    clock.advance(10)
    write(root, {"sys/fs/cgroup/pod/app/cpu.stat": "usage_usec 1000"})

    assert it.read().cpu is None


def version_1(root: Path, limit: str = f"{GIB}\n", quota: str = "50000\n", own: str = "/docker/x") -> Path:
    memory, cpu = f"sys/fs/cgroup/memory{own}", f"sys/fs/cgroup/cpu,cpuacct{own}"
    return write(
        root,
        {
            "proc/self/cgroup": f"9:name=systemd:/\n4:memory:{own}\n2:cpu,cpuacct:{own}\n0::/\n",
            "proc/self/mountinfo": V1_MOUNTS,
            f"{memory}/memory.limit_in_bytes": limit,
            f"{memory}/memory.usage_in_bytes": f"{GIB // 2}\n",
            f"{memory}/memory.stat": f"inactive_file 9\ntotal_inactive_file {GIB // 4}\n",
            f"{cpu}/cpu.cfs_quota_us": quota,
            f"{cpu}/cpu.cfs_period_us": "100000\n",
            f"{cpu}/cpuacct.usage": "1000000000\n",
        },
    )


def test_version_1(tmp_path: Path) -> None:
    """Limits, use and quota of version 1, whose CPU time is in nanoseconds."""
    clock = FakeClock()
    root = version_1(tmp_path)
    it = reader(root, clock)
    clock.advance(10)
    write(root, {"sys/fs/cgroup/cpu,cpuacct/docker/x/cpuacct.usage": "2000000000\n"})
    usage = it.read()

    assert (usage.memory, usage.memory_limit) == (25.0, GIB)
    assert usage.cpu == pytest.approx(20.0)


def test_the_sentinel_of_version_1_is_no_limit(tmp_path: Path) -> None:
    """The largest number and -1 mean that there is no limit."""
    usage = reader(version_1(tmp_path, NONE_V1, "-1\n"), FakeClock()).read()

    assert (usage.memory_source, usage.cpu_source, usage.problems) == ("machine", "machine", ())
    blind = reader(version_1(tmp_path, NONE_V1, "-1\n"), FakeClock(), FakeMachine(broken=True)).read()
    assert (blind.memory_source, blind.memory_limit) == ("unknown", None)


def test_cpu_time_accounted_in_a_hierarchy_of_its_own(tmp_path: Path) -> None:
    """Where ``cpu`` and ``cpuacct`` are mounted apart, the use is taken from the one and the quota from the other."""
    mounts = "1 0 0:1 / /cg/cpu rw - cgroup cgroup rw,cpu\n2 0 0:2 / /cg/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    files = {"proc/self/cgroup": "2:cpuacct:/a\n1:cpu:/a\n", "proc/self/mountinfo": mounts}
    files |= {"cg/cpu/a/cpu.cfs_quota_us": "100000", "cg/cpu/a/cpu.cfs_period_us": "100000"}
    clock, root = FakeClock(), write(tmp_path, {**files, "cg/cpuacct/a/cpuacct.usage": "0"})
    it = reader(root, clock)
    clock.advance(2)
    write(root, {"cg/cpuacct/a/cpuacct.usage": "1000000000"})

    assert it.read().cpu == pytest.approx(50.0)


def test_a_container_that_sees_only_its_own_part_of_the_tree(tmp_path: Path) -> None:
    """Without a cgroup namespace the path is the host's, and the mount shows the part below the container."""
    mount = "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    place = "sys/fs/cgroup/memory"
    files = {f"{place}/memory.limit_in_bytes": f"{GIB}", f"{place}/memory.usage_in_bytes": f"{GIB // 2}"}
    root = write(tmp_path, {"proc/self/cgroup": "4:memory:/docker/x\n", "proc/self/mountinfo": mount, **files})

    assert reader(root, FakeClock()).read().memory == 50.0


@pytest.mark.parametrize("path", ["/../../../proc", "/gone", "/pod/../../../../proc"])
def test_a_path_that_leads_nowhere_is_the_mount_point(tmp_path: Path, path: str) -> None:
    """A path outside the mount is never followed out of it."""
    files = {"sys/fs/cgroup/memory.max": f"{GIB}\n", "sys/fs/cgroup/memory.current": f"{GIB // 2}\n"}
    files |= {"proc/memory.max": "1000\n", "proc/memory.current": "900\n", "sys/fs/cgroup/pod/x": ""}
    root = version_2(tmp_path / "root", own="/")
    write(root, {"proc/self/cgroup": f"0::{path}\n", **files})

    assert reader(root, FakeClock()).read().memory == 50.0


def test_without_the_list_of_mounts_the_usual_places_are_looked_at(tmp_path: Path) -> None:
    """Both versions are found where they always are."""
    for name, make in (("one", version_1), ("two", None)):
        root = tmp_path / name
        files = {"memory.max": f"{GIB}", "memory.current": f"{GIB // 4}"}
        root = version_2(root, pod_app=files) if make is None else make(root)
        (root / "proc/self/mountinfo").unlink()

        assert reader(root, FakeClock()).read().memory == 25.0


def test_mount_points_with_blanks(tmp_path: Path) -> None:
    """The octal escapes of the list of mounts are read."""
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": "30 25 0:26 / /my\\040cgroups rw - cgroup2 none rw\n",
            "my cgroups/memory.max": f"{GIB}",
            "my cgroups/memory.current": f"{GIB // 2}",
        },
    )

    assert reader(root, FakeClock()).read().memory == 50.0


def test_pressure(tmp_path: Path) -> None:
    """The own cgroup's pressure is told, else the machine's, else none."""
    some = "some avg10={} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0\n"
    root = version_2(tmp_path, pod_app={"cpu.pressure": some.format("12.50")})
    write(root, {"proc/pressure/memory": some.format("3.00"), "proc/pressure/cpu": some.format("50.00")})
    usage = reader(root, FakeClock()).read()

    assert (usage.cpu_pressure, usage.memory_pressure) == (12.5, 3.0)
    (root / "proc/pressure/memory").write_text("some avg10=nan\n")
    assert reader(root, FakeClock()).read().memory_pressure is None


def test_nothing_there_is_the_machine(tmp_path: Path) -> None:
    """An empty tree, as on a system without cgroups, is no problem at all."""
    usage = reader(tmp_path, FakeClock()).read()

    assert (usage.memory, usage.memory_source, usage.problems) == (25.0, "machine", ())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("memory.max", "lots\n"),
        ("memory.max", "-5\n"),
        ("memory.max", "0\n"),
        ("memory.max", "9" * 60),
        ("memory.current", "\x00\x01"),
        ("cpu.max", "quick 100000\n"),
        ("cpu.max", "100000 0\n"),
        ("cpu.max", "\n"),
    ],
)
def test_garbage_is_passed_over_and_told(tmp_path: Path, file: str, text: str) -> None:
    """A file that makes no sense falls back to the machine, and the reading says which file it was."""
    files = {"memory.max": f"{GIB}", "memory.current": f"{GIB}", "cpu.max": "max 100000"} | {file: text}
    usage = reader(version_2(tmp_path, pod_app=files), FakeClock()).read()

    assert (usage.cpu_source if file.startswith("cpu") else usage.memory_source) == "machine"
    assert any("pod/app" in problem for problem in usage.problems)


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """Permission errors, and here a directory in the place of a file, fall back and are named."""
    root = version_2(tmp_path, pod_app={"memory.current": "5"})
    (root / "sys/fs/cgroup/pod/app/memory.max").mkdir()
    usage = reader(root, FakeClock()).read()

    assert usage.memory_source == "machine"
    assert any("memory.max cannot be read" in problem for problem in usage.problems)


def test_a_machine_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """Where nothing can be read, nothing is made up."""
    usage = reader(tmp_path, FakeClock(), FakeMachine(broken=True)).read()

    assert (usage.cpu, usage.memory, usage.cpu_source, usage.memory_source) == (None, None, "unknown", "unknown")
    assert len(usage.problems) == 2


def test_a_quota_counts_even_where_the_machine_cannot_be_read(tmp_path: Path) -> None:
    """The cgroup's word is enough."""
    files = {"memory.max": f"{GIB}", "memory.current": f"{GIB // 2}"}
    root = version_2(tmp_path, pod_app=files)

    assert reader(root, FakeClock(), FakeMachine(broken=True)).read().memory == 50.0


NAMES = ["memory.max", "memory.current", "memory.stat", "cpu.max", "cpu.stat", "cpu.pressure"]


@given(
    st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=80) | st.sampled_from([b"max", b"1 0", b"0"])),
    st.binary(max_size=60),
    st.binary(max_size=60),
)
def test_no_tree_makes_it_raise(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], own: bytes, mounts: bytes
) -> None:
    """Whatever stands in the files, a reading comes out, and percentages are between 0 and 100."""
    clock, root = FakeClock(), version_2(tmp_path_factory.mktemp("tree"))
    for name, content in files.items():
        (root / "sys/fs/cgroup/pod/app" / name).write_bytes(content)
    (root / "proc/self/cgroup").write_bytes(b"0::/pod/app\n" + own)
    (root / "proc/self/mountinfo").write_bytes((root / "proc/self/mountinfo").read_bytes() + mounts)
    it = reader(root, clock)
    clock.advance(1)
    usage = it.read()

    assert all(0.0 <= value <= 100.0 for value in (usage.cpu, usage.memory, usage.cpu_pressure) if value is not None)


def test_this_machine() -> None:
    """On the machine at hand: memory now, CPU after two readings, both as psutil sees the machine or below a limit."""
    clock = FakeClock()
    it = UsageReader(clock=clock)
    sum(range(200_000))
    clock.advance(1)
    usage = it.read()
    busy, total, cpus = PsutilMachine().cpu_times()

    assert usage.memory is not None
    assert 0 < usage.memory <= 100
    assert usage.memory_limit
    assert 0 < busy <= total
    assert 1 <= cpus <= len(os.sched_getaffinity(0))
    assert usage.cpu_source != "unknown"
