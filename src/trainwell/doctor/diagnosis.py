"""Findings to a diagnosis: which are causes, which their symptoms, each suspicion tried on twins before it is told."""

from collections.abc import Callable, Iterable, Sequence

from trainwell.doctor.course import latest, learned
from trainwell.doctor.differential import told_by_copies
from trainwell.doctor.dynamics import rare_come
from trainwell.doctor.finding import AILMENTS, UNFIT, Finding
from trainwell.doctor.proof import FROM_THE_START, SLOW, TRIED_ON_COPIES, Proof, confirm
from trainwell.doctor.series import Record
from trainwell.doctor.suspect import Suspect

STUCK = {
    "plateau",
    "cannot-fit-one-batch",
    "underfitting",
    "update-ratio-off",
    "learning-rate-too-low",
    "no-long-range-signal",
}
ROUGH = {"oscillating-loss", "loss-spike", "exploding-gradient", "update-ratio-off", "learning-rate-too-high"}
DEAD = {
    "dying-relu",
    "saturated-activations",
    "vanishing-gradient",
    "disconnected-parameters",
    "representation-collapse",
    "non-finite-values",
}
ILL = STUCK | ROUGH | DEAD  # whatever a training may show once something is wrong
LINEAR = 0.995  # of the way to a loss of zero, gone by a network that bends nothing
SOON, FAR = 100, 0.9  # steps, and the way to a loss of zero gone by then, which no harmful first weights allow
OVERCOME = 0.9  # of the way from guessing, after which swings have done no harm
HOLDS = 0.35  # of guessing's loss; with less left, held-out rows are answered well
DOUBTFUL = 0.5  # sureness of a finding that its twins did not bear out
# What only says that a training goes badly, and not why: told alone, where nothing else is known.
SIGNS = {"plateau", "underfitting", "update-ratio-off", "oscillating-loss"}
# What shows in the course of a training. One cause has many such faces, two causes at once are rare.
COURSE = ILL | {"over-regularized", "label-noise", "transformer-instability", "wrong-initial-loss"}
COURSE -= {"disconnected-parameters", "non-finite-values"}
# What is told beside others, and explains none of them.
BESIDE = {"data-leakage", "overfitting", "class-imbalance"}
# How the answers are off where a network has not learned well, for whatever reason.
IN_ANSWERS = {"overfitting", "class-imbalance"}
START = {"wrong-initial-loss", "bad-initialization"}
# What lies in the rows was there from the first step on, however late it is seen.
IN_THE_DATA = {"label-noise", "class-imbalance", "targets-out-of-range", "bad-features", "input-not-normalized"}
IN_THE_DATA |= {"preprocessing-mismatch", "label-breaking-augmentation", "data-not-shuffled"}
# A cause, and what else may be seen because of it. Of two that explain each other, the upper one is the cause.
EXPLAINS: dict[str, set[str]] = {
    "gradient-ascent": ILL | START,
    "bad-features": ILL
    | START
    | {"input-not-normalized", "label-noise", "overfitting", "preprocessing-mismatch", "label-breaking-augmentation"}
    | {"padding-or-mask-fault", "class-imbalance"},
    "targets-out-of-range": ILL
    | START
    | {"label-noise", "class-imbalance", "overfitting", "preprocessing-mismatch", "label-breaking-augmentation"}
    | {"gradient-ascent"},
    "loss-head-mismatch": ILL | START | {"learning-slowdown", "overfitting", "gradient-ascent", "posterior-collapse"},
    "input-not-normalized": ILL
    | START
    | {"preprocessing-mismatch", "label-noise", "label-breaking-augmentation", "overfitting"},
    "missing-zero-grad": ILL,
    "bad-initialization": ILL | {"wrong-initial-loss", "learning-slowdown"},
    "wrong-initial-loss": ILL - {"non-finite-values"},
    "data-not-shuffled": ILL
    | START
    | {"targets-out-of-range", "label-noise", "class-imbalance", "overfitting", "padding-or-mask-fault"}
    | {"preprocessing-mismatch", "label-breaking-augmentation", "bad-features"},
    "learning-slowdown": STUCK | DEAD | {"gradient-ascent"},
    "over-regularized": STUCK | DEAD | {"learning-rate-too-high", "batch-too-small", "label-noise"},
    "learning-rate-too-high": ROUGH
    | DEAD
    | {"plateau", "learning-rate-too-low", "underfitting", "transformer-instability"},
    "transformer-instability": (STUCK | DEAD) - {"underfitting", "cannot-fit-one-batch"},
    "saturated-activations": STUCK | {"vanishing-gradient", "oscillating-loss"},
    "vanishing-gradient": STUCK | {"disconnected-parameters"},
    "underfitting": {"cannot-fit-one-batch", "plateau", "label-noise", "representation-collapse"},
    "cannot-fit-one-batch": STUCK | DEAD,
    "disconnected-parameters": STUCK | {"representation-collapse", "mode-collapse", "one-player-wins"},
    "dying-relu": STUCK | {"vanishing-gradient", "disconnected-parameters", "representation-collapse"},
    "loss-spike": STUCK | {"representation-collapse", "exploding-gradient", "oscillating-loss"},
    "exploding-gradient": {"loss-spike", "oscillating-loss", "update-ratio-off"},
    "learning-rate-too-low": {"plateau", "update-ratio-off", "underfitting"},
    "label-noise": STUCK
    | {"gradient-ascent", "overfitting", "dying-relu", "representation-collapse", "class-imbalance"},
    "batch-too-small": STUCK | ROUGH | {"vanishing-gradient", "representation-collapse"},
    "class-imbalance": STUCK | {"representation-collapse", "label-noise", "overfitting", "preprocessing-mismatch"},
    "non-finite-values": ILL,
    "label-breaking-augmentation": ILL | {"overfitting", "label-noise"},
    "preprocessing-mismatch": {"overfitting", "label-noise", "class-imbalance", "label-breaking-augmentation"},
    "step-time-cliff": {"dataloader-starvation"},
    "cross-sample-leak": ILL | {"overfitting", "label-noise", "preprocessing-mismatch"},
    "wrong-train-eval-mode": STUCK | {"overfitting", "preprocessing-mismatch"},
    "posterior-collapse": STUCK
    | {"representation-collapse", "over-regularized", "vanishing-gradient", "wrong-train-eval-mode"},
    "training-state-lost": STUCK | ROUGH | {"overfitting"},
    "mixed-precision-underflow": ILL
    | START
    | {"targets-out-of-range", "input-not-normalized", "data-not-shuffled", "preprocessing-mismatch"},
    "no-long-range-signal": {"transformer-instability", "underfitting", "plateau", "cannot-fit-one-batch"},
    "padding-or-mask-fault": ILL | {"class-imbalance", "label-noise", "overfitting"},
    "one-player-wins": {"mode-collapse"},
}
OF_PLAYERS = {"mode-collapse", "one-player-wins"}  # whatever two players may show once something is wrong
for _name in (
    "input-not-normalized", "loss-head-mismatch", "missing-zero-grad", "bad-initialization", "dying-relu",
    "learning-rate-too-low", "learning-rate-too-high", "over-regularized", "loss-spike",
):  # fmt: skip
    EXPLAINS[_name] = EXPLAINS[_name] | OF_PLAYERS


