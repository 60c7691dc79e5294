"""A language model's numbers against NumPy, and n-grams against counting by hand."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from trainwell.data import as_language, read
from trainwell.data.stream import StreamTransform
from trainwell.explain.language import measure_language, n_grams


def test_numbers_are_those_of_all_tokens() -> None:
    random = np.random.default_rng(0)
    answers = {"nats": random.uniform(10, 90, 50), "right": random.integers(0, 30, 50), "tokens": np.full(50, 32)}
    found = measure_language(answers)["metrics"]
    assert found["nats"]["value"] == pytest.approx(answers["nats"].sum() / 1600)
    assert found["nats"]["low"] < found["nats"]["value"] < found["nats"]["high"]
    assert found["perplexity"]["value"] == pytest.approx(math.exp(found["nats"]["value"]))
    assert found["accuracy"]["value"] == pytest.approx(answers["right"].sum() / 1600)


def test_n_grams_count(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    text = "".join("abcabc\n\n" + "".join(random.choice(list("aab "), 4)) for _ in range(400))
    (tmp_path / "text.txt").write_text(text)
    source, schema = as_language(read(str(tmp_path)))
    known, held = np.arange(300), np.arange(300, source.rows)
    transform = StreamTransform.fit(source, schema, known, 16)
    judged = transform.encode(source, held)
    found = n_grams(source, transform, known, judged)
    learned = Counter("".join(source.frame["text"][:300]))
    total, different, size = sum(learned.values()), len(learned), transform.tokenizer.vocabulary
    targets = transform.tokenizer.decode(judged["target"].numpy().flatten().tolist())
    want = [-math.log((learned[each] + different / size) / (total + different)) for each in targets]
    assert found[0]["metrics"]["nats"] == pytest.approx(float(np.mean(want)), rel=1e-6)
    assert found[1]["metrics"]["nats"] < found[0]["metrics"]["nats"]
