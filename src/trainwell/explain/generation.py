"""Generated and real rows to scores: distance, fidelity, coverage, balance, copies, and a tighter bound for a VAE."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.latent import log_normal
from trainwell.tasks.distance import SlicedDistance
from trainwell.tasks.reconstruct import Reconstruct

FEWEST = 100  # rows: below this no distance between distributions is worth printing


class Features(NamedTuple):
    """What a trained classifier makes of some rows.

    features: (rows, width), what its last linear layer reads; probability: (rows, classes)
    """

    features: np.ndarray
    probability: np.ndarray


def classifier_features(classifier: nn.Module, x: Tensor, *, batch: int = 500) -> Features:
    """The rows as a classifier sees them: the input of its last linear layer, and its class probabilities.

    x: (rows, channels, height, width) as the classifier takes them. Raises InputError if it has no linear layer.
    """
    linear = [each for each in classifier.modules() if isinstance(each, nn.Linear)]
    if not linear:
        raise InputError(f"{type(classifier).__name__} ends in no linear layer, so it has no features to compare in")
    seen: list[Tensor] = []
    handle = linear[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].float().flatten(1)))
    training, probability = classifier.training, []
    classifier.eval()
    try:
        with torch.inference_mode():
            for rows in x.split(batch):
                probability.append(classifier(rows).float().softmax(1).cpu())
    finally:
        handle.remove()
        classifier.train(training)
    return Features(torch.cat(seen).cpu().double().numpy(), torch.cat(probability).numpy())


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """The squared Wasserstein distance between the normals fitted to two sets of features; 0 for equal ones.

    real, generated: (rows, width). Dowson & Landau 1982; on features of a network Heusel et al. 2017, arXiv:1706.08500.
    With few rows it is too large: compare sets of one size only. Raises InputError under 100 rows.
    """
    for name, rows in (("real", real), ("generated", generated)):
        if len(rows) < FEWEST:
            raise InputError(f"{len(rows)} {name} rows: a distance between distributions takes {FEWEST} or more")
    means, covariances = [], []
    for rows in (real, generated):
        means.append(rows.mean(0))
        covariances.append(np.cov(rows, rowvar=False).reshape(rows.shape[1], -1))
    # The trace of the root of a product of two covariances is that of a symmetric matrix, whose root is safe to take.
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    spread = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross
    return float(max(((means[0] - means[1]) ** 2).sum() + spread, 0.0))


def nearest(rows: np.ndarray, among: np.ndarray, *, count: int = 1, block: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Each row's nearest others by Euclidean distance, the nearest first.

    rows: (rows, width), among: (others, width) -> distances and places, (rows, count) both
    """
    others = torch.as_tensor(among)
    found = [torch.cdist(part, others).topk(count, largest=False) for part in torch.as_tensor(rows).split(block)]
    return torch.cat([each.values for each in found]).numpy(), torch.cat([each.indices for each in found]).numpy()


def precision_recall(real: np.ndarray, generated: np.ndarray, *, neighbors: int = 3) -> tuple[float, float]:
    """How many generated rows lie where real ones do, and how many real ones lie where generated ones do.

    real, generated: (rows, width) -> (precision, recall). A set covers the balls around its rows that reach to their
    third neighbor. Kynkaanniemi et al. 2019, arXiv:1904.06991.
    """

    def covered(rows: np.ndarray, by: np.ndarray) -> float:
        reach = nearest(by, by, count=neighbors + 1)[0][:, -1]  # the first neighbor is the row itself
        inside = [
            (torch.cdist(part, torch.as_tensor(by)) <= torch.as_tensor(reach)).any(1)
            for part in torch.as_tensor(rows).split(1000)
        ]
        return float(torch.cat(inside).double().mean())

    return covered(generated, real), covered(real, generated)


def class_balance(probability: np.ndarray, *, confident: float = 0.9) -> dict[str, Any]:
    """The share of each class among generated rows by a classifier, how even they are, and how many it is sure of.

    probability: (rows, classes) -> {"shares": (classes,), "evenness": entropy over that of equal shares,
    "confident": share of rows whose class has at least this probability}
    """
    shares = np.bincount(probability.argmax(1), minlength=probability.shape[1]) / len(probability)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    return {
        "shares": shares,
        "evenness": float(entropy / np.log(max(len(shares), 2))),
        "confident": float((probability.max(1) >= confident).mean()),
    }


