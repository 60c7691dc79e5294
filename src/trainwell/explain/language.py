"""A language model's surprise to numbers with intervals, n-grams beside it, and texts that it goes on with."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.data import Source
from trainwell.errors import InputError
from trainwell.models.decode import (
    Filter,
    Stop,
    drawn,
    min_p,
    repetition_penalty,
    stream,
    temperature,
    top_k,
    top_p,
)

RESAMPLES = 200
ORDER = 5  # tokens of the longest n-gram
SPECIAL = 2  # tokens that are no text: padding and unknown
SAMPLES, LENGTH = 3, 300  # texts on the page, and their tokens
HEAT = 0.8


def measure_language(answers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Nats a token with a 95 % bootstrap interval over windows, perplexity and the share of tokens foreseen.

    answers: "nats", "right" and "tokens" by window
    """
    nats, tokens, right = (answers[key].astype(np.float64) for key in ("nats", "tokens", "right"))
    random = np.random.default_rng(0)
    rows = random.integers(0, len(nats), (RESAMPLES, len(nats)))
    metrics = {}
    for name, sums in (("nats", nats), ("accuracy", right)):
        values = sums[rows].sum(1) / tokens[rows].sum(1)
        low, high = np.percentile(values, [2.5, 97.5])
        metrics[name] = {"value": float(sums.sum() / tokens.sum()), "low": float(low), "high": float(high)}
    metrics["perplexity"] = {key: math.exp(min(50.0, value)) for key, value in metrics["nats"].items()}
    return {"part": "test", "rows": len(nats), "tokens": int(tokens.sum()), "goal": "nats", "metrics": metrics}


def language_sentence(evaluation: dict[str, Any], transform: Any) -> str:
    """The result in words."""
    nats = evaluation["metrics"]["nats"]
    unit = {"characters": "character", "bytes": "byte"}.get(transform.tokenizer.save()["name"], "token")
    return (
        f"Foresees the next {unit} with {nats['value']:.3f} nats [{nats['low']:.3f}, {nats['high']:.3f}], a perplexity "
        f"of {evaluation['metrics']['perplexity']['value']:.2f}, on {evaluation['tokens']:,} held-out {unit}s, each "
        f"seen with at most {transform.context} before it."
    )


def n_grams(source: Source, transform: Any, known: np.ndarray, judged: dict[str, Any]) -> list[dict[str, Any]]:
    """What counting gives on the same windows: single tokens, and runs of up to five with Witten & Bell's 1991 backoff.

    known: pieces to count in; judged: the encoded windows
    """
    learned = transform.encode(source, known)["inputs"][0].values.numpy().astype(np.int64)
    windows = judged["inputs"][0]
    tokens = windows.values.numpy().astype(np.int64)
    places = (windows.starts[:, None] + windows.steps + 1).numpy().ravel()
    vocabulary = transform.tokenizer.vocabulary
    longest = min(ORDER, int(62 / math.log2(vocabulary)))
    probability = np.full(len(tokens), 1.0 / vocabulary)
    rows = []
    began = time.perf_counter()
    for order in range(1, longest + 1):
        probability = _interpolated(learned, tokens, order, vocabulary, probability)
        if order in (1, longest):
            nats = float(-np.log(probability[places]).mean())
            name = "how often each token comes" if order == 1 else f"counting runs of {order} tokens"
            rows.append(
                {
                    "name": name,
                    "kind": "frequency" if order == 1 else "n-gram",
                    "seconds": time.perf_counter() - began,
                    "metrics": {"nats": nats, "perplexity": math.exp(nats)},
                }
            )
    return rows


