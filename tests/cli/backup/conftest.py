"""The service that the commands are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.backup.rig import Host, host_at


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    """A service in the working directory."""
    monkeypatch.chdir(tmp_path)
    return host_at(tmp_path, capsys)
