"""Polynomials over GF(2) as integers (bit n = the coefficient of x^n): only what the config file needs.

Other writers of the format cut with a Rabin fingerprint modulo this polynomial, so it must be irreducible.
"""

from __future__ import annotations

import secrets
from typing import Final

DEGREE: Final = 53


def _multiply(a: int, b: int, modulus: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a >> DEGREE & 1:
            a ^= modulus
    return product


def _common_divisor(a: int, b: int) -> int:
    while b:
        while a and a.bit_length() >= b.bit_length():
            a ^= b << (a.bit_length() - b.bit_length())
        a, b = b, a
    return a


def is_irreducible(polynomial: int) -> bool:
    """Rabin's test for degree 53, which is prime: x^(2^53) = x, and x^2 - x has no factor in common."""
    if polynomial.bit_length() != DEGREE + 1:
        return False
    power = 2
    for _ in range(DEGREE):
        power = _multiply(power, power, polynomial)
    return power == 2 and _common_divisor(polynomial, 0b110) == 1


def random_irreducible() -> int:
    """A random irreducible polynomial of degree 53; one in 27 candidates is."""
    while True:
        candidate = secrets.randbits(DEGREE) | 1 << DEGREE | 1
        if is_irreducible(candidate):
            return candidate
