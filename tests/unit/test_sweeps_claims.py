"""Sweeps that share a cell agree on its run, at whatever moment of that run's beginning they look."""

from __future__ import annotations

from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import write_whole
from openthoughts_cli.sweeps.claims import claim_runs


def run(name: str) -> RunDirectory:
    return RunDirectory(runs_dir() / name)


def test_the_second_takes_what_the_first_has_claimed() -> None:
    assert claim_runs({"id": run("mine")})["id"].run_id == "mine"
    assert claim_runs({"id": run("theirs")})["id"].run_id == "mine"


def test_a_run_whose_config_is_not_written_yet_is_still_claimed() -> None:
    claim_runs({"id": run("mine")})
    run("mine").path.mkdir()
    write_whole(run("mine").record_path, '{"identity": "id"}')  # the first of two files
    assert claim_runs({"id": run("theirs")})["id"].run_id == "mine"


def test_a_run_that_has_begun_is_found_and_claims_nothing_more() -> None:
    claim_runs({"id": run("mine")})
    run("mine").path.mkdir()
    run("mine").write_config({}, {"identity": "id"})
    assert claim_runs({"id": run("theirs")})["id"].run_id == "mine"
    assert claim_runs({"other": run("mine")})["other"].run_id == "mine"
