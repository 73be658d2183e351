"""Draws docs/idea.svg, the idea of THOR: a layer's gradient between two inverses, each made of diagonal blocks.

python docs/idea.py
"""

from __future__ import annotations

from pathlib import Path

BLUE, RED, GREY, INK = "#2980b9", "#c0392b", "#7f8c8d", "#1f2328"
ROWS = 190
"""Y of the row of matrices."""


def text(x: float, y: float, words: str, size: int = 15, colour: str = INK, weight: str = "normal") -> str:
    """Words centred at x."""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" font-weight="{weight}">{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = GREY) -> str:
    """A rectangle."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="{stroke}"/>'


def blocks(x: float, y: float, count: int, edge: int, colour: str) -> str:
    """A square matrix that is zero outside its diagonal blocks."""
    diagonal = [box(x + i * edge, y + i * edge, edge, edge, colour, "#ffffff") for i in range(count)]
    return box(x, y, count * edge, count * edge, "#f3f4f6") + "".join(diagonal)


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line with a head."""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'


def drawing() -> str:
    """The whole picture. O = 3 blocks of 50, I = 2 blocks of 50; a white panel keeps it readable on any page."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 400" font-family="Helvetica, Arial, sans-serif" text-anchor="middle" '
        'role="img" aria-label="The step of a dense layer is its gradient between the inverses of two factors in diagonal blocks">',
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 '
        f'L0,8 z" fill="{INK}"/></marker></defs>',
        f'<rect x="1" y="1" width="858" height="398" rx="10" fill="#ffffff" stroke="{GREY}"/>',
        # what a step of the network knows of the layer
        text(430, 30, "dense layer  y = x Wᵀ", 17, weight="bold"),
        text(115, 52, "d: gradients of its outputs"),
        box(40, 62, 150, 40, BLUE),
        text(115, 88, "N × O", 14, "#ffffff"),
        text(640, 52, "x: its inputs"),
        box(590, 62, 100, 40, RED),
        text(640, 88, "N × I", 14, "#ffffff"),
        # the three matrices
        arrow(115, 104, 115, ROWS - 12),
        text(205, 134, "G = dᵀd / N", 15, BLUE, "bold"),
        text(205, 154, "blocks, damped, inverted", 13),
        arrow(640, 104, 640, ROWS + 13),
        text(735, 134, "A = xᵀx / N", 15, RED, "bold"),
        text(735, 154, "blocks, damped, inverted", 13),
        arrow(194, 82, 372, ROWS - 12),
        arrow(586, 82, 408, ROWS - 12),
        text(390, 118, "dW = dᵀx", 15, weight="bold"),
        blocks(40, ROWS, 3, 50, BLUE),
        text(115, ROWS + 178, "G⁻¹", 19, BLUE, "bold"),
        text(265, ROWS + 90, "·", 60),
        box(340, ROWS, 100, 150, "#b9c2c6"),
        text(390, ROWS + 178, "dW", 19, weight="bold"),
        text(515, ROWS + 90, "·", 60),
        blocks(590, ROWS + 25, 2, 50, RED),
        text(640, ROWS + 178, "A⁻¹", 19, RED, "bold"),
        text(775, ROWS + 78, "= the step", 19, weight="bold"),
        text(775, ROWS + 100, "of W", 19, weight="bold"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
