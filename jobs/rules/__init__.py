"""RULES.md as pure functions: no Django, no database, no clock of their own.

Moments are aware, and best in UTC: Python compares and subtracts two of the same zone by their wall clocks.
"""