def _interpolated(
    learned: np.ndarray, tokens: np.ndarray, order: int, vocabulary: int, shorter: np.ndarray
) -> np.ndarray:
    """The probability of each token after the order - 1 before it, mixed with that of a shorter run."""
    if len(learned) < order or len(tokens) < order:
        return shorter
    runs, asked = _codes(learned, order, vocabulary), _codes(tokens, order, vocabulary)
    kinds, counts = np.unique(runs, return_counts=True)
    contexts, first, follow = np.unique(kinds // vocabulary, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, first)
    count = _looked_up(kinds, counts, asked)
    total, different = (_looked_up(contexts, each, asked // vocabulary) for each in (totals, follow))
    found = shorter.copy()
    seen = total > 0
    after = found[order - 1 :]
    after[seen] = (count[seen] + different[seen] * after[seen]) / (total[seen] + different[seen])
    return found


def _codes(tokens: np.ndarray, order: int, vocabulary: int) -> np.ndarray:
    """One number for each run of so many tokens."""
    code = np.zeros(len(tokens) - order + 1, dtype=np.int64)
    for place in range(order):
        code = code * vocabulary + tokens[place : len(tokens) - order + 1 + place]
    return code


def _looked_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The value of each key that is asked for, 0 for those that are not there."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)


def no_special(scores: Tensor, tokens: Tensor) -> Tensor:
    """Rule out the tokens that are no text. scores: (batch, vocabulary) -> the same"""
    return torch.cat([torch.full_like(scores[:, :SPECIAL], float("-inf")), scores[:, SPECIAL:]], 1)


def continued(
    model: nn.Module,
    transform: Any,
    prompt: str | None = None,
    *,
    length: int = LENGTH,
    heat: float = HEAT,
    most: int | None = None,
    mass: float | None = None,
    least: float | None = None,
    penalty: float | None = None,
    stop: Sequence[str] = (),
    seed: int = 0,
) -> Iterator[str]:
    """What the model writes after a prompt, in pieces of text as they come; without a prompt, as its texts begin.

    heat: temperature, 0 for the likeliest token each time; most, mass, least: draw among the likeliest so many tokens,
    those that hold this share, or those at least this share as likely as the likeliest; penalty: above 1 makes what
    stands there already less likely; stop: strings that end the text. Raises InputError for an empty prompt, one with
    unknown characters, or a model that writes nothing.
    """
    if not hasattr(model, "begin"):
        raise InputError(f"{type(model).__name__} does not write; fit a language model, as `trainwell fit TEXT` does")
    if length < 1:
        raise InputError(f"length is {length}; take 1 token or more")
    device = next(model.parameters()).device
    tokens = transform.prompt(prompt)
    filters: list[Filter] = [no_special]
    if penalty is not None:
        filters.append(repetition_penalty(penalty))
    if heat:
        filters.append(temperature(heat))
    if most is not None:
        filters.append(top_k(most))
    if mass is not None:
        filters.append(top_p(mass))
    if least is not None:
        filters.append(min_p(least))
    options: dict[str, Any] = {"choose": drawn(torch.Generator(device).manual_seed(seed))} if heat else {}
    if stop:
        options["stop"] = Stop(stop, transform.tokenizer.decode)
    written: list[int] = []
    said = ""
    for step in stream(model, torch.tensor([tokens], device=device), length=length, filters=filters, **options):
        written.append(int(step.tokens[0]))
        text = transform.tokenizer.decode(written)
        if text.endswith("\ufffd") and len(written) < length:  # a character of several bytes that is not yet whole
            continue
        yield text[len(said) :]
        said = text


def written(model: nn.Module, transform: Any, prompt: str | None = None, **options: Any) -> Iterator[str]:
    """The prompt and what the model goes on with, options as in `continued`; what is wrong with the prompt is said
    before anything is given."""
    pieces = continued(model, transform, prompt, **options)
    first = next(pieces)
    yield (prompt or "") + first
    yield from pieces


def language_samples(model: nn.Module, transform: Any) -> list[str]:
    """A few texts that the model writes by itself."""
    return ["".join(continued(model, transform, seed=seed)) for seed in range(SAMPLES)]
