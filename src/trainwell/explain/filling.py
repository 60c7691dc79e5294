"""A network that fills holes to filled texts, what else it thought of, a sentence, and what counting words gives."""

import math
import time
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from trainwell.data import Source
from trainwell.errors import InputError
from trainwell.models.decode import generate
from trainwell.tasks import Fill, SpanCorruption

OFFERS, LONGEST = 5, 12  # tokens that are offered for a hole; tokens that are written into one
SHOWN, TOKENS = 3, 60  # texts on the page, and their tokens
SPECIAL = 2


@torch.no_grad()
def filled(model: nn.Module, task: Fill, transform: Any, text: str) -> tuple[str, list[list[tuple[str, float]]]]:
    """A text with its holes filled, and what was likeliest for each, with its probability.

    Of T5 one text is offered for each hole, with the product of its tokens' probabilities left out (nan).
    Raises InputError for a text without [MASK], or one that is too long.
    """
    parts = transform.parts(text)
    tokens = torch.tensor([transform.holed(text)], device=next(model.parameters()).device)
    model.eval()
    if isinstance(task, SpanCorruption):
        written = _written(model, task, tokens, len(parts) - 1)
        words = [transform.decode(each) for each in written]
        offers = [[(word, math.nan)] for word in words]
    else:
        holes = (tokens[0] == transform.mark(0)).nonzero().flatten()
        scores = model(tokens)[0, holes].float()
        scores = scores[:, : task.known].index_fill(1, torch.arange(SPECIAL, device=scores.device), float("-inf"))
        best = scores.softmax(-1).topk(min(OFFERS, task.known - SPECIAL))
        offers = [
            [(_word(transform, place), share) for place, share in zip(*each, strict=True)]
            for each in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        words = [each[0][0] for each in offers]
    return "".join(part + word for part, word in zip(parts, [*words, ""], strict=True)), offers


def _word(transform: Any, token: int) -> str:
    """One token as it is written within a text."""
    return transform.decode([token]).removeprefix("##")


def _written(model: nn.Module, task: SpanCorruption, tokens: Tensor, holes: int) -> list[list[int]]:
    """What T5 writes for each hole: the tokens after its sentinel."""
    found: list[list[int]] = [[] for _ in range(holes)]
    new = generate(model, tokens, length=(LONGEST + 1) * holes + 1, ends=[task.end])[0].tolist()
    at = -1
    for token in new:
        if token > task.known:
            at = task.first - token
        elif 0 <= at < holes and token >= SPECIAL and len(found[at]) < LONGEST:
            found[at].append(token)
    return found


def filled_frame(run: Any, source: Source) -> pl.DataFrame:
    """One row a text of the source: the text with its holes filled.

    Raises InputError for a source without a column of text, and for a text without a hole, naming its row.
    """
    names = [name for name in source.frame.columns if source.frame[name].dtype == pl.String]
    if not names:
        raise InputError(f"{source.origin}: no column of text with [MASK] in it to fill")
    name = max(names, key=lambda each: int(source.frame[each].str.len_chars().sum() or 0))
    texts = [line for text in source.frame[name].fill_null("").to_list() for line in text.splitlines() if line.strip()]
    answers = []
    for row, text in enumerate(texts, start=1):
        try:
            answers.append(filled(run.model, run.task, run.transform, text)[0])
        except InputError as error:
            raise InputError(f"{source.origin}: text {row}: {error}") from None
    return pl.DataFrame({"text": texts, "prediction": answers})


def said(run: Any, prompt: str | None) -> str:
    """What the terminal shows for a prompt: the filled text and, for single words, what else was likely."""
    if not prompt:
        raise InputError(f"{run.path} fills holes: give --prompt with [MASK] in it, such as 'to [MASK] or not to be'")
    text, offers = filled(run.model, run.task, run.transform, prompt)
    lines = [
        f"  {place}: " + ", ".join(f"{word} {share:.0%}" for word, share in each)
        for place, each in enumerate(offers, start=1)
        if not math.isnan(each[0][1])
    ]
    return "\n".join([text, *lines])


def filling_sentence(evaluation: dict[str, Any], task: Fill) -> str:
    """The result in words."""
    nats, right = evaluation["metrics"]["nats"], evaluation["metrics"]["accuracy"]
    after = ", each by what stands on both sides" if not isinstance(task, SpanCorruption) else ", stretch by stretch"
    return (
        f"Finds {right['value']:.1%} [{right['low']:.1%}, {right['high']:.1%}] of {evaluation['tokens']:,} "
        f"hidden pieces of held-out text{after}, with {nats['value']:.3f} nats [{nats['low']:.3f}, {nats['high']:.3f}] "
        f"a piece, a perplexity of {evaluation['metrics']['perplexity']['value']:.1f}."
    )


def counted_words(
    source: Source, transform: Any, task: Fill, known: np.ndarray, judged: dict[str, Any], model: nn.Module
) -> list[dict[str, Any]]:
    """What guessing each hidden piece by how often it comes gives, on the holes that the network was judged by."""
    began = time.perf_counter()
    tokens = transform.encode(source, known)["inputs"][0].values.numpy().astype(np.int64)
    counts = np.bincount(tokens, minlength=task.known)[: task.known] + 1.0
    nats = -np.log(counts / counts.sum())
    hidden = hidden_tokens(task, judged, model)
    mean = float(nats[hidden].mean())
    metrics = {"nats": mean, "perplexity": math.exp(mean), "accuracy": float((hidden == counts.argmax()).mean())}
    name = "how often each piece comes"
    return [{"name": name, "kind": "frequency", "seconds": time.perf_counter() - began, "metrics": metrics}]


def hidden_tokens(task: Fill, judged: dict[str, Any], model: nn.Module) -> np.ndarray:
    """The pieces that the task hides of encoded windows: (hidden,)"""
    rows = torch.arange(len(judged["row"]))
    whole = {"target": judged["target"][rows], "row": judged["row"]}
    target = task.fixed(model, {**whole, "inputs": (whole["target"],)})["target"]
    return target[task.judged(target)].numpy()


def filling_samples(run: Any, judged: dict[str, Any]) -> list[str]:
    """A few held-out texts with a hole in the middle, what was put there, and what had stood there."""
    transform, task = run.transform, run.task
    shown = []
    for place in range(min(SHOWN, len(judged["row"]))):
        tokens = judged["target"][torch.tensor([place])][0].tolist()[:TOKENS]
        middle = len(tokens) // 2
        before, hidden, after = tokens[:middle], tokens[middle], tokens[middle + 1 :]
        blank = " " if transform.decode([hidden]).startswith(" ") else ""
        text = f"{transform.decode(before)}{blank}[MASK]{transform.decode(after)}"
        offers = filled(run.model, task, transform, text)[1][0]
        shown.append(
            f"{text}\n  → {offers[0][0].strip() or 'nothing'} (there stood: {transform.decode([hidden]).strip()})"
        )
    return shown
