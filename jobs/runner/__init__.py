"""Rows to plans, plans to the engine, results to rows: what one process does with one attempt of a job."""

from .attempt import Attempt

__all__ = ["Attempt"]
