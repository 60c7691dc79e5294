"""Answers row by row to the cases worth looking at: the worst, the most confident, and the longest texts."""

import base64
import io
import os
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional as F

from trainwell.data import Schema, Source, Transform
from trainwell.nn.spectrogram import LogMel
from trainwell.tasks import Classify, Regress, Task

SHOWN, SIDE = 12, 96  # cases of each kind; pixels of a picture's longer side on the page
LONGEST, TEXT = 4, 240  # of the longest texts; characters of a text


def examples(
    source: Source,
    rows: np.ndarray,
    answers: dict[str, np.ndarray],
    target: np.ndarray,
    schema: Schema,
    transform: Transform,
    task: Task,
) -> dict[str, list[dict[str, Any]]]:
    """The worst and the most confident rows, and the longest texts, each with truth, answer and what the row holds.

    rows: the source's row numbers, in the order of answers and target.
    """
    if len(schema.targets) > 1:
        return {}
    if isinstance(task, Regress):
        truth = task.unscale(torch.as_tensor(target).view(len(target), -1)).numpy()[:, 0]
        number = answers["number"][:, 0].astype(float)
        error = np.abs(number - truth)
        facts = [
            {"truth": f"{truth[i]:.6g}", "prediction": f"{number[i]:.6g}", "loss": float(error[i])}
            for i in range(len(rows))
        ]
        order = np.argsort(-error)
        best = order[::-1]
    else:
        probability, right = answers["probability"], target.astype(int)
        answer = cast(Classify, task).decide(probability)
        confidence = probability[np.arange(len(answer)), answer]
        loss = -np.log(np.maximum(probability[np.arange(len(right)), right], 1e-7))
        facts = [
            {
                "truth": schema.classes[right[i]],
                "prediction": schema.classes[answer[i]],
                "confidence": float(confidence[i]),
                "loss": float(loss[i]),
            }
            for i in range(len(rows))
        ]
        order = np.argsort(-loss, kind="stable")
        order = order[(answer != right)[order]]
        best = np.argsort(-confidence, kind="stable")
        best = best[(answer == right)[best]]

    def shown(chosen: np.ndarray) -> list[dict[str, Any]]:
        return [
            {"row": int(rows[i]), **facts[i], **_content(source, int(rows[i]), schema, transform)}
            for i in chosen[:SHOWN]
        ]

    found = {"worst": shown(order), "confident": shown(best)}
    texts = [column.name for column in schema.inputs if column.kind == "text"]
    if texts and texts[0] in source.frame.columns:
        length = source.frame[texts[0]].str.len_chars().fill_null(0).to_numpy()[rows]
        found["longest"] = shown(np.argsort(-length.astype(int), kind="stable")[:LONGEST])
    return found


def _content(source: Source, row: int, schema: Schema, transform: Transform) -> dict[str, Any]:
    """What a row holds: its picture, and the values of its other columns."""
    content: dict[str, Any] = {"values": {}, "picture": None}
    if transform.layout == "image":
        pixels = transform.encode(source, np.array([row]), with_target=False)["inputs"][0][0]
        content["picture"] = picture(pixels)
    elif transform.layout.startswith("sound"):
        wave = transform.encode(source, np.array([row]), with_target=False)["inputs"][0][:]
        content["picture"] = picture(spectrogram(wave, transform.supplies["rate"]))
    for column in schema.columns:
        if column.kind in ("image", "audio") and column.name in source.frame.columns:
            cell = source.frame[column.name][row]
            content["name"] = os.path.basename(cell) if isinstance(cell, str) else ""
        shown = column.role in ("input", "ignored") and column.kind not in ("image", "audio")
        if shown and column.name in source.frame.columns:
            value = source.frame[column.name][row]
            most = TEXT if column.kind == "text" else 80
            content["values"][column.name] = "" if value is None else str(value)[:most]
    return content


def spectrogram(wave: torch.Tensor, rate: int) -> torch.Tensor:
    """A sound as a picture: time to the right, pitch in mels upwards, the loudest 60 decibels from black to white.

    Long and short sounds get the same width. wave: (1, samples) -> (1, height, width) bytes
    """
    loud = LogMel(rate, bands=48)(wave) * (10 / np.log(10))
    shares = ((loud - loud.max()) / 60 + 1).clamp(0, 1).flip(1)
    return F.interpolate(shares[None], (SIDE * 2 // 3, SIDE), mode="bilinear")[0].mul(255).to(torch.uint8)


def picture(pixels: torch.Tensor) -> str:
    """A base64 PNG of some 96 pixels a side, small ones enlarged without smoothing.

    pixels: (channels, height, width) bytes
    """
    from PIL import Image

    array = pixels.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if array.shape[2] != 3 else array)
    longest = max(image.size)
    if longest > SIDE:
        image.thumbnail((SIDE, SIDE))
    elif longest < SIDE:
        image = image.resize(
            (image.width * max(1, SIDE // longest), image.height * max(1, SIDE // longest)), Image.Resampling.NEAREST
        )
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
