"""Rows to plans, plans to the engine, results to rows: what one process does with one attempt of a job."""
