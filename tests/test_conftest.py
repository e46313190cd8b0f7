"""The watches over all tests do see what they watch for."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"


def test_a_thread_left_running_fails_its_test(pytester: pytest.Pytester) -> None:
    """A thread of selfheal that outlives its test is an error of it; one of others, or one that ended, is not."""
    pytester.makeconftest(CONFTEST.read_text().replace("_GRACE = 30.0", "_GRACE = 2.0"))
    pytester.makepyfile("""
        import threading

        def start(name, work):
            threading.Thread(target=work, name=name, daemon=True).start()

        def test_left():
            start("selfheal-worker", threading.Event().wait)

        def test_of_others():
            start("other", threading.Event().wait)

        def test_ended():
            start("selfheal-worker", int)
    """)
    result = pytester.runpytest_subprocess("-p", "no:xdist")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_left*", "*threads left running: ?'selfheal-worker'?*"])


@pytest.mark.parametrize("in_ci", [False, True])
def test_a_missing_package_is_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: bool
) -> None:
    """For want of a package a test fails, otherwise it is skipped; in CI that fails too, unless it lacks a right."""
    monkeypatch.setenv("CI", "true" if in_ci else "")
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(
        test_one="""
            import pytest

            def test_missing():
                pytest.importorskip("no_such_package")

            def test_skipped():
                pytest.skip("not on this system")

            def test_not_allowed():
                pytest.skip("needs leave to mount")
        """,
        test_module="""
            import pytest

            pytest.importorskip("no_such_package")
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:xdist", "--continue-on-collection-errors")

    result.assert_outcomes(failed=1 + in_ci, skipped=2 - in_ci, errors=1)
    result.stdout.fnmatch_lines(["*a package of the test group is missing, run make install*"])
