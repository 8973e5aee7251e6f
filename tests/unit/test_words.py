"""Guesses at what was meant."""

from __future__ import annotations

from openthoughts_cli.words import BEFORE_HINT, close_to, did_you_mean


def test_the_likest_word_stands_in_the_phrase() -> None:
    assert did_you_mean("maths", ["code", "math", "science"]) == " (did you mean math?)"
    assert did_you_mean("maths", {"code", "math"}, BEFORE_HINT) == "did you mean math? "


def test_a_word_unlike_all_others_gets_no_guess() -> None:
    assert did_you_mean("zzz", ["code", "math"]) == ""
    assert did_you_mean("anything", []) == ""


def test_a_name_with_braces_is_put_in_as_it_is() -> None:
    assert did_you_mean("a{0}", ["a{0}b"], "{}") == "a{0}b"


def test_several_words_come_the_likest_first() -> None:
    names = ["train.yaml", "trains.yml", "eval.yaml"]
    assert close_to("train.yml", names, most=2, cutoff=0.5) == ["trains.yml", "train.yaml"]
