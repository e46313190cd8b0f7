"""What all tests share: how hypothesis runs, a watch for threads left running, and no silent skip."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

# Shared, slow machines must not fail a property for being slow; the time-out of a test bounds it anyway.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_GRACE = 30.0
"""Real seconds given to a test's threads to end after it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that try many random cases try many more."""
    parser.addoption("--long", action="store_true", help="try ten times as many random kills and the like")


@pytest.fixture
def long_run(request: pytest.FixtureRequest) -> bool:
    """Whether --long was given."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread of selfheal running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _GRACE
    left = _left(before)
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = _left(before)
    assert not left, f"threads left running: {[thread.name for thread in left]}"


def _left(before: set[threading.Thread]) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t not in before and t.name.startswith("selfheal")]


_PRIVILEGE = "needs leave to"
"""How a test says that it lacks a right (to mount, to make a cgroup), which nothing installs: told, not failed."""

R = TypeVar("R", pytest.CollectReport, pytest.TestReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that would be skipped because a package is missing (``make install`` brings them all), or in CI."""
    return _refuse_missing((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module."""
    return _refuse_missing((yield))


def _refuse_missing(report: R) -> R:
    if not report.skipped or hasattr(report, "wasxfail"):
        return report
    if "could not import" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"a package of the test group is missing, run make install: {report.longrepr}"
    elif os.environ.get("CI") and _PRIVILEGE not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"a real part is missing, and CI must have it: {report.longrepr}"
    return report