def explained_by(name: str, known: Sequence[Finding]) -> Finding | None:
    """The finding among those known that explains this one, and is not explained by it."""
    order = list(EXPLAINS)
    for finding in known:
        if finding.statistic.get("explains nothing"):
            continue
        of_input = finding.statistic.get("origin") == "input"  # a batch that spoils what it meets explains all of it
        of_input = of_input or _lies_open(finding)
        explains = EXPLAINS.get(finding.name, set()) | (ILL if of_input else set())
        if finding.name == name or name not in explains or finding.severity == "note":
            continue
        mutual = finding.name in EXPLAINS.get(name, set())
        if finding.name == "cannot-fit-one-batch" and finding.severity == "critical":
            mutual = False  # the inputs make no difference, so no size or length of the training would
        if not mutual or of_input or order.index(finding.name) < order.index(name):
            return finding
    return None


def is_sign(finding: Finding) -> bool:
    """Whether it says that the training goes badly, and not why. What is seen before the first step says why."""
    lies_open = finding.step == 0 or _lies_open(finding)
    return (finding.name in SIGNS and not lies_open) or bool(finding.statistic.get("sign"))


def _lies_open(finding: Finding) -> bool:
    """Whether it stands in the network or the optimizer for all to see: too few units, a group's rate, or weights
    that read the state and get no gradient at all."""
    return bool({"narrow", "group", "cut"} & set(finding.statistic))


