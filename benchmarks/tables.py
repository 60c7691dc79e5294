"""Default plans on four tables, 80/20 splits of seeds 0 to 2, beside boosted trees on the same rows.

    python benchmarks/tables.py [--time 5m] [--sets abalone ...] [--seeds 0 1 2] [--trees]

Each split is written as two CSV files and goes through `trainwell.fit(train, test=test, time=...)`, nothing else set.
--trees also fits LightGBM and CatBoost at their defaults (pip install -c constraints.txt lightgbm catboost).
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.model_selection import train_test_split

import trainwell as tw

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = {
    "california-housing": ("housing.csv", True, "median_house_value", "regress"),
    "abalone": ("abalone.csv", False, "column_8", "regress"),
    "german-credit": ("german.csv", False, "column_20", "classify"),
    "mammography": ("mammography.csv", False, "column_6", "classify"),
}


def halves(name: str, seed: int, folder: Path) -> tuple[Path, Path, str, str]:
    file, header, target, task = SETS[name]
    frame = pl.read_csv(DATA / name / file, has_header=header)
    rows = np.arange(frame.height)
    stratify = frame[target].to_numpy() if task == "classify" else None
    train, test = train_test_split(rows, test_size=0.2, random_state=seed, stratify=stratify)
    paths = (folder / "train.csv", folder / "test.csv")
    frame[train].write_csv(paths[0])
    frame[test].write_csv(paths[1])
    return *paths, target, task


def trees(train: Path, test: Path, target: str, task: str) -> dict[str, dict[str, float]]:
    """LightGBM and CatBoost at their defaults, categories as they name them."""
    import catboost
    import lightgbm
    import pandas
    from sklearn.metrics import accuracy_score, roc_auc_score, root_mean_squared_error

    parts = [pandas.read_csv(path) for path in (train, test)]
    words = [name for name in parts[0] if name != target and not pandas.api.types.is_numeric_dtype(parts[0][name])]
    levels = {name: sorted(parts[0][name].dropna().unique()) for name in words}
    for part in parts:
        for name in words:
            part[name] = pandas.Categorical(part[name], categories=levels[name])
    labels = {label: code for code, label in enumerate(sorted(parts[0][target].unique()))} if task == "classify" else {}
    y = [part[target].map(labels) if labels else part[target] for part in parts]
    x = [part.drop(columns=target) for part in parts]
    found = {}
    for name in ("lightgbm", "catboost"):
        regress = task == "regress"
        if name == "lightgbm":
            model = (lightgbm.LGBMRegressor if regress else lightgbm.LGBMClassifier)(verbose=-1, n_jobs=2)
            model.fit(x[0], y[0])
            inputs = x
        else:
            model = (catboost.CatBoostRegressor if regress else catboost.CatBoostClassifier)(
                verbose=0, cat_features=words, allow_writing_files=False
            )
            inputs = [part.assign(**{word: part[word].astype(str) for word in words}) for part in x]
            model.fit(inputs[0], y[0])
        if regress:
            found[name] = {"rmse": root_mean_squared_error(y[1], model.predict(inputs[1]))}
        else:
            share = model.predict_proba(inputs[1])[:, 1]
            found[name] = {"accuracy": accuracy_score(y[1], share > 0.5), "auroc": roc_auc_score(y[1], share)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", default="5m")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--trees", action="store_true")
    options = parser.parse_args()
    for name in options.sets:
        columns: dict[str, list[float]] = {}
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as text:
                folder = Path(text)
                train, test, target, task = halves(name, seed, folder)
                began = time.perf_counter()
                run = tw.fit(train, target, test=test, time=options.time, out=folder / "run", quiet=True)
                row = {"set": name, "seed": seed, "seconds": round(time.perf_counter() - began, 1)}
                row["training_seconds"] = run.folder.read_json("summary.json")["seconds_training"]
                wanted = ("rmse",) if task == "regress" else ("accuracy", "auroc")
                found = {"trainwell": {key: run.metrics[key] for key in wanted}}
                if options.trees:
                    found |= trees(train, test, target, task)
                for who, metrics in found.items():
                    for key, value in metrics.items():
                        row[f"{who} {key}"] = round(value, 4)
                        columns.setdefault(f"{who} {key}", []).append(value)
                print(json.dumps(row), flush=True)
        print(
            json.dumps(
                {"set": name, "mean of seeds": options.seeds}
                | {key: round(statistics.mean(values), 4) for key, values in columns.items()}
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
