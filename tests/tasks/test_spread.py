"""What all tasks of distributions keep to: units, members, order of rows, quantiles that rise, no numbers lost."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spread_tasks import KINDS, TARGET, outputs, task
from test_classify import Fixed, batch

from trainwell.errors import InputError
from trainwell.tasks.spread import QUANTILES, ranks_of
from trainwell.tasks.task import divide

EVERY = pytest.mark.parametrize("kind", KINDS)


@EVERY
def test_answers_are_in_the_unit_of_the_target(kind: str) -> None:
    """With the center and the scale of another unit every answer is the same thing told in that unit."""
    one = task(kind, targets=1)
    other = task(kind, targets=1, center=[50.0 + 3], scale=[20.0])
    given_, of = outputs(one, 10), batch(TARGET[:, :1])
    first, second = one.predict(Fixed(given_), of), other.predict(Fixed(given_), of)
    for name in ("number", "quantiles"):
        torch.testing.assert_close(second[name], first[name] * 10 + 3)
    if one.score == "nll":  # a density of tenfold numbers is a tenth
        torch.testing.assert_close(second["nll"], first["nll"] + math.log(10))
    else:
        torch.testing.assert_close(second["pinball"], first["pinball"] * 10)


@EVERY
def test_quantiles_rise_and_lie_where_they_say(kind: str) -> None:
    made = task(kind)
    found = made.predict(Fixed(outputs(made, 10, 4)), batch(TARGET))
    assert (found["quantiles"].diff(dim=1) > 0).all()
    mixed = made.unpack(found["parts"])
    scaled = mixed.quantile(made.levels)
    share = mixed.below(scaled)[0]
    torch.testing.assert_close(share, made.levels[None, :, None].expand_as(share), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.unscale(scaled), found["quantiles"])


@EVERY
def test_members_in_any_order_and_twice_answer_alike(kind: str) -> None:
    made = task(kind)
    members, of = outputs(made, 10, 4), batch(TARGET)
    found = made.predict(Fixed(members), of)
    for other in (members.flip(1), members.repeat(1, 2, 1)):
        again = made.predict(Fixed(other), of)
        for name in ("number", "quantiles", made.score):
            torch.testing.assert_close(again[name], found[name], atol=2e-4, rtol=2e-4)


@EVERY
def test_the_loss_is_the_mean_of_the_members_own(kind: str) -> None:
    made = task(kind)
    members = outputs(made, 10, 4)
    each = [divide(made.loss(Fixed(members[:, m]), batch(TARGET), "model")).item() for m in range(4)]
    assert divide(made.loss(Fixed(members), batch(TARGET), "model")).item() == pytest.approx(np.mean(each), rel=1e-6)
    weight = torch.arange(10.0, dtype=torch.float64)
    weighted = made.loss(Fixed(members), batch(TARGET, weight=weight), "model")
    alone = [made.loss(Fixed(members[i : i + 1]), batch(TARGET[i : i + 1]), "model").total.item() for i in range(10)]
    assert weighted.total.item() == pytest.approx(float(np.dot(alone, weight)), rel=1e-6)


@EVERY
def test_a_batch_is_its_rows(kind: str) -> None:
    made = task(kind)
    members = outputs(made, 8, 3)
    whole = made.predict(Fixed(members), batch(TARGET[:8]))
    for row in range(8):
        alone = made.predict(Fixed(members[row : row + 1]), batch(TARGET[row : row + 1]))
        for name in ("number", "quantiles", made.score, "parts"):
            torch.testing.assert_close(alone[name][0], whole[name][row], atol=2e-4, rtol=2e-4)


@EVERY
def test_only_members_that_did_not_learn_a_row_answer_for_it(kind: str) -> None:
    made = task(kind, folds=2)
    members, fold = outputs(made, 10, 4), torch.arange(10) % 2
    found = made.predict(Fixed(members), batch(TARGET, held_out_fold=fold))
    own = task(kind).predict(Fixed(members[:, [0, 2]]), batch(TARGET))
    for name in ("number", "quantiles", made.score):
        torch.testing.assert_close(found[name][::2], own[name][::2], atol=2e-4, rtol=2e-4)


@EVERY
@given(st.integers(0, 500), st.sampled_from([1.0, 1e2, 1e4]))
def test_wild_outputs_leave_loss_and_gradient_finite(kind: str, seed: int, size: float) -> None:
    made = task(kind)
    model = Fixed((outputs(made, 10, 2, seed=seed) * size).float())
    loss = divide(made.loss(model, batch(TARGET), "model"))
    loss.backward()
    assert loss.isfinite() and model.scores.grad.isfinite().all()


@EVERY
def test_what_a_network_is_asked_for(kind: str) -> None:
    made = task(kind)
    arguments = {"quantiles": made.quantiles, "parts": 5}
    assert type(made).asks(2, **arguments) == made.outputs
    with pytest.raises(InputError, match=f"asks for {made.outputs}"):
        made.loss(Fixed(torch.randn(10, made.outputs + 1)), batch(TARGET), "model")
    assert made.goal == (made.score, "min")


@EVERY
@pytest.mark.parametrize(
    ("quantiles", "words"),
    [([0.1, 1.5], "1.5 is no share"), ([0.0, 0.5], "0 is no share"), ([0.9, 0.1], r"write them as \[0.1, 0.9\]"),
     ([0.1, 0.1, 0.9], "do not rise"), ([0.5], "two or more"), ([], "two or more")],
)  # fmt: skip
def test_quantiles_that_cannot_be(kind: str, quantiles: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        task(kind, quantiles=quantiles)


@EVERY
def test_metrics_with_and_without_the_truth_at_hand(kind: str) -> None:
    made = task(kind)
    members = outputs(made, 10, 2)
    metrics = made.metrics()
    for rows in (slice(0, 7), slice(7, 10)):
        metrics.update(made.predict(Fixed(members[rows]), batch(TARGET[rows])), {"target": TARGET[rows]})
    found, whole = metrics.compute(), made.predict(Fixed(members), batch(TARGET))
    assert found[made.score] == pytest.approx(whole[made.score].mean().item(), rel=1e-5)
    truth = made.unscale(TARGET)
    assert found["mae"] == pytest.approx((whole["number"] - truth).abs().mean().item(), rel=1e-5)
    blind = made.metrics()
    blind.update(made.predict(Fixed(members), {"inputs": (torch.arange(10),)}), {"target": TARGET})
    assert set(blind.compute()) == {"rmse", "mae", "r2"}


@EVERY
def test_untrained_answers_are_as_wide_as_the_target(kind: str) -> None:
    """Outputs of zero are the distribution of all training rows, were it normal: a training begins sanely."""
    made = task(kind, targets=1, center=[0.0], scale=[1.0])
    found = made.predict(Fixed(torch.zeros(1, made.outputs, dtype=torch.float64)), batch(TARGET[:1, :1]))
    low, high = found["quantiles"][0, [0, -1], 0].tolist()
    assert -2.8 < low < -1.6 and 1.6 < high < 2.8


@EVERY
def test_settled_quantiles_are_taken_where_truths_fell(kind: str) -> None:
    """Ranks of distributions that are too wide: what they call 30 % to 70 % is the middle half, and is told as that."""
    ranks = np.interp(np.linspace(0, 1, 21), [0, 0.25, 0.75, 1], [0, 0.3, 0.7, 1]).tolist()
    plain, settled = task(kind), task(kind, ranks=ranks, quantiles=(0.25, 0.75) if kind != "quantile" else QUANTILES)
    members = outputs(plain, 10, 3)
    found = settled.predict(Fixed(members), batch(TARGET))
    mixed = plain.unpack(plain.predict(Fixed(members), batch(TARGET))["parts"])
    expected = plain.unscale(mixed.quantile(torch.tensor([0.3, 0.7])))
    of = [settled.quantiles.index(0.25), settled.quantiles.index(0.75)]
    torch.testing.assert_close(found["quantiles"][:, of], expected, atol=2e-4, rtol=2e-4)
    levels = np.linspace(0.01, 0.99, 50)
    assert np.allclose(settled.held(settled.told(torch.from_numpy(levels)).numpy()), levels)


def test_ranks_are_found_where_chance_does_not_explain_them() -> None:
    random = np.random.default_rng(0)
    assert ranks_of(random.random((1000, 1))) is None and ranks_of(random.beta(3, 3, (100, 1))) is None
    middle = random.beta(3, 3, (1000, 1))  # distributions too wide: truths fall in their middle
    ranks = ranks_of(middle)
    assert ranks is not None and ranks[0] == 0 and ranks[-1] == 1 and len(ranks) == 21
    settled = task("gaussian", ranks=ranks)
    again = settled.held(random.beta(3, 3, 20_000))
    assert np.abs(np.sort(again) - np.linspace(0, 1, 20_000)).max() < 0.05
    heaped = ranks_of(np.where(middle < 0.5, 0.0, middle))
    assert heaped is not None and (np.diff(heaped) > 0).all()
