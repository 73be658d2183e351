"""`bert-thor plan`: what a run needs and how long its steps should take, before a machine is rented.

Reading order: `work` (parameters, FLOP, bytes: exact arithmetic), `machine` (constants, each with its source), `timing` (a step's
parts), `plan` (the projection), `text` (as it is printed),
`command`.
Nothing here needs MindSpore.
"""
