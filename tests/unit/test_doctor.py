"""Each finding of `ot doctor`, on machines that have the thing and on machines that lack it."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.doctor import Check, worst
from openthoughts_cli.doctor.check import fail, ok, warn
from openthoughts_cli.doctor.machine import check_disk, check_memory, check_python
from openthoughts_cli.doctor.packages import check_packages, version_problems
from openthoughts_cli.doctor.services import (
    check_clock,
    check_hub,
    check_keys,
    check_tinker,
    check_wandb,
)
from openthoughts_cli.doctor.work import check_index, check_local_engine
from openthoughts_cli.problems.gpqa import GPQA_PLACE
from tests.doubles.dataset_hub import dataset_hub
from tests.doubles.rows import many, write
from tests.doubles.tinker_server import TinkerServer


def by_name(checks: object) -> dict[str, Check]:
    assert isinstance(checks, object)
    return {check.name: check for check in checks}  # type: ignore[attr-defined]


def test_the_gravest_status_counts() -> None:
    fine, meh, bad = ok("g", "a", "t"), warn("g", "b", "t", "f"), fail("g", "c", "t", "f")
    assert [worst([]), worst([fine]), worst([fine, meh]), worst([bad, meh])] == [
        "ok",
        "ok",
        "warn",
        "fail",
    ]


def test_an_old_python_fails() -> None:
    assert check_python((3, 10, 12)).status == "fail"
    assert check_python((3, 13, 0)).status == "ok"


@pytest.mark.parametrize(("kib", "status"), [(1_000_000, "warn"), (16_000_000, "ok")])
def test_little_memory_warns(tmp_path: Path, kib: int, status: str) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99 kB\nMemAvailable: {kib} kB\n")
    assert check_memory(meminfo).status == status


def test_memory_that_the_system_does_not_tell_is_no_fault(tmp_path: Path) -> None:
    assert check_memory(tmp_path / "absent").status == "ok"


def test_a_place_that_is_a_file_fails_and_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").write_text("")
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))
    found = by_name(check_disk())["runs"]
    assert (found.status, "OT_RUNS" in found.fix) == ("fail", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))
    assert by_name(check_disk())["runs"].status == "fail"


def test_what_is_absent_or_too_old_is_named() -> None:
    wanted = [
        Requirement("pydantic>=2"),
        Requirement("pydantic>=99"),
        Requirement("there-is-no-such-package"),
        Requirement("another; extra == 'x'"),
    ]
    problems = version_problems(wanted)
    assert len(problems) == 2
    assert problems[0] == "not installed: there-is-no-such-package" and ">=99" in problems[1]
    assert version_problems(wanted, "x") == ["not installed: another"]


def test_the_packages_here_are_those_asked_for() -> None:
    assert by_name(check_packages())["core"].status == "ok"


@pytest.mark.parametrize(
    ("environ", "tinker", "hf"),
    [
        ({}, "warn", "ok"),
        ({"TINKER_API_KEY": "sk-wrong"}, "fail", "ok"),
        ({"TINKER_API_KEY": "tml-right"}, "ok", "ok"),
        ({"HF_TOKEN": "not-one"}, "warn", "warn"),
        ({"HF_TOKEN": "hf_" + "a" * 34}, "warn", "ok"),
    ],
)
def test_the_form_of_keys_is_looked_at_and_their_text_never_shown(
    environ: dict[str, str], tinker: str, hf: str
) -> None:
    found = list(check_keys(environ))
    assert (by_name(found)["tinker key"].status, by_name(found)["hf token"].status) == (tinker, hf)
    said = " ".join(f"{check.text} {check.fix}" for check in found)
    assert not any(value in said for value in environ.values())


def test_the_tinker_server_is_asked_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with TinkerServer() as server:
        monkeypatch.setenv("TINKER_API_KEY", server.key)
        config = EngineConfig(kind="tinker", base_url=server.url)
        assert check_tinker(config, "tiny/bigram").status == "ok"
        missing = check_tinker(config, "no/such")
    assert missing.status == "fail" and "not served" in missing.text
    assert "tiny/bigram" in missing.fix


def test_a_key_that_the_server_refuses_fails_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with TinkerServer(key="tml-of-this-server") as server:
        monkeypatch.setenv("TINKER_API_KEY", "tml-of-somebody-else")
        refused = check_tinker(EngineConfig(kind="tinker", base_url=server.url), "tiny/bigram")
    assert refused.status == "fail" and "somebody" not in refused.text + refused.fix


def test_a_server_that_is_not_there_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-any")
    config = EngineConfig(kind="tinker", base_url="http://127.0.0.1:9")
    found = check_tinker(config, "tiny/bigram")
    assert found.status == "fail" and "cannot be reached" in found.text


def test_without_a_hub_the_fix_is_a_mirror_or_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (found,) = check_hub()
    assert found.status == "warn" and "HF_ENDPOINT" in found.fix


def test_offline_asks_nobody() -> None:
    (found,) = check_hub()
    assert found.status == "warn" and "offline" in found.text
    assert check_clock().status == "ok"


def test_a_hub_says_what_can_be_read_and_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    write(tmp_path / "open" / "data" / "a.parquet", many(3))
    (tmp_path / "open" / "README.md").write_text("rows")
    (tmp_path / "gated").mkdir()
    (tmp_path / "gated" / "gpqa_diamond.csv").write_text("Question\n")
    folders = {
        "open-thoughts/OpenThoughts3-1.2M": tmp_path / "open",
        "Idavidrein/gpqa": tmp_path / "gated",
    }
    with dataset_hub(folders) as hub:
        hub.gated = {"Idavidrein/gpqa"}
        hub.commits["Idavidrein/gpqa"] = GPQA_PLACE.revision
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        found = by_name(check_hub())
        late = check_clock(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2))
        right = check_clock()
    assert found["hub"].status == "ok", found["hub"].text
    assert found["gpqa"].status == "warn" and "1. sign in" in found["gpqa"].fix
    assert (late.status, right.status) == ("warn", "ok")
    assert "ahead" in late.text


def test_wandb_is_off_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("NETRC", "/nonexistent")
    assert check_wandb().text.startswith("disabled")
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert check_wandb().status == "warn"


@pytest.mark.torch
def test_the_local_engine_is_usable_here() -> None:
    found = check_local_engine("smollm2-135m", chosen=True)
    assert found.status == "ok" and "torch" in found.text


@pytest.mark.parametrize(("chosen", "status"), [(True, "fail"), (False, "warn")])
def test_a_local_engine_without_its_extra(chosen: bool, status: str) -> None:
    found = check_local_engine("smollm2-135m", chosen=chosen, needed=("no_such_package",))
    assert found.status == status
    assert "no_such_package" in found.text and "[local]" in found.fix


def test_the_indexes_here_are_named() -> None:
    assert check_index().text.startswith("none yet")
