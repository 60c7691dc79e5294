"""Times one training step: trainwell's loop against a hand-written fused loop, Lightning and the HF Trainer.

    python benchmarks/step_time.py [--rounds 7] [--against hand lightning transformers]

The same network, data, batch and optimizer; contenders take turns within each round, and each round gives one ratio.
Lightning and transformers run at their defaults; trainwell and the hand-written loop at the precision that is named.
"""

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from trainwell.data import Loader
from trainwell.models.mlp import MLP
from trainwell.models.resnet import ResNet
from trainwell.tasks import Classify
from trainwell.train import Events, State, optimizer_for, train
from trainwell.train.log import Recorder
from trainwell.train.precision import autocast, choose

BATCH = 128
WORKLOADS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "MLP 784-256-256-10": (lambda: MLP(784, 10), (784,), 400),
    "ResNet-20 32x32x3": (lambda: ResNet(3, 10, depth=20), (3, 32, 32), 10),
}


def data(shape: tuple[int, ...], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = BATCH * min(steps, 50)
    return torch.randn(rows, *shape, generator=generator), torch.randint(10, (rows,), generator=generator)


def network(make: Callable[[], nn.Module], shape: tuple[int, ...], channels_last: bool) -> nn.Module:
    torch.manual_seed(0)
    model = make()
    return model.to(memory_format=torch.channels_last) if channels_last and len(shape) == 3 else model


def hand(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, precision: str) -> Callable[[int], float]:
    """What an expert writes: fused AdamW, autocast where asked, batches by index from memory."""
    model = network(make, x.shape[1:], True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    context = autocast(choose(precision, torch.device("cpu")), torch.device("cpu"))
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)

    def run(steps: int) -> float:
        model.train()
        began, done = time.perf_counter(), 0
        while done < steps:
            order = torch.randperm(len(x))
            for start in range(0, len(x), BATCH):
                rows = order[start : start + BATCH]
                with context():
                    loss = F.cross_entropy(model(x.index_select(0, rows)), y.index_select(0, rows))
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                done += 1
                if done == steps:
                    break
        return (time.perf_counter() - began) / steps

    return run


def ours(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, precision: str) -> Callable[[int], float]:
    """trainwell's loop with its recorder, as `fit` runs it."""
    model = network(make, x.shape[1:], True)
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    loader = Loader({"inputs": (x,), "target": y, "row": torch.arange(len(x))}, batch_size=BATCH)
    optimizer = optimizer_for(model, lr=1e-3)

    def run(steps: int) -> float:
        marks: list[float] = []
        events = Events()
        Recorder(None).attach(events)
        events.on("start", lambda state: marks.append(time.perf_counter()))
        events.on("end", lambda state: marks.append(time.perf_counter()))
        state = State(model, Classify(10), {"model": optimizer}, precision=precision)
        train(state, loader, None, events, epochs=steps / len(loader))
        return (marks[1] - marks[0]) / steps

    return run


def lightning(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor) -> Callable[[int], float]:
    """Lightning at its defaults, without the writing of logs and checkpoints."""
    import lightning as pl

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network(make, x.shape[1:], False)

        def training_step(self, batch, index):  # type: ignore[no-untyped-def]
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):  # type: ignore[no-untyped-def]
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    class Clock(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):  # type: ignore[no-untyped-def]
            if trainer.global_step == WARM:
                self.began = time.perf_counter()

        def on_train_end(self, trainer, module):  # type: ignore[no-untyped-def]
            self.ended = time.perf_counter()

    module = Module()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=BATCH, shuffle=True)

    def run(steps: int) -> float:
        clock = Clock()
        trainer = pl.Trainer(
            max_steps=steps + WARM, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[clock],
        )  # fmt: skip
        trainer.fit(module, loader)
        return (clock.ended - clock.began) / steps

    return run


def transformers(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor) -> Callable[[int], float]:
    """The Hugging Face Trainer at its defaults, without the writing of logs and checkpoints."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network(make, x.shape[1:], False)

        def forward(self, x, labels):  # type: ignore[no-untyped-def]
            scores = self.model(x)
            return {"loss": F.cross_entropy(scores, labels), "logits": scores}

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"x": x[index], "labels": y[index]}

    class Clock(TrainerCallback):
        def on_step_begin(self, args, state, control, **rest):  # type: ignore[no-untyped-def]
            if state.global_step == WARM:
                self.began = time.perf_counter()

        def on_train_end(self, args, state, control, **rest):  # type: ignore[no-untyped-def]
            self.ended = time.perf_counter()

    model = Wrapped()

    def run(steps: int) -> float:
        clock = Clock()
        arguments = TrainingArguments(
            output_dir="/tmp/trainwell-step-time", max_steps=steps + WARM, per_device_train_batch_size=BATCH,
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=Rows(), callbacks=[clock]).train()
        return (clock.ended - clock.began) / steps

    return run


WARM = 3  # steps that are not timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--against", nargs="*", default=["hand", "lightning", "transformers"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, (make, shape, steps) in WORKLOADS.items():
        x, y = data(shape, steps)
        contenders = {"trainwell": ours(make, x, y, options.precision)}
        makers = {"lightning": lightning, "transformers": transformers}
        for other in options.against:
            contenders[other] = hand(make, x, y, options.precision) if other == "hand" else makers[other](make, x, y)
        for run in contenders.values():
            run(max(WARM, steps // 10))
        times: dict[str, list[float]] = {key: [] for key in contenders}
        for number in range(options.rounds):
            order = list(contenders) if number % 2 else list(contenders)[::-1]
            for key in order:
                times[key].append(contenders[key](steps) * 1e3)
        row = {"workload": name, "precision": options.precision, "rounds": options.rounds}
        for key, values in times.items():
            row[f"{key}_ms"] = round(statistics.median(values), 3)
            if key != "trainwell":
                ratios = sorted(a / b for a, b in zip(times["trainwell"], values, strict=True))
                row[f"over_{key}"] = {
                    "median": round(statistics.median(ratios), 3),
                    "least": round(ratios[0], 3),
                    "most": round(ratios[-1], 3),
                }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
