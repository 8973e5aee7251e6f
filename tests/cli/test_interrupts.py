"""Ctrl-C and SIGTERM: at once for most commands; asked first, then insisted, where work is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.interrupts import stop_on_request

REPO = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_insists(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    open_console()
    before = signal.getsignal(number)
    others = set(threading.enumerate())  # of other tests, which may never end
    with stop_on_request(say="stopping soon") as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        for thread in set(threading.enumerate()) - others:
            thread.join(timeout=60)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
    assert capsys.readouterr().err == "warning: stopping soon\n"


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[bool] = []

    def work() -> None:
        with stop_on_request() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGINT) == before


SLEEPER = """
import sys, time, typer
from openthoughts_cli.cli import app as root
class Module:
    app = typer.Typer(add_completion=False)
@Module.app.command()
def sleep() -> None:
    "Sleep."
    try:
        print("ready", flush=True)
        time.sleep(3600)
    finally:
        print("cleaned up", flush=True)
sys.modules["a_verb_that_sleeps"] = Module
root.VERBS["sleep"] = root.Verb("sleep", "a_verb_that_sleeps", "Sleep.")
from openthoughts_cli.__main__ import main
sys.exit(main(["sleep"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_unwinds_and_ends_with_130(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=120)  # it would sleep for an hour
    assert process.returncode == 130
    assert out == "cleaned up\n"
    assert err.startswith("error: interrupted\n")
    assert "Traceback" not in err


def test_ctrl_c_while_libraries_tidy_up_ends_the_process_without_a_traceback() -> None:
    code = (
        "import atexit, sys, time\n"
        "from openthoughts_cli.__main__ import main\n"
        "atexit.register(lambda: (print('leaving', flush=True), time.sleep(3600)))\n"
        "sys.argv = ['ot', '--version']\n"
        "sys.exit(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while process.stdout.readline() != "leaving\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert err == ""
