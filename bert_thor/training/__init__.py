"""The training loop and what it leaves behind: run folder, checkpoints, metrics, evaluations.

Reading order: `trainer` (the loop), `run_folder`, `checkpoint`, `evaluation`; `trained` reads what a run has learnt,
`report` compares runs.
"""
