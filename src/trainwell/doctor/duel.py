"""Two players to what keeps one of them from learning, and to cures of it: rates, a loss that saturates, the noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.doctor.between_players import mend_pulls
from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient
from trainwell.doctor.play import turned
from trainwell.doctor.remedy import Chart, forget
from trainwell.doctor.snapshot import RATES
from trainwell.doctor.thresholds import THRESHOLDS

USUAL = (1e-4, 1e-3)  # rates of Adam's kin for two players
AT_MOST = 4e-3  # the same for small players, where neither has a usual one
OF_FOLDS = 2e-4  # the same for convolutions: Radford et al. 2016, arXiv:1511.06434
SAME_WAY = 0.999  # cosine of a gradient with the one that it is taken for

Slope = Callable[[Tensor], Tensor]
# The generator's gradient at the discriminator's answers, scores or shares: saturating, and as it should be
# (Goodfellow et al. 2014, arXiv:1406.2661, section 3).
SATURATING: tuple[tuple[Slope, Slope], ...] = (
    (lambda a: -a.sigmoid(), lambda a: -(-a).sigmoid()),
    (lambda p: -1 / (1 - p), lambda p: -1 / p),
)
PASSING: tuple[Slope, ...] = (lambda a: -(-a).sigmoid(), lambda p: -1 / p, lambda a: -torch.ones_like(a))


def _saturating(answers: Tensor, gradient: Tensor) -> bool:
    """Whether the gradient at a discriminator's answers to made rows fades the surer it is that they are made."""
    return any(_weight(gradient, slope(answers), answers) is not None for slope, _ in _slopes(answers))


def _slopes(answers: Tensor) -> tuple[tuple[Slope, Slope], ...]:
    shares = bool((answers > 0).all() and (answers < 1).all())
    return SATURATING if shares else SATURATING[:1]


def _weight(gradient: Tensor, slope: Tensor, answers: Tensor) -> float | None:
    """How many times this slope a gradient is; None where it is another one, or as well one that does not fade."""
    one = gradient.detach().double().flatten()
    shares = len(_slopes(answers)) > 1

    def cosine(other: Tensor) -> float:
        other = other.double().flatten()
        size = float(one.norm() * other.norm())
        return float(one @ other) / size if size > 0 else -1.0

    like = cosine(slope)
    others = [each(answers) for place, each in enumerate(PASSING) if shares or place != 1]
    if like < SAME_WAY or like <= max(map(cosine, others)):
        return None
    return float(one.norm()) / float(slope.double().norm())


def generator_of(patient: Patient) -> str | None:
    """The player whose weights make rows of noise."""
    parts = patient.play.noise if patient.play is not None else {}
    made = {id(weight) for part in parts for weight in patient.bare.get_submodule(part).parameters()}
    for name, optimizer in patient.optimizers.items():
        if any(id(each) in made for group in optimizer.param_groups for each in group["params"]):
            return name
    return None


def count_turns(patient: Patient) -> float:
    """Note how often each player has stepped; how many times as far, by rate and steps, one goes as the other."""
    if patient.play is None:
        return 1.0
    for name, optimizer in patient.optimizers.items():
        taken = [float(each["step"]) for each in optimizer.state.values() if "step" in each]
        patient.play.steps[name] = max(taken, default=0.0)
    return rates_apart(patient)


def faintest(patient: Patient) -> float:
    """The least deviation of any noise that a generator is given, as far as it is left so; 1 where none was seen."""
    play = patient.play
    return 1.0 if play is None or "noise" in play.mended else min(play.noise.values(), default=1.0)


def rates_apart(patient: Patient) -> float:
    """How many times as far one of two players goes in a round of the loop as the other; 1 where that is not known."""
    gone = [
        _rate(optimizer) * often for optimizer, often in zip(patient.optimizers.values(), turns(patient), strict=True)
    ]
    kinds = {type(each) for each in patient.optimizers.values()}
    return max(gone) / min(gone) if len(kinds) == 1 and len(gone) == 2 and min(gone) > 0 else 1.0


def turns(patient: Patient) -> list[float]:
    """How many steps each player takes in a round of the loop."""
    steps = [patient.play.steps.get(name, 0.0) if patient.play is not None else 0.0 for name in patient.players]
    least = min(steps)
    return [float(round(each / least)) for each in steps] if least > 0 else [1.0 for _ in steps]


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return max(float(group["lr"]) for group in optimizer.param_groups)


def mend_players(chart: Chart, finding: Finding) -> str | None:
    """All that is seen to keep a player from learning: turns, rates far apart, a saturating loss, hardly any noise."""
    if chart.own_loop or len(chart.patient.players) != 2 or chart.patient.play is None:
        return None
    known = (_even_turns(chart), _even_rates(chart), _turn_pull(chart), _pass_gradient(chart), _give_noise(chart))
    forget(chart.patient)
    return "; ".join(each for each in known if each) or None


