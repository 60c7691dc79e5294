"""What is wrong between two players' parts to hooks that mend it: a pull, a cut, rows in another unit."""

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.finding import Finding
from trainwell.doctor.play import REAL, Play, mended_pull
from trainwell.doctor.remedy import Chart, forget

SAME_WAY = 0.999  # cosine of a gradient with the one that it is taken for


def mend_pulls(play: Play, judge: nn.Module) -> None:
    """The gradient at a discriminator's answers made that of the loss which is meant, as far as `play.mended` says."""
    if play.hooked:
        return
    play.hooked = True

    def answer(module: nn.Module, inputs: Any, output: Any) -> None:
        if (
            play.again
            or not {"pull", "scores"} & play.mended
            or not isinstance(output, Tensor)
            or not output.requires_grad
        ):
            return
        answers, kind = output.detach(), play.kind
        raw, wanted = play.pulls.get(kind), mended_pull(play, kind)
        if raw is None or wanted is None or raw == wanted:
            return

        def mend(gradient: Tensor) -> Tensor:
            slope = raw.slope(answers)
            if float(nn.functional.cosine_similarity(slope.flatten(), gradient.flatten().to(slope), dim=0)) < SAME_WAY:
                return gradient  # of another loss than that which was heard
            return wanted.slope(answers).to(gradient)

        output.register_hook(mend)

    answer.comes_off = True  # type: ignore[attr-defined]
    judge.register_forward_hook(answer)


def unsquash_answers(chart: Chart, finding: Finding) -> str | None:
    """A discriminator's loss as that of its own answers, where the loop gives it their sigmoid."""
    play = chart.patient.play
    if chart.own_loop or play is None or not chart.facts.get("looks squashed") or "scores" in play.mended:
        return None
    play.mended |= {"scores"}
    mend_pulls(play, chart.patient.bare.get_submodule(play.judge))
    forget(chart.patient)
    return "the gradient at the discriminator's answers made that of a loss of scores, without the loop's sigmoid"


def connect_players(chart: Chart, finding: Finding) -> str | None:
    """The rows that a generator made given to the discriminator with their graph, where the loop cuts it off."""
    play = chart.patient.play
    if chart.own_loop or play is None or not play.maker or not play.judge or "cut" in play.mended:
        return None
    part = chart.patient.bare.get_submodule(play.maker)
    if any(each.grad is not None and bool(each.grad.any()) for each in part.parameters()):
        return None
    play.mended |= {"cut"}
    maker = play.making

    def connect(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        live = play.live
        if "cut" not in play.mended or live is None or not live.requires_grad or play.next_player() != maker:
            return None
        if not inputs or not torch.is_grad_enabled() or inputs[0].shape != live.shape or inputs[0] is live:
            return None
        return (live, *inputs[1:]) if torch.equal(inputs[0].detach(), live.detach()) else None

    connect.comes_off = True  # type: ignore[attr-defined]
    chart.patient.bare.get_submodule(play.judge).register_forward_pre_hook(connect)
    forget(chart.patient)
    return "in the generator's own turn the discriminator is given its rows with their graph, by a hook in front of it"


def match_units(chart: Chart, finding: Finding) -> str | None:
    """Real rows as wide as what a generator's last layer can make, in front of the discriminator."""
    play = chart.patient.play
    if chart.own_loop or play is None or not chart.facts.get("beyond") or not play.real or "units" in play.mended:
        return None
    rows = torch.cat(list(play.real))
    lowest, width = float(rows.min()), float(rows.max() - rows.min())
    made = float(round(width / float(chart.facts["beyond"])))  # from -1 to 1, or from 0 to 1
    play.mended, play.units = play.mended | {"units"}, (lowest, width, made)
    play.real = deque(play.in_units(each) for each in play.real)

    def scale(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        if "units" not in play.mended or not inputs or not isinstance(inputs[0], Tensor):
            return None
        return (play.in_units(inputs[0]), *inputs[1:])

    scale.comes_off = True  # type: ignore[attr-defined]
    chart.patient.bare.get_submodule(play.judge).register_forward_pre_hook(scale)
    forget(chart.patient)
    low = -1 if made == 2 else 0
    return (
        f"{REAL} rows brought from {lowest:.3g} to {lowest + width:.3g} into {low} to 1, by a hook in front of the "
        "discriminator: put the same into your data's transform, and take it back from what is made"
    )
