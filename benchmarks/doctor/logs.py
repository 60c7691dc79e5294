"""Trainings to the logs that other libraries leave of them, and what `trainwell doctor LOG` says of each.

The faults are the first list's but those of the system (`faults.py`), each in one family, trained without a doctor;
the healthy trainings are those of `controls.py`, those of `newcomers.py` and some drawn by chance. What may be said
of a fault, and which faults a log can show, was put on record on 2026-11-21 at 11:34 UTC, before any log was judged
and without a look at the rules. Made by `python -m benchmarks.doctor.logs --out FILE`.
"""

import argparse
import contextlib
import csv
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.doctor.controls import AWKWARD, generated
from benchmarks.doctor.faults import FAULTS
from benchmarks.doctor.newcomers import RIGHT
from benchmarks.doctor.run import run
from benchmarks.doctor.setups import FAMILIES, Setup
from benchmarks.doctor.soiled import LINE, NAMES, called

SYSTEM = ("dataloader-starvation", "underused-device", "memory-leak", "step-time-cliff")
PERIOD = 10  # steps of an epoch
STAYS = ("plateau", "underfitting", "learning-rate-too-low", "cannot-fit-one-batch", "vanishing-gradient")
WILD = ("learning-rate-too-high", "exploding-gradient", "oscillating-loss", "loss-spike", "non-finite-values")


class Recorder:
    """What a logging loop writes down of each step, and of each look at held-out rows."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.looks: dict[int, dict[str, float]] = {}

    def begin(self, setup: Setup, model: Any, optimizer: torch.optim.Optimizer, held_out: Any) -> None:
        self.model, self.optimizer = model, optimizer

    def step(self, loss: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> None:
        norms = [each.grad.norm() for each in self.model.parameters() if each.grad is not None]
        norm = float(torch.stack(norms).norm()) if norms else 0.0
        self.steps.append({"loss": float(loss.detach()), "lr": self.optimizer.param_groups[0]["lr"], "norm": norm})

    def evaluated(self, loss: float, accuracy: float | None) -> None:
        self.looks[len(self.steps)] = {"loss": loss} | ({} if accuracy is None else {"accuracy": accuracy})

    def end(self) -> None: ...

    def epochs(self) -> list[dict[str, float]]:
        """By epoch: the mean loss over its steps, the rate and the gradient norm at its end, the held-out figures."""
        rows = []
        for epoch, (end, look) in enumerate(sorted(self.looks.items())):
            own = self.steps[max(0, end - PERIOD) : end]
            loss = sum(each["loss"] for each in own) / len(own)
            rows.append({"epoch": epoch, "step": end, "loss": loss, "lr": own[-1]["lr"], "norm": own[-1]["norm"]})
            rows[-1] |= {f"val_{key}": value for key, value in look.items()}
        return rows


def table(path: Path, heads: list[str], rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, heads, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def epochs(log: Recorder, folder: Path) -> Path:
    """epoch,loss,val_loss,lr from 1 on, four digits."""
    rows = [
        {"epoch": row["epoch"] + 1, "loss": f"{row['loss']:.4f}", "val_loss": f"{row['val_loss']:.4f}", "lr": row["lr"]}
        for row in log.epochs()
    ]
    return table(folder / "log.csv", ["epoch", "loss", "val_loss", "lr"], rows)


def steps(log: Recorder, folder: Path) -> Path:
    """Every step's loss, rate and gradient norm."""
    rows = [{"step": place, **row, "grad_norm": row["norm"]} for place, row in enumerate(log.steps)]
    return table(folder / "steps.csv", ["step", "loss", "lr", "grad_norm"], rows)


def hugging_face(log: Recorder, folder: Path) -> Path:
    """trainer_state.json: loss every ten steps, evaluations between, a summary at the end."""
    history: list[dict[str, Any]] = []
    for row in log.epochs():
        place = {"epoch": row["step"] / 60, "step": row["step"]}
        history.append({"loss": round(row["loss"], 4), "grad_norm": row["norm"], "learning_rate": row["lr"], **place})
        look = {f"eval_{key[4:]}": value for key, value in row.items() if key.startswith("val_")}
        history.append({**look, "eval_runtime": 0.8, "eval_samples_per_second": 1200.5, **place})
    losses = [row["loss"] for row in log.epochs()]
    history.append({"total_flos": 1e12, "train_loss": sum(losses) / len(losses), "train_runtime": 9.5, **place})
    path = folder / "trainer_state.json"
    path.write_text(
        json.dumps({"best_metric": None, "epoch": 4.0, "global_step": len(log.steps), "log_history": history})
    )
    return path


