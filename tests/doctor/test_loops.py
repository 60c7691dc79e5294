"""The doctor in loops of every kind: this package's, odd ones, Lightning's, Hugging Face's, and old logs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import LBFGS, SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
import faults
from loops import Loop, digits, mlp

from trainwell.doctor import Doctor
from trainwell.doctor.log import judge_log, read_log
from trainwell.doctor.patient import from_loop, leaving_no_trace
from trainwell.doctor.series import Record
from trainwell.doctor.twin import run_twin, scaled_rate
from trainwell.errors import InputError
from trainwell.runs import RunFolder
from trainwell.tasks.classify import Classify
from trainwell.train.events import Events
from trainwell.train.loop import train
from trainwell.train.state import State


class Rows:
    """A loader of this package's kind over the digits."""

    def __init__(self, held_out: bool = False) -> None:
        x, y, held_x, held_y = digits()
        self.x, self.y = (held_x, held_y) if held_out else (x, y)
        self.held_out = held_out

    def __len__(self) -> int:
        return (len(self.x) + 63) // 64

    def set_epoch(self, number: int) -> None:
        self.epoch = number

    def iterate(self, start: int):
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(getattr(self, "epoch", 0)))
        for place in range(start, len(self)):
            rows = order[place * 64 : place * 64 + 64]
            yield {"inputs": (self.x[rows],), "target": self.y[rows], "row": rows}

    def __iter__(self):
        return self.iterate(0)


def trained(mode: str | None, folder: RunFolder | None = None, model: nn.Module | None = None, rate: float = 0.1):
    torch.manual_seed(0)
    model = model or mlp(64, 64, 64, 10)
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    state = State(model, Classify(10), {"model": optimizer})
    events, doctor = Events(), None
    if mode is not None:
        doctor = Doctor(mode=mode, folder=folder).attach(events, state, loader=Rows(), held_out=Rows(True))
    train(state, Rows(), Rows(True), events, epochs=8)
    return doctor, state


def named(doctor: Doctor) -> list[str]:
    assert not doctor.broken, doctor.broken
    return [finding.name for finding in doctor.findings if finding.severity != "note"]


def test_own_loop_healthy_and_unchanged(tmp_path):
    _, plain = trained(None)
    folder = RunFolder.create("run", tmp_path / "run")
    doctor, watched = trained("treat", folder)
    assert named(doctor) == [] and doctor.history == []
    for one, other in zip(plain.model.state_dict().values(), watched.model.state_dict().values(), strict=True):
        assert one.equal(other)
    assert (tmp_path / "run/findings.jsonl").read_text() == ""
    checks = json.loads((tmp_path / "run/checks.json").read_text())
    assert len(checks["run"]) > 20 and all(checks["skipped"].values())


def test_own_loop_treated(tmp_path):
    folder = RunFolder.create("run", tmp_path / "run")
    doctor, state = trained("treat", folder, rate=2.0)
    assert named(doctor)[:1] == ["learning-rate-too-high"] and state.best_weights is not None
    assert state.metrics["accuracy"] > 0.9, f"{doctor}\n{doctor.history}"
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert {"step", "change", "reason"} <= set(history[0])
    (line, *_) = (tmp_path / "run/findings.jsonl").read_text().splitlines()
    finding = json.loads(line)
    assert finding["number"] == 29 and finding["page"] == "learning-rate-too-high.md" and finding["cured"] is True
    again = Record.from_dict(json.loads((tmp_path / "run/probes.json").read_text())["episodes"][0])
    assert len(again.get("loss")) > 5


def test_own_loop_mends_a_softmax_head():
    doctor, state = trained("treat", model=mlp(64, 64, 10, head=nn.Softmax(-1)))
    assert named(doctor) == ["loss-head-mismatch"] and state.task.scores == "probabilities"
    assert state.metrics["accuracy"] > 0.9


def test_twin_harms_nothing():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = faults.normed(0.5)
    optimizer = Adam(model.parameters(), 1e-3)
    F.cross_entropy(model(x[:64]), y[:64]).backward()
    optimizer.step()
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    moments = [value.clone() for state in optimizer.state.values() for value in state.values()]
    chance = torch.get_rng_state()
    twin = run_twin(from_loop(model, optimizer, F.cross_entropy), [(x[:64], y[:64])], 20, scaled_rate(10.0))
    assert len(twin.losses) == 20 and twin.fall > 0
    assert torch.get_rng_state().equal(chance)
    assert all(value.equal(tensors[name]) for name, value in model.state_dict().items())
    now = [value for state in optimizer.state.values() for value in state.values()]
    assert all(one.equal(other) for one, other in zip(moments, now, strict=True))


