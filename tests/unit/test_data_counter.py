"""A counter by its model's name: its digest is kept, its tokenizer loaded when a text comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.tokens import RendererCounter
from openthoughts_cli.errors import IntegrityError, ModelError
from tests.doubles.chat_models import CHATML, SMOLLM2, chatml_folder

ROWS = [("hello", "<think>\nin the end\n</think>\n\nit is 4"), ("", "")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "renderers"


def test_the_first_and_every_later_counter_are_the_renderers(tmp_path: Path) -> None:
    folder = str(chatml_folder(tmp_path / "model"))
    renderer = load_renderer(folder)
    for _ in range(2):
        counter = open_counter(folder)
        assert (counter.model, counter.digest) == (folder, renderer.digest)
        assert counter.count(ROWS) == RendererCounter(renderer).count(ROWS)
        assert counter.has_control("<|im_end|>")


def test_a_kept_digest_is_of_these_very_files(tmp_path: Path) -> None:
    folder = str(chatml_folder(tmp_path / "model", CHATML))
    before = [open_counter(folder).digest for _ in range(2)]
    chatml_folder(tmp_path / "model", SMOLLM2)
    after = [open_counter(folder).digest for _ in range(2)]
    assert len(set(before)) == len(set(after)) == 1
    assert before != after
    assert after[0] == load_renderer(folder).digest


def test_nothing_is_loaded_for_the_digest_alone(tmp_path: Path, own_cache: Path) -> None:
    folder = chatml_folder(tmp_path / "model")
    right = open_counter(str(folder)).digest
    (kept,) = own_cache.iterdir()
    kept.write_text("0" * 32)
    counter = open_counter(str(folder))
    assert counter.digest == "0" * 32  # nothing was there to gainsay it
    with pytest.raises(IntegrityError, match="is not the one whose digest is kept"):
        counter.count(ROWS)
    kept.write_text("torn")
    assert open_counter(str(folder)).digest == right
    assert kept.read_text() == right


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.mkdir()
    own_cache.write_text("a file where the folder should be")
    folder = str(chatml_folder(tmp_path / "model"))
    assert open_counter(folder).digest == load_renderer(folder).digest


def test_a_model_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        open_counter(str(tmp_path / "nothing"))
