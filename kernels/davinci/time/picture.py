"""A picture of a timeline: one row per pipe, one box per instruction, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from .timeline import PIPES, Event

WIDTH, ROW, LEFT, TOP = 960, 34, 70, 40
COLOURS = {
    "S": "#7f7f7f",
    "V": "#2ca02c",
    "M": "#d62728",
    "MTE1": "#9467bd",
    "MTE2": "#1f77b4",
    "MTE3": "#ff7f0e",
}
TICKS = 8
SHORTEST_LABELLED = 60


def svg(events: Sequence[Event], cycles: float, title: str) -> str:
    """The events over a common axis from 0 to ``cycles``.

    Args:
        events: what ran when, in cycles.
        cycles: the end of the axis.
        title: the line above.
    """
    scale = WIDTH / cycles
    height = TOP + ROW * len(PIPES) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for i, pipe in enumerate(PIPES):
        y = TOP + i * ROW
        parts.append(f'<text x="8" y="{y + 19}">{pipe}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y + ROW}" y2="{y + ROW}" stroke="#ddd"/>')
    parts += [_box(event, scale) for event in events]
    for tick in range(TICKS + 1):
        x = LEFT + WIDTH * tick / TICKS
        parts.append(f'<text x="{x:.0f}" y="{height - 10}" text-anchor="middle">{cycles * tick / TICKS:.0f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _box(event: Event, scale: float) -> str:
    x, y = LEFT + event.start * scale, TOP + PIPES.index(event.pipe) * ROW + 5
    width = max((event.end - event.start) * scale, 0.7)
    label = f"{event.name} line {event.line[1]}: {event.start:.0f} to {event.end:.0f}"
    box = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 10}" fill="{COLOURS[event.pipe]}">'
    text = ""
    if width >= SHORTEST_LABELLED:
        text = f'<text x="{x + 4:.1f}" y="{y + 16}" fill="white">{escape(event.name)}</text>'
    return f"{box}<title>{escape(label)}</title></rect>{text}"
