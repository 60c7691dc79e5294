"""Logs as other libraries and newcomers write them: what cannot be read is told clearly, the rest is read alike."""

import json
import math

import pytest

from trainwell.doctor.log import judge_log, read_log
from trainwell.doctor.log_names import meaning
from trainwell.errors import InputError

EPOCHS = range(1, 21)
FALLS = [2.3 * math.exp(-0.3 * epoch) + 0.01 for epoch in range(20)]
HELD = [2.3 * math.exp(-0.22 * epoch) + 0.18 + 0.01 * (-1) ** epoch for epoch in range(20)]
OVER = [value if epoch < 6 else 0.8 + 0.12 * (epoch - 6) for epoch, value in enumerate(HELD)]


def table(heads: str, *columns, separator=","):
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([heads.replace(",", separator), *rows]) + "\n"


def found(path):
    return [each.name for each in judge_log(path)[0] if each.severity != "note"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("epoch,loss\n", "header"),
        ("epoch,loss\n1,0.5\n", "one value"),
        ("epoch,accuracy\n1,0.5\n2,0.6\n", "no training loss"),
        ("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n", "no training loss"),
        ("import torch\nfor epoch in range(3):\n    print(epoch)\n", "no training loss"),
        ('[{"epoch": 1, "loss": 0.5}, {"epo', "not valid JSON"),
        ('{"loss": 1.0}\n{oops}\n{"loss": 0.5}\n', "line 2"),
        ('{"name": "run", "lr": 0.1}', "no training loss"),
        ("\0\1\2\3", "no text"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, text, word):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=word):
        read_log(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_log(tmp_path / "none.csv")


NAMES = [
    "loss,val_loss",
    "train/loss,val/loss",
    "Training Loss,Validation Loss",
    "trainLoss,valLoss",
    "tr_loss,te_loss",
]
NAMES += ["loss_train,loss_val", "train.loss,valid.loss", "cost,val_cost", "train_mse,val_mse", "loss,eval_loss"]


@pytest.mark.parametrize("names", NAMES)
def test_columns_of_any_name(tmp_path, names):
    path = tmp_path / "log.csv"
    path.write_text(table(f"epoch,{names}", EPOCHS, FALLS, OVER))
    assert found(path) == ["overfitting"]
    path.write_text(table(f"epoch,{names}", EPOCHS, FALLS, HELD))
    assert found(path) == []


def test_what_names_mean():
    assert [meaning(name) for name in ("loss_box", "accuracy", "note", "time")] == [""] * 4
    assert meaning("val_acc") == "held out acc" and meaning("grad_norm") == "gradient norm"
    assert meaning("lr-Adam") == meaning("learning_rate") == meaning("train/lr") == "rate"


@pytest.mark.parametrize(
    "lines",
    [
        lambda e, a, b: f"Epoch {e}/20\n63/63 - 2s - loss: {a:.4f} - val_loss: {b:.4f}",
        lambda e, a, b: f"Epoch [{e}/20], Train Loss: {a:.4f}, Val Loss: {b:.4f}, Val Acc: 81.20%",
        lambda e, a, b: str({"loss": a, "epoch": e / 3}) + "\n" + str({"eval_loss": b, "epoch": e / 3}),
        lambda e, a, b: f"2026-01-02 10:00:0{e % 10} INFO step {e}: train loss {a:.4f}, val loss {b:.4f}",
        lambda e, a, b: f"\x1b[2K\r 10%|# | loss=9.0\r100%|##| loss={a:.3f} val_loss={b:.3f} best val loss=0.1",
    ],
)
def test_what_was_printed(tmp_path, lines):
    path = tmp_path / "terminal.txt"
    path.write_text("Using cpu\n" + "\n".join(lines(*row) for row in zip(EPOCHS, FALLS, OVER, strict=True)))
    assert found(path) == ["overfitting"]
    losses = read_log(path).get("loss").values
    assert losses == pytest.approx(FALLS, abs=1e-3)


def test_other_separators_and_forms(tmp_path):
    path = tmp_path / "log.csv"
    comma = [[f"{value:.4f}".replace(".", ",") for value in values] for values in (FALLS, OVER)]
    for text in (
        table("epoch,loss,val_loss", EPOCHS, FALLS, OVER, separator="\t"),
        table("epoch;loss;val_loss", EPOCHS, *comma, separator=";"),
        "# run 7\n" + table("epoch,loss,val_loss", EPOCHS, FALLS, OVER),
        json.dumps({"loss": FALLS, "val_loss": OVER}),
        json.dumps({"history": {"loss": FALLS, "val_loss": OVER}, "epoch": [*EPOCHS]}),
    ):
        path.write_text(text)
        assert found(path) == ["overfitting"], text[:40]


def test_steps_that_start_again(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(table("epoch,batch,loss", [0, 0, 1, 1], [0, 1, 0, 1], [4, 3, 2, 1]))
    assert read_log(path).get("loss").steps == [1, 2, 3, 4]
    path.write_text(table("step,epoch,loss", [10, 20, 30], [1, 1, 2], [4, 3, 2]))
    assert read_log(path).get("loss").steps == [10, 20, 30]


def test_numbers_that_are_none(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"epoch": epoch, "loss": FALLS[epoch] if epoch < 8 else None} for epoch in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found(path)[:1] == ["non-finite-values"]
    rows = [{"epoch": epoch, "loss": FALLS[epoch] if epoch % 2 else None} for epoch in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found(path) == []  # gaps between numbers are rows that were not written


def test_percents_are_shares(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        table("epoch,loss,val_acc,val_f1", EPOCHS, FALLS, [f"{e * 4}%" for e in EPOCHS], [4 * e for e in EPOCHS])
    )
    record = read_log(path)
    assert record.get("held out", "acc").values[-1] == record.get("held out", "f1").values[-1] == 0.8


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ([1.1 + 0.002 * (-1) ** epoch for epoch in range(12)], "plateau"),
        ([1.1 + 0.1 * epoch for epoch in range(12)], "learning-rate-too-high"),
        ([-0.1 * 1.6**epoch for epoch in range(12)], "gradient-ascent"),
        (FALLS[:12], None),
        ([-3 + value for value in FALLS[:12]], None),
        ([0.7 * value + 0.3 for value in HELD[:12]], None),
        ([1.0, 1.0, 1.0], None),
    ],
)
def test_few_epochs(tmp_path, losses, name):
    path = tmp_path / "log.csv"
    path.write_text(table("epoch,loss", range(len(losses)), losses))
    assert found(path) == ([] if name is None else [name])


def test_of_two_losses_the_mean_of_an_epoch_counts(tmp_path):
    path = tmp_path / "metrics.csv"
    noisy = [value * (3 if epoch % 3 else 0.3) for epoch, value in enumerate(FALLS)]
    path.write_text(table("epoch,train_loss_step,train_loss_epoch", EPOCHS, noisy, FALLS))
    assert read_log(path).get("loss").values == FALLS
