"""lengths.png: how many rows have how many tokens, for the whole row and for each of its parts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from openthoughts_cli.data.figures import Bar, token_bars

__all__ = ["draw_lengths"]

_WIDTH = 960
_PANEL_HEIGHT = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 40, 46
_MOST_BARS = 48
_INK, _FAINT, _GRID = (40, 44, 52), (110, 116, 126), (226, 229, 234)
_COLOURS = {
    "tokens": (64, 99, 171),
    "tokens_question": (196, 122, 44),
    "tokens_thinking": (74, 140, 96),
    "tokens_answer": (150, 82, 140),
}
_NAMES = {
    "tokens": "whole row",
    "tokens_question": "question",
    "tokens_thinking": "thinking",
    "tokens_answer": "answer",
}


def draw_lengths(columns: Mapping[str, Sequence[int]], *, title: str) -> bytes:
    """Draw one histogram a column, one under the other, as a PNG.

    Args:
        columns: token counts a row, by `tokens`, `tokens_question`, `tokens_thinking` and
            `tokens_answer`; those that are missing are left out.
        title: stands above the first.
    """
    from PIL import Image, ImageDraw

    names = [name for name in _NAMES if name in columns]
    height = _TOP + _PANEL_HEIGHT * len(names)
    image = Image.new("RGB", (_WIDTH, height), "white")
    draw: Any = ImageDraw.Draw(image)
    _text(draw, (_LEFT, 10), title, 16 if len(title) < 90 else 11, _INK)
    for number, name in enumerate(names):
        _panel(draw, _TOP + number * _PANEL_HEIGHT, name, columns[name])
    sink = io.BytesIO()
    # Few colours: a palette makes the file a third as large. The other methods are much slower.
    image.quantize(64, method=Image.Quantize.FASTOCTREE).save(sink, "PNG")
    return sink.getvalue()


def _panel(draw: Any, top: int, name: str, values: Sequence[int]) -> None:
    bars = token_bars(values, _MOST_BARS)
    left, right = _LEFT, _WIDTH - _RIGHT
    head, foot = top + 26, top + _PANEL_HEIGHT - _BOTTOM
    middle = sorted(values)[(len(values) - 1) // 2] if values else 0
    about = f"{_NAMES[name]}: median {middle:,}, {sum(values):,} tokens in all"
    _text(draw, (left, top + 4), about, 13, _INK)
    most = max((bar.rows for bar in bars), default=1)
    for mark in _marks(most, 3):
        y = foot - round(mark / most * (foot - head))
        draw.line((left, y, right, y), fill=_GRID)
        _text(draw, (left - 8, y), f"{mark:,}", 11, _FAINT, anchor="rm")
    _bars(draw, bars, most, (left, head, right, foot), _COLOURS[name])
    draw.line((left, foot, right, foot), fill=_INK)
    _tokens_axis(draw, bars, left, right, foot)
    _text(draw, (10, (head + foot) // 2), "rows", 12, _FAINT, anchor="lm")


def _bars(
    draw: Any,
    bars: Sequence[Bar],
    most: int,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
) -> None:
    left, head, right, foot = box
    for i, bar in enumerate(bars):
        if bar.rows:
            x0 = left + round(i / len(bars) * (right - left))
            x1 = left + round((i + 1) / len(bars) * (right - left)) - 2
            y = foot - max(round(bar.rows / most * (foot - head)), 1)
            draw.rectangle((x0, y, max(x1, x0), foot), fill=colour)


def _tokens_axis(draw: Any, bars: Sequence[Bar], left: int, right: int, foot: int) -> None:
    if not bars:
        return
    low, high = bars[0].low, bars[-1].high
    for mark in _marks(high, 8):
        if mark < low:
            continue
        x = left + round((mark - low) / (high - low) * (right - left))
        draw.line((x, foot, x, foot + 4), fill=_INK)
        _text(draw, (x, foot + 6), f"{mark:,}", 11, _FAINT, anchor="ma")
    _text(draw, (right, foot + 20), "tokens", 12, _FAINT, anchor="ra")


def _marks(high: int, most: int) -> list[int]:
    """0 and at most `most` round values above it, up to `high`."""
    steps = (lead * 10**power for power in range(19) for lead in (1, 2, 5))
    step = next(step for step in steps if high // step <= most)
    return list(range(0, high + 1, step))


def _text(
    draw: Any,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str = "la",
) -> None:
    from PIL import ImageFont

    draw.text(at, text, fill=colour, font=ImageFont.load_default(size), anchor=anchor)
