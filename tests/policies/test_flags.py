"""Tests of the feature flags."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, NotFoundError
from selfheal.policies import flags as module
from selfheal.policies.flags import NAMES, FeatureFlags

HEALING = "FEATURE_AUTO_HEALING_ENABLED"
PREVENTIVE = "FEATURE_PREVENTIVE_HEALING_ENABLED"


def age(path: Path, seconds: float = 3600.0) -> None:
    """Give a file old time stamps, as if nobody had touched it for long."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust every time stamp, as for a file that was last edited long ago."""
    monkeypatch.setattr(module, "_settled", lambda identity: True)


def test_everything_is_on_by_default(tmp_path: Path) -> None:
    """Where nothing is said, each of the four flags is on and says that this is the default."""
    flags = FeatureFlags(tmp_path, environ={})

    assert [(f.name, f.value, f.origin, f.raw, f.problem) for f in flags.all()] == [
        (name, True, "default", None, None) for name in NAMES
    ]
    assert flags.auto_healing
    assert flags.auto_detection
    assert flags.preventive_healing
    assert flags.process_monitoring
    assert flags.problems() == ()


def test_order_of_the_sources(tmp_path: Path) -> None:
    """An override beats the environment, which beats .env.local, which beats .env."""
    environ: dict[str, str] = {}
    flags = FeatureFlags(tmp_path, environ=environ)
    seen = []

    def note() -> None:
        flag = flags.read(HEALING)
        seen.append((flag.value, flag.origin, flag.raw))

    (tmp_path / ".env").write_text(f"{HEALING}=false\n")
    note()
    (tmp_path / ".env.local").write_text(f"{HEALING}=true\n")
    note()
    environ[HEALING] = "0"
    note()
    flags.override(HEALING, True)
    note()
    flags.clear_override(HEALING)
    note()

    assert seen == [
        (False, ".env", "false"),
        (True, ".env.local", "true"),
        (False, "environment", "0"),
        (True, "override", None),
        (False, "environment", "0"),
    ]


def test_properties_read_their_own_flag(tmp_path: Path) -> None:
    """Each property answers for its own name."""
    for off in NAMES:
        flags = FeatureFlags(tmp_path, environ={off: "off"})
        answers = (flags.auto_healing, flags.auto_detection, flags.preventive_healing, flags.process_monitoring)
        assert answers == tuple(name != off for name in NAMES)


@pytest.mark.parametrize("raw", ["1", "true", "TRUE", "True", "yes", "on", "ON", "enabled", " true \t"])
def test_spellings_of_on(raw: str) -> None:
    """The stated spellings of on are read as on, whatever their case and blanks."""
    flag = FeatureFlags(environ={HEALING: raw}).read(HEALING)

    assert (flag.value, flag.problem) == (True, None)


@pytest.mark.parametrize("raw", ["0", "false", "FALSE", "no", "off", "Off", "disabled", "false\r"])
def test_spellings_of_off(raw: str) -> None:
    """The stated spellings of off are read as off without complaint."""
    flag = FeatureFlags(environ={HEALING: raw}).read(HEALING)

    assert (flag.value, flag.problem) == (False, None)


@pytest.mark.parametrize(
    "raw", ["", " ", "tru", "2", "-1", "1.0", "oui", "none", "yes please", "\uff54rue", "trüe", "\x00"]
)
def test_anything_else_is_off_and_named(raw: str) -> None:
    """A value that is no boolean switches off and is reported by name, with what was found."""
    flags = FeatureFlags(environ={HEALING: raw})
    flag = flags.read(HEALING)

    assert flag.value is False
    assert flag.problem is not None
    assert HEALING in flag.problem
    assert repr(raw) in flag.problem
    assert flags.problems() == (flag.problem,)


@given(raw=st.text())
def test_any_text_reads_as_a_boolean(raw: str) -> None:
    """Whatever the text, a flag is on only for a stated spelling of on, and off with a problem unless stated."""
    flag = FeatureFlags("/", environ={HEALING: raw}).read(HEALING)
    word = raw.strip().lower()

    assert flag.value == (word in {"1", "true", "yes", "on", "enabled"})
    assert (flag.problem is None) == (flag.value or word in {"0", "false", "no", "off", "disabled"})


