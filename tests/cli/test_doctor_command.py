"""`ot doctor` as a command: on a bare machine, and on one where everything answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import CommandResult
from tests.doubles.tinker_server import TinkerServer

pytestmark = pytest.mark.torch  # without it and without a key no engine is usable: a failure

Ot = Callable[..., CommandResult]


def test_on_a_bare_machine_it_warns_and_says_what_mends(
    ot: Ot, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ot("doctor", "--offline", "--plain")
    assert done.code == 0, done.out
    assert "tinker key" in done.out and "TINKER_API_KEY" in done.out
    assert "0 fail" in done.out and done.err == ""


def test_a_key_of_the_wrong_form_fails_with_exit_1(ot: Ot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "sk-wrong-form-of-key")
    done = ot("doctor", "--offline", "--json")
    assert done.code == 1
    record = json.loads(done.out)
    assert (record["kind"], record["status"]) == ("doctor", "fail")
    failed = [check["name"] for check in record["checks"] if check["status"] == "fail"]
    assert failed == ["tinker key"]
    assert all(check["fix"] for check in record["checks"] if check["status"] != "ok")
    assert "sk-wrong" not in done.out + done.err


def test_a_served_model_is_ok_and_another_fails(ot: Ot, monkeypatch: pytest.MonkeyPatch) -> None:
    with TinkerServer() as server:
        monkeypatch.setenv("TINKER_API_KEY", server.key)
        served = ot("doctor", "--offline", "--base-url", server.url, "--model", "tiny/bigram")
        missing = ot("doctor", "--offline", "--base-url", server.url, "--model", "tiny/bigrm")
    assert served.code == 0, served.out
    assert f"{server.url} trains tiny/bigram" in " ".join(served.out.split())
    assert missing.code == 1 and "not served" in missing.out


def test_quiet_leaves_out_what_is_well(ot: Ot) -> None:
    done = ot("doctor", "--offline", "--quiet")
    assert "python" not in done.out and "tinker key" in done.out
