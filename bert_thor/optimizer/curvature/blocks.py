"""How factors are cut into diagonal blocks. Pure arithmetic.

Letters: b block edge, n blocks.
"""

from __future__ import annotations

from bert_thor.network.architecture import ParameterSpec

CLASSIFIER_OUTPUTS = 2
"""Up to this many outputs a layer is a classifier: its G is taken as the identity, as the original does."""


def block_count(features: int, edge: int) -> int:
    """Diagonal blocks of edge `edge` that cover `features`: ceil(features / edge)."""
    return -(-features // edge)


def block_edge(features: int, edge: int, groups: int = 1) -> int:
    """The block edge used for `features` features: at most `edge`, and such that no block reaches across two of `groups` equal parts.

    `edge` 0 means one block per group.
    """
    part = features // groups
    if edge == 0 or edge >= part:
        return part
    if groups == 1:
        return edge
    return max(divisor for divisor in range(1, edge + 1) if part % divisor == 0)


def factor_edges(spec: ParameterSpec, block: int) -> dict[str, int]:
    """Block edges of A and G of a dense layer [outputs, inputs] or a table [rows, features], whose A is diagonal: blocks of edge 1."""
    first, second = spec.shape
    if spec.kind == "table":
        return {"A": 1, "G": block_edge(second, block)}
    return {"A": block_edge(second, block), "G": block_edge(first, block, spec.groups)}


def factor_shapes(spec: ParameterSpec, block: int) -> dict[str, tuple[int, int, int]]:
    """Shapes [n, b, b] of the packed blocks of A and G."""
    features = spec.shape if spec.kind == "table" else spec.shape[::-1]
    edges = factor_edges(spec, block)
    return {side: (block_count(size, edges[side]), edges[side], edges[side]) for side, size in zip("AG", features)}


def is_classifier(spec: ParameterSpec) -> bool:
    """A dense layer with one or two outputs."""
    return spec.kind == "dense" and spec.shape[0] <= CLASSIFIER_OUTPUTS


def factor_sides(spec: ParameterSpec) -> str:
    """Which factors are captured: "AG", or "A" where G is taken as the identity."""
    return "A" if is_classifier(spec) else "AG"
