"""How texts that a network wrote stand on the page."""

from trainwell.report.files import Facts
from trainwell.report.texts import texts_of

NAMES = "\n".join(["emma", "olivia", "ava", "isabella", "sophia"] * 3)
PLAY = "\n".join(["LUCIO:", "How so, my lord!", "", "ISABELLA:", "Be as this is a poor head, sir, and well."] * 3)


def test_lists_go_side_by_side_and_plays_do_not(tmp_path) -> None:
    facts = Facts(tmp_path, evaluation={"samples": [NAMES, PLAY]})
    assert [each["listed"] for each in texts_of(facts)["samples"]] == [True, False]
