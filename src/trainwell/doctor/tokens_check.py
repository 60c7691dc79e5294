"""Sequences of tokens beside their padding, their mask and an answer a place: what lies where it should not."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.doctor.finding import CannotJudge, Finding, Severity
from trainwell.doctor.graph import losses_in
from trainwell.doctor.padding_check import masked_the_wrong_way, read_past_the_end
from trainwell.doctor.patient import as_tuple, leaving_no_trace
from trainwell.doctor.trial import Trial

ROWS_LEAST, ROWS = 8, 256  # rows that are compared
SAME_ROW = 0.95  # of the places, which makes two rows the same
OTHER_KIND = 0.15  # between the frequencies of tokens and answers
LEAST = 50  # places that are asked for
KINDS = 5  # different answers, with fewer of which two equal numbers may be chance
MOVED = 1e-4  # of the largest score, by which answers have changed
UNMOVED = 1e-6


def padding_or_mask_fault(trial: Trial) -> Finding | None:
    """Answers that depend on padding and on no other token, or that are filled up on the side where the tokens are
    not."""
    if (found := read_past_the_end(trial) or masked_the_wrong_way(trial)) is not None:
        return found
    tokens, _ = _tokens(trial)
    ends = padded(tokens)
    if not 0.02 < float(ends.float().mean()) < 0.95:
        return None
    asked = _answers(trial, tokens)
    return _other_side(tokens, ends, asked, trial.made.ignored) or _turned_mask(trial, tokens, ends)


def data_leakage(trial: Trial) -> Finding | None:
    """Answers that stand among the inputs at the very places that ask for them."""
    tokens, others = _tokens(trial)
    asked, scores = _answers(trial, tokens), trial.made.output
    if asked is None or scores is None or scores.numel() // max(1, trial.classes) != asked.numel():
        raise CannotJudge("not every token has an answer")  # a loss that moves them on by itself leaves one place out
    places = asked != (-100 if trial.made.ignored is None else trial.made.ignored)
    padding = tokens[:, -1].mode().values
    places &= (tokens != padding) | (asked != padding)  # where both are filled up there is nothing to copy
    if int(places.sum()) < LEAST or len(asked[places].unique()) < KINDS:
        raise CannotJudge(f"needs {LEAST} places with an answer")
    sequences = [tokens, *(each for each in others if each.shape == asked.shape and not each.is_floating_point())]
    share = max(float((each == asked)[places].float().mean()) for each in sequences)
    if share < 0.98:
        return None
    evidence = f"At {share:.0%} of the {int(places.sum())} places that ask for a token it is the token given there."
    cause = "The tokens to guess were not hidden, or the answers not moved on by one: copying is the whole task."
    return _told("data-leakage", "target", "critical", evidence, cause, share)


def targets_out_of_range(trial: Trial) -> Finding | None:
    """A class of its own that the loss takes for padding."""
    tokens, _ = _tokens(trial)
    asked, ignored = _answers(trial, tokens), trial.made.ignored
    if asked is None or ignored is None or ignored < 0:
        raise CannotJudge("the loss leaves out no class")
    real = ~padded(tokens)
    real[:, :-1] &= real[:, 1:] | (asked[:, :-1] != ignored)  # behind a row's last token padding comes next
    left_out = (asked == ignored) & real
    share = float(left_out.sum() / real.sum().clamp_min(1))
    after = left_out & ~left_out.long().cumprod(1).bool()  # what comes first may be a prompt, not to be learned
    part = left_out & (~left_out & real).any(1, keepdim=True)
    hidden = len(tokens[~left_out & real].unique()) < KINDS  # the places to guess are marked
    if not 0.05 < share < 0.99 or float(after.sum()) < 0.2 * float(part.sum()) or hidden:
        return None
    evidence = f"{share:.0%} of the places that hold a token have the answer {ignored}, which the loss leaves out."
    cause = f"Class {ignored} is one of those to tell and the mark for padding as well: give padding -100."
    return _told("targets-out-of-range", "loss", "warn", evidence, cause, share)


def padded(tokens: Tensor) -> Tensor:
    """Where the commonest token of one end fills rows up, (rows, places): of the end at which it fills up more."""
    sides = []
    for each in (tokens, tokens.flip(1)):
        same = each == int(each[:, -1].mode().values)
        sides.append(same.flip(1).long().cumprod(1).flip(1).bool())
    back, front = sides[0], sides[1].flip(1)
    return front if front.sum() > back.sum() else back


def _tokens(trial: Trial) -> tuple[Tensor, list[Tensor]]:
    """The first sequences of codes among the batch's tensors, (rows, places), and the other tensors of its inputs."""
    inputs = trial.patient.inputs_of(trial.batch)
    tensors = [each for each in _flat(trial.batch if isinstance(trial.batch, dict) else inputs)]
    target = trial.target
    for each in tensors:
        if not each.is_floating_point() and each.dtype != torch.bool and each.dim() == 2 and each is not target:
            if len(each) < 4 or each.shape[1] < 4 or len(each.unique()) < KINDS:
                break
            return each, [other for other in tensors if other is not each and other is not target]
    raise CannotJudge("the inputs are no sequences of tokens")


