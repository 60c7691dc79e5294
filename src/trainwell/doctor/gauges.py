"""A patient between two steps to numbers that no layer shows: memory, the optimizer's count, answers on kept rows."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.doctor import dropping, memory, minority, modes, without_loss
from trainwell.doctor.course import learned
from trainwell.doctor.finding import UNFIT
from trainwell.doctor.groups import note_groups
from trainwell.doctor.head_check import slow_rows
from trainwell.doctor.noise import note_certainty
from trainwell.doctor.patient import Patient, answering, leaving_no_trace
from trainwell.doctor.probe import has_batch_norm
from trainwell.doctor.sample import Sample, row_hashes
from trainwell.doctor.series import Record
from trainwell.doctor.thresholds import THRESHOLDS
from trainwell.doctor.trial import code_of
from trainwell.doctor.usual_steps import stand_in

PAGE = 4096 / 2**20  # MiB


def note_facts(patient: Patient, record: Record) -> None:
    """What is known of a model and its optimizers without running them."""
    model = patient.bare
    record.facts["players"], record.facts["optimizers"] = len(patient.players), list(patient.optimizers)
    note_settings(patient, record)
    attempt(record, "first weights", lambda: without_loss.note(patient, record))
    record.facts["trained before"] = structure(model)
    note_groups(patient, record, learned_shape)
    record.facts["batch norm"] = has_batch_norm(model)
    record.facts["norms over maps"] = not any(isinstance(each, nn.BatchNorm1d) for each in model.modules())
    recurrent = [name or type(each).__name__ for name, each in model.named_modules() if isinstance(each, nn.RNNBase)]
    record.facts["recurrent"] = recurrent[0] if recurrent else ""
    record.facts["recurrent kind"] = type(model.get_submodule(recurrent[0])).__name__ if recurrent else ""


def note_settings(patient: Patient, record: Record) -> None:
    """What a remedy or a schedule may change: decay, dropout, momentum, and the rate that a schedule starts from."""
    groups = [group for optimizer in patient.optimizers.values() for group in optimizer.param_groups]
    record.facts["weight decay"] = max((float(group.get("weight_decay") or 0) for group in groups), default=0.0)
    record.facts["weight decay in gradients"] = max(
        (
            float(group.get("weight_decay") or 0)
            for each in patient.optimizers.values()
            for group in each.param_groups
            if not ("AdamW" in type(each).__name__ or group.get("decoupled_weight_decay"))
        ),
        default=0.0,
    )
    record.facts["memory"] = max(map(memory.of_group, groups), default=0.0)
    record.facts["betas turned round"] = next(filter(None, map(memory.turned_round, groups)), None)
    aims = (float(group.get(name) or 0.0) for group in groups for name in ("initial_lr", "max_lr"))
    record.facts["aimed rate"] = max(aims, default=0.0)
    record.facts["dropout"] = max(dropping.in_modules(patient.bare), record.facts.get("dropout called", 0.0))


@torch.no_grad()
def structure(model: nn.Module) -> float:
    """How far the matrices of a model are from random ones."""
    return learned_shape(model.named_parameters())


def learned_shape(named: Iterable[tuple[str, Tensor]]) -> float:
    """The largest singular value of a typical matrix over that of random entries of its size: 1 for fresh weights,
    however scaled, more for trained ones (Marchenko and Pastur 1967)."""
    found: list[float] = []
    for name, each in named:
        if each.dim() != 2 or min(each.shape) < 16 or "embed" in name or each.numel() > 2**21 or len(found) > 7:
            continue
        weight = each.detach().float()
        deviation = float(weight.std())
        if not deviation > 1e-8:
            continue
        direction = torch.arange(1.0, weight.shape[1] + 1, device=weight.device).mul(12.9898).sin()
        for _ in range(8):
            direction = weight.T @ (weight @ (direction / direction.norm()))
        edge = deviation * (weight.shape[0] ** 0.5 + weight.shape[1] ** 0.5)
        found.append(float(direction.norm()) ** 0.5 / edge)
    return sorted(found)[len(found) // 2] if found else 0.0


def read(
    patient: Patient,
    record: Record,
    batches: list[Any],
    scaler: Any,
    step: int,
    samples: tuple[Sample | None, Sample | None] = (None, None),
) -> None:
    """The readings of one look, each by itself: one that fails is not tried again and ends none of the others.

    samples: of the training rows and of the held-out rows.
    """
    note_settings(patient, record)
    sample = samples[0]
    if sample is not None and batches:
        attempt(record, "rows again", lambda: _rows_again(patient, record, batches[-1], step, sample))
    attempt(record, "loose weights", lambda: without_loss.read(patient, record, step))
    attempt(record, "dropout", lambda: dropping.read(patient, record, batches))
    attempt(record, "labels", lambda: _labels(patient, record, batches, step))
    _kept_statistics(patient, record, step)
    own = record.facts.get("doctor's own memory", 0.0)
    used = _memory(patient) - own
    if used > 0:
        record.add(step, "memory", "", used)
        if _grows(record, used):
            record.facts["memory when counted"] = used
            graphs, tensors = kept()
            record.add(step, "graphs kept", "", graphs)
            record.add(step, "tensors kept", "", tensors - own)
    count = _optimizer_steps(patient)
    if count is not None:
        record.add(step, "optimizer step", "", count)
    if scaler is not None:
        record.add(step, "scale", "", float(scaler.get_scale()))
    _device(patient, record, step)
    if batches and patient.loss_of is not None:
        _of_answers(patient, record, batches, step, samples)


def _of_answers(
    patient: Patient, record: Record, batches: list[Any], step: int, samples: tuple[Sample | None, Sample | None]
) -> None:
    """Readings for which the model is asked."""
    batch = batches[-1]
    if samples[1] is None and step >= minority.FIRST:
        attempt(record, "recall", lambda: minority.read(patient, record, batches, step))
    if record.facts.get("tells its code"):
        attempt(record, "divergence", lambda: _divergence(patient, record, batch, step))
    if len(patient.players) == 1:
        attempt(record, "modes", lambda: modes.read(patient, record, batch, step))
    if step >= 2 * (record.get("wrong rows").steps or [THRESHOLDS.warm_up])[-1]:
        attempt(record, "certainty", lambda: note_certainty(patient, record, batches, step, samples))
    if record.facts.get("loss") == "mse" and record.facts.get("head") in ("sigmoid", "softmax", "tanh"):
        attempt(record, "slow rows", lambda: _slow_rows(patient, record, batch, step))
    if record.facts.get("recurrent") and learned(record) < 0.3 and step > 80:
        attempt(record, "reach", lambda: _reach(patient, record, batch, step))


def attempt(record: Record, name: str, reading: Callable[[], None]) -> None:
    """A reading that asks the model or its loss, which may take no such rows as the doctor asks about."""
    unread = record.facts.setdefault("unread", {})
    if name in unread:
        return
    try:
        reading()
    except UNFIT as error:
        unread[name] = f"{type(error).__name__}: {error}"


def _reach(patient: Patient, record: Record, batch: Any, step: int) -> None:
    reach = long_reach(patient, batch)
    if reach is not None:
        record.add(step, "reach", "", reach)


def _divergence(patient: Patient, record: Record, batch: Any, step: int) -> None:
    """How far an autoencoder's codes are from the prior, in nats a row (Kingma and Welling 2014)."""
    with answering(patient.bare):
        code = code_of(patient.ask(patient.bare, patient.inputs_of(batch)))
    if code is not None:
        mean, spread = (each.float() for each in code)
        nats = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1).mean()
        record.add(step, "divergence", "", float(nats))


