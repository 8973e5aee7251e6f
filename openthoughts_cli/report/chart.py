"""Line and interval charts as SVG text: no script, no network, colours from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Interval", "Line", "interval_chart", "line_chart", "nice_ticks", "span"]

_WIDTH, _HEIGHT = 680, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 40


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve of (x, y) points; `css` is the class that colours it."""

    name: str
    points: Sequence[tuple[float, float]]
    css: str
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval, e.g. a score before training."""

    name: str
    value: float
    low: float
    high: float
    css: str


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span [low, high], about that many; at least two."""
    span = high - low or abs(high) or 1.0
    raw = span / max(about - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def line_chart(lines: Sequence[Line], *, x_label: str, y_label: str, from_zero: bool = True) -> str:
    """The curves over one pair of axes. Empty text when no curve has a point.

    `from_zero`: the y axis begins at 0, or below.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    x_ticks = nice_ticks(min(x for x, _ in points), max(x for x, _ in points), 6)
    lowest = min(y for _, y in points)
    y_ticks = nice_ticks(min(0.0, lowest) if from_zero else lowest, max(y for _, y in points))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _scale(x, x_ticks[0], x_ticks[-1], _LEFT, _WIDTH - _RIGHT),
            _scale(y, y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP),
        )

    parts = [_open(_HEIGHT, f"{y_label} over {x_label}")]
    for y in y_ticks:
        _, py = at(x_ticks[0], y)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    for x in x_ticks:
        px, _ = at(x, y_ticks[0])
        parts.append(
            f'<text class="tick" x="{px:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{x:g}</text>'
        )
    parts.append(
        f'<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text class="axis" transform="translate(13 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    for line in lines:
        placed = [at(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="curve {line.css}" points="{path}"/>')
        if line.dots or len(placed) == 1:  # a line of one point is not seen
            parts += [
                f'<circle class="dot {line.css}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
                for x, y in placed
            ]
    parts.append("</svg>")
    return "".join(parts)


def interval_chart(intervals: Sequence[Interval], *, low: float, high: float, unit: str) -> str:
    """One row a value: a dot with its interval on a common scale from `low` to `high`."""
    if not intervals:
        return ""
    height = 34 * len(intervals) + 40
    left, right = 190, _WIDTH - 90
    ticks = nice_ticks(low, high, 6)
    parts = [_open(height, "scores with their intervals")]
    for tick in ticks:
        x = _scale(tick, ticks[0], ticks[-1], left, right)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{height - 30}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 12}" text-anchor="middle">{tick:g}{escape(unit)}</text>'
        )
    for row, item in enumerate(intervals):
        y = 24 + 34 * row
        x, a, b = (
            _scale(v, ticks[0], ticks[-1], left, right) for v in (item.value, item.low, item.high)
        )
        parts.append(
            f'<text class="name" x="{left - 14}" y="{y + 4}" text-anchor="end">{escape(item.name)}</text>'
        )
        parts.append(f'<line class="bar {item.css}" x1="{a:.1f}" x2="{b:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {item.css}" cx="{x:.1f}" cy="{y}" r="6"/>')
        parts.append(
            f'<text class="value" x="{right + 14}" y="{y + 4}">{item.value:.1f}{escape(unit)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)


def span(value: float, low: float, high: float, *, scale: tuple[float, float], css: str) -> str:
    """A value with its interval as one narrow strip, for a cell of a table.

    `scale`: what the strip's ends stand for, the same for all strips of a column; 0 is marked where
    it lies within.
    """
    width, height = 240, 20
    x, a, b, zero = (_scale(v, *scale, 6, width - 6) for v in (value, low, high, 0.0))
    parts = [
        f'<svg class="span" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{value:.4g}, from {low:.4g} to {high:.4g}" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    if scale[0] <= 0 <= scale[1]:
        parts.append(f'<line class="grid" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}"/>')
    parts.append(f'<line class="bar {css}" x1="{a:.1f}" x2="{b:.1f}" y1="10" y2="10"/>')
    parts.append(f'<circle class="dot {css}" cx="{x:.1f}" cy="10" r="5"/></svg>')
    return "".join(parts)


def _open(height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )


def _scale(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * (value - low) / ((high - low) or 1.0)
