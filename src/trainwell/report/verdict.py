"""An evaluation and the simple answers beside it to the result in one sentence, and whether it was worth a network."""

from dataclasses import dataclass, field
from typing import Any

from trainwell.report.files import Facts
from trainwell.report.wording import (
    bracket,
    counted,
    decimals_for,
    duration,
    grouped,
    in_percent,
    is_number,
    listed,
    metric_words,
    more_is_better,
    significant,
    written,
)

NOUNS = {  # what is judged, by task; elsewhere by what there is to see or hear
    **dict.fromkeys(("forecast", "language", "masked_language", "span_corruption"), "window"),
    "tag": "sentence",
    "answer": "question",
}
PHRASES = {"linear": "a linear model", "trees": "boosted trees"}


@dataclass
class Baseline:
    """A simple answer on the same rows: what it is called in the sentence and what it reaches."""

    phrase: str
    kind: str
    value: float
    seconds: float | None = None

    def gives(self, value: str) -> str:
        """That it reaches this value, with the verb in its number."""
        return f"{self.phrase} {'give' if self.phrase.endswith('trees') else 'gives'} {value}"


@dataclass
class Verdict:
    """The result in parts, so that the page can set the value apart; `outcome` says how it stands to simple answers."""

    before: str = ""
    value: str = ""
    where: str = ""
    interval: str = ""
    after: str = ""  # what simple answers give on the same rows
    outcome: str = "unknown"  # wins, ties, loses, or unknown where nothing can be compared
    heading: str = ""  # of the box, where a simple answer is as good or better
    ahead: bool = False  # of every simple answer, be it by little
    advice: str = ""
    footnotes: list[str] = field(default_factory=list)
    short: str = ""  # for the title of the page

    @property
    def text(self) -> str:
        """The whole sentence."""
        return "".join((self.before, self.value, self.where, self.interval, self.after))


def metric_value(entry: Any) -> tuple[Any, Any, Any]:
    """Value, low and high of a metric that is written as a number or with its interval."""
    if isinstance(entry, dict):
        return entry.get("value"), entry.get("low"), entry.get("high")
    return entry, None, None


def goal_of(evaluation: dict[str, Any]) -> str:
    """The metric that the run is judged by: its goal where that was measured, else the first one measured."""
    metrics = evaluation.get("metrics") or {}
    measured = [key for key, entry in metrics.items() if is_number(metric_value(entry)[0])]
    goal = evaluation.get("goal")
    return str(goal) if goal in measured else measured[0] if measured else ""


def noun_of(facts: Facts) -> str:
    """What one row that is judged is called."""
    task = str(facts.summary.get("task") or "")
    if task in NOUNS:
        return NOUNS[task]
    return "picture" if facts.summary.get("image") else "sound" if facts.summary.get("sound") else "row"


def baselines_of(facts: Facts, goal: str) -> list[Baseline]:
    """The simple answers that were measured by this metric, in the order of the file."""
    kinds = [entry.get("kind") for entry in facts.baselines]
    found = []
    for entry in facts.baselines:
        value = metric_value((entry.get("metrics") or {}).get(goal))[0]
        if not is_number(value):
            continue
        kind, name = str(entry.get("kind", "")), str(entry.get("name", "a simple answer"))
        if kind == "constant":
            phrase = f"always answering {name if name.startswith('the ') else 'the ' + name}"
        else:
            phrase = PHRASES[kind] if kind in PHRASES and kinds.count(kind) == 1 else name
        seconds = entry.get("seconds")
        found.append(Baseline(phrase, kind, value, seconds if is_number(seconds) else None))
    return found


