"""Roman numerals."""

_PARTS = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]


def to_roman(number: int) -> str:
    """Write a number from 1 to 3999."""
    if not 0 < number < 4000:
        raise ValueError(f"{number} has no Roman numeral")
    text = ""
    for value, letters in _PARTS:
        count, number = divmod(number, value)
        text += letters * count
    return text


def from_roman(text: str) -> int:
    """Read a numeral."""
    number, rest = 0, text
    for value, letters in _PARTS:
        while rest.startswith(letters):
            number, rest = number + value, rest[len(letters):]
    if rest or not text or to_roman(number) != text:
        raise ValueError(f"{text!r} is no Roman numeral")
    return number