class Copies(NamedTuple):
    """How near generated rows come to training rows.

    distances, places: (rows,) of the nearest training row; usual: (held out rows,) the same for rows never trained on;
    share: of generated rows nearer than nineteen of twenty held-out rows are
    """

    distances: np.ndarray
    places: np.ndarray
    usual: np.ndarray
    share: float


def copies(generated: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> Copies:
    """The nearest training row of each generated one, judged by how near held-out rows lie by chance.

    (rows, width) each, of pixels or features. A network that copies has a share far above 0.05.
    """
    distances, places = (each[:, 0] for each in nearest(generated, training))
    usual = nearest(held_out, training)[0][:, 0]
    return Copies(distances, places, usual, float((distances < np.quantile(usual, 0.05)).mean()))


def scores(real: Features, generated: Features) -> dict[str, Any]:
    """All scores of generated rows against as many real ones in one classifier's features, by name."""
    precision, recall = precision_recall(real.features, generated.features)
    return {
        "distance": frechet_distance(real.features, generated.features),
        "precision": precision,
        "recall": recall,
        **class_balance(generated.probability),
    }


@torch.inference_mode()
def importance_bound(
    task: Reconstruct, model: Any, x: Tensor, *, draws: int = 5000, seed: int = 0, at_once: int = 5000
) -> Tensor:
    """Minus the log likelihood of each row by importance sampling, in nats: nearer the truth than the usual bound.

    x: (rows, ...) in the scale of the likelihood, binarized if that is what it was trained on -> (rows,). At 1 draw it
    is the negative ELBO, and it falls with every further draw. Burda et al. 2015, arXiv:1509.00519.
    """
    random = torch.Generator(device=x.device).manual_seed(seed)
    training = model.training
    model.eval()
    bounds = []
    for row in x:
        mean, log_variance = model.encode(row[None])
        total = torch.full((), -torch.inf, dtype=torch.float64, device=x.device)
        for start in range(0, draws, at_once):
            count = min(at_once, draws - start)
            noise = torch.randn(count, mean.shape[1], generator=random, device=x.device)
            code = mean + (0.5 * log_variance).exp() * noise
            likelihood = -task.nats(model.decode(code), row[None].expand(count, *row.shape))
            weight = likelihood.double() + log_normal(code).double() - log_normal(code, mean, log_variance).double()
            total = torch.logaddexp(total, weight.logsumexp(0))
        bounds.append(np.log(draws) - total.cpu())
    model.train(training)
    return torch.stack(bounds)


def told_apart(real: np.ndarray, generated: np.ndarray, *, seed: int = 0) -> float:
    """How well boosted trees tell real from generated rows, as an area under the curve on held-out halves.

    real, generated: (rows, columns) -> 0.5 if not at all, 1 always. Lopez-Paz & Oquab 2016, arXiv:1610.06545.
    """
    from sklearn.metrics import roc_auc_score

    guess, truth = verdicts(real, generated, seed=seed)
    return float(roc_auc_score(truth, guess))


def verdicts(real: np.ndarray, generated: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What boosted trees think of rows of the half that they did not learn from: how real each is, and whether it is.

    real, generated: (rows, columns) -> both (rows of both,)
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    rows, truth = np.concatenate([real, generated]), np.repeat([1, 0], [len(real), len(generated)])
    order = np.random.default_rng(seed).permutation(len(rows))
    # Where rows are few, leaves of the usual 20 would leave the trees blind and everything a good copy.
    leaf = max(2, min(20, len(rows) // 40))
    judge = HistGradientBoostingClassifier(min_samples_leaf=leaf, random_state=seed)
    guess = cross_val_predict(judge, rows[order], truth[order], cv=2, method="predict_proba")[:, 1]
    return guess, truth[order]


def sliced(real: np.ndarray, generated: np.ndarray) -> float:
    """The sliced Wasserstein distance between two sets of rows, of which the larger is cut to the smaller.

    real, generated: (rows, features)
    """
    count = min(len(real), len(generated))
    measure = SlicedDistance()
    pair = [torch.as_tensor(each[:count], dtype=torch.float32) for each in (real, generated)]
    measure.update({"sample": pair[1]}, {"inputs": (pair[0],)})
    return measure.compute()["distance"]