def _kept_statistics(patient: Patient, record: Record, step: int) -> None:
    """How many batch norms have learned in training mode and still hold the statistics that they began with."""
    held = [
        (each.running_mean, each.running_var)
        for each in patient.bare.modules()
        if isinstance(each, _BatchNorm) and each.training
    ]
    kept = [pair for pair in held if pair[0] is not None and pair[1] is not None]
    if kept:
        empty = [not bool(torch.any(mean)) and bool(torch.all(torch.eq(variance, 1))) for mean, variance in kept]  # type: ignore[arg-type]
        record.add(step, "empty norms", "", float(sum(empty)))


def _rows_again(patient: Patient, record: Record, batch: Any, step: int, sample: Sample) -> None:
    """Which share of the latest batch's rows is among those that the checks looked at, and how many these are."""
    known, rows = sample.known, row_hashes(patient.inputs_of(batch))
    if rows and step > len(sample.sizes):
        record.add(step, "rows again", "", sum(each in known for each in rows) / len(rows))
        record.facts["rows known"] = len(known)


def _labels(patient: Patient, record: Record, batches: list[Any], step: int) -> None:
    """The lowest and the highest label of the latest batches, where each row has one."""
    targets = [patient.target_of(each) for each in batches] if record.facts.get("classes") else []
    if targets and all(
        isinstance(each, Tensor) and not each.is_floating_point() and each.dim() == 1 for each in targets
    ):
        labels = torch.cat([each.detach() for each in targets])
        record.add(step, "label", "lowest", float(labels.min()))
        record.add(step, "label", "highest", float(labels.max()))


