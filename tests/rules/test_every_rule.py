"""Every rule of RULES.md has a test that names it, in its own name or in its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]

LAST: Final = {"O": 3, "S": 6, "B": 11, "N": 6, "P": 7, "L": 6, "R": 10, "J": 6, "V": 4, "D": 3}
"""The chapters with the number of their last rule."""

RULES: Final = [f"{chapter}{number}" for chapter, last in LAST.items() for number in range(1, last + 1)]
_NUMBER: Final = re.compile(r"\b[A-Z]\d{1,2}\b")


def _named_by(function: ast.FunctionDef) -> Iterator[str]:
    """``test_B5_the_oldest`` and ``test_b5_the_oldest`` name B5, and so does “RULES B5” in the docstring."""
    yield from (word.upper() for word in function.name.split("_"))
    yield from _NUMBER.findall(ast.get_docstring(function) or "")


def _is_a_test(node: ast.AST) -> bool:
    """It has a body that checks something, not only a name."""
    if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
        return False
    return any(isinstance(inner, ast.Assert | ast.With) or _checks(inner) for inner in ast.walk(node))


def _checks(node: ast.AST) -> bool:
    """A call of a function of the tests that asserts: ``check(...)``, ``_judged(...)``."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def rules_of(source: str) -> set[str]:
    """The numbers that the tests of a file name."""
    functions = (node for node in ast.walk(ast.parse(source)) if _is_a_test(node))
    return {word for function in functions if isinstance(function, ast.FunctionDef) for word in _named_by(function)}


@pytest.fixture(scope="module")
def named() -> set[str]:
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path != Path(__file__):
            found |= rules_of(path.read_text())
    return found


@pytest.mark.parametrize("rule", RULES)
def test_a_test_names_the_rule(rule: str, named: set[str]) -> None:
    assert rule in named


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def test_B1_x():\n    assert x", True),
        ("def test_x():\n    '''RULES B1: x.'''\n    assert x", True),
        ("def test_b1_x():\n    assert x", True),
        ("def test_B11_x():\n    '''B10 and xB1.'''\n    assert x", False),
        ("def test_B1_x():\n    x = 1", False),
        ("def helper_B1():\n    assert x", False),
    ],
)
def test_a_number_is_a_whole_word_of_a_test_that_checks_something(source: str, names: bool) -> None:
    assert ("B1" in rules_of(source)) is names
