"""One slip of the hand in every loop of the lists: python -m benchmarks.doctor.grafts --draw 5 --out FILE.

A graft changes the network or the optimizer of a loop just before the doctor (or nobody) gets them, so that it can be
put into each of the 73 loops of the eighth to the eleventh list, none of which was written for it. Which grafts a loop
gets is drawn by its name. In watch mode a loop ends as it would alone, so what a graft costs is seen in the same run:
only those that leave less than 90 % of the healthy score count (`--show FILE`), but for memory and late steps, which
are told by themselves. --part open and kept are halves of the loops, drawn by their names too.
"""

import argparse
import gc
import itertools
import json
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.doctor.loops import __main__ as loops
from benchmarks.doctor.loops.planted import FAST, SLOW, STEEP, TIRED
from benchmarks.doctor.loops.summary import summary
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Row = dict[str, Any]
NOT_APT = "does not apply"
LIGHT, HARM = ("all outputs kept", "late steps six times as long"), 0.9


class Plan:
    """What a graft may know of the loop: its steps in all, and its networks and optimizers."""

    def __init__(self, models: list[nn.Module], optimizers: list[Optimizer], steps: int) -> None:
        self.models, self.optimizers, self.steps = models, optimizers, steps
        self.idle = False  # whether the graft waits for a pass of the first model, which may never come

    def weights(self) -> list[nn.Parameter]:
        return [each for model in self.models for each in model.parameters() if each.ndim >= 2]

    def before_steps(self, act: Callable[[int], None]) -> None:
        """Call with the number of the step, counted from 0 by the first optimizer, not by a doctor's copy of it."""
        count, first = iter(range(10**9)), self.optimizers[0]
        first.register_step_pre_hook(lambda optimizer, *_: act(next(count)) if optimizer is first else None)


def rates(plan: Plan, factor: float) -> None:
    """All rates, and what schedules hold of them."""
    for optimizer in plan.optimizers:
        for group in optimizer.param_groups:
            for key in ("lr", "initial_lr", "max_lr", "min_lr"):
                if key in group:
                    group[key] = group[key] * factor
    for each in [one for one in gc.get_objects() if isinstance(one, LRScheduler) and hasattr(one, "base_lrs")]:
        if any(each.optimizer is optimizer for optimizer in plan.optimizers):
            each.base_lrs = [rate * factor for rate in each.base_lrs]


def decay(plan: Plan) -> None:
    """So that weights lose a fiftieth a step, or by a penalty as large."""
    for optimizer in plan.optimizers:
        for group in optimizer.param_groups:
            if "weight_decay" in group:
                group["weight_decay"] = 0.02 / group["lr"] if isinstance(optimizer, torch.optim.AdamW) else 2.0


@torch.no_grad()
def scaled(plan: Plan, factor: float) -> None:
    for each in plan.weights():
        each.mul_(factor)


@torch.no_grad()
def alike(plan: Plan) -> None:
    for each in plan.weights():
        each.fill_(0.02)


@torch.no_grad()
def silent(plan: Plan) -> None:
    """Every bias before a rectifier far below zero."""
    found = False
    for model in plan.models:
        layers = list(model.modules())
        for layer, after in itertools.pairwise(layers):
            if isinstance(after, nn.ReLU) and getattr(layer, "bias", None) is not None:
                layer.bias.fill_(-8.0)
                found = True
    if not found:
        raise LookupError(NOT_APT)