def lightning(log: Recorder, folder: Path) -> Path:
    """metrics.csv, a row for the rate, one for the steps' loss, one for the evaluation, the rest empty."""
    rows: list[dict[str, Any]] = []
    for row in log.epochs():
        place = {"epoch": row["epoch"], "step": row["step"] - 1}
        rows += [{"lr-Adam": row["lr"], "step": row["step"] - 1}]
        rows += [{"train_loss_step": log.steps[row["step"] - 1]["loss"], **place}]
        rows += [{"val_loss": row["val_loss"], "val_acc": row.get("val_accuracy", ""), **place}]
        rows += [{"train_loss_epoch": row["loss"], **place}]
    heads = ["epoch", "lr-Adam", "step", "train_loss_epoch", "train_loss_step", "val_acc", "val_loss"]
    return table(folder / "metrics.csv", heads, rows)


def keras(log: Recorder, folder: Path) -> Path:
    """CSVLogger: epochs from 0, columns by alphabet."""
    rows = [{**row, "learning_rate": row["lr"]} for row in log.epochs()]
    heads = ["epoch", "learning_rate", "loss", *(["val_accuracy"] if "val_accuracy" in rows[0] else []), "val_loss"]
    return table(folder / "training.log", heads, rows)


def lines(log: Recorder, folder: Path) -> Path:
    """JSON lines, as a loop with json.dumps writes them; NaN as Python writes it."""
    path = folder / "log.jsonl"
    text = [{"epoch": r["epoch"], "train_loss": r["loss"], "valid_loss": r["val_loss"]} for r in log.epochs()]
    path.write_text("".join(json.dumps(row) + "\n" for row in text))
    return path


