"""The first sentence tells the result and what it is worth, whether simple answers lose, tie or win."""

import json

import pytest
from run_folders import digits, housing, write

from trainwell.report.files import read_facts
from trainwell.report.health import health_of
from trainwell.report.overview import training_of
from trainwell.report.verdict import verdict_of


@pytest.fixture
def facts(tmp_path):
    def build(files):
        return read_facts(write(tmp_path / "run", files))

    return build


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def with_accuracy(value: float, low: float | None, high: float | None):
    files = digits()
    files["evaluation.json"]["metrics"]["accuracy"] = {"value": value, "low": low, "high": high}
    return files


def test_a_network_that_beats_all(facts):
    verdict = verdict_of(facts(digits()))
    assert plain(verdict.text) == (
        "Right for 99.2 % of 362 held-out pictures [97.9, 99.8]; always answering the commonest class gives 10.1 %, "
        "a linear model 95.3 %, boosted trees 97.0 %."
    )
    assert verdict.outcome == "wins" and not verdict.heading
    assert any("Better than every simple answer" in note for note in verdict.footnotes)


def test_a_simple_answer_within_the_interval_is_a_tie(facts):
    behind = verdict_of(facts(with_accuracy(0.965, 0.95, 0.985)))
    assert behind.outcome == "ties" and "No better than a simple answer" in behind.heading
    verdict = verdict_of(facts(with_accuracy(0.975, 0.96, 0.985)))
    assert verdict.outcome == "ties" and "Ahead of every simple answer, but by less" in verdict.heading
    assert "boosted trees give 97.0 %: 0.5 points worse" in plain(verdict.advice)


def test_a_simple_answer_beyond_the_interval_wins(facts):
    verdict = verdict_of(facts(with_accuracy(0.93, 0.91, 0.95)))
    assert verdict.outcome == "loses" and verdict.heading == "A simple answer does better"
    assert "boosted trees give 97.0 %: 4.0 points better than this network, beyond its interval" in plain(
        verdict.advice
    )
    assert "trained in 3.0 s" in plain(verdict.advice)


def test_one_row_tells_nothing_apart(facts):
    files = with_accuracy(35 / 36, 0.858, 0.995)
    files["evaluation.json"]["rows"] = 36
    files["baselines.json"][1]["metrics"]["accuracy"] = 1.0
    verdict = verdict_of(facts(files))
    assert verdict.outcome == "ties" and "2.8 points better, which is one row." in plain(verdict.advice)
    files["evaluation.json"]["rows"] = 3600
    assert verdict_of(facts(files)).outcome == "loses"


def test_a_training_cut_short_says_so(facts):
    files = with_accuracy(0.93, 0.91, 0.95)
    files["summary.json"].update(stopped="40 seconds were over", steps=62, best_step=62)
    assert "still getting better when its time was over, after 62 steps" in plain(verdict_of(facts(files)).advice)
    files["summary.json"]["best_step"] = 31
    assert "its time was over" not in verdict_of(facts(files)).advice
    ahead = with_accuracy(0.975, 0.96, 0.985)
    ahead["summary.json"].update(stopped="40 seconds were over", steps=62, best_step=62)
    assert "its time was over" not in verdict_of(facts(ahead)).advice


def test_a_constant_that_wins_says_that_nothing_was_learned(facts):
    files = with_accuracy(0.09, 0.08, 0.1)
    files["baselines.json"] = files["baselines.json"][:1]
    verdict = verdict_of(facts(files))
    assert verdict.outcome == "loses" and "not learned anything" in verdict.advice


def test_without_an_interval_only_the_values_count(facts):
    assert verdict_of(facts(with_accuracy(0.971, None, None))).outcome == "wins"
    assert verdict_of(facts(with_accuracy(0.97, None, None))).outcome == "ties"
    lost = verdict_of(facts(with_accuracy(0.969, None, None)))
    assert lost.outcome == "loses" and "interval" not in lost.advice and "[" not in lost.text


