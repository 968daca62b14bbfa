import os
import random

import pytest

from roman import from_roman, to_roman


def numbers():
    if os.environ.get("NUMBERS") == "all":
        return range(1, 4000)
    return random.Random(os.environ.get("SEED", "0")).sample(range(1, 4000), 200)


def test_there_and_back():
    for number in numbers():
        assert from_roman(to_roman(number)) == number


@pytest.mark.parametrize("text", ["", "IIII", "VX", "ABC", "IC"])
def test_no_numerals(text):
    with pytest.raises(ValueError):
        from_roman(text)


@pytest.mark.parametrize("number", [0, -1, 4000])
def test_no_numbers(number):
    with pytest.raises(ValueError):
        to_roman(number)