def left_out(plan: Plan) -> None:
    """The first half of each group's weights is not the optimizer's."""
    for optimizer in plan.optimizers:
        for group in optimizer.param_groups:
            group["params"] = group["params"][len(group["params"]) // 2 :]


def kept_gradients(plan: Plan) -> None:
    for each in [*plan.optimizers, *plan.models]:
        each.zero_grad = lambda *_, **__: None  # type: ignore[method-assign]


def uphill(plan: Plan) -> None:
    for optimizer in plan.optimizers:
        for group in optimizer.param_groups:
            if "maximize" not in group:
                raise LookupError(NOT_APT)
            group["maximize"] = True


def heavy(plan: Plan) -> None:
    """A momentum, or a first beta, of 999 thousandths."""
    for optimizer in plan.optimizers:
        for group in optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (0.999, group["betas"][1])
            elif "momentum" in group:
                group["momentum"] = 0.999


def large_inputs(plan: Plan) -> None:
    def thousandfold(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first = inputs[0] if inputs else None
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            raise LookupError(NOT_APT)
        return (first * 1000, *inputs[1:])

    plan.models[0].register_forward_pre_hook(thousandfold)


def squashed(plan: Plan) -> None:
    def shares(_: nn.Module, __: Any, scores: Any) -> Any:
        if not isinstance(scores, torch.Tensor) or scores.ndim < 2 or scores.shape[-1] < 2:
            raise LookupError(NOT_APT)
        return scores.softmax(-1)

    plan.models[0].register_forward_hook(shares)


def dropped(plan: Plan) -> None:
    """Nineteen twentieths of what every activation gives are left out."""
    found = False
    for model in plan.models:
        for each in model.modules():
            if isinstance(each, nn.ReLU | nn.GELU | nn.SiLU | nn.Tanh | nn.LeakyReLU):
                each.register_forward_hook(lambda layer, _, out: nn.functional.dropout(out, 0.95, layer.training))
                found = True
    if not found:
        raise LookupError(NOT_APT)


def never_judging(plan: Plan) -> None:
    for model in plan.models:
        model.eval = lambda model=model: model  # type: ignore[method-assign, misc]


def squeezed(plan: Plan) -> None:
    """Every activation a sigmoid."""
    found = False
    for model in plan.models:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.ReLU | nn.GELU | nn.SiLU | nn.Tanh | nn.LeakyReLU):
                    setattr(parent, name, nn.Sigmoid())
                    found = True
    if not found:
        raise LookupError(NOT_APT)


def clipped(plan: Plan) -> None:
    def clip(_: int) -> None:
        for optimizer in plan.optimizers:
            held = [each for group in optimizer.param_groups for each in group["params"]]
            nn.utils.clip_grad_norm_(held, 1e-4)

    plan.before_steps(clip)


def leaping(plan: Plan) -> None:
    """Every fiftieth step of the second half at 300 times the rate."""
    every = max(plan.steps // 10, 8)

    def leap(step: int) -> None:
        late = step - plan.steps // 2
        factor = 300.0 if late >= 0 and late % every == 0 else 1 / 300 if late > 0 and late % every == 1 else 1.0
        for group in plan.optimizers[0].param_groups:
            group["lr"] *= factor

    plan.before_steps(leap)


def one_gap(plan: Plan) -> None:
    """One number of one batch is none."""
    count = iter(range(10**9))

    def gap(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        first = inputs[0] if inputs else None
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            raise LookupError(NOT_APT)
        if model is not plan.models[0] or not model.training or next(count) != plan.steps // 4:
            return None
        first = first.clone()
        first.flatten()[0] = float("nan")
        return (first, *inputs[1:])

    plan.models[0].register_forward_pre_hook(gap)


def over_early(plan: Plan) -> None:
    def ended(step: int) -> None:
        for optimizer in plan.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.0 if step > plan.steps // 10 else group["lr"]

    plan.before_steps(ended)


def begun_again(plan: Plan) -> None:
    """At two thirds of the steps all weights are what they were at first."""
    first = [[each.detach().clone() for each in model.parameters()] for model in plan.models]

    @torch.no_grad()
    def reset(step: int) -> None:
        if step == plan.steps * 2 // 3:
            for model, weights in zip(plan.models, first, strict=True):
                for each, old in zip(model.parameters(), weights, strict=True):
                    each.copy_(old)

    plan.before_steps(reset)


def all_kept(plan: Plan) -> None:
    kept: list[Any] = []
    plan.idle = True

    def keep(model: nn.Module, _: Any, out: Any) -> None:
        if model is plan.models[0]:
            plan.idle = False
            kept.append((out, torch.empty(2**16).fill_(1.0)))

    plan.models[0].register_forward_hook(keep)


def slower(plan: Plan) -> None:
    took: list[float] = [time.perf_counter()]

    def late(step: int) -> None:
        now = time.perf_counter()
        if step > plan.steps * 0.7:
            time.sleep(5 * sorted(took)[len(took) // 2] if len(took) > 2 else 0)
        else:
            took.append(now - late.__dict__.get("before", now))
        late.__dict__["before"] = time.perf_counter()

    del took[0]
    plan.before_steps(late)


RUINED = ("cannot-fit-one-batch", "plateau", "vanishing-gradient", "underfitting")
GRAFTS: dict[str, tuple[Callable[[Plan], None], str, tuple[str, ...]]] = {
    "rates times a hundred": (lambda plan: rates(plan, 100.0), "learning-rate-too-high",
                              (*FAST, "dying-relu", "transformer-instability", "one-player-wins")),
    "rates over a thousand": (lambda plan: rates(plan, 0.001), "learning-rate-too-low", SLOW),
    "a decay that outweighs the loss": (decay, "over-regularized", TIRED),
    "weights times twelve": (lambda plan: scaled(plan, 12.0), "bad-initialization",
                             ("wrong-initial-loss", "saturated-activations", "attention-collapse",
                              "transformer-instability", "exploding-gradient", "learning-rate-too-high")),
    "weights over two hundred": (lambda plan: scaled(plan, 0.005), "bad-initialization", RUINED),
    "all weights alike": (alike, "bad-initialization", RUINED),
    "biases of minus eight": (silent, "dying-relu", ("bad-initialization", "wrong-initial-loss", *RUINED)),
    "half of the weights left out": (left_out, "disconnected-parameters", ()),
    "gradients never cleared": (kept_gradients, "missing-zero-grad", ()),
    "uphill": (uphill, "gradient-ascent", ()),
    "momentum of .999": (heavy, "oscillating-loss", (*FAST, *SLOW)),
    "inputs times a thousand": (large_inputs, "input-not-normalized", ()),
    "shares where scores are due": (squashed, "loss-head-mismatch", ()),
    "nineteen twentieths left out": (dropped, "over-regularized", ()),
    "always in training mode": (never_judging, "wrong-train-eval-mode", ("preprocessing-mismatch",)),
    "sigmoids throughout": (squeezed, "vanishing-gradient", STEEP),
    "gradients clipped to nothing": (clipped, "learning-rate-too-low", SLOW),
    "leaps of the rate": (leaping, "loss-spike", FAST),
    "one number that is none": (one_gap, "non-finite-values", ("bad-features",)),
    "over after a tenth": (over_early, "learning-rate-too-low", SLOW),
    "begun again at two thirds": (begun_again, "training-state-lost", ("loss-spike",)),
    "all outputs kept": (all_kept, "memory-leak", ()),
    "late steps six times as long": (slower, "step-time-cliff", ()),
}  # fmt: skip


def drawn(loop: str, many: int) -> list[str]:
    """The grafts of a loop, by its name alone."""
    return random.Random(f"grafts of {loop}").sample(list(GRAFTS), many)


def part_of(loop: str) -> str:
    return random.Random(f"half of {loop}").choice(("open", "kept"))


def as_list(given: Any, kind: type) -> list[Any]:
    given = list(given.values()) if isinstance(given, dict) else given
    return [each for each in (given if isinstance(given, list | tuple) else [given]) if isinstance(each, kind)]


def grafted(train: Callable[..., float], graft: Callable[[Plan], None], steps: int) -> Callable[..., float]:
    """The same loop, whose networks and optimizers are changed before a doctor sees them."""

    def trained(doctor_of: Callable[..., Any], seed: int, name: str) -> float:
        del name  # the graft's; the loop itself is as it should be
        made: list[Plan] = []

        def doctor(model: Any, optimizer: Any = None, *rest: Any, **options: Any) -> Any:
            plan = Plan(as_list(model, nn.Module), as_list(optimizer, Optimizer), steps)
            if not plan.models or not plan.optimizers:
                raise LookupError(NOT_APT)
            made.append(plan)
            graft(plan)
            return doctor_of(model, optimizer, *rest, **options)

        score = train(doctor, seed, "")
        if any(each.idle for each in made):
            raise LookupError(NOT_APT)
        return score

    return trained


def cases(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a run that the file does not hold yet, the healthy twin first."""
    done = {(row["mode"], row["loop"], row["fault"]): row for row in loops.rows_of(arguments.out)}
    for loop, train in every_loop():
        if arguments.only not in loop or arguments.part not in ("all", part_of(loop)):
            continue
        twin = ("alone", loop, "")
        for name in drawn(loop, arguments.draw):
            graft, ailment, also = GRAFTS[name]
            key = (arguments.mode, loop, name)
            if arguments.graft not in name or key in done:
                continue
            if twin not in done:
                done[twin] = loops.run(train, loop, "", arguments.seed, "alone")
                yield done[twin]
            changed = grafted(train, graft, done[twin]["steps"])
            row = loops.run(changed, loop, name, arguments.seed, arguments.mode)
            yield row | {
                "healthy": done[twin]["score"], "ailment": ailment, "accept": [ailment, *also], "curable": True,
                "harm": "symptom" if name in LIGHT else "worse", "apt": NOT_APT not in row["trouble"],
            }  # fmt: skip


def every_loop() -> Iterator[tuple[str, Callable[..., float]]]:
    """Of the eighth to the eleventh list."""
    for name in ("loops", "judge", "examination", "inspection"):
        for loop, train in loops.LISTS[name].LOOPS.items():
            yield f"{name}: {loop}", train


def counted(rows: list[Row]) -> list[Row]:
    """Rows whose graft applies and does harm (or is a symptom in itself)."""
    return [
        row for row in rows
        if row["apt"] and (row["harm"] == "symptom" or row["score"] < HARM * row["healthy"])
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", type=int, default=5, help="grafts a loop")
    parser.add_argument("--mode", choices=("watch", "treat"), default="watch")
    parser.add_argument("--part", choices=("open", "kept", "all"), default="all")
    parser.add_argument("--only", default="", help="loops whose list and name hold this word")
    parser.add_argument("--graft", default="", help="grafts whose name holds this word")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("grafts.jsonl"))
    parser.add_argument("--show", type=Path, help="print what this file holds, and train nothing")
    arguments = parser.parse_args()
    if arguments.show:
        print(summary(counted([row for row in loops.rows_of(arguments.show) if "ailment" in row])))
        return
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for row in cases(arguments):
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(loops.told(row), flush=True)


if __name__ == "__main__":
    main()