def tensorboard(log: Recorder, folder: Path) -> Path:
    """Event files with Loss/train each step and Loss/val each epoch."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "events")) as writer:
        for place, row in enumerate(log.steps):
            writer.add_scalar("Loss/train", row["loss"], place)
            writer.add_scalar("lr", row["lr"], place)
        for row in log.epochs():
            writer.add_scalar("Loss/val", row["val_loss"], row["step"])
    return folder / "events"


def keras_terminal(log: Recorder, folder: Path) -> Path:
    text, rows = [], log.epochs()
    for row in rows:
        text += [f"Epoch {row['epoch'] + 1}/{len(rows)}"]
        text += [f"63/63 - 2s - 27ms/step - loss: {row['loss']:.4f} - val_loss: {row['val_loss']:.4f}"]
    return printed(text, folder)


def loop_terminal(log: Recorder, folder: Path) -> Path:
    rows = log.epochs()
    return printed(
        [
            f"Epoch [{row['epoch'] + 1}/{len(rows)}], Train Loss: {row['loss']:.4f}, Val Loss: {row['val_loss']:.4f}"
            + (f", Val Acc: {100 * row['val_accuracy']:.2f}%" if "val_accuracy" in row else "")
            for row in rows
        ],
        folder,
    )


def trainer_terminal(log: Recorder, folder: Path) -> Path:
    text = []
    for row in log.epochs():
        text.append(str({"loss": round(row["loss"], 4), "learning_rate": row["lr"], "epoch": row["step"] / 60}))
        text.append(str({"eval_loss": row["val_loss"], "eval_runtime": 0.8, "epoch": row["step"] / 60}))
    return printed(text, folder)


def printed(text: list[str], folder: Path) -> Path:
    path = folder / "terminal.txt"
    path.write_text("Using cpu\n" + "\n".join(text) + "\n")
    return path


FORMS: dict[str, Callable[[Recorder, Path], Path]] = {
    "CSV by epoch": epochs, "CSV by step": steps, "JSON lines": lines, "Hugging Face": hugging_face,
    "Lightning": lightning, "Keras": keras, "TensorBoard": tensorboard, "terminal, Keras": keras_terminal,
    "terminal, own loop": loop_terminal, "terminal, Hugging Face": trainer_terminal,
}  # fmt: skip


def shows(log: Recorder, twin: Recorder) -> tuple[str, ...]:
    """What a fault's curves show beside the healthy twin's, by which it is asked for: nothing, or what to call it."""
    mine, well = log.epochs(), twin.epochs()
    losses, held = [row["loss"] for row in mine], [row["val_loss"] for row in mine]
    if not all(map(math.isfinite, (*losses, *held))):
        return WILD
    fell, twin_fell = losses[0] - min(losses[-3:]), well[0]["loss"] - min(row["loss"] for row in well[-3:])
    if max(losses) > 3 * max(row["loss"] for row in well) or losses[-1] > 1.05 * losses[0]:
        return (*WILD, "gradient-ascent", "wrong-initial-loss", "loss-head-mismatch", "bad-initialization")
    if held[-1] > 1.2 * min(held) and well[-1]["val_loss"] <= 1.1 * min(row["val_loss"] for row in well):
        return ("overfitting", *WILD, "wrong-train-eval-mode", "preprocessing-mismatch")
    return STAYS if fell < 0.3 * twin_fell else ()


def recorded(setup: Setup, seed: int) -> Recorder:
    log = Recorder()
    run(replace(setup, evaluations=PERIOD), seed, log)
    return log


def said(path: Path) -> dict[str, Any]:
    code, out, err = called(["doctor", str(path)])
    told = LINE.findall(out)
    return {
        "code": code, "found": [NAMES[title] for severity, title in told if severity != "note"],
        "noted": [NAMES[title] for severity, title in told if severity == "note"], "text": err if code else out,
    }  # fmt: skip


def results(generated_runs: int, kept: Path | None, seed: int = 0) -> list[dict[str, Any]]:
    """Each training once, in every form; `kept` is a folder in which the recorded trainings stay.

    Another seed plants each fault in the next of its families, and draws other healthy trainings.
    """
    found, twins = [], {}
    for family, setup in FAMILIES.items():
        twins[family] = remembered(kept, f"twin {family} {seed}", setup, seed)
    faults = [each for each in FAULTS if each.ailment not in SYSTEM]
    for place, fault in enumerate(faults):
        family = fault.families[(place + seed) % len(fault.families)]
        log = remembered(kept, f"{fault.name} {seed}", fault.plant(FAMILIES[family]), seed)
        visible = shows(log, twins[family]) if log is not None else ()
        meant = (fault.ailment, *fault.also, *visible)
        found += judgments(log, {"kind": "fault", "name": fault.name, "visible": bool(visible), "meant": meant})
    controls = [*AWKWARD, *RIGHT, *(generated(generated_runs * seed + place) for place in range(generated_runs))]
    for place, control in enumerate(controls):
        log = remembered(kept, f"healthy {place} {seed}", control.setup, seed)
        found += judgments(log, {"kind": "healthy", "name": control.name})
    return found


def remembered(kept: Path | None, name: str, setup: Setup, seed: int) -> Recorder | None:
    """A recorded training, from the folder where it lies already; None where it cannot be run."""
    path = kept / f"{name}.json" if kept else None
    if path and path.exists():
        log, saved = Recorder(), json.loads(path.read_text())
        log.steps, log.looks = saved["steps"], {int(step): look for step, look in saved["looks"].items()}
        return log
    with contextlib.suppress(RuntimeError, ValueError, IndexError):
        log = recorded(setup, seed)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"steps": log.steps, "looks": log.looks}))
        return log
    return None


def judgments(log: Recorder | None, about: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for form, write in FORMS.items() if log is not None and log.looks else ():
        with tempfile.TemporaryDirectory() as name:
            rows.append({**about, "form": form, **said(write(log, Path(name)))})
    return rows


def tables(rows: list[dict[str, Any]]) -> str:
    """By form: read, what is found of the visible faults and of the others, false alarms; then the misses."""
    text = [
        "| form | read | visible faults: found | named first | other faults: found | false alarms |",
        "|---|" + "---|" * 5,
    ]
    for form in FORMS:
        own = [row for row in rows if row["form"] == form]
        seen = [row for row in own if row["kind"] == "fault" and row["visible"]]
        rest = [row for row in own if row["kind"] == "fault" and not row["visible"]]
        well = [row for row in own if row["kind"] == "healthy"]
        cells = [
            (sum(row["code"] == 0 for row in own), own), (sum(bool(row["found"]) for row in seen), seen),
            (sum(row["found"][:1] != [] and row["found"][0] in row["meant"] for row in seen), seen),
            (sum(bool(row["found"]) for row in rest), rest), (sum(bool(row["found"]) for row in well), well),
        ]  # fmt: skip
        text.append(f"| {form} | " + " | ".join(f"{count} of {len(of)}" for count, of in cells) + " |")
    for title, kind in (("missed or misnamed", "fault"), ("false alarm", "healthy")):
        for name in dict.fromkeys(row["name"] for row in rows if row["kind"] == kind):
            own = [row for row in rows if row["name"] == name and row["kind"] == kind and row["code"] == 0]
            if kind == "healthy":
                wrong = [row for row in own if row["found"]]
            else:
                wrong = [row for row in own if row["visible"] and not {*row["found"][:1]} & {*row["meant"]}]
            if wrong:
                text.append(f"- {title}: {name}: " + "; ".join(f"{row['form']} {row['found']}" for row in wrong))
    return "\n".join(text)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--out", type=Path, required=True)
    reader.add_argument("--kept", type=Path, help="a folder for the recorded trainings, which are taken from it again")
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--generated", type=int, default=20)
    asked = reader.parse_args()
    rows = results(asked.generated, asked.kept, asked.seed)
    asked.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(tables(rows))


if __name__ == "__main__":
    main()