def verdict_of(facts: Facts) -> Verdict:
    """The result of a run as the sentence that its page opens with."""
    evaluation = facts.evaluation
    goal = goal_of(evaluation)
    if not goal:
        return _unmeasured(facts)
    value, low, high = metric_value(evaluation["metrics"][goal])
    percent = in_percent(goal)
    decimals = decimals_for(value, low, high, percent)
    verdict = _lead(facts, goal, written(value, percent, decimals), bracket(low, high, percent, decimals))
    baselines = baselines_of(facts, goal)
    if baselines:
        parts = [f"{line.phrase} {written(line.value, percent, decimals)}" for line in baselines[1:]]
        parts.insert(0, baselines[0].gives(written(baselines[0].value, percent, decimals)))
        beginning = " On the same rows " if evaluation.get("sentence") else "; "
        verdict.after = f"{beginning}{', '.join(parts)}."
        one_row = 1 / evaluation["rows"] if goal == "accuracy" and evaluation.get("rows") else 0.0
        _compare(verdict, baselines, goal, (value, low, high), decimals, one_row)
        if verdict.outcome in ("ties", "loses") and not verdict.ahead:
            verdict.advice += _hurried(facts.summary)
    else:
        verdict.after = "" if evaluation.get("sentence") else "."
        verdict.footnotes.append("No simple answer was measured on these rows, so what this is worth is not known.")
    _footnotes(verdict, facts, low, high)
    return verdict


def _lead(facts: Facts, goal: str, value: str, interval: str) -> Verdict:
    """The sentence up to the simple answers."""
    rows, noun = facts.evaluation.get("rows"), noun_of(facts)
    part = facts.evaluation.get("part", "test")
    held = "validation" if part == "val" else "training" if part == "train" else "held-out"
    where = f"{grouped(rows)} {held} {noun if rows == 1 else noun + 's'}" if is_number(rows) else f"{held} {noun}s"
    tail = f" {interval}" if interval else ""
    short = f"{metric_words(goal)} {value}"
    if facts.evaluation.get("sentence"):
        sentence = str(facts.evaluation["sentence"]).strip()
        return Verdict(sentence if sentence.endswith((".", "!", "?")) else sentence + ".", short=short)
    if goal == "accuracy" and len(facts.summary.get("target") or []) > 1:
        return Verdict("Right for ", value, f" of the labels of {where}", tail, short=f"right for {value}")
    if goal == "accuracy":
        return Verdict("Right for ", value, f" of {where}", tail, short=f"right for {value}")
    if goal in ("rmse", "root_mean_squared_error"):
        return Verdict("Off by ", value, f" on average (root-mean-square) on {where}", tail, short=f"off by {value}")
    if goal in ("mae", "mean_absolute_error"):
        return Verdict("Off by ", value, f" on average on {where}", tail, short=f"off by {value}")
    if goal == "rank_mae":
        return Verdict("Off by ", value, f" ranks on average on {where}", tail, short=f"off by {value} ranks")
    words = metric_words(goal)
    return Verdict(f"{words[:1].upper()}{words[1:]} of ", value, f" on {where}", tail, short=short)