def test_a_key_without_a_value_is_off_and_named(tmp_path: Path) -> None:
    """A name alone on its line, and a name with nothing behind the equals sign, switch off."""
    (tmp_path / ".env").write_text(f"{HEALING}\n{PREVENTIVE}=\n")
    flags = FeatureFlags(tmp_path, environ={})

    assert (flags.auto_healing, flags.preventive_healing) == (False, False)
    assert len(flags.problems()) == 2


def test_a_bad_value_is_not_rescued_by_a_lower_source(tmp_path: Path) -> None:
    """The first source that names a flag decides it, even with a value that is no boolean."""
    (tmp_path / ".env.local").write_text(f"{HEALING}=maybe\n")
    (tmp_path / ".env").write_text(f"{HEALING}=true\n")

    assert FeatureFlags(tmp_path, environ={}).read(HEALING).origin == ".env.local"
    assert FeatureFlags(tmp_path, environ={}).auto_healing is False


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (f"{HEALING}=false", False),
        (f"export {HEALING}=false\n", False),
        (f"{HEALING}='false'\n", False),
        (f'{HEALING}="false" # for now\n', False),
        (f"  {HEALING} = false\r\n", False),
        (f"\ufeff{HEALING}=false\n", False),
        (f"# {HEALING}=false\n", True),
        (f"{HEALING}=true\n{HEALING}=false\n", False),
        (f"OTHER=1\n\n{HEALING}=false # comment\n", False),
        (f"OTHER=${{{HEALING}}}\n{HEALING}=false\n", False),
    ],
)
def test_file_syntax(tmp_path: Path, content: str, value: bool) -> None:
    """Quotes, export, comments, a byte-order mark and Windows line ends are read as people mean them."""
    (tmp_path / ".env.local").write_bytes(content.encode())
    flags = FeatureFlags(tmp_path, environ={})

    assert flags.auto_healing is value
    assert flags.problems() == ()


def test_values_are_not_interpolated(tmp_path: Path) -> None:
    """A reference to another variable is text, not its value."""
    (tmp_path / ".env").write_text(f"{HEALING}=${{SWITCH}}\nSWITCH=true\n")
    flags = FeatureFlags(tmp_path, environ={"SWITCH": "true"})

    assert flags.auto_healing is False
    assert "${SWITCH}" in flags.problems()[0]


