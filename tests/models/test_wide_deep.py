"""Wide and deep: the fitted wide part is scikit-learn's, the deep part sees both ends and learns by its own loss."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.models.bert import BertClassifier, BertEncoder
from trainwell.models.hub import save_hub
from trainwell.models.nbsvm import NBSVM, FittedNBSVM
from trainwell.models.transfer import Transfer
from trainwell.models.wide_deep import WideDeep, both_ends

SMALL = {"width": 16, "depth": 2, "heads": 2, "positions": 16, "reads": 8, "dropout": 0.0}


def texts(count: int = 60, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Texts of 6 to 14 tokens whose first ones lean to the class."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(count) % classes
    tokens = torch.randint(1, 20, (count, 14), generator=generator)
    lean = torch.rand(count, 3, generator=generator) < 0.6
    tokens[:, :3] = torch.where(lean, 20 + target[:, None], tokens[:, :3])
    mask = torch.arange(14) < torch.randint(6, 15, (count, 1), generator=generator)
    return tokens * mask, mask, target


def small(classes: int = 2) -> WideDeep:
    torch.manual_seed(0)
    model = WideDeep(24, classes, **SMALL)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


def test_the_fitted_factors_are_those_of_logistic_regression() -> None:
    """With two classes the ratios are each other's negatives, and two columns of factors halve the penalty."""
    tokens, mask, target = texts()
    model = FittedNBSVM(24, 2, pairs=40, penalty=0.1)
    model.initialize(tokens, mask, target)
    terms, present = model.terms(tokens, mask)
    x = np.zeros((len(tokens), len(model.ratio)))
    for row in range(len(tokens)):
        own = terms[row][present[row]]
        x[row, own] = model.ratio[own, 1] / model.ratio[own, 1].norm()
    wanted = LogisticRegression(C=2 / 0.1, max_iter=1000, tol=1e-8).fit(x, target.numpy())
    scores = model(tokens, mask)
    assert np.allclose((scores[:, 1] - scores[:, 0]).numpy(), wanted.decision_function(x), atol=5e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_no_step_lowers_the_fitted_loss_much(classes: int) -> None:
    """At the least of the penalized loss its gradient, taken by autograd, is nothing."""
    tokens, mask, target = texts(60, classes)
    model = FittedNBSVM(24, classes, pairs=40)
    model.initialize(tokens, mask, target)
    model.factor.requires_grad_(True)
    loss = F.cross_entropy(model(tokens, mask), target, reduction="sum") + 0.01 * model.factor.square().sum()
    gradient = torch.autograd.grad(loss, model.factor)[0]
    assert gradient.abs().max() < 0.02 and model.factor.detach().abs().max() > 1
    assert (model(tokens, mask).argmax(1) == target).float().mean() > 0.95


def test_the_same_factors_give_the_scores_of_the_learned_kind() -> None:
    tokens, mask, target = texts()
    fitted, learned = FittedNBSVM(24, 2, pairs=40), NBSVM(24, 2, pairs=40)
    fitted.initialize(tokens, mask, target)
    learned.initialize(tokens, mask, target)
    with torch.no_grad():
        learned.factor.weight.copy_(fitted.factor)
        learned.bias.copy_(fitted.bias)
    assert torch.allclose(fitted(tokens, mask), learned(tokens, mask), atol=1e-5)


def test_answers_other_than_one_class_are_refused() -> None:
    tokens, mask, _ = texts()
    with pytest.raises(InputError, match="tells classes apart"):
        small().initialize(tokens, mask, torch.rand(len(tokens)))


def test_of_a_long_text_both_ends_are_read() -> None:
    tokens = torch.arange(1, 13).expand(3, -1)
    mask = torch.arange(12) < torch.tensor([[12], [9], [5]])
    read, inside = both_ends(tokens, mask, 8)
    assert read[0].tolist() == [1, 2, 7, 8, 9, 10, 11, 12]
    assert read[1].tolist() == [1, 2, 4, 5, 6, 7, 8, 9]
    assert read[2][inside[2]].tolist() == [1, 2, 3, 4, 5] and inside[:2].all()
    whole, inside = both_ends(tokens, mask, 16)
    assert torch.equal(whole[:, :12], tokens) and torch.equal(inside.sum(1), mask.sum(1))


def test_it_answers_by_the_sum_and_learns_by_the_deep_part_alone() -> None:
    tokens, mask, target = texts()
    model = small()
    model.initialize(tokens, mask, target)
    deep = model.deep(*both_ends(tokens, mask, 8))
    assert torch.equal(model.train()(tokens, mask), deep)
    assert torch.allclose(model.eval()(tokens, mask), model.wide(tokens, mask) + 0.5 * deep, atol=1e-6)
    before = model.wide.factor.clone()
    F.cross_entropy(model.train()(tokens, mask), target).backward()
    still = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()]
    assert [name for name in still if not name.endswith("key.bias")] == []
    assert torch.equal(model.wide.factor, before) and not list(model.wide.parameters())


