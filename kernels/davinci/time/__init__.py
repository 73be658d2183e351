"""Cycles: from the records of a run to a timeline per core, the report, and its picture."""