def _even_turns(chart: Chart) -> str | None:
    """One turn in a round for a player that has more than five."""
    play, often = chart.patient.play, dict(zip(chart.patient.players, turns(chart.patient), strict=True))
    if play is None or max(often.values()) <= THRESHOLDS.rates_apart or "turns" in play.mended:
        return None
    play.mended, play.rounds = play.mended | {"turns"}, often
    name = max(often, key=lambda each: often[each])
    play.steps = {}
    return f"one of {often[name]:.0f} turns that {name} takes for each of the other's"


def _even_rates(chart: Chart) -> str | None:
    """Both players at the rate of the one that has a usual one; at the usual one where neither has; else between."""
    if rates_apart(chart.patient) <= THRESHOLDS.rates_apart:
        return None
    optimizers = chart.patient.optimizers
    rates = [_rate(each) for each in optimizers.values()]
    adaptive = all("betas" in each.param_groups[0] for each in optimizers.values())
    usual = [each for each in rates if USUAL[0] <= each <= USUAL[1]]
    aim = math.sqrt(rates[0] * rates[1])
    if adaptive and len(usual) < 2:
        folds = any(isinstance(each, nn.modules.conv._ConvNd) for each in chart.patient.bare.modules())
        near = [each for each in rates if USUAL[1] < each <= AT_MOST]
        aim = (usual or near or [OF_FOLDS if folds else USUAL[1]])[0]
    told = []
    for (name, optimizer), often, before in zip(optimizers.items(), turns(chart.patient), rates, strict=True):
        _set_rate(optimizer, aim / often)
        told += [f"{name} from {before:.2g} to {aim / often:.2g}"] if not math.isclose(before, aim / often) else []
    return f"the players' learning rates brought together: {', '.join(told)}"


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    factor = rate / _rate(optimizer)
    for group in optimizer.param_groups:
        for name in RATES & group.keys():
            group[name] *= factor


def _turn_pull(chart: Chart) -> str | None:
    """The generator's loss with the labels of real rows, where it has those of made ones."""
    play = chart.patient.play
    if play is None or not turned(play) or "pull" in play.mended:
        return None
    play.mended |= {"pull"}
    mend_pulls(play, chart.patient.bare.get_submodule(play.judge))
    return "the generator's gradient made that of the loss which wants its rows to be taken for real ones"


def _pass_gradient(chart: Chart) -> str | None:
    """The generator's gradient as that of -log D(fake) where it is that of log(1 - D(fake))."""
    play = chart.patient.play
    names = [name for name, each in play.saturates.items() if each] if play is not None else []
    if play is None or not names or "loss" in play.mended:
        return None
    play.mended |= {"loss"}

    def answer(module: nn.Module, inputs: Any, output: Any) -> None:
        if "loss" not in play.mended or not isinstance(output, Tensor) or not output.requires_grad:
            return
        if not inputs[0].requires_grad:
            return
        answers = output.detach()

        def mend(gradient: Tensor) -> Tensor:
            for fading, wanted in _slopes(answers):
                weight = _weight(gradient, fading(answers), answers)
                if weight is not None:  # never in the discriminator's own turn, whose gradient has the other sign
                    return (weight * wanted(answers)).to(gradient)
            return gradient

        output.register_hook(mend)

    answer.comes_off = True  # type: ignore[attr-defined]
    chart.patient.bare.get_submodule(names[0]).register_forward_hook(answer)
    return "the generator's gradient made that of -log D(fake), which does not fade where D is sure"


def _give_noise(chart: Chart) -> str | None:
    """Noise of deviation 1 for a generator that is given next to none, a row of its own for each."""
    play = chart.patient.play
    faint = {name: size for name, size in play.noise.items() if size < THRESHOLDS.noise} if play is not None else {}
    if play is None or not faint or "noise" in play.mended:
        return None
    ((name, size), *_) = faint.items()
    play.mended |= {"noise"}

    def give(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        if "noise" not in play.mended or not inputs or not isinstance(inputs[0], Tensor):
            return None
        if size and float(inputs[0].std()) >= THRESHOLDS.noise:
            return None  # which was made wider before
        noise = inputs[0] / size if size else torch.randn_like(inputs[0])
        return (noise, *inputs[1:])

    give.comes_off = True  # type: ignore[attr-defined]
    chart.patient.bare.get_submodule(name).register_forward_pre_hook(give)
    if not size:
        return f"noise of its own for each row of {name}, by a hook in front of it"
    return f"the noise of {name} times {1 / size:.3g}, to a deviation of 1, by a hook in front of it"


def slow_winner(chart: Chart, finding: Finding) -> str | None:
    """A third of the winner's rate; of the generator's where its samples collapse."""
    optimizers, maker = chart.patient.optimizers, generator_of(chart.patient)
    if chart.own_loop or len(optimizers) != 2 or maker is None or finding.statistic.get("in the code"):
        return None
    judge = next(each for each in optimizers if each != maker)
    name = finding.where if finding.where in optimizers else judge if finding.where == "discriminator" else maker
    _set_rate(optimizers[name], _rate(optimizers[name]) / 3)
    forget(chart.patient)
    return f"the learning rate of {name} divided by 3, to {_rate(optimizers[name]):.2g}"
