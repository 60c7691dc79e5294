"""A network that reads text to how it reads: what its tokenizer makes of a text, and where it looked as it wrote."""

from typing import Any

import numpy as np
import torch

from trainwell.data.text import UNKNOWN
from trainwell.nn.attention import SelfAttention, attention_maps

LENGTH, PIECES, TEXTS = 240, 24, 500  # characters of a text that is shown, tokens of a map, texts that are counted


def pieces_of(transform: Any, texts: list[str]) -> dict[str, Any]:
    """The pieces of the first texts, and over up to 500 texts how many a word takes and how many are unknown.

    As many texts as fill 240 characters, an empty piece between two.
    """
    texts = [text for text in texts[:TEXTS] if text.strip()]
    if not texts:
        return {}
    encoded = transform.tokenizer.encode(texts)
    words, tokens = sum(len(text.split()) for text in texts), sum(map(len, encoded))
    unknown = sum(int((each == UNKNOWN).sum()) for each in encoded)
    shown: list[str] = []
    for text in texts:
        room = LENGTH - sum(map(len, shown))
        if room <= 0 or (shown and len(text) > room):
            break
        shown += [""] if shown else []
        pieces = transform.tokenizer.encode([text[:room]])[0].tolist()
        shown += [transform.tokenizer.decode([each]) for each in pieces]
    return {
        "pieces": shown,
        "a_word": tokens / max(1, words),
        "unknown": unknown / max(1, tokens),
        "vocabulary": transform.tokenizer.vocabulary,
    }


def looks(model: Any, transform: Any, read: str, answer: str) -> dict[str, Any]:
    """Where each written token looked in what was read, the mean of the heads of the last look across; or nothing.

    weights: one row a written token, one column a token that was read; each row sums to one.
    """
    source, target = (transform.tokens([text])[0][:PIECES] for text in (read, answer))
    device = next(model.parameters()).device
    before = np.concatenate([[transform.start], target[:-1]])
    inputs = [torch.from_numpy(each.astype(np.int64))[None].to(device) for each in (source, before)]
    with torch.no_grad(), attention_maps(model.eval()) as maps:
        model(*inputs)
    across = [each[-1] for name, each in maps.items() if "cross" in name and each]
    if not across:
        return {}
    names = [[transform.decode([each]) or "■" for each in side.tolist()] for side in (source, target)]
    return _map(across[-1], *names)


def looks_within(model: Any, transform: Any, encoded: dict[str, Any]) -> dict[str, Any]:
    """Where each token of the first encoded text looked in that text, the mean of the heads of the last layer.

    Nothing where no layer looks at its own text, or where the network reads one text to write another.
    """
    if not any(isinstance(part, SelfAttention) for part in model.modules()) or hasattr(model, "start"):
        return {}
    device = next(model.parameters()).device
    first = [each[slice(0, 1)].to(device) for each in encoded["inputs"]]
    first = [each[:, :PIECES] if each.dim() == 2 else each for each in first]
    with torch.no_grad(), attention_maps(model.eval()) as maps:
        model(*first)
    found = [each[-1] for each in maps.values() if each]
    names = [transform.tokenizer.decode([each]) or "■" for each in first[0][0].tolist()]
    if not found or found[-1].shape[-2:] != (len(names), len(names)):
        return {}
    return _map(found[-1], names, names) | {"within": True}


def _map(weights: torch.Tensor, read: list[str], written: list[str]) -> dict[str, Any]:
    """The mean of the heads as rows of numbers, beside what was read and what was written."""
    return {"read": read, "written": written, "weights": weights[0].float().mean(0).cpu().numpy().round(3).tolist()}