def test_less_is_better_for_errors(facts):
    files = housing()
    verdict = verdict_of(facts(files))
    assert verdict.text == (
        "Off by 45,200 on average (root-mean-square) on 1,200 held-out rows [43,900, 46,500]; "
        "always answering the mean gives 115,000, boosted trees 41,000."
    )
    assert verdict.outcome == "loses" and "4,200 better" in verdict.advice and "In US dollars." in verdict.footnotes
    files["baselines.json"][1]["metrics"]["rmse"] = 52000.0
    assert verdict_of(facts(files)).outcome == "wins"
    files["baselines.json"][1]["metrics"]["rmse"] = 46000.0
    assert verdict_of(facts(files)).outcome == "ties"


def test_no_simple_answer_and_no_evaluation_are_told(facts, tmp_path):
    files = digits()
    del files["baselines.json"]
    verdict = verdict_of(facts(files))
    assert plain(verdict.text) == "Right for 99.2 % of 362 held-out pictures [97.9, 99.8]."
    assert verdict.outcome == "unknown" and "No simple answer was measured" in " ".join(verdict.footnotes)
    del files["evaluation.json"]
    bare = verdict_of(read_facts(write(tmp_path / "bare", files)))
    assert bare.text == "Not yet measured on held-out rows." and "validation loss was 0.500" in " ".join(bare.footnotes)


def test_validation_rows_and_few_rows_are_told(facts):
    files = digits()
    files["evaluation.json"].update(part="val", rows=40)
    verdict = verdict_of(facts(files))
    assert "40 validation pictures" in verdict.text
    assert "also chose the checkpoint" in " ".join(verdict.footnotes) and "Only 40 pictures" in " ".join(
        verdict.footnotes
    )


def test_a_sentence_of_the_task_stands_as_it_is(facts):
    files = digits()
    files["evaluation.json"]["sentence"] = "Reads 9 of 10 words"
    assert verdict_of(facts(files)).text.startswith("Reads 9 of 10 words. On the same rows always answering")


def test_an_unknown_metric_is_named_by_its_key(facts):
    files = digits()
    files["evaluation.json"].update(goal="mean_overlap", metrics={"mean_overlap": {"value": 0.712}})
    files["baselines.json"] = []
    assert verdict_of(facts(files)).text == "Mean overlap of 0.712 on 362 held-out pictures."


def test_health_says_only_what_the_files_say(facts, tmp_path):
    files = digits()
    sentence = health_of(facts(files))["sentence"]
    assert sentence == "Watched 2 checks; 1 could not run, because there is no attention; nothing found."
    files["checks.json"]["broken"] = "RuntimeError: sizes differ"
    assert health_of(facts(files))["sentence"].endswith("after an error of its own: RuntimeError: sizes differ.")
    del files["checks.json"]
    unknown = health_of(read_facts(write(tmp_path / "a", files)))["sentence"]
    assert unknown == "No finding was recorded. Which checks ran was not recorded."
    del files["findings.jsonl"]
    assert health_of(read_facts(write(tmp_path / "b", files)))["sentence"] == "No health check is recorded in this run."


def test_health_puts_the_worst_first(facts):
    health = health_of(facts(housing()))
    assert [card["severity"] for card in health["findings"]] == ["critical", "warn", "note"]
    assert [card["cured"] for card in health["findings"]] == ["not cured", "cured", ""]
    assert "A critical one stands" in health["sentence"] and "1 was cured" in health["sentence"]


def test_curves_are_read_from_their_numbers(facts):
    figures = training_of(facts(digits()))["figures"]
    assert len(figures) == 3
    loss = figures[0][1]
    assert (
        "lowest, 0.500, at step 40, and rose to 0.700 by the end" in loss
        and "checkpoint that was kept, of step 40" in loss
    )


def test_numbers_that_are_no_numbers_are_skipped(tmp_path):
    folder = write(tmp_path / "run", digits())
    lines = [{"event": "step", "step": 1, "loss": float("nan")}, {"event": "evaluate", "step": 1, "loss": float("inf")}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "st')
    facts = read_facts(folder)
    assert training_of(facts)["figures"] == []
    assert facts.troubles == ["metrics.jsonl: 1 of its lines could not be read."]
