"""Numbers with intervals: those that are drawn hundreds of times agree with scikit-learn's, and take no seconds."""

import time

import numpy as np
import pytest
from sklearn import metrics

from trainwell.data import Column, Schema
from trainwell.explain.evaluation import measure
from trainwell.tasks import Classify


def drawn(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.random((rows, classes)).round(1) + 0.05  # rounded, so that ties occur
    return scores / scores.sum(1, keepdims=True), random.integers(0, classes, rows)


def measured(probability: np.ndarray, target: np.ndarray) -> dict[str, dict[str, float]]:
    names = [str(each) for each in range(probability.shape[1])]
    schema = Schema([Column("target", "category", "target", "y", names)], len(target), "classify", names)
    task = Classify(len(names))
    return measure({"probability": probability}, target, schema, task)["metrics"]


@pytest.mark.parametrize(("rows", "classes"), [(30, 3), (200, 2), (60, 6)])
def test_the_values_are_those_of_scikit_learn(rows: int, classes: int) -> None:
    probability, target = drawn(rows, classes)
    found, answer = measured(probability, target), probability.argmax(1)
    one_hot = np.eye(classes)[target]
    wanted = {
        "balanced_accuracy": metrics.balanced_accuracy_score(target, answer),
        "f1": metrics.f1_score(target, answer, average="macro", zero_division=0),
        "auroc": metrics.roc_auc_score(one_hot[:, 1:] if classes == 2 else one_hot, probability[:, classes == 2 :]),
    }
    for name, value in wanted.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_several_labels_as_scikit_learn_has_them() -> None:
    probability, _ = drawn(60, 3)
    truth = np.random.default_rng(1).integers(0, 2, (60, 3)).astype(np.float32)
    columns = [Column(name, "category", "target", "y", ["0", "1"]) for name in "abc"]
    found = measure({"probability": probability}, truth, Schema(columns, 60, "classify", ["0", "1"]), Classify(3))
    wanted = metrics.f1_score(truth, probability > 0.5, average="macro", zero_division=0)
    assert found["metrics"]["f1"]["value"] == pytest.approx(wanted, abs=1e-12)


def test_small_sets_are_judged_in_a_moment() -> None:
    began = time.process_time()
    measured(*drawn(30, 3))
    assert time.process_time() - began < 1.0
