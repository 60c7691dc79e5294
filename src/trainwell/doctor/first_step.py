"""A first step to whether it went down the slope of the loss that the loop tells, and was taken with all of it."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainwell.doctor.finding import Finding
from trainwell.doctor.patient import Patient, leaving_no_trace

if TYPE_CHECKING:
    from trainwell.doctor.ward import Ward

MORE = 3.0  # times the slope, from which on a loop is taken to add up several
FAINT = 1e-3  # of it, less than any usual clipping leaves
PULLED = 2.0  # times the slope, from which on a pull of the weights towards zero outweighs what the rows say
REST = 0.3  # of the gradient that was given, which slope and pull may leave unexplained


def check_first_step(doctor: "Ward", patient: Patient, batch: Any) -> None:
    """Whether the first step went up the slope of its batch's loss, and how much of the slope it was given."""
    first = doctor.first
    if first is None or patient.loss_of is None or len(patient.players) > 1:
        return
    before = first.patient(patient)
    finding, size = against_the_slope(before, patient, batch)
    taken = doctor.pulse.norms[-1] if doctor.pulse.norms and doctor.state is None else 0.0
    patient.scale = taken / size if taken > MORE * size > 0 else 1.0
    if finding is None and 0 < taken < FAINT * size:
        finding = _faint(taken / size)
    if finding is None and doctor.state is None:
        finding = _penalized(before, patient)
    if finding is not None:
        doctor.diagnosis.take(finding, doctor.step)


def _faint(share: float) -> Finding:
    return Finding(
        "update-ratio-off",
        "loop",
        "critical",
        f"The gradient that the optimizer was given is {share:.1e} of the loss's own on that batch.",
        "Between the loss and the step it is cut or divided: clipped before it was unscaled, or scaled down twice.",
        0.9,
        1,
        statistic={"value": share, "healthy": [FAINT, 1e3], "given": share},
    )


def _penalized(before: Patient, now: Patient) -> Finding | None:
    """The gradient that the first step was given, as far as its loop has left it, against the slope of the loss and
    the first weights or their signs: what a penalty on the weights adds that the loss told of leaves out."""
    kept = [
        (new.grad, old.grad, old.detach())
        for old, new in zip(before.bare.parameters(), now.bare.parameters(), strict=True)
        if not (old.grad is None or new.grad is None or new.grad.is_sparse or old.grad.is_sparse)
    ]
    if not sum(weight.numel() for _, _, weight in kept):
        return None
    for kind in ("squares", "absolute values"):
        parts = kept if kind == "squares" else [(given, slope, weight.sign()) for given, slope, weight in kept]
        shares, rest, sizes = _fitted(parts)
        times = shares[1] * sizes[1] / max(shares[0] * sizes[0], 1e-30)
        if shares[0] > 0 and times > PULLED and rest < REST:
            return Finding(
                "over-regularized",
                "loop",
                "critical",
                "Beside the slope of its loss the first step was given a pull of all weights towards zero, "
                f"{times:.1f} times as large.",
                f"A penalty on the {kind} of the weights outweighs what the rows say.",
                0.9,
                1,
                statistic={"value": times, "healthy": [0, PULLED], "given": times},
            )
    return None


def _fitted(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """Least squares of the first tensors by the second and third ones: the shares of these two, what is left as a
    share of the first, and the norms of the two. By their products alone, as all weights would be far to carry."""
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    products = torch.stack([_product(part[one], part[other]) for one, other in pairs for part in parts])
    whole, slope, pull, along, against, both = products.double().reshape(6, -1).sum(1).tolist()
    apart = slope * pull - both**2
    if not apart > 1e-9 * slope * pull:  # one of them is nothing, or they are the same
        return (0.0, 0.0), 1.0, (0.0, 0.0)
    shares = (along * pull - against * both) / apart, (against * slope - along * both) / apart
    left = whole - shares[0] * along - shares[1] * against
    return shares, (max(0.0, left) / max(whole, 1e-60)) ** 0.5, (slope**0.5, pull**0.5)


def _product(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.reshape(-1).float(), other.reshape(-1).float())


def against_the_slope(before: Patient, now: Patient, batch: Any) -> tuple[Finding | None, float]:
    """From weights before and after one step: whether it went up the slope of the loss on its batch, which is
    made anew, and the norm of that slope."""
    with leaving_no_trace(), torch.enable_grad():
        for each in before.model.parameters():
            each.grad = None
        loss = before.loss(before.model, batch)
        if not loss.requires_grad or not bool(loss.detach().isfinite()):
            return None, 0.0
        loss.backward()
    moves = []
    for old, new in zip(before.bare.parameters(), now.bare.parameters(), strict=True):
        if old.grad is not None:
            slope = old.grad.to_dense() if old.grad.is_sparse else old.grad
            moves.append((slope.flatten().float(), (new.detach() - old.detach()).flatten().float()))
    if not moves:
        return None, 0.0
    slopes, move = torch.cat([each for each, _ in moves]), torch.cat([each for _, each in moves])
    cosine = float(torch.nn.functional.cosine_similarity(slopes, move, 0))
    if not cosine > 0.3:
        return None, float(slopes.norm())
    finding = Finding(
        "gradient-ascent",
        "loop",
        "critical",
        f"The first step went up the slope of the loss (cosine {cosine:.2f} with its gradient; healthy is below 0).",
        "The sign is turned: a negated loss, a negative rate, or maximize=True.",
        0.95,
        1,
        statistic={"value": cosine, "healthy": [-1, 0]},
    )
    return finding, float(slopes.norm())
