"""The cut of precondition: every pair of blocks once, within the buffers."""

from __future__ import annotations

import pytest

from bert_thor.kernels.ascend.sizes import L0_BYTES, L0C_BYTES, L1_BYTES, UB_BYTES
from bert_thor.kernels.precondition.tiling import Tiling, tile

# (outputs, inputs) of BERT-Base and BERT-Large: attention, intermediate, output, pooler, vocabulary
BERT_LAYERS = [
    (768, 768),
    (3072, 768),
    (768, 3072),
    (1024, 1024),
    (4096, 1024),
    (1024, 4096),
    (30522, 768),
    (30522, 1024),
]


def assert_covers_and_fits(tiling: Tiling) -> None:
    assert (tiling.down - 1) * tiling.bg + (tiling.tail_outputs or tiling.bg) == tiling.outputs
    assert (tiling.across - 1) * tiling.ba + (tiling.tail_inputs or tiling.ba) == tiling.inputs
    shares = [
        (core + 1) * tiling.pairs // tiling.cores - core * tiling.pairs // tiling.cores for core in range(tiling.cores)
    ]
    assert sum(shares) == tiling.pairs
    assert 1 <= min(shares) <= max(shares) <= min(shares) + 1
    assert tiling.ub_bytes() <= UB_BYTES
    assert tiling.l1_bytes() <= L1_BYTES
    assert tiling.l0_bytes() <= L0_BYTES
    assert tiling.l0c_bytes() <= L0C_BYTES
    assert max(tiling.bg, tiling.ba) + 1 <= 255  # repeats, and the stride between stripes, of one vector instruction


@pytest.mark.parametrize(("bg", "ba"), [(128, 128), (64, 128), (96, 48), (16, 16)])
@pytest.mark.parametrize(("outputs", "inputs"), BERT_LAYERS)
@pytest.mark.parametrize("cores", [32, 30])
def test_every_layer_of_bert(outputs: int, inputs: int, bg: int, ba: int, cores: int) -> None:
    tiling = tile(outputs, inputs, bg, ba, cores)
    assert_covers_and_fits(tiling)
    assert tiling.cores == cores


@pytest.mark.parametrize("outputs", [1, 2, 127, 128, 129])
@pytest.mark.parametrize("inputs", [8, 120, 128, 136])
def test_tails(outputs: int, inputs: int) -> None:
    for edge in (16, 48, 128):
        assert_covers_and_fits(tile(outputs, inputs, edge, edge, 32))


@pytest.mark.parametrize(("bg", "ba", "name"), [(0, 16, "G"), (24, 16, "G"), (16, 144, "A"), (128, 20, "A")])
def test_refuses_edges_that_the_kernel_has_not(bg: int, ba: int, name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"blocks of {name}\^-1 are [0-9]+; the kernel takes multiples of 16 up to 128"
    ):
        tile(128, 128, bg, ba, 32)


@pytest.mark.parametrize(("outputs", "inputs"), [(0, 64), (64, 0), (64, 100)])
def test_refuses_shapes_that_do_not_fill_blocks(outputs: int, inputs: int) -> None:
    with pytest.raises(ValueError, match="it takes 1 output and inputs in multiples of 8"):
        tile(outputs, inputs, 128, 128, 32)