def _compare(
    verdict: Verdict,
    baselines: list[Baseline],
    goal: str,
    measured: tuple[float, Any, Any],
    decimals: int,
    one_row: float,
) -> None:
    """Set the outcome and, where a simple answer is as good or better, the words of the box; one_row: what it makes."""
    value, low, high = measured
    sign = 1 if more_is_better(goal) else -1
    percent = in_percent(goal)
    best = max(baselines, key=lambda line: sign * line.value)
    inside = is_number(low) and is_number(high) and low <= best.value <= high
    gap = abs(best.value - value) * (100 if percent else 1)
    apart = f"{grouped(gap, decimals)} points" if percent else grouped(gap, decimals)
    reach = best.gives(written(best.value, percent, decimals))
    same = written(best.value, percent, decimals) == written(value, percent, decimals)
    alone = not inside and is_number(low) and abs(best.value - value) < 1.5 * one_row  # which tells nothing apart
    if inside or alone or best.value == value:
        verdict.outcome, verdict.ahead = "ties", sign * (value - best.value) > 0 and not same
        verdict.heading = "Ahead of every simple answer, but by less than these rows can tell"
        if not verdict.ahead:
            verdict.heading = "No better than a simple answer, as far as these rows can tell"
        where = "the same" if same else f"{apart} {'better' if sign * (best.value - value) > 0 else 'worse'}"
        how = ", inside this network's interval." if inside else ", which is one row." if alone and not same else "."
        verdict.advice = f"On the same rows {reach}: {where}{how}"
    elif sign * best.value > sign * value:
        verdict.outcome, verdict.heading = "loses", "A simple answer does better"
        verdict.advice = f"On the same rows {reach}: {apart} better than this network, beyond its interval."
        if not (is_number(low) and is_number(high)):
            verdict.advice = f"On the same rows {reach}: {apart} better than this network."
    else:
        verdict.outcome, verdict.ahead = "wins", True
        certainty = "by more than the interval" if is_number(low) else "though without an interval to judge by"
        verdict.footnotes.append(f"Better than every simple answer on the same rows, {certainty}.")
        return
    if best.kind == "constant":
        learned = "Nothing shows yet that it has" if inside else "It has not"
        verdict.advice += f" {learned} learned anything from the inputs that helps; see Health and The data first."
    else:
        took = f", trained in {duration(best.seconds)}" if best.seconds is not None else ""
        verdict.advice += (
            f" The simple one{took + ',' if took else ''} is cheaper to keep; more held-out rows would tell them apart."
            if verdict.outcome == "ties"
            else f" Unless a network is needed for another reason, use that one{took}."
        )


def _hurried(summary: dict[str, Any]) -> str:
    """That its time was over while it still got better, where that is so."""
    steps = summary.get("steps")
    if "seconds were over" not in str(summary.get("stopped")) or not steps or summary.get("best_step") != steps:
        return ""
    return f" It was still getting better when its time was over, after {counted(steps, 'step')}: `--time` gives more."


def _footnotes(verdict: Verdict, facts: Facts, low: Any, high: Any) -> None:
    """What must be known to read the sentence: the brackets, which rows, how few, what the doctor says."""
    evaluation = facts.evaluation
    if is_number(low) and is_number(high):
        verdict.footnotes.insert(0, "Square brackets hold the 95 % confidence interval.")
    standing = [f for f in facts.findings if f.get("severity") == "critical" and f.get("cured") is not True]
    if standing:
        named = listed(sorted({str(f.get("name", "")).replace("_", " ") for f in standing}), 3)
        verdict.footnotes.append(f"A critical finding stands ({named}): see Health.")
    if evaluation.get("part") == "val":
        verdict.footnotes.append("These rows also chose the checkpoint, so new rows may do a little worse.")
    if evaluation.get("part") == "train":
        verdict.footnotes.append("These are rows that it learned from, so new rows will do worse.")
    if is_number(evaluation.get("rows")) and evaluation["rows"] < 100:
        verdict.footnotes.append(f"Only {counted(evaluation['rows'], noun_of(facts))} were held out: read it loosely.")
    if facts.run.get("state") == "interrupted":
        verdict.footnotes.append("The training was interrupted; `trainwell fit --resume` goes on with it.")
    if evaluation.get("unit_note"):
        verdict.footnotes.append(str(evaluation["unit_note"]))


def held_loss(event: dict[str, Any]) -> Any:
    """The loss of an evaluation; of a classification that is its log loss."""
    return event.get("loss", event.get("log_loss"))


def _unmeasured(facts: Facts) -> Verdict:
    """What can be said without an evaluation: the best validation number of the training, if there is one."""
    verdict = Verdict(before="Not yet measured on held-out rows.", short="not yet measured")
    seen = [held_loss(event) for event in facts.events if event.get("event") == "evaluate"]
    seen = [loss for loss in seen if is_number(loss)]
    if facts.run.get("state") == "interrupted":
        verdict.footnotes.append("The training was interrupted; `trainwell fit --resume` goes on with it.")
    if facts.evaluation.get("sentence"):
        verdict.before = str(facts.evaluation["sentence"])
    if seen:
        verdict.footnotes.append(
            f"While training, the lowest validation loss was {significant(min(seen))}; those rows chose the checkpoint."
        )
    return verdict