def _answers(trial: Trial, tokens: Tensor) -> Tensor | None:
    """One class a token, (rows, places), as the loss got them."""
    for each in (trial.target, trial.made.target):
        if isinstance(each, Tensor) and not each.is_floating_point() and each.numel() == tokens.numel():
            return each.reshape(tokens.shape)
    return None


def _other_side(tokens: Tensor, ends: Tensor, asked: Tensor | None, ignored: int | None) -> Finding | None:
    if asked is None:
        return None
    blank = asked == (-100 if ignored is None else ignored)
    short = ends.any(1) & ~ends.all(1)
    turned = (blank.flip(1) == ends).all(1) & ~(blank == ends).all(1)
    share = float((turned & short).sum() / short.sum().clamp_min(1))
    if int(short.sum()) < 4 or share < 0.9:
        return None
    evidence = (
        f"In {share:.0%} of the rows that are filled up, the tokens are on one side and their answers on the other."
    )
    cause = "Tokens and answers were padded on different sides, so that each answer belongs to another token."
    return _told("padding-or-mask-fault", "target", "critical", evidence, cause, share)


def _turned_mask(trial: Trial, tokens: Tensor, ends: Tensor) -> Finding | None:
    """Whether other tokens where rows are filled up change the answers, and other tokens anywhere else do not."""
    chance = torch.Generator().manual_seed(0)
    # A sign that each row has, as the one in place of a hidden word, says where to look and stays.
    signs = [kind for kind in tokens[0].unique() if float((tokens == kind).any(1).float().mean()) > 0.9]
    sign = torch.isin(tokens, torch.stack(signs)) if signs else torch.zeros_like(ends)
    real = tokens[~ends & ~sign]
    if not len(real):
        return None
    drawn = real[torch.randint(len(real), tokens.shape, generator=chance).to(real.device)]
    some = (torch.rand(tokens.shape, generator=chance).to(ends.device) < 0.5) & ~ends & ~sign
    some[:, 0] = False  # often left to be seen, so that no row sees nothing
    before = _scores(trial, tokens, tokens)
    by_padding = _moved(before, _scores(trial, tokens, torch.where(ends, drawn, tokens)), ~ends)
    by_tokens = _moved(before, _scores(trial, tokens, torch.where(some, drawn, tokens)), ~ends & ~some)
    if by_padding < MOVED or by_tokens > UNMOVED:
        return None
    evidence = (
        "Other tokens in place of the padding change the answers; other tokens anywhere else change none but their own."
    )
    cause = "The mask is turned round, or rows are read past their end: what should be hidden decides."
    return _told("padding-or-mask-fault", "mask", "critical", evidence, cause, by_padding)


def _scores(trial: Trial, tokens: Tensor, given: Tensor) -> Tensor:
    """What the loss is made of, rows first, on a copy that gets other tokens."""
    with leaving_no_trace(), torch.enable_grad():
        model, _ = trial.patient.copy()
        loss = trial.patient.loss(model.eval(), _with(trial.batch, tokens, given))
        made = losses_in(loss)
    if not made or made[0].output is None:
        raise CannotJudge("the loss does not show its scores")
    return made[0].output.detach().nan_to_num()


def _moved(before: Tensor, after: Tensor, places: Tensor) -> float:
    """By how much of the largest score the answers at these places differ, or those of whole rows."""
    change = (before - after).abs()
    if change.dim() > 2 and change.flatten(2).shape[2] == places.shape[1] != change.shape[1]:
        change = change.flatten(2).transpose(1, 2)  # (rows, classes, places), as cross-entropy reads them
    if change.numel() % places.numel() == 0 and (change.dim() > 2 or len(change) == places.numel()):
        change = change.reshape(*places.shape, -1)[places]
    elif len(change) != len(places):
        raise CannotJudge("the answers are neither one a row nor one a token")
    return float(change.max() / before.abs().max().clamp_min(1e-9)) if change.numel() else 0.0


