"""The damped inverse of a batch of blocks against OpenBLAS, PyTorch and MindSpore, for any block edge and batch.

python -m bench.kernels.cholesky_inverse --edge 128 --batch 32 --threads 1 --condition 1e4
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy.linalg import lapack

from bench import environment, frameworks, machine
from bench.case import Case, Contenders
from bench.kernels.contenders import case_of
from bench.measure import measure
from bert_thor.kernels.cases import Problem
from bert_thor.kernels.cholesky_inverse import native
from bert_thor.kernels.cholesky_inverse.cases import DAMPING, matrices, problems


def peers(problem: Problem, threads: int) -> Contenders:
    """Everybody on the same blocks; MindSpore's inverse of a batch is not implemented on the CPU."""
    c, damping = problem.arguments
    identity = np.eye(c.shape[1], dtype=c.dtype)
    damped = [np.asfortranarray(block + c.dtype.type(number) * identity) for block, number in zip(c, damping)]
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), dtype=c.dtype)
    contenders: Contenders = {"openblas": lambda: [potri(potrf(a, clean=0)[0], overwrite_c=1) for a in damped]}
    if torch := frameworks.torch(threads):
        tensor = torch.from_numpy(np.stack(damped))
        contenders["pytorch"] = lambda: torch.cholesky_inverse(torch.linalg.cholesky(tensor))
    if mindspore := frameworks.mindspore(threads):
        ops, tensors = mindspore.ops, [mindspore.Tensor(np.ascontiguousarray(a)) for a in damped]
        contenders["mindspore"] = lambda: [ops.cholesky_inverse(ops.cholesky(a)) for a in tensors][-1].asnumpy()
    return contenders


def relative_error(threads: int, edge: int, condition: float) -> tuple[float, float]:
    """Error of one block against float64, ours and LAPACK's, in the Frobenius norm."""
    c = matrices(1, edge, condition)
    damped = c[0] + DAMPING * np.eye(edge, dtype=np.float32)
    exact = np.linalg.inv(damped.astype(np.float64))
    ours = native.cholesky_inverse(c, float(DAMPING), threads=threads)[0][0]
    upper = lapack.spotri(lapack.spotrf(damped)[0])[0]
    peer = np.triu(upper) + np.triu(upper, 1).T
    errors = [float(np.linalg.norm(x - exact) / np.linalg.norm(exact)) for x in (ours, peer)]
    return errors[0], errors[1]


def case(options: argparse.Namespace) -> Case:
    """What the command line asks for; float64 is for the peers alone, our kernel is float32."""
    (problem,) = problems(options.batch, options.edge, options.condition)
    if options.dtype == "float32":
        return case_of("cholesky_inverse", problem, options.threads)
    wide = matrices(options.batch, options.edge, options.condition, options.dtype)
    problem = replace(problem, arguments=(wide, problem.arguments[1]))
    return Case("cholesky_inverse", problem.label, {"fp32": problem.work}, peers(problem, options.threads))


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
    environment.ensure(options.threads, "bench.kernels.cholesky_inverse")
    peak = machine.peak("fp32", options.threads)
    problem = case(options)
    result = measure(problem, options.threads, peak)
    print(f"{options.threads} thread(s), measured peak {peak / 1e9:.0f} GFLOP/s, {problem.shape}")
    for name, seconds in result.seconds.items():
        rate = problem.needs["fp32"] / seconds
        print(f"{name:10} {seconds * 1e3:9.3f} ms {rate / 1e9:7.1f} GFLOP/s {100 * rate / peak:5.1f} % of the peak")
    ours, peer = relative_error(options.threads, options.edge, options.condition)
    print(f"relative error at condition {options.condition:.0e}: ours {ours:.1e}, LAPACK {peer:.1e}")
    if result.noisy:
        print("The machine is too noisy: a rerun may differ by more than 10 %.")


if __name__ == "__main__":
    main()
