"""A record to all findings that its numbers bear out, and to the reasons why other rules could not judge.

Pure functions: they also read the record of an old run.
"""

from collections.abc import Callable, Iterable

import numpy as np

from trainwell.doctor import (
    by_heart,
    dynamics,
    families,
    gone_apart,
    groups,
    memory,
    minority,
    modes,
    noise,
    origin,
    outside,
    players,
    regularization,
    schedule,
    signal,
    spikes,
    system,
    without_loss,
)
from trainwell.doctor.finding import UNFIT, CannotJudge, Finding
from trainwell.doctor.series import Record

Rule = Callable[[Record], Finding | None]
# In the order in which a cause comes before what it leads to.
STAGES = (
    origin, outside, without_loss, groups, signal, modes, memory, regularization, dynamics, by_heart, schedule, noise,
    minority, gone_apart, players, families, system, spikes,
)  # fmt: skip
RULES: tuple[tuple[str, Rule], ...] = tuple(rule for stage in STAGES for rule in stage.RULES.items())

OF_ONE_LOSS = {
    *dynamics.RULES,
    *by_heart.RULES,
    *schedule.RULES,
    *regularization.RULES,
    "update-ratio-off",
    "vanishing-gradient",
    "exploding-gradient",
}


def judge(record: Record, rules: Iterable[tuple[str, Rule]] = RULES) -> tuple[list[Finding], dict[str, str]]:
    """(findings, name of a skipped check -> why). A rule that fails is skipped with its error as the reason.

    A check of several rules is skipped only where none of them could judge.
    """
    findings, skipped = [], {}
    ran = set()
    with np.errstate(all="ignore"):
        for name, rule in rules:
            of_any = rule in without_loss.RULES.values()
            if record.facts.get("players", 1) > 1 and name in OF_ONE_LOSS and not of_any:
                skipped[name] = "players that learn against each other have no single loss that should fall"
                continue
            try:
                finding = rule(record)
            except CannotJudge as reason:
                skipped[name] = str(reason)
                continue
            except UNFIT as error:
                skipped[name] = f"the rule failed: {error}"
                continue
            ran.add(name)
            if finding is not None:
                findings.append(finding)
    return findings, {name: why for name, why in skipped.items() if name not in ran}
