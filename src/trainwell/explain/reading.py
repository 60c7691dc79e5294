"""A network that reads text to how it reads: what its tokenizer makes of a text, and where it looked as it wrote."""

from typing import Any

import numpy as np
import torch

from trainwell.data.text import UNKNOWN
from trainwell.nn.attention import attention_maps

LENGTH, PIECES, TEXTS = 240, 24, 500  # characters of a text that is shown, tokens of a map, texts that are counted


def pieces_of(transform: Any, texts: list[str]) -> dict[str, Any]:
    """The pieces of the first text that has any, and over up to 500 texts how many a word takes and how many are
    unknown."""
    texts = [text for text in texts[:TEXTS] if text.strip()]
    if not texts:
        return {}
    encoded = transform.tokenizer.encode(texts)
    words, tokens = sum(len(text.split()) for text in texts), sum(map(len, encoded))
    unknown = sum(int((each == UNKNOWN).sum()) for each in encoded)
    shown = transform.tokenizer.encode([texts[0][:LENGTH]])[0].tolist()
    return {
        "pieces": [transform.tokenizer.decode([each]) for each in shown],
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
    weights = across[-1][0].float().mean(0).cpu().numpy().round(3)
    return {"read": names[0], "written": names[1], "weights": weights.tolist()}
