"""The damped inverse of a batch of blocks against OpenBLAS, PyTorch and MindSpore, for any block edge and batch.

python bench/cholesky_inverse.py --edge 128 --batch 32 --threads 1 --condition 1e4
"""

from __future__ import annotations

import argparse
from typing import Callable

import environment
import machine
import numpy as np
import peers
from measure import Case, measure
from scipy.linalg import lapack

from bert_thor.kernels.cholesky_inverse import native

DAMPING = np.float32(1e-3)


def matrices(batch: int, edge: int, condition: float, dtype: str = "float32") -> np.ndarray:
    """Symmetric positive definite [batch, edge, edge], eigenvalues geometric from 1 to 1 / condition."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((edge, edge)))
    a = (q * np.geomspace(1, 1 / condition, edge)) @ q.T
    return np.repeat(((a + a.T) / 2).astype(dtype)[None], batch, axis=0)


def case(threads: int, batch: str, edge: str, condition: str = "100", dtype: str = "float32") -> Case:
    """Everybody on the same blocks; float64 is for the peers alone, our kernel is float32."""
    b, n = int(batch), int(edge)
    c = matrices(b, n, float(condition), dtype)
    damped = [np.asfortranarray(block + c.dtype.type(DAMPING) * np.eye(n, dtype=dtype)) for block in c]
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), dtype=dtype)
    contenders: dict[str, Callable[[], object]] = {}
    if dtype == "float32":
        damping, out = np.full(b, DAMPING), (np.empty_like(c), np.empty(b, np.int32))
        contenders["ours"] = lambda: native.cholesky_inverse(c, damping, threads=threads, out=out)
    contenders["openblas"] = lambda: [potri(potrf(a, clean=0)[0], overwrite_c=1) for a in damped]
    if torch := peers.torch(threads):
        tensor = torch.from_numpy(np.stack(damped))
        contenders["pytorch"] = lambda: torch.cholesky_inverse(torch.linalg.cholesky(tensor))
    if mindspore := peers.mindspore(threads):
        # Its inverse of a batch is not implemented on the CPU.
        ops, tensors = mindspore.ops, [mindspore.Tensor(np.ascontiguousarray(a)) for a in damped]
        contenders["mindspore"] = lambda: [ops.cholesky_inverse(ops.cholesky(a)) for a in tensors][-1].asnumpy()
    return Case("cholesky_inverse", f"{b} x {n}", "fp32", b * n**3, contenders)


def relative_error(threads: int, batch: int, edge: int, condition: float) -> tuple[float, float]:
    """Error of one block against float64, ours and LAPACK's, in the Frobenius norm."""
    c = matrices(1, edge, condition)
    damped = c[0] + DAMPING * np.eye(edge, dtype=np.float32)
    exact = np.linalg.inv(damped.astype(np.float64))
    ours = native.cholesky_inverse(c, DAMPING, threads=threads)[0][0]
    upper = lapack.spotri(lapack.spotrf(damped)[0])[0]
    peer = np.triu(upper) + np.triu(upper, 1).T
    errors = [float(np.linalg.norm(x - exact) / np.linalg.norm(exact)) for x in (ours, peer)]
    return errors[0], errors[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge", type=int, default=128, help="rows of a block (128)")
    parser.add_argument("--batch", type=int, default=32, help="blocks (32)")
    parser.add_argument(
        "--dtype", choices=["float32", "float64"], default="float32", help="float64: the peers alone (float32)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender (1)")
    parser.add_argument("--condition", type=float, default=100.0, help="condition number before damping (100)")
    options = parser.parse_args()
    environment.ensure(options.threads)
    peak = machine.peak("fp32", options.threads)
    problem = case(options.threads, str(options.batch), str(options.edge), str(options.condition), options.dtype)
    result = measure(problem, options.threads, peak)
    print(f"{options.threads} thread(s), measured peak {peak / 1e9:.0f} GFLOP/s, {problem.shape}")
    for name, seconds in result.seconds.items():
        rate = problem.work / seconds
        print(f"{name:10} {seconds * 1e3:9.3f} ms {rate / 1e9:7.1f} GFLOP/s {100 * rate / peak:5.1f} % of the peak")
    ours, peer = relative_error(options.threads, options.batch, options.edge, options.condition)
    print(f"relative error at condition {options.condition:.0e}: ours {ours:.1e}, LAPACK {peer:.1e}")
    if result.noisy:
        print("The machine is too noisy: a rerun may differ by more than 10 %.")


if __name__ == "__main__":
    main()