@pytest.mark.parametrize("file", [".env", ".env.local"])
@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.symlink_to(path.name), "cannot be looked at"),
        (lambda path: path.write_bytes(b"FEATURE_X=\xff\xfe\n"), "not UTF-8"),
        (lambda path: path.write_bytes("A=1\n".encode("utf-16")), "not UTF-8"),
        (lambda path: path.write_bytes("A=1\n".encode("utf-16-le")), "NUL"),
        (lambda path: path.write_text('\n\nA=1\nB="open\nC=2\n'), "line 4"),
        (lambda path: path.write_text("A=1\n" + "#" * (1 << 20)), "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_fail_safe(tmp_path: Path, file: str, spoil: Any, word: str) -> None:
    """A file that cannot be read, decoded or parsed switches off what it might have decided, and is named."""
    spoil(tmp_path / file)
    flags = FeatureFlags(tmp_path, environ={PREVENTIVE: "true"})

    assert flags.auto_healing is False
    assert flags.preventive_healing is True
    assert flags.read(HEALING).origin == file
    assert any(str(tmp_path / file) in problem and word in problem for problem in flags.problems())


def test_a_good_file_before_a_broken_one_decides(tmp_path: Path) -> None:
    """A broken .env does not touch a flag that .env.local decides, but it is still reported."""
    (tmp_path / ".env.local").write_text(f"{HEALING}=true\n")
    (tmp_path / ".env").write_text('A="open\n')
    flags = FeatureFlags(tmp_path, environ={})

    assert flags.auto_healing is True
    assert flags.preventive_healing is False
    assert any("line 1" in problem for problem in flags.problems())


def test_a_repaired_file_counts_again(tmp_path: Path) -> None:
    """Once the file is in order its problem is gone at the next read."""
    (tmp_path / ".env").write_text('A="open\n')
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is False
    (tmp_path / ".env").write_text('A="closed"\n')

    assert flags.auto_healing is True
    assert flags.problems() == ()


def test_a_virtual_environment_called_dot_env_is_no_settings_file(tmp_path: Path) -> None:
    """A directory .env that holds a virtual environment is passed over."""
    (tmp_path / ".env").mkdir()
    (tmp_path / ".env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    flags = FeatureFlags(tmp_path, environ={})

    assert flags.auto_healing is True
    assert flags.problems() == ()


def test_a_changed_file_is_seen_at_the_very_next_read(tmp_path: Path) -> None:
    """Edits of the same length, in place and one right after the other, are all seen."""
    path = tmp_path / ".env.local"
    flags = FeatureFlags(tmp_path, environ={})
    for turn in range(300):
        path.write_text(f"{HEALING}={turn % 2}\n")
        assert flags.auto_healing is bool(turn % 2), turn


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """An edit within the file system's time-stamp tick is seen although the stat is the same."""
    path = tmp_path / ".env"
    path.write_text(f"{HEALING}=1\n")
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is True
    same = path.stat()
    real_identity = module._identity

    def frozen(info: os.stat_result) -> tuple[int, int, int, int, int]:
        return real_identity(same) if info.st_ino == same.st_ino else real_identity(info)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_identity", frozen)
        flags.read(HEALING)
        path.write_text(f"{HEALING}=0\n")
        assert flags.auto_healing is False


def test_a_file_replaced_by_rename_is_seen(tmp_path: Path, settled: None) -> None:
    """An editor that writes a new file and renames it over the old one is noticed, same size and time or not."""
    path = tmp_path / ".env"
    path.write_text(f"{HEALING}=1\n")
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is True
    new = tmp_path / ".env.swp"
    new.write_text(f"{HEALING}=0\n")
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.rename(path)

    assert flags.auto_healing is False


def test_a_copy_that_keeps_the_old_time_is_seen(tmp_path: Path, settled: None) -> None:
    """A file overwritten with its modification time set back is noticed by its change time."""
    path = tmp_path / ".env"
    path.write_text(f"{HEALING}=1\n")
    age(path)
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is True
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text(f"{HEALING}=0\n")
    os.utime(path, ns=times)

    assert flags.auto_healing is False


def test_a_symlink_that_is_switched_is_seen(tmp_path: Path, settled: None) -> None:
    """Switching the target of a link, as mounted configuration does, is noticed."""
    for value in "10":
        (tmp_path / value).write_text(f"{HEALING}={value}\n")
    (tmp_path / ".env").symlink_to("1")
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is True
    (tmp_path / "next").symlink_to("0")
    (tmp_path / "next").rename(tmp_path / ".env")

    assert flags.auto_healing is False


def test_a_removed_file_is_seen(tmp_path: Path, settled: None) -> None:
    """Without its file a flag is back at the default."""
    path = tmp_path / ".env"
    path.write_text(f"{HEALING}=0\n")
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is False
    path.unlink()

    assert flags.auto_healing is True


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that certainly did not change costs a stat and no more."""
    (tmp_path / ".env").write_text(f"{HEALING}=0\n")
    flags = FeatureFlags(tmp_path, environ={})
    assert flags.auto_healing is False

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("builtins.open", refuse)
    assert flags.auto_healing is False


def test_a_fresh_time_stamp_is_not_trusted() -> None:
    """Only time stamps older than the coarsest tick let a file go unread."""
    now = SYSTEM_CLOCK.wall()
    old, fresh, future = (int((now + away) * 1e9) for away in (-10, -1, +3600))

    assert module._settled((0, 0, 0, old, old))
    assert not module._settled((0, 0, 0, fresh, old))
    assert not module._settled((0, 0, 0, old, fresh))
    assert not module._settled((0, 0, 0, future, old))


def test_the_environment_is_read_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an own mapping the process environment of the moment is read."""
    flags = FeatureFlags(tmp_path)
    monkeypatch.setenv(HEALING, "off")
    assert flags.auto_healing is False
    monkeypatch.delenv(HEALING)
    assert flags.auto_healing is True


def test_the_directory_is_that_of_construction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of the working directory does not change which files are read."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".env").write_text(f"{HEALING}=off\n")
    monkeypatch.chdir(tmp_path / "sub")
    here, relative = FeatureFlags(environ={}), FeatureFlags(".", environ={})
    monkeypatch.chdir(tmp_path)

    assert (here.auto_healing, relative.auto_healing) == (False, False)


def test_nothing_is_read_before_the_first_question(tmp_path: Path) -> None:
    """Neither the import nor the construction looks at environment or files, or loads the file parser."""
    (tmp_path / ".env").write_text(f"{HEALING}=off\n")
    code = (
        "import os, pathlib, sys\n"
        "from selfheal.policies.flags import FeatureFlags\n"
        "class Environ(dict):\n"
        "    def get(self, *a): raise AssertionError('environment read')\n"
        "import builtins\n"
        "os.stat = builtins.open = lambda *a, **k: sys.exit('file read')\n"
        "FeatureFlags(environ=Environ())\n"
        "assert 'dotenv' not in sys.modules\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("value", ["true", 1, None])
def test_an_override_is_a_boolean(value: Any) -> None:
    """An override that merely looks like a boolean is refused, at construction too."""
    with pytest.raises(ConfigError, match="True or False"):
        FeatureFlags().override(HEALING, value)
    with pytest.raises(ConfigError, match="True or False"):
        FeatureFlags(overrides={HEALING: value})


def test_an_unknown_name_is_refused() -> None:
    """A name that is no flag is refused with the ones there are."""
    flags = FeatureFlags()
    for ask in (flags.read, flags.clear_override, lambda name: flags.override(name, True)):
        with pytest.raises(NotFoundError, match="FEATURE_AUTO_HEALING_ENABLED"):
            ask("FEATURE_AUTO_HEALING")


def test_a_change_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However often a flag is read, each change of it is one log line."""
    caplog.set_level(logging.INFO, "selfheal.flags")
    environ = {HEALING: "on"}
    flags = FeatureFlags(tmp_path, environ=environ)
    for raw in ("on", "off", "off", "rubbish", "rubbish", "on"):
        environ[HEALING] = raw
        flags.read(HEALING)

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]
    assert caplog.messages[0] == f"{HEALING} is off (environment), was on (environment)"


def test_a_problem_at_the_first_read_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A value that is no boolean is a warning at once, not only when it changes."""
    flags = FeatureFlags(tmp_path, environ={HEALING: "rubbish"})
    flags.read(HEALING)
    flags.read(HEALING)

    assert [record.levelname for record in caplog.records] == ["WARNING"]


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_file_content_is_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No bytes in a file make a read raise, and an unusable file is never read as on."""
    directory = tmp_path_factory.mktemp("any")
    (directory / ".env").write_bytes(data)
    flags = FeatureFlags(directory, environ={})
    flag = flags.read(HEALING)

    assert flag.problem is None or flag.value is False


def test_many_threads_read_while_a_file_is_replaced(tmp_path: Path) -> None:
    """Readers see the old or the new value while the file is replaced, and the last one at the end."""
    path = tmp_path / ".env"
    path.write_text(f"{HEALING}=1\n")
    flags = FeatureFlags(tmp_path, environ={})
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            flag = flags.read(HEALING)
            if flag.problem or flag.origin != ".env":
                wrong.append(flag)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        (tmp_path / "new").write_text(f"{HEALING}={turn % 2}\n")
        (tmp_path / "new").rename(path)
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert flags.auto_healing is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_locked_out(tmp_path: Path) -> None:
    """A lock held by another thread at the moment of a fork does not stop the child."""
    flags = FeatureFlags(tmp_path, environ={})
    with flags._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if flags.auto_healing else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