def test_padding_and_other_texts_change_nothing() -> None:
    tokens, mask, target = texts()
    model = small()
    model.initialize(tokens, mask, target)
    for mode in (True, False):
        scores = model.train(mode)(tokens, mask)
        for row in range(4):
            assert torch.allclose(scores[row], model(tokens[row : row + 1, : int(mask[row].sum())])[0], atol=1e-5)
    empty = mask.clone()
    empty[1] = False
    assert model(tokens, empty).isfinite().all()


def test_the_weights_of_a_hub_folder_fill_the_deep_part(tmp_path) -> None:
    torch.manual_seed(3)
    known = BertEncoder(24, width=16, depth=2, heads=2, context=16)
    save_hub(known, tmp_path)
    tokens, mask, target = texts()
    model = small()
    model.initialize(tokens, mask, target)
    wide = model.wide(tokens, mask)
    Transfer(weights=str(tmp_path), decay=0.5).start(model)
    assert all(torch.equal(value, model.deep.encoder.state_dict()[key]) for key, value in known.state_dict().items())
    assert torch.equal(model.wide(tokens, mask), wide)
    groups = model.parameter_groups(lr=1.0, weight_decay=0.0)
    assert max(group["lr"] for group in groups) == 1.0  # of the head, which is the last stage
    assert {id(each) for group in groups for each in group["params"]} == {id(each) for each in model.parameters()}


def test_state_dict_comes_back_through_a_file(tmp_path) -> None:
    tokens, mask, target = texts()
    model = small().eval()
    model.initialize(tokens, mask, target)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = WideDeep(24, 2, **SMALL).eval()
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(tokens, mask), model(tokens, mask))


def test_exports() -> None:
    tokens, mask, target = texts()
    model = small().eval()
    model.initialize(tokens, mask, target)
    batch, time = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("time", min=4, max=64)
    shape = {0: batch, 1: time}
    program = torch.export.export(model, (tokens, mask), dynamic_shapes=(shape, shape)).module()
    for rows, longest in ((5, 14), (3, 6)):
        some = tokens[:rows, :longest], mask[:rows, :longest]
        assert torch.allclose(program(*some), model(*some), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"reads": 0}, {"reads": 17}, {"share": -1.0}])
def test_sizes_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(ValueError, match="expected 1 to 16 tokens"):
        WideDeep(24, 2, **{**SMALL, **wrong})


def test_the_sum_knows_what_neither_part_does() -> None:
    """The class stands in a word in the middle, which the deep part does not see, or in the order of the first two."""
    torch.manual_seed(0)
    tokens = torch.randint(3, 20, (200, 14))
    target = torch.arange(200) % 2
    tokens[:, 5] = torch.where(torch.arange(200) < 100, 20 + target, 3)
    tokens[100:, 0] = 1 + target[100:]
    tokens[100:, 13] = 2 - target[100:]
    mask = torch.ones_like(tokens, dtype=torch.bool)
    rows = torch.arange(200) % 4 < 2
    model = WideDeep(24, 2, **SMALL)
    model.initialize(tokens[rows], mask[rows], target[rows])
    optimizer = torch.optim.Adam(model.deep.parameters(), lr=0.003)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(tokens[rows]), target[rows]).backward()
        optimizer.step()
    model.eval()
    held, truth = tokens[~rows], target[~rows]
    right = [(each.argmax(1) == truth).float().mean() for each in (
        model(held), model.wide(held), model.deep(*both_ends(held, mask[~rows], 8)))]  # fmt: skip
    assert right[0] > max(right[1:]) + 0.02 and right[0] > 0.9


def test_the_deep_part_is_a_bert() -> None:
    assert isinstance(small().deep, BertClassifier)