def outshone_by(finding: Finding, known: Sequence[Finding]) -> Finding | None:
    """The cause among those known beside which what shows in the training's course is no cause of its own."""
    if finding.name in IN_ANSWERS and finding.step > 1:
        return next((each for each in known if _is_cause(each) and each.name not in IN_THE_DATA), None)
    if finding.name not in COURSE or finding.severity == "note":
        return None
    others = [each for each in known if each.name != finding.name and explained_by(each.name, [finding]) is None]
    return next((each for each in others if _is_cause(each)), None)


def _is_cause(finding: Finding) -> bool:
    """Whether it is sure enough, not yet cured, and of a kind that a training goes badly for."""
    known = finding.severity != "note" and finding.cured is None and finding.confidence > DOUBTFUL
    harms = finding.name not in BESIDE and AILMENTS[finding.name].family != "system"
    return known and harms and not is_sign(finding) and not finding.statistic.get("explains nothing")


def _shown_before(known: Finding, later: Finding) -> bool:
    """Whether copies have shown the one before the first step, which what is seen later without them does not undo."""
    shown = known.step <= 1 and "twin" in known.statistic and "twin" not in later.statistic and later.step > 1
    return shown and later.name in COURSE and explained_by(known.name, [later]) is not None


class Diagnosis:
    """What ails, in the order of gravity, and what else was seen because of it.

    suspect: gives what a suspicion is tried on at this moment, or None where nothing can be tried.
    """

    def __init__(self, proof: Proof, suspect: Callable[[], Suspect | None]) -> None:
        self.proof, self.suspect = proof, suspect
        self.findings: list[Finding] = []
        self.symptoms: list[Finding] = []

    def take(self, finding: Finding, step: int) -> None:
        """Take in a rule's finding, unless it is known, explained by another, or refuted by its twins."""
        graver = [
            each for each in self.findings if each.name == finding.name and each.severity == "note" != finding.severity
        ]
        self.findings = [each for each in self.findings if each not in graver]
        # A sign that stays after its cause was treated, whether or not that helped, is a cause of its own.
        self.symptoms = [each for each in self.symptoms if each.name != finding.name or not self._settled(each)]
        known = {each.name for each in (*self.findings, *self.symptoms)}
        if finding.statistic.get("instead of") in known:  # more rows have shown what it was
            mistaken = {finding.name, finding.statistic["instead of"]}
            self.findings = [each for each in self.findings if each.name not in mistaken]
            self.symptoms = [each for each in self.symptoms if each.name not in mistaken]
            known -= mistaken
        if finding.name in known or (
            step < self.proof.refuted.get(finding.name, 0) and "given" not in finding.statistic
        ):
            return
        untreated = [each for each in self.findings if each.cured is None]
        cause = explained_by(finding.name, untreated) or outshone_by(finding, self.findings)
        cause = cause or next((each for each in untreated if _shown_before(each, finding)), None)
        if cause is not None and cause.name == "cannot-fit-one-batch" and _lies_open(finding):
            cause = None  # which is why no batch can be learned
        of_data = finding.statistic.get("origin") == "input"
        if cause is not None and (not of_data or cause.name == "bad-features"):
            cause.statistic.setdefault("symptoms", []).append(f"{finding.title}: {finding.evidence}")
            self.symptoms.append(finding)
            return
        proven = self._proven(finding)
        if proven is None:
            if finding.where != "momentum":  # whose copies are kept, so that asking again costs nothing
                self.proof.refuted[finding.name] = 2 * step + 50
            return
        cause = outshone_by(proven, self.findings) if proven.name != finding.name else None
        if proven.name in known or cause is not None:
            return
        if proven.confidence <= DOUBTFUL and any(each.confidence > 0.8 for each in self.findings):
            self.symptoms.append(proven)  # its own twins speak against it, and something surer is known
            return
        self.findings.append(proven)
        for other in [each for each in self.findings if each is not proven]:
            near = (
                {"twin", "narrow"} & set(proven.statistic)
                or other.step <= 1
                or proven.step - other.step <= 60
                or proven.name in IN_THE_DATA
            )  # a cause comes first
            proof = "twin" in proven.statistic or proven.severity == "critical"
            near = bool(near) and proven.confidence > DOUBTFUL
            near = near and not _shown_before(other, proven) and not _lies_open(other)
            near = near and (proof or other.name != "cannot-fit-one-batch" or other.severity != "critical")
            explained = near and explained_by(other.name, [proven]) is not None
            if (explained or (is_sign(other) and _is_cause(proven))) and other.cured is None:
                self.findings.remove(other)
                self.symptoms.append(other)
        fails = any(each.severity == "critical" and each.name in ILL for each in self.findings)
        # What only flatters a score comes behind what keeps a network from learning.
        self.findings.sort(key=lambda each: (each.severity == "note", fails and each.name == "data-leakage"))

    def reconsider(self, record: Record, treated: Iterable[str] = ()) -> None:
        """Make a note of a suspicion from rows or layers alone that the training has since borne out not to harm it.

        treated: names of the findings that were treated, of which the training says nothing any more.
        """
        for finding in self.findings:
            missed = finding.name == "class-imbalance" and "recall" in finding.statistic and finding.cured is None
            if missed and rare_come(record):
                finding.severity, finding.cause = "note", "It was late to be recognized, and is by now."
            if finding.where == "between the layers" and learned(record) > LINEAR:
                finding.severity, finding.cause = "note", "Here a linear answer is all that is asked for."
            if finding.name in treated:
                continue
            faint = finding.name == "bad-initialization" and 0 < finding.statistic.get("value", 1.0) < 1
            if faint and finding.severity == "warn" and record.step <= SOON and learned(record) > FAR:
                finding.severity, finding.cause = "note", "The network learns from these weights all the same."
            if finding.name == "oscillating-loss" and finding.severity == "warn" and learned(record) > OVERCOME:
                finding.severity, finding.cause = "note", "The network has learned all the same."
            by_heart = (
                finding.statistic.get("twin", {}).get("as it is") if finding.name == "cannot-fit-one-batch" else ()
            )
            if by_heart and latest(record) < by_heart[-1]:
                finding.severity, finding.cause = "note", "It comes further on all rows than those steps did on a few."
        held, guess = record.get("held out", "loss"), float(record.facts.get("prior loss") or 0.0)
        if not len(held) or not held.last(2).max() < HOLDS * guess:
            return
        for finding in self.findings:
            if finding.name == "label-breaking-augmentation" and "by ridge" in finding.statistic:
                finding.severity = "note"
                finding.cause = "It makes the rows harder, and what is learned from them holds for held-out rows."

    def _settled(self, symptom: Finding) -> bool:
        """Whether every finding that explains a symptom has been treated to its end."""
        causes = [each for each in self.findings if explained_by(symptom.name, [each]) is not None]
        return bool(causes) and all(each.cured is not None for each in causes)

    def has(self, name: str) -> bool:
        return any(each.name == name for each in self.findings)

    def _proven(self, finding: Finding) -> Finding | None:
        """The finding after its twins, or as it is where none can be run."""
        suspect = (
            self.suspect()
            if finding.name in FROM_THE_START | SLOW | {"oscillating-loss", "over-regularized"}
            or ({"eased", "lagging"} | TRIED_ON_COPIES.keys()) & set(finding.statistic)
            else None
        )
        tried = ({"eased"} | TRIED_ON_COPIES.keys()) & set(finding.statistic)
        if suspect is None or (suspect.heard and tried):
            if finding.name == "oscillating-loss":
                finding.severity = "note"  # too weak to be told without a proof
            return None if tried or finding.where == "momentum" else finding
        try:
            told = finding if "lagging" in finding.statistic else confirm(finding, suspect, self.proof)
            if told is not None and told.name == "label-noise" and self.has("targets-out-of-range"):
                return None  # the few answers that are far off make nearly all of the loss
            borne_out = bool(TRIED_ON_COPIES.keys() & set(finding.statistic))
            alone = told is not None and told.name in SIGNS and told.step > 0 and told.severity != "note"
            told = told_by_copies(told, suspect, self.proof) if told is not None and alone and not borne_out else told
            if told is not None and told.name == "plateau" and not told.statistic.get("nothing"):
                told.severity = "note"  # nothing that was tried does better, so nothing says that better can be done
            return told
        except UNFIT as error:
            finding.statistic["unproven"] = str(error)
            return None if TRIED_ON_COPIES.keys() & set(finding.statistic) else finding
