"""The full sweeps under configs/sweeps/ as they stand, through the command line: `ot sweep FILE --dry-run`.

They ask a hub on this machine that has rows in the schema of OpenThoughts3, and have no Tinker key. That
takes minutes, so only `make soak` does it; tests/unit/test_sweeps_plans.py plans them cut down.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.doubles.dataset_hub import TOKEN
from tests.doubles.open_thoughts import open_thoughts_hub
from tests.e2e.conftest import RunOt
from tests.e2e.test_eval_journeys import aime_rows, gpqa_rows, lcb_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("OT_TEST_SOAK", "1") == "1", reason="minutes: `make soak`"),
]

SWEEPS = Path(__file__).parents[2] / "configs" / "sweeps"
FULL = [file for file in sorted(SWEEPS.glob("*.yaml")) if not file.stem.endswith(".local")]
PROBLEMS = {"aime25": aime_rows(30), "gpqa": gpqa_rows(198), "livecodebench": lcb_rows(240)}


def test_the_full_sweeps_are_planned_from_a_hub_without_a_key(
    run_ot: RunOt, tmp_path: Path
) -> None:
    with open_thoughts_hub(tmp_path / "hub", PROBLEMS, questions=1400, words=200) as hub:
        places = {"HF_HOME": str(tmp_path / "home"), "OT_INDEX": str(tmp_path / "index")}
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", **places}
        built = run_ot("index", "build", "--full", env=env, timeout_s=1200)
        assert built.code == 0, built.err
        for file in FULL:
            ended = run_ot("sweep", file, "--dry-run", "--json", env=env, timeout_s=1200)
            assert ended.code == 0, f"{file.name}: {ended.err}"
            plan = json.loads(ended.out)["plan"]
            assert plan["counts"]["to_run"] == len(plan["cells"]) >= 9
            assert plan["uncommon"] is None
            assert 0 < plan["least_usd"] < plan["most_usd"]
            steps = [cell["steps"] for cell in plan["cells"]]
            assert min(steps) >= 0.9 * max(steps) > 0, file.name
    assert not (tmp_path / "runs").exists()