def test_leaves_no_trace_of_chance():
    torch.manual_seed(3)
    with leaving_no_trace():
        torch.rand(5)
    first = torch.rand(3)
    torch.manual_seed(3)
    assert torch.rand(3).equal(first)


@pytest.mark.parametrize("order", ["watch first", "tuple", "number", "no batch", "no loss", "odd loss"])
def test_calls_in_other_orders(order, capsys):
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), 3.0 if order != "watch first" else 0.1)
    loss_told = None if order in ("no loss", "odd loss") else F.cross_entropy
    doctor = Doctor(model, optimizer, loss_told, mode="treat")
    for step in range(60):
        rows = slice(step % 20 * 64, step % 20 * 64 + 64)
        loss = F.cross_entropy(model(x[rows]), y[rows]) * (1.5 if order == "odd loss" else 1.0)
        if order == "watch first":
            doctor.watch(loss, x[rows], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if order == "tuple":
            doctor.watch((loss, None), x[rows], y[rows])
        elif order == "number":
            doctor.watch(loss.item(), x[rows], y[rows])
        elif order == "no batch":
            doctor.watch(loss)
        elif order in ("no loss", "odd loss"):
            doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert not doctor.broken and capsys.readouterr().err == ""
    assert "loss-head-mismatch" in doctor.checks()["run"]  # by the loss that is told, by its value, or by steps on tape


def test_closures_are_named_among_what_could_not_run():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 16, 10)
    optimizer = LBFGS(model.parameters(), lr=0.5, max_iter=3)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    for step in range(12):
        rows = slice(step * 64, step * 64 + 64)

        def closure(rows: slice = rows) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            return loss

        doctor.watch(optimizer.step(closure), x[rows], y[rows])
    doctor.close()
    assert not doctor.broken and "several times a step" in doctor.checks()["skipped"]["missing-zero-grad"]


def test_accumulation_is_no_missing_zero_grad():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), 0.1)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    for step in range(60):
        optimizer.zero_grad()
        for piece in range(4):
            rows = slice((step % 5 * 4 + piece) * 64, (step % 5 * 4 + piece + 1) * 64)
            loss = F.cross_entropy(model(x[rows]), y[rows]) / 4
            loss.backward()
        optimizer.step()
        doctor.watch(loss * 4, x[rows], y[rows])
    doctor.close()
    assert named(doctor) == []


