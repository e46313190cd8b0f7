"""The provider, as a real process over real HTTP: keys, summaries, faults, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.reference_app.keys import VARIABLE, ApiKey, KeyPool
from examples.reference_app.provider_process import ProviderProcess, ProviderStartError, issue_key
from examples.reference_app.summary import extract
from examples.reference_app.upstream import (
    DocumentRefusedError,
    ProviderOverloadedError,
    ProviderSlowError,
    ProviderUnreachableError,
    UnauthorizedError,
    Upstream,
)

TEXT = "A breaker guards every call to the provider. The provider computes the summary. It is short."


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ProviderProcess]:
    process = ProviderProcess(tmp_path / "provider", "admin-token")
    process.start()
    yield process
    process.stop()


def pool(tmp_path: Path, *keys: str) -> KeyPool:
    return KeyPool(tmp_path, {VARIABLE: ",".join(keys)})


def call(
    process: ProviderProcess, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    assert process.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def fault(process: ProviderProcess, mode: str, seconds: float = 0.0) -> None:
    told = {"mode": mode, "seconds": seconds}
    assert call(process, "POST", "/admin/fault", told, **{"X-Admin-Token": "admin-token"})[0] == 200


def gone(pid: int, within: float = 60.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_valid_key_buys_a_real_summary(tmp_path: Path, provider: ProviderProcess) -> None:
    """The reply is what the algorithm computes, by another process."""
    upstream = Upstream(lambda: provider.port, pool(tmp_path, issue_key(tmp_path / "provider")))

    assert upstream.summarise(TEXT, 1) == extract(TEXT, 1).text
    assert call(provider, "GET", "/health") == (200, {"status": "ok", "pid": provider.pid})
    assert provider.pid != os.getpid()


def test_keys_are_checked(tmp_path: Path, provider: ProviderProcess) -> None:
    """No key, a wrong key and the hash of a key get 401 unauthorized; a valid one does not."""
    key = issue_key(tmp_path / "provider")
    hashes = (tmp_path / "provider" / "accepted_keys.sha256").read_text()
    wanted = {"text": TEXT}

    for bad in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {hashes.strip()}"}):
        assert call(provider, "POST", "/v1/summaries", wanted, **bad) == (401, {"error": "unauthorized"})
        assert call(provider, "GET", "/v1/keys/self", **bad) == (401, {"error": "unauthorized"})
    assert call(provider, "GET", "/v1/keys/self", Authorization=f"Bearer {key}") == (200, {"key": "accepted"})
    assert key not in hashes


def test_the_next_key_is_tried_when_one_is_refused(tmp_path: Path, provider: ProviderProcess) -> None:
    """One bad key costs one answer and is failed from then on; the call still succeeds."""
    keys = pool(tmp_path, "bad", issue_key(tmp_path / "provider"))
    upstream = Upstream(lambda: provider.port, keys)

    assert upstream.summarise(TEXT, 1)
    assert (keys.counts().active, keys.counts().failed) == (1, 1)


def test_all_keys_refused_is_unauthorized(tmp_path: Path, provider: ProviderProcess) -> None:
    """The error says what the provider said, in the word a breaker knows, and no key."""
    keys = pool(tmp_path, "bad-one", "bad-two")

    with pytest.raises(UnauthorizedError, match=r"^unauthorized: the provider refused every key it was shown \(2\)$"):
        Upstream(lambda: provider.port, keys).summarise(TEXT)
    assert keys.counts().active == 0


def test_validation_brings_a_key_back(tmp_path: Path, provider: ProviderProcess) -> None:
    """A key marked failed is active again once the provider accepts it."""
    key = issue_key(tmp_path / "provider")
    keys = pool(tmp_path, key)
    keys.mark(ApiKey(key), accepted=False)
    upstream = Upstream(lambda: provider.port, keys)

    assert upstream.validate(ApiKey(key)) is True
    assert keys.counts().active == 1
    assert upstream.validate(ApiKey("bad")) is False


def test_failing_lasts_through_a_restart_and_ends_by_hand(tmp_path: Path, provider: ProviderProcess) -> None:
    """The fault is further upstream: restarting does not cure it, lifting it does."""
    upstream = Upstream(lambda: provider.port, pool(tmp_path, issue_key(tmp_path / "provider")))
    fault(provider, "failing")
    with pytest.raises(ProviderOverloadedError, match="503"):
        upstream.summarise(TEXT)

    provider.restart()

    with pytest.raises(ProviderOverloadedError, match="503"):
        upstream.summarise(TEXT)
    fault(provider, "none")
    assert upstream.summarise(TEXT)


def test_slow_is_slow(tmp_path: Path, provider: ProviderProcess) -> None:
    """A slow provider answers late; a caller with less patience gets an error in time."""
    keys = pool(tmp_path, issue_key(tmp_path / "provider"))
    fault(provider, "slow", 0.6)

    began = time.monotonic()
    assert Upstream(lambda: provider.port, keys, timeout=60).summarise(TEXT)
    assert time.monotonic() - began >= 0.6
    fault(provider, "slow", 600.0)
    with pytest.raises(ProviderSlowError, match="timed out"):
        Upstream(lambda: provider.port, keys, timeout=0.2).summarise(TEXT)


def test_dead_is_dead_until_started(tmp_path: Path, provider: ProviderProcess) -> None:
    """The process really ends, is reaped, and a start brings a new one that knows the same keys."""
    upstream = Upstream(lambda: provider.port, pool(tmp_path, issue_key(tmp_path / "provider")))
    first = provider.pid
    fault(provider, "dead")
    assert first is not None
    deadline = time.monotonic() + 60.0
    while provider.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not provider.alive()
    assert not psutil.pid_exists(first)
    assert provider.last_exit == "exit code 1"
    with pytest.raises(ProviderUnreachableError):
        upstream.summarise(TEXT)

    provider.start()

    assert provider.pid != first
    assert upstream.summarise(TEXT)
    assert provider.restarts == 1


@pytest.mark.parametrize("token", ["", "wrong"])
def test_faults_need_the_admin_token(provider: ProviderProcess, token: str) -> None:
    """Whoever lacks the token changes nothing."""
    status, _ = call(provider, "POST", "/admin/fault", {"mode": "failing"}, **{"X-Admin-Token": token})

    assert status == 403
    assert call(provider, "GET", "/health")[0] == 200


def test_without_an_admin_token_nobody_may(tmp_path: Path) -> None:
    """An empty token is no token: it does not match an empty header."""
    process = ProviderProcess(tmp_path / "provider")
    process.start()

    status, _ = call(process, "POST", "/admin/fault", {"mode": "failing"}, **{"X-Admin-Token": ""})

    process.stop()
    assert status == 403


def test_what_cannot_be_summarised_is_the_callers_fault(tmp_path: Path, provider: ProviderProcess) -> None:
    """An empty text is refused as a document, not as a failure of the provider."""
    upstream = Upstream(lambda: provider.port, pool(tmp_path, issue_key(tmp_path / "provider")))

    with pytest.raises(DocumentRefusedError, match="no sentence"):
        upstream.summarise("  ")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("POST", "/v1/summaries", [1], 400),
        ("POST", "/admin/fault", {"mode": "odd"}, 422),
    ],
)
def test_wrong_requests_get_a_status_that_says_so(
    provider: ProviderProcess, method: str, path: str, body: object, status: int
) -> None:
    """Unknown paths, bodies that are no objects, unknown modes."""
    told, answer = call(provider, method, path, body, **{"X-Admin-Token": "admin-token"})

    assert told == status
    assert answer["error"]


def test_stop_ends_even_a_hung_provider(tmp_path: Path) -> None:
    """A stopped process reacts to nothing but KILL, and gets it, within the bound."""
    process = ProviderProcess(tmp_path / "provider")
    process.start()
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    process.stop()

    assert not psutil.pid_exists(pid)


def test_it_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    """When its parent is killed outright, the provider ends by itself, even in the middle of a slow answer."""
    code = (
        "import sys, time; from pathlib import Path; "
        "from examples.reference_app.provider_process import ProviderProcess; "
        "p = ProviderProcess(Path(sys.argv[1])); p.start(); print(p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "provider")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert gone(pid)


def test_a_provider_that_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the log, and no process is left."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    process = ProviderProcess(tmp_path / "provider")

    with pytest.raises(ProviderStartError, match=r"provider\.log"):
        process.start()

    assert not process.alive()
    process.stop()
