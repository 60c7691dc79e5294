"""Numbers are written the way a person reads them."""

import pytest

from trainwell.report.wording import (
    aligned,
    brief,
    cut,
    decimals_for,
    duration,
    grouped,
    listed,
    share,
    significant,
    spaced,
)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (12, "12"), (1234567, "1,234,567"), (0.98612, "0.986"), (45213.0, "45,200"), (-3.14159, "-3.14"),
     (1e-7, "1.00e-7"), (2.5e13, "2.50e13"), (float("nan"), "not a number"), (None, "not a number")],
)  # fmt: skip
def test_significant(value, told):
    assert plain(significant(value)) == told


def test_decimals_follow_the_interval():
    assert decimals_for(0.986, 0.979, 0.991, percent=True) == 1
    assert decimals_for(0.9961, 0.9955, 0.9967, percent=True) == 2
    assert grouped(45213, decimals_for(45213, 43900, 46500)) == "45,200"
    assert grouped(0.8213, decimals_for(0.8213, 0.79, 0.85)) == "0.821"


def test_share_does_not_round_up_to_all():
    assert plain(share(0.986)) == "98.6 %" and plain(share(1.0)) == "100.0 %" and plain(share(0.99999)) == "> 99.9 %"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.01, "0.1 s"), (14.2, "14 s"), (203, "3 min 23 s"), (120, "2 min"), (7500, "2 h 5 min"), (None, "–")],
)
def test_duration(seconds, told):
    assert plain(duration(seconds)) == told


def test_aligned_points_stand_below_each_other():
    cells = aligned(["1,234", "0.5", "12.25", "–"])
    assert len({len(cell) - cell.index(".") for cell in cells if "." in cell}) == 1
    whole = cells[0]
    assert whole.startswith("1,234") and len(whole) - len("1,234") == 3


def test_lists_and_cuts():
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c" and listed([]) == ""
    assert listed(["a", "b", "c", "d"], 3) == "a, b and 2 more"
    assert cut("abcdefgh", 5) == "abcd…" and cut("abc", 5) == "abc"


def test_brief_drops_zeros_at_the_end():
    assert plain(brief(0.005)) == "0.005" and plain(brief(1.7e-5)) == "1.7e-5" and brief(0.24) == "0.24"


def test_percent_signs_stand_apart():
    assert plain(spaced("9.7% of 1e-3, 12 % and 100%.")) == "9.7 % of 1e-3, 12 % and 100 %."
