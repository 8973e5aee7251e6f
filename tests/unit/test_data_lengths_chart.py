"""lengths.png says what the counts say."""

from __future__ import annotations

import io

from PIL import Image

from openthoughts_cli.data.lengths_chart import draw_lengths

BLUE = (64, 99, 171)


def _blue_columns(png: bytes) -> dict[int, int]:
    """Height of the blue in each column of pixels that has any."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    heights: dict[int, int] = {}
    for x in range(image.width):
        blue = sum(image.getpixel((x, y)) == BLUE for y in range(image.height))
        if blue:
            heights[x] = blue
    return heights


def test_bars_are_as_high_as_rows_are_many() -> None:
    heights = _blue_columns(draw_lengths({"tokens": [5] * 10 + [45] * 20}, title="it"))
    ordered = [heights[x] for x in sorted(heights)]
    left, right = ordered[0], ordered[-1]
    assert abs(right / left - 2) < 0.1
    assert set(ordered) == {left, right}
    assert min(heights) < 100 and max(heights) > 900  # from the left of the axis to its right


def test_a_panel_stands_for_each_part() -> None:
    one = Image.open(io.BytesIO(draw_lengths({"tokens": [1, 2]}, title="it")))
    parts = {name: [1, 2] for name in ("tokens", "tokens_thinking", "tokens_answer")}
    three = Image.open(io.BytesIO(draw_lengths(parts, title="it")))
    assert three.format == "PNG" and three.width == one.width
    assert three.height - one.height == 2 * 190


def test_no_rows_and_no_tokens_are_drawn_too() -> None:
    for values in ([], [0, 0], [10**7]):
        assert draw_lengths({"tokens": values}, title="x" * 120).startswith(b"\x89PNG")
