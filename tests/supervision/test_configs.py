"""Settings of a supervisor: from plain data, and refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.supervision.configs import (
    CommandProbe,
    HeartbeatProbe,
    HttpProbe,
    OutputLimits,
    RestartPolicy,
    StopPolicy,
    SupervisorConfig,
    TcpProbe,
    When,
    WorkerConfig,
)

FULL: dict[str, Any] = {
    "state_dir": "run",
    "subreaper": True,
    "workers": {
        "web": {
            "command": ["python", "-m", "app"],
            "cwd": "/srv",
            "env": {"PORT": "8080"},
            "inherit_env": False,
            "autostart": False,
            "ports": [8080],
            "health": {"type": "http", "url": "http://127.0.0.1:8080/health", "every": 2, "timeout": 1},
            "readiness": {"type": "tcp", "port": 8080, "host": "::1"},
            "hung_after": 20,
            "max_bad": 5,
            "min_uptime": 2,
            "start_timeout": 90,
            "restart": {
                "when": "on-failure",
                "intensity": 3,
                "period": 60,
                "backoff": 2,
                "factor": 3,
                "cap": 10,
                "success_codes": [0, 4],
                "no_restart_codes": [78],
            },
            "stop": {"signal": "INT", "grace": 3},
            "output": {"keep": False, "max_bytes": 4096, "backups": 0},
        },
        "mail": {"command": ["mail"], "health": {"type": "heartbeat"}},
        "clock": {"command": ["clock"], "health": {"type": "command", "command": ["check", "clock"]}},
    },
}


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    """A JSON file with all settings makes exactly the records that Python code would."""
    file = tmp_path / "workers.json"
    file.write_text(json.dumps(FULL))

    assert SupervisorConfig.from_file(file) == SupervisorConfig(
        state_dir=Path("run"),
        subreaper=True,
        workers={
            "web": WorkerConfig(
                command=["python", "-m", "app"],
                cwd=Path("/srv"),
                env={"PORT": "8080"},
                inherit_env=False,
                autostart=False,
                ports=[8080],
                health=HttpProbe(url="http://127.0.0.1:8080/health", every=2.0, timeout=1.0),
                readiness=TcpProbe(port=8080, host="::1"),
                hung_after=20.0,
                max_bad=5,
                min_uptime=2.0,
                start_timeout=90.0,
                restart=RestartPolicy(
                    when=When.ON_FAILURE,
                    intensity=3,
                    period=60.0,
                    backoff=2.0,
                    factor=3.0,
                    cap=10.0,
                    success_codes=[0, 4],
                    no_restart_codes=[78],
                ),
                stop=StopPolicy(signal="INT", grace=3.0),
                output=OutputLimits(keep=False, max_bytes=4096, backups=0),
            ),
            "mail": WorkerConfig(command=["mail"], health=HeartbeatProbe()),
            "clock": WorkerConfig(command=["clock"], health=CommandProbe(command=["check", "clock"])),
        },
    )


def test_defaults_are_those_of_the_page() -> None:
    """More than 5 restarts in 300 s, hung after 30 s of silence, 10 s of grace."""
    made = WorkerConfig(command=["x"])

    assert (made.restart.intensity, made.restart.period) == (5, 300.0)
    assert (made.hung_after, made.stop.grace, made.min_uptime) == (30.0, 10.0, 1.0)
    assert [made.restart.delay(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def worker(**settings: object) -> dict[str, Any]:
    """A file's data with one worker."""
    return {"workers": {"w": {"command": ["x"], **settings}}}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "workers must be given"),
        ({"workers": {}}, "workers must be a table of at least one worker"),
        ({"workers": {"a/b": {"command": ["x"]}}}, "workers must be named with at most 64 of"),
        ({"workers": {"": {"command": ["x"]}}}, "workers must be named with at most 64 of"),
        ({"workers": {"w": {}}}, "workers.w.command must be given"),
        (worker(command="python app.py"), "workers.w.command must be a list, got 'python app.py'"),
        (worker(command=[]), "workers.w.command must be a list of texts, the first naming the program"),
        (worker(command=[""]), "workers.w.command must be a list of texts, the first naming the program"),
        (worker(command=["x\0"]), "workers.w.command must be a list of texts, the first naming the program"),
        (worker(command=["x", 1]), "workers.w.command[1] must be text, got 1"),
        (worker(comand=["x"]), "workers.w.comand must be a known key"),
        (worker(comand=["x"]), "did you mean 'command'?"),
        (worker(env={"A": 1}), "workers.w.env.A must be text, got 1"),
        (worker(env={"A=B": "c"}), "workers.w.env must be made of names without '='"),
        (worker(autostart="yes"), "workers.w.autostart must be true or false, got 'yes'"),
        (worker(ports=[0]), "workers.w.ports must be a list of ports from 1 to 65535, got (0,)"),
        (worker(min_uptime=True), "workers.w.min_uptime must be a finite number, got True"),
        (worker(min_uptime=60), "workers.w.min_uptime must be less than start_timeout (60 s), got 60.0"),
        (worker(hung_after=-1), "workers.w.hung_after must be between 0.1 and 86400.0 s, got -1.0"),
        (worker(restart={"intensity": -1}), "workers.w.restart.intensity must be an integer between 0 and 1000"),
        (worker(restart={"when": "sometimes"}), "workers.w.restart.when must be one of 'always', 'on-failure'"),
        (worker(restart={"period": 10}), "workers.w.restart.period must be more than the 31 s that its 5 restarts"),
        (worker(restart={"success_codes": [256]}), "workers.w.restart.success_codes must be a list of exit codes"),
        (worker(stop={"signal": "KILL"}), "workers.w.stop.signal must be one of 'TERM', 'INT'"),
        (worker(output={"max_bytes": 1}), "workers.w.output.max_bytes must be an integer between 1024 and"),
        (worker(health={"type": "htp"}), "workers.w.health.type must be one of 'command', 'heartbeat', 'http', 'tcp'"),
        (worker(health={"url": "http://[::1]/"}), "workers.w.health.type must be one of"),
        (worker(health={"type": "tcp"}), "workers.w.health.port must be given"),
        (worker(health={"type": "tcp", "port": 1, "host": "db"}), "workers.w.health.host must be an IP address or"),
        (worker(health={"type": "http", "url": "https://127.0.0.1/"}), "workers.w.health.url must be http://HOST"),
        (worker(health={"type": "http", "url": "http://example.com/"}), "workers.w.health.url must be http://HOST"),
        (worker(health={"type": "http", "url": "http://127.0.0.1:99999/"}), "workers.w.health.url must be http://HOST"),
        (worker(health={"type": "http", "url": "http://127.0.0.1/\r\n"}), "workers.w.health.url must be http://HOST"),
        (worker(health={"type": "command", "command": "x"}), "workers.w.health.command must be a list"),
        (worker(health={"type": "heartbeat", "every": 30}), "workers.w.hung_after must be more than the 30 s between"),
        (worker(readiness={"type": "heartbeat"}), "workers.w.readiness.type must be one of 'command', 'http', 'tcp'"),
    ],
)
def test_what_is_not_accepted_is_told_with_its_path(data: object, told: str) -> None:
    """Each wrong setting is named by its path in the file."""
    with pytest.raises(InvalidConfigError) as refused:
        SupervisorConfig.from_config(data)

    assert told in str(refused.value)


def test_text_is_no_command_in_python_either() -> None:
    """A shell line is never split into letters or words."""
    with pytest.raises(ConfigError, match=r"WorkerConfig\.command must be a list of texts"):
        WorkerConfig(command="sleep 5")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/x?y=1", "http://[::1]:8080/", "http://localhost", "http://10.0.0.1/"]
)
def test_urls_of_this_machine_and_addresses_are_accepted(url: str) -> None:
    """An address, in either family, or localhost."""
    assert HttpProbe(url=url).url == url