def _with(batch: Any, old: Tensor, new: Tensor) -> Any:
    """The batch with one tensor in place of another."""
    if batch is old:
        return new
    if isinstance(batch, dict):
        return type(batch)({key: _with(each, old, new) for key, each in batch.items()})
    return type(batch)(_with(each, old, new) for each in batch) if isinstance(batch, tuple | list) else batch


def _flat(value: Any) -> list[Tensor]:
    """All tensors of a batch, in its order."""
    if isinstance(value, dict):
        return [found for each in value.values() for found in _flat(each)]
    if isinstance(value, tuple | list):
        return [found for each in value for found in _flat(each)]
    return [each for each in as_tuple(value) if isinstance(each, Tensor)]


def _told(name: str, where: str, severity: Severity, evidence: str, cause: str, value: float) -> Finding:
    return Finding(name, where, severity, evidence, cause, 0.9, statistic={"value": value})


def label_noise(trial: Trial) -> Finding | None:
    """Answers that are another row's next tokens, or of the same kind as tokens and no more like their own row's than
    like any other's."""
    tokens, _ = _tokens(trial)
    asked = _answers(trial, tokens)
    if asked is None or len(tokens) < ROWS_LEAST:
        raise CannotJudge(f"needs {ROWS_LEAST} rows with an answer to every token")
    more, wanted = next(iter(trial.sample.inputs), None), trial.sample.target
    if isinstance(more, Tensor) and isinstance(wanted, Tensor) and more.shape == wanted.shape and more.dim() == 2:
        tokens, asked = (tokens, asked) if more.is_floating_point() else (more, wanted)  # of several batches
    tokens, asked = tokens[:ROWS].to(asked.device), asked[:ROWS]
    cause = "Rows and answers were shuffled apart, or each comes from a sampler of its own."
    for ours, theirs, what in ((tokens[:, 1:], asked[:, :-1], "next tokens"), (tokens, asked, "tokens")):
        alike = (theirs[:, None] == ours[None]).float().mean(2)  # of the answers to one row, by another's tokens
        if float(alike.diagonal().mean()) > SAME_ROW:
            return None  # they are their own row's
        share = float(((alike.max(1).values > SAME_ROW) & (alike.diagonal() < 0.5)).float().mean())
        if share > 0.2:
            evidence = f"The answers to {share:.0%} of the rows are the {what} of another row."
            return _told("label-noise", "target", "critical", evidence, cause, share)
    if int(asked.min()) < 0:
        return None
    kinds = int(max(tokens.max(), asked.max())) + 1
    ours, theirs = (torch.nn.functional.one_hot(each, kinds).float().mean(1) for each in (tokens, asked))
    if float((ours.mean(0) - theirs.mean(0)).abs().sum()) / 2 > OTHER_KIND:
        return None  # answers of another kind than tokens, such as tags
    near = torch.nn.functional.cosine_similarity(theirs[:, None], ours[None], dim=2)
    others = (near.sum(1) - near.diagonal()) / (len(near) - 1)
    gain = near.diagonal() - others
    if float(gain.mean()) > 2 * float(gain.std()) / len(gain) ** 0.5 or _tells(tokens, asked):
        return None
    evidence = (
        f"The answers have the tokens' frequencies, and are no more like their own row's tokens (cosine "
        f"{float(near.diagonal().mean()):.2f}) than like other rows' ({float(others.mean()):.2f})."
    )
    return _told("label-noise", "target", "critical", evidence, cause, float(gain.mean()))


def _tells(tokens: Tensor, asked: Tensor) -> bool:
    """Whether pairs of a token and the answer at its place come oftener again than those of another row's answers."""
    kinds = int(max(tokens.max(), asked.max())) + 1
    counts = [
        torch.bincount((tokens * kinds + each).flatten(), minlength=kinds**2).double().square().sum()
        for each in (asked, *(asked.roll(shift, 0) for shift in (1, 2, 3)))
    ]
    return bool(counts[0] > 1.1 * torch.stack(counts[1:]).max())


CHECKS: dict[str, Callable[[Trial], Finding | None]] = {
    "padding-or-mask-fault": padding_or_mask_fault,
    "data-leakage": data_leakage,
    "targets-out-of-range": targets_out_of_range,
    "label-noise": label_noise,
}
