"""From a hub to a subset, back onto the hub, and from there again: the commands as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.dataset_hub import TOKEN, Fault, dataset_hub
from tests.doubles.rows import PHYSICS, many, write
from tests.doubles.tokenizer import byte_model

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def test_rows_go_from_a_hub_to_a_subset_and_back(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write(rows / "data" / "a.parquet", many(300))
    write(rows / "data" / "b.parquet", many(60, source=PHYSICS, domain="science"))
    model = byte_model(tmp_path / "model")
    with dataset_hub({"someone/rows": rows}) as hub:
        hub.root, hub.gated = tmp_path / "served", {"someone/rows"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "OT_"))}
        environ = {
            **kept,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "OT_CACHE": str(tmp_path / "cache"),
            "OT_SUBSETS": str(tmp_path / "subsets"),
        }

        def ot(*arguments: str, token: str = TOKEN, code: int = 0) -> tuple[dict[str, Any], str]:
            done = subprocess.run(
                [sys.executable, "-m", "openthoughts_cli", *arguments, "--json"],
                cwd=REPOSITORY,
                env={**environ, "HF_TOKEN": token},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == code, done.stderr
            return json.loads(done.stdout or "{}"), done.stderr

        cut = ["subset", "--dataset", "someone/rows", "--tokenizer", str(model), "-n", "40"]
        _, err = ot(*cut, "--name", "it", token="", code=1)
        assert "gated" in err and "1. sign in" in err and "4. run this again" in err

        hub.faults = [
            Fault("GET /store/", cut_after=1500),
            Fault("GET /store/", status=429, headers={"Retry-After": "1"}),
            Fault("GET /store/", cut_after=1500, reset=True),
        ]
        made, err = ot(*cut, "--name", "it")
        assert "Retrying" not in err and hub.faults == []
        assert made["record"]["dataset"]["revision"] == "c" * 40

        hub.requests.clear()
        again, _ = ot(*cut, "--name", "again", "--offline", token="")
        assert again["record"]["digest"] == made["record"]["digest"] and hub.requests == []

        pushed, _ = ot("push", "it", "me/subsets")
        assert pushed["private"] and pushed["files"]
        back, _ = ot("subset", "--dataset", "me/subsets", *cut[3:], "--name", "back")
        # The same rows, drawn by the same seed: the hub kept every byte of them.
        assert back["record"]["digest"] == made["record"]["digest"]
        hidden, err = ot(
            "subset", "--dataset", "me/subsets", *cut[3:], "--name", "hidden", token="", code=2
        )
        assert hidden == {} and "a private one needs HF_TOKEN" in err
        assert hub.strangers == []
