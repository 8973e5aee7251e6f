"""The figures of a chart as a file."""

from __future__ import annotations

from openthoughts_cli.explorer.csv_file import csv_bytes


def test_columns_stand_in_the_order_in_which_they_come_and_formulas_are_texts() -> None:
    records = [{"run": "=HYPERLINK(1)", "step": 1}, {"run": "b", "step": -2, "low": 0.5}]
    assert csv_bytes(records).decode().splitlines() == [
        "run,step,low",
        "'=HYPERLINK(1),1,",
        "b,-2,0.5",
    ]


def test_what_is_no_text_in_utf8_spoils_no_file() -> None:
    assert csv_bytes([{"a": "\ud800é"}]) == "a\r\n?é\r\n".encode()
