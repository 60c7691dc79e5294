"""Small made-up run folders, as the files that a training leaves behind."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Write each value as JSON, JSON lines or text, by the ending of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        if name.endswith(".jsonl"):
            value = "".join(json.dumps(line) + "\n" for line in value)
        elif name.endswith(".json"):
            value = json.dumps(value)
        (folder / name).write_text(value, encoding="utf-8")
    return folder


def picture(seed: int) -> str:
    """A noise picture of 8 x 8 as base64 text of a PNG."""
    held = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(noise).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


def events(metric: str) -> list[dict[str, Any]]:
    """60 steps and 6 evaluations, the validation loss lowest at step 40."""
    lines: list[dict[str, Any]] = []
    for step in range(1, 61):
        lines.append({"event": "step", "step": step, "epoch": step // 10, "loss": 2.0 / step, "lr": 1e-3 / step})
        if step % 10 == 0:
            loss = 0.5 + abs(step - 40) / 100
            lines.append({"event": "evaluate", "step": step, "part": "val", "loss": loss, metric: 1 - loss / 4})
    return lines


def digits() -> dict[str, Any]:
    """A classification of pictures where every simple answer is beaten beyond the interval."""
    labels = [str(i) for i in range(4)]
    counts = np.diag([90, 88, 90, 91])
    counts[1, 2], counts[3, 0] = 2, 1
    example = {"row": 12, "truth": "3", "prediction": "0", "confidence": 0.99, "loss": 4.2, "values": {}}
    return {
        "summary.json": {
            "name": "digits",
            "source": "digits",
            "origin": "scikit-learn",
            "task": "classify",
            "target": ["digit"],
            "rows": {"train": 1200, "val": 235, "test": 362},
            "split": "Stratified at random.",
            "notes": ["3 copies."],
            "seconds_training": 14.2,
            "seconds_total": 18.0,
            "parameters": 121482,
            "model": "resnet",
            "best_step": 40,
            "steps": 60,
            "epochs": 6,
            "stopped": "validation loss stopped falling",
            "classes": labels,
            "image": {"channels": 1, "height": 8, "width": 8},
            "digest": "00",
        },
        "schema.json": {
            "columns": [
                {
                    "name": "picture",
                    "kind": "image",
                    "role": "input",
                    "reason": "64 numbers",
                    "missing": 0,
                    "unique": 9,
                },
                {
                    "name": "digit",
                    "kind": "category",
                    "role": "target",
                    "reason": "4 values",
                    "missing": 0,
                    "unique": 4,
                },
            ],
            "rows": 1797,
            "task": "classify",
            "classes": labels,
            "class_type": "int",
            "version": 1,
        },
        "environment.json": {
            "python": "3.12",
            "torch": "2.13.0",
            "trainwell": "0.1",
            "device": "cpu",
            "memory_gb": 7.8,
        },
        "plan.json": {"reasons": [{"key": "model", "choice": "resnet", "why": "Small pictures.", "evidence": "8 x 8"}]},
        "metrics.jsonl": events("accuracy"),
        "findings.jsonl": [],
        "checks.json": {"run": ["dead_units", "loss_flat"], "skipped": {"attention_entropy": "there is no attention"}},
        "evaluation.json": {
            "part": "test",
            "rows": 362,
            "goal": "accuracy",
            "metrics": {"accuracy": {"value": 0.9917, "low": 0.979, "high": 0.998}, "log_loss": {"value": 0.05}},
            "confusion": {"labels": labels, "counts": counts.tolist()},
            "by_class": [{"class": c, "precision": 0.99, "recall": 0.98, "f1": 0.985, "rows": 90} for c in labels],
            "calibration": {
                "edges": [0, 0.5, 1],
                "confidence": [None, 0.97],
                "accuracy": [None, 0.99],
                "rows": [0, 362],
                "ece": 0.02,
            },
            "examples": {
                "worst": [{**example, "picture": picture(1)}],
                "confident": [{**example, "picture": picture(2)}],
            },
        },
        "baselines.json": [
            {"name": "commonest class", "metrics": {"accuracy": 0.101}, "seconds": 0.1, "kind": "constant"},
            {"name": "logistic regression", "metrics": {"accuracy": 0.953}, "seconds": 0.4, "kind": "linear"},
            {"name": "boosted trees", "metrics": {"accuracy": 0.97}, "seconds": 3.0, "kind": "trees"},
        ],
        "augmented.json": {"pictures": [picture(i) for i in range(16)]},
        "recipe.yaml": "version: 1\nmodel:\n  name: resnet\n",
    }


def housing() -> dict[str, Any]:
    """A regression where boosted trees are better beyond the interval, with findings and columns."""
    generator = np.random.default_rng(0)
    truth = generator.normal(200_000, 80_000, 300)
    prediction = truth + generator.normal(0, 40_000, 300)
    counts, edges = np.histogram(prediction - truth, 20)
    columns = [
        {"column": n, "worth": w, "low": w - 90, "high": w + 90, "metric": "rmse"}
        for n, w in [("age", 20), ("income", 9000)]
    ]
    return {
        "summary.json": {
            "name": "housing",
            "source": "my data/housing.csv",
            "task": "regress",
            "target": ["price"],
            "rows": {"train": 4000, "val": 700, "test": 1200},
            "model": "tabm",
            "parameters": 1_842_331,
            "best_step": 40,
            "steps": 60,
            "epochs": 6,
            "seconds_training": 203,
            "image": None,
            "classes": [],
        },
        "schema.json": {
            "columns": [{"name": n, "kind": "number", "role": "input", "missing": 3} for n in ("age", "income")]
            + [{"name": "price", "kind": "number", "role": "target", "missing": 0}],
            "rows": 5900,
            "task": "regress",
        },
        "metrics.jsonl": events("rmse"),
        "findings.jsonl": [
            {"name": "heavy_tail", "where": "income", "severity": "note", "evidence": "skew 4.9", "cured": None},
            {
                "name": "dead_units",
                "where": "blocks.1",
                "severity": "critical",
                "evidence": "41 of 256",
                "cured": False,
            },
            {"name": "loss_flat", "where": "", "severity": "warn", "evidence": "0.001", "cured": True, "step": 1200},
        ],
        "history.json": [{"step": 120, "change": "warm-up of 200 steps"}],
        "evaluation.json": {
            "part": "test",
            "rows": 1200,
            "goal": "rmse",
            "unit_note": "In US dollars.",
            "metrics": {"rmse": {"value": 45213.0, "low": 43900.0, "high": 46500.0}, "r2": {"value": 0.82}},
            "scatter": {"truth": truth.tolist(), "prediction": prediction.tolist()},
            "residuals": {"edges": edges.tolist(), "counts": counts.tolist()},
            "intervals": {"level": 0.9, "coverage": 0.893, "width": 148000.0},
            "columns": columns,
            "examples": {
                "worst": [
                    {"row": 7, "truth": 5e5, "prediction": 1e5, "loss": 9.0, "values": {"age": "3", "income": "1.5"}}
                ],
                "confident": [],
            },
        },
        "baselines.json": [
            {"name": "mean", "metrics": {"rmse": 115000.0}, "seconds": 0.1, "kind": "constant"},
            {"name": "boosted trees", "metrics": {"rmse": 41000.0}, "seconds": 0.8, "kind": "trees"},
        ],
        "recipe.yaml": "version: 1\n",
    }


def crowded() -> dict[str, Any]:
    """150 classes and 300 columns, each name holding markup."""
    labels = [f"<b>class</b> {i}" for i in range(150)]
    counts = np.diag(np.arange(150) + 20)
    counts[3, 77] = 9
    columns = [f"column {i} <script>alert(1)</script> with a name that goes on" for i in range(300)]
    return {
        "summary.json": {"name": "<img src=x onerror=alert(1)>", "task": "classify", "classes": labels},
        "schema.json": {"columns": [{"name": n, "kind": "number", "role": "input"} for n in columns], "rows": 20000},
        "evaluation.json": {
            "part": "val",
            "rows": 9000,
            "goal": "accuracy",
            "metrics": {"accuracy": {"value": 0.9}},
            "confusion": {"labels": labels, "counts": counts.tolist()},
            "by_class": [
                {"class": n, "precision": 0.5, "recall": 0.5, "f1": i / 150, "rows": 9} for i, n in enumerate(labels)
            ],
            "columns": [{"column": n, "worth": 0.1, "low": 0.0, "high": 0.2, "metric": "accuracy"} for n in columns],
            "roc": {"false_positive": [0, 0.05, 1], "true_positive": [0, 0.8, 1], "auc": 0.9},
            "threshold": {"value": 0.37, "metric": "f1"},
            "examples": {
                "worst": [
                    {
                        "row": 1,
                        "truth": "</td><script>",
                        "prediction": "b",
                        "confidence": 0.9,
                        "values": dict.fromkeys(columns, "<i>" * 500),
                        "picture": '"><script>',
                    }
                ]
            },
        },
        "plan.json": {"reasons": [{"key": "<u>", "choice": {"name": "<u>"}, "why": "<u>", "evidence": "<u>"}]},
        "findings.jsonl": [{"name": "<s>x", "where": "<s>", "severity": "<s>", "evidence": "<s>", "cause": "<s>"}],
        "recipe.yaml": "name: <script>alert(1)</script>\n",
    }