def _memory(patient: Patient) -> float:
    """MiB in use: of the device where the model is on one, else what the C library has given out, as the pages of a
    process stay its own after much was freed, and hide what is kept of them; those pages where that is not told."""
    first = next(patient.bare.parameters(), None)
    if first is not None and first.device.type == "cuda":
        return torch.cuda.memory_allocated(first.device) / 2**20
    if (given := _given_out()) is not None:
        return given / 2**20
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE
    return 0.0


class _Malloc(ctypes.Structure):
    """What glibc's mallinfo2 tells, in bytes where it is no count."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def _given_out() -> int | None:
    """Bytes that malloc has given out and not got back; None where the C library does not tell."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform.startswith("linux") else None
    if ask is None:
        return None
    ask.restype = _Malloc
    found = ask()
    return int(found.uordblks + found.hblkhd)


def _grows(record: Record, used: float) -> bool:
    """Whether memory grows at nearly every look, as its rule asks, and has grown on since what is kept was counted,
    which takes a good part of a second."""
    values = record.get("memory").array
    values, least = values[len(values) // 3 :], max(THRESHOLDS.leak_growth, 0.02 * values[0])
    grown = used - values[0] >= least / 2 and used - record.facts.get("memory when counted", 0.0) >= least / 8
    return bool(grown and len(values) > 3 and (np.diff(values[-6:]) > 0).mean() > 0.7)


def kept() -> tuple[int, float]:
    """Tensors that Python still holds: how many with their graph, and the MiB of all."""
    gc.collect()  # what waits for it, as copies that were tried on do, is not kept
    kinds = _kinds(Tensor)
    found = [each for each in gc.get_objects() if type(each) in kinds and each.layout == torch.strided]
    sizes: dict[int, int] = {}
    for each in found:
        with contextlib.suppress(RuntimeError):  # one that holds no numbers, as torch.compile leaves some behind
            sizes[each.untyped_storage().data_ptr()] = each.untyped_storage().nbytes()
    return sum(each.grad_fn is not None for each in found), sum(sizes.values()) / 2**20


def _kinds(kind: type) -> set[type]:
    """A class and all that are derived from it, as asking each of a million objects for its class's parents is slow."""
    children: list[type] = type.__subclasses__(kind)
    return {kind}.union(*(_kinds(each) for each in children))


def _optimizer_steps(patient: Patient) -> float | None:
    """How many steps the first optimizer that counts them says it has done, by the parameter that it moved oftenest:
    those that were held still at first have done fewer."""
    for own in patient.optimizers.values():
        optimizer = stand_in(own) or own
        held = [each for group in optimizer.param_groups for each in group["params"]]
        states = [optimizer.state.get(each) or {} for each in held]
        counts = [float(state["step"]) for state in states if "step" in state]
        if counts:
            return max(counts)
        if optimizer.defaults.get("betas") is not None and any(each.grad is not None for each in held):
            return 0.0
    return None


def _device(patient: Patient, record: Record, step: int) -> None:
    first = next(patient.bare.parameters(), None)
    if first is None or first.device.type != "cuda":
        return
    free, whole = torch.cuda.mem_get_info(first.device)
    record.add(step, "device memory", "", 1 - free / whole)
    with contextlib.suppress(ImportError, RuntimeError):  # needs the driver's own reader
        record.add(step, "device use", "", torch.cuda.utilization(first.device) / 100)


def _slow_rows(patient: Patient, record: Record, batch: Any, step: int) -> None:
    target = patient.target_of(batch)
    if not isinstance(target, Tensor):
        return
    with answering(patient.bare):
        output = patient.output(patient.bare, batch)
    if output is not None:
        record.add(step, "slow rows", "", slow_rows(output, target, record.facts["head"]))


def long_reach(patient: Patient, batch: Any) -> float | None:
    """How much the last output of the first recurrent layer depends on its first inputs, over its last ones."""
    with leaving_no_trace(), torch.enable_grad():
        model, _ = patient.copy()
        layer = next(each for each in model.modules() if isinstance(each, nn.RNNBase))
        seen: list[tuple[Tensor, Tensor]] = []

        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            if not isinstance(inputs[0], Tensor):
                return inputs
            return (inputs[0].detach().requires_grad_(True), *inputs[1:])

        def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(inputs[0], Tensor):
                seen.append((inputs[0], output[0]))

        layer.register_forward_pre_hook(enter)
        layer.register_forward_hook(leave)
        patient.output(model, batch)
        if not seen or seen[0][0].dim() != 3:
            return None
        inputs, output = seen[0]
        if not output.requires_grad:
            return None  # under no_grad, of which another rule tells
        time = 1 if layer.batch_first else 0
        length = inputs.shape[time]
        if length < 8:
            return None
        (gradient,) = torch.autograd.grad(output.select(time, length - 1).sum(), inputs)
        sizes = gradient.float().norm(dim=2).mean(dim=1 - time)
        quarter = max(1, length // 4)
        return float(sizes[:quarter].mean() / (sizes[-quarter:].mean() + 1e-30))


def takes(patient: Patient, held: Sample) -> bool:
    """Whether the model answers held-out rows as they are, which a loop may first turn into something else."""
    try:
        held_answers(patient, held)
    except UNFIT:
        return False
    return True


def held_answers(patient: Patient, held: Sample, classes: int = 0) -> Tensor | None:
    """The likeliest class for each row of a sample, as in evaluation; None where the model scores no classes, or not as
    many as its loss does."""
    with answering(patient.bare):
        outputs = [patient.output(patient.bare, batch) for batch in held.batches]
    scores = [each for each in outputs if each is not None and each.dim() == 2 and each.shape[1] > 1]
    scored = scores and len(scores) == len(outputs) and classes in (0, scores[0].shape[1])
    return torch.cat(scores).argmax(1).cpu() if scored else None


def read_held(patient: Patient, record: Record, held: Sample, step: int) -> None:
    """What the model makes of held-out rows of classes: which share of the rarest it recognizes, and how much more it
    would get right if their labels were numbered otherwise."""
    labels = held.labels
    if labels is None and held.target is not None and held.target.is_floating_point():
        minority.read(patient, record, held.batches, step)
    if labels is None or not held.batches or not _are_classes(labels, record.facts):
        return
    answers = held_answers(patient, held)
    if answers is None or len(answers) != len(labels):
        return
    minority.note(record, step, answers.numpy(), labels)
    minority.note_other_labels(record, step, answers.numpy(), labels)


def accuracy(patient: Patient, sample: Sample, facts: dict[str, Any]) -> float | None:
    """The share of a sample's rows that the model gets right; None where the target is no class."""
    labels = sample.labels
    if labels is None or not sample.batches or not _are_classes(labels, facts):
        return None
    answers = held_answers(patient, sample, facts.get("classes") or 0)
    return float((answers.numpy() == labels).mean()) if answers is not None and len(answers) == len(labels) else None


def _are_classes(labels: np.ndarray, facts: dict[str, Any]) -> bool:
    """Whether labels are among the classes that the loss has scores for; what is compared by places has none."""
    return bool(len(labels)) and int(labels.max()) < (facts.get("classes") or 0)