class Shared(nn.Module):
    """One layer used twice, and one that takes its shape from its first input. x: (batch, 64) -> (batch, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = nn.LazyLinear(64), nn.Linear(64, 64), nn.LazyLinear(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.again(torch.relu(self.again(torch.relu(self.first(x)))))))


def test_shared_and_lazy_parameters():
    def ready() -> nn.Module:
        model = Shared()
        model(torch.zeros(2, 64))
        return model

    assert named(replace(Loop(), model=ready).run()[0]) == []
    lazy = Shared()
    doctor = Doctor(lazy, SGD(lazy.parameters(), 0.1), F.cross_entropy)
    x, y, _, _ = digits()
    loss = F.cross_entropy(lazy(x[:64]), y[:64])
    loss.backward()
    doctor.watch(loss, x[:64], y[:64])  # whatever came of it, the loop goes on
    doctor.close()


def test_wrapped_models_are_seen_through():
    class DataParallel(nn.Module):
        """x: (batch, 64) -> (batch, 10)"""

        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    doctor, _, _ = replace(Loop(), model=lambda: DataParallel(mlp(64, 64, 10))).run()
    assert named(doctor) == [] and doctor.record.facts["layers"] == ["0.weight", "2.weight"]


def test_compiled_model_is_not_hooked():
    torch.manual_seed(0)
    x, y, _, _ = digits()
    inner = mlp(64, 32, 10)
    model = torch.compile(inner, backend="eager")
    optimizer = SGD(inner.parameters(), 0.1)
    doctor = Doctor(model, optimizer, F.cross_entropy)
    for step in range(30):
        rows = slice(step % 20 * 64, step % 20 * 64 + 64)
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        doctor.watch(loss, x[rows], y[rows])
    doctor.close()
    assert named(doctor) == [] and "compile" in doctor.checks()["skipped"]["missing-zero-grad"]


def history(rise: bool) -> list[tuple[int, float]]:
    return [
        (step, 2.3 * 0.99**step if not rise or step < 60 else 2.3 * 0.55 * 1.03 ** (step - 60)) for step in range(150)
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "trainer_state", "tensorboard"])
def test_reads_logs(tmp_path, form):
    rows = history(rise=True)
    if form == "csv":
        path = tmp_path / "log.csv"
        path.write_text("step,train_loss,lr\n" + "\n".join(f"{step},{loss},0.1" for step, loss in rows))
    elif form == "jsonl":
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(json.dumps({"step": step, "loss": loss, "lr": 0.1}) for step, loss in rows))
    elif form == "trainer_state":
        path = tmp_path / "trainer_state.json"
        entries = [{"step": step, "loss": loss, "learning_rate": 0.1} for step, loss in rows]
        path.write_text(json.dumps({"log_history": [*entries, {"step": 149, "eval_loss": 3.0}]}))
    else:
        writer = pytest.importorskip("torch.utils.tensorboard", reason="needs tensorboard").SummaryWriter(
            str(tmp_path / "tb")
        )
        for step, loss in rows:
            writer.add_scalar("train/loss", loss, step)
        writer.close()
        path = tmp_path / "tb"
    findings, checks = judge_log(path)
    assert [each.name for each in findings if each.severity != "note"][:1] == ["learning-rate-too-high"]
    assert "missing-zero-grad" in checks["skipped"] and "learning-rate-too-high" in checks["run"]


def test_healthy_log_and_bad_ones(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,val_loss\n" + "\n".join(f"{step},{loss},{loss + 0.1}" for step, loss in history(False)))
    assert [each for each in judge_log(path)[0] if each.severity != "note"] == []
    for text in ("", "a,b\n1,2\n", "{not json\n{}\n"):
        path.write_text(text)
        with pytest.raises(InputError):
            read_log(path)
    with pytest.raises(InputError):
        read_log(tmp_path / "none.csv")


def test_hugging_face_callback_finds_a_planted_fault():
    callbacks = pytest.importorskip("trainwell.doctor.transformers")
    if callbacks.Callback is object:
        pytest.skip("needs transformers")

    class Scores(nn.Module):
        """A model in the form of the Trainer's."""

        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(64, 64, 10)

        def forward(self, inputs_embeds: torch.Tensor, labels: torch.Tensor | None = None) -> SimpleNamespace:
            logits = self.net(inputs_embeds)
            loss = F.cross_entropy(logits, labels) if labels is not None else None
            return SimpleNamespace(loss=loss, logits=logits)

    torch.manual_seed(0)
    x, y, _, _ = digits()
    model = Scores()
    optimizer = Adam(model.parameters(), 0.5)
    callback = callbacks.DoctorCallback()
    state = SimpleNamespace(max_steps=80)
    callback.on_train_begin(None, state, None, model=model, optimizer=optimizer)
    for step in range(80):
        rows = slice(step % 20 * 64, step % 20 * 64 + 64)
        loss = model(inputs_embeds=x[rows], labels=y[rows]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        callback.on_step_end(None, state, None)
    callback.on_train_end(None, state, None)
    told = (callback.doctor.step, str(callback.doctor), callback.doctor.record.get("loss").values[:12])
    assert named(callback.doctor)[:1] == ["learning-rate-too-high"], told


def test_hugging_face_trainer(tmp_path):
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    transformers = pytest.importorskip("transformers")
    from trainwell.doctor.transformers import DoctorCallback

    config = transformers.BertConfig(
        vocab_size=30, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.BertForSequenceClassification(config)
    rows = [{"input_ids": torch.randint(1, 30, (8,)), "labels": torch.tensor(place % 2)} for place in range(256)]
    for row in rows:
        row["input_ids"][0] = 1 + int(row["labels"])
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=80, learning_rate=0.3, report_to=[], use_cpu=True
    )
    callback = DoctorCallback()
    transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[callback]).train()
    assert "learning-rate-too-high" in named(callback.doctor)


def test_lightning_callback_finds_a_planted_fault(tmp_path):
    lightning = pytest.importorskip("lightning", reason="needs Lightning")
    from trainwell.doctor.lightning import DoctorCallback

    torch.manual_seed(0)
    x, y, _, _ = digits()

    class Module(lightning.LightningModule):
        """x: (batch, 64) -> (batch, 10)"""

        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(64, 64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        def training_step(self, batch, index):
            return F.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return Adam(self.parameters(), 0.5)

    callback = DoctorCallback(F.cross_entropy)
    trainer = lightning.Trainer(
        max_steps=80, callbacks=[callback], logger=False, enable_checkpointing=False, accelerator="cpu"
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 64, shuffle=True))
    told = (callback.doctor.step, str(callback.doctor), callback.doctor.record.get("loss").values[:12])
    assert named(callback.doctor)[:1] == ["learning-rate-too-high"], told
