"""Check digits of identifiers, so that ordinary numbers of the same length are left alone."""

from __future__ import annotations

import re

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_DIGITS = "10X98765432"
_PROVINCE = "1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]"
_BIRTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TAIWAN_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""In the order of their numbers, from 10 on."""


def _joined(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def is_resident_id(text: str) -> bool:
    """Return whether 18 characters carry the check digit of GB 11643-1999 (ISO 7064 MOD 11-2)."""
    one = _joined(text)
    pairs = zip(one[:17], _RESIDENT_WEIGHTS, strict=True)
    total = sum(int(digit) * weight for digit, weight in pairs)
    return _RESIDENT_DIGITS[total % 11] == one[17]


def is_old_resident_id(text: str) -> bool:
    """Return whether 15 digits are a resident number of before 1999: province, birthday; no check."""
    return bool(re.fullmatch(rf"(?:{_PROVINCE})\d{{6}}{_BIRTH_DAY}\d{{3}}", text))


def is_hong_kong_id(text: str) -> bool:
    """Return whether a Hong Kong identity card's last character is right (mod 11)."""
    one = _joined(text)
    letters = re.match("[A-Z]+", one)
    prefix = letters[0] if letters else ""
    values = [36] * (2 - len(prefix)) + [ord(letter) - 55 for letter in prefix]
    values += [int(digit) for digit in one[len(prefix) : -1]]
    check = 10 if one[-1] == "A" else int(one[-1])
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return (total + check) % 11 == 0


def is_taiwan_id(text: str) -> bool:
    """Return whether a Taiwanese identity or residence number's last digit is right (mod 10)."""
    one = text.upper()
    area = _TAIWAN_LETTERS.index(one[0]) + 10
    second = one[1] if one[1].isdigit() else str((_TAIWAN_LETTERS.index(one[1]) + 10) % 10)
    digits = [area // 10, area % 10, int(second), *(int(digit) for digit in one[2:])]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(d * w for d, w in zip(digits, weights, strict=True)) % 10 == 0


def is_luhn(digits: str) -> bool:
    """Return whether digits pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    numbers = [int(digit) for digit in digits]
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in numbers[-2::-2]]
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether an account number passes ISO 13616's check (ISO 7064 MOD 97-10)."""
    one = _joined(text)
    return int("".join(str(int(c, 36)) for c in one[4:] + one[:4])) % 97 == 1
