"""Fisher covariance for AKG on Ascend 910: x^T x on the cube, diagonal blocks only, fp32 accumulation.

x comes as fp16 fractals, [shares, block / 16, rows / 16, 16, 16]: a share is one block's columns over as many rows as the
cube's L1 takes at once (`share_rows`), so that a share is one core's work and no sum crosses cores; the mean over the shares of a
block is its covariance. MindSpore hands the function to AKG as source text, cut out at `def`, with AKG's `tvm` put in: it is
complete in itself and its annotations are strings.

Numbers: products of fp16 are exact in fp32, sums are fp32.
"""

from typing import Any

from bert_thor.kernels.ascend.sizes import FRACTAL, L0_BYTES, L1_BYTES

tvm: "Any" = None  # AKG's own, put in before the function runs
OPERANDS = 2  # AKG loads x once for either side of the product
MIN_AKG_BLOCK, MAX_AKG_BLOCK = 32, 128  # of 16 columns AKG misaligns a load, of 256 the result does not fit UB


def fisher_covariance(x: "Any", same: "Any") -> "Any":
    """x^T x / rows of every share, [shares, block / 16, 16, block / 16, 16] fp32, which is [shares, block, block].

    `same` is x again: AKG takes no tensor for both sides of a product.
    """
    from akg.lang.ascend import mmad

    shares, stripes, chunks = x.shape[0], x.shape[1], x.shape[2]
    scale = tvm.const(1.0 / (16 * chunks.value), "float32")
    k1, k0 = tvm.reduce_axis((0, chunks), name="k1"), tvm.reduce_axis((0, 16), name="k0")
    shape = (shares, stripes, stripes, 16, 16)
    on_the_cube = {
        "pragma_gemm_data": x.op.name,
        "pragma_data_transpose": "Y",
        "pragma_data_transpose_block": "N",
        "pragma_data_transpose_block_inner": "Y",
        "pragma_gemm_weight": same.op.name,
        "pragma_weight_transpose": "Y",
        "pragma_weight_transpose_block": "N",
        "pragma_weight_transpose_block_inner": "N",
        "pragma_conv_bypass_l1": 0,
        "bias": "",
        "pragma_gemm_output_shape": shape,
        "pragma_gemm_k": [chunks, 16],
    }

    def product(s: "Any", n1: "Any", m1: "Any", m0: "Any", n0: "Any") -> "Any":
        return mmad((x[s, m1, k1, k0, m0] * same[s, n1, k1, k0, n0]).astype("float32"), axis=[k1, k0])

    total = tvm.compute(shape, product, name="total", attrs=on_the_cube)
    return tvm.compute(
        (shares, stripes, 16, stripes, 16), lambda s, m1, m0, n1, n0: total[s, n1, m1, m0, n0] * scale, name="packed"
    )


def share_rows(rows: int, block: int) -> int:
    """Rows of a share: equal shares, as long as L1 can hold, of whole loads of L0 where they are more than one.

    Raises:
        ValueError: a block edge that is not a multiple of 16 from 32 to 128, or no rows.
    """
    if block % FRACTAL or not MIN_AKG_BLOCK <= block <= MAX_AKG_BLOCK:
        limits = f"multiples of {FRACTAL} from {MIN_AKG_BLOCK} to {MAX_AKG_BLOCK}"
        raise ValueError(f"fisher_covariance: block is {block}; AKG's cube kernel takes {limits}.")
    if rows < 1:
        raise ValueError(f"fisher_covariance: there are {rows} rows; it needs 1 at least.")
    load = _fractals_in_l0(block)
    fitting = L1_BYTES // (OPERANDS * 2 * block) // FRACTAL // load * load
    fractals = -(-rows // FRACTAL)
    per_share = -(-fractals // -(-fractals // fitting))
    return FRACTAL * (per_share if per_share <= load else -(-per_share // load) * load)


def dim(shares: int, rows: int, block: int) -> str:
    """AKG's tiles for shares of `rows` rows: all of a share in L1, as much as fits at a time in L0.

    All of it, because AKG drops what lies between two L1 tiles of the axis that is summed over (`pragma_rmselfdep`).
    Axes of length 1 are no axes to AKG.
    """
    stripes, chunks = block // FRACTAL, rows // FRACTAL
    in_l0 = min(chunks, _fractals_in_l0(block))
    tiles = [(stripes, stripes), (stripes, stripes), (FRACTAL, FRACTAL), (FRACTAL, FRACTAL)]
    tiles = [(1, 1)] * (shares > 1) + tiles + [(chunks, in_l0)] * (chunks > 1)
    return " ".join(f"0 {axis} {l1} {l0}" for axis, (l1, l0) in enumerate(tiles))


def _fractals_in_l0(block: int) -> int:
    """Fractals of rows that fit in half of L0A, so that it is double-buffered."""
    return L0_BYTES // 2 // (2 * FRACTAL * block)
