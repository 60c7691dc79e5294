"""Rosenblatt's rule: what it learns, how fast, that gradient descent is the same rule, and why not XOR."""

import pytest
import torch

from trainwell.models.neuron import SigmoidNeuron
from trainwell.models.perceptron import Perceptron, rosenblatt_step, separable
from trainwell.tasks.classify import Classify
from trainwell.train import State, optimizer_for, train

GATE = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0]}
XOR = torch.tensor([0, 1, 1, 0])


def learn(model, x, y, passes=100):
    """Passes of Rosenblatt's rule until none was corrected; how many corrections it took."""
    corrections = 0
    for _ in range(passes):
        made = rosenblatt_step(model, x, y)
        corrections += made
        if not made:
            break
    return corrections


def blobs(rows=200, margin=0.3):
    torch.manual_seed(0)
    x = torch.randn(rows * 4, 3)
    direction = torch.tensor([2.0, -1.0, 0.5]) / torch.tensor([2.0, -1.0, 0.5]).norm()
    side = x @ direction - 0.4
    return x[side.abs() > margin][:rows], (side > 0).long()[side.abs() > margin][:rows], direction


@pytest.mark.parametrize("name", GATES)
def test_learns_the_gates(name):
    model, y = Perceptron(2), torch.tensor(GATES[name])
    learn(model, GATE, y)
    assert model.fires(GATE)[:, 0].tolist() == y.bool().tolist()
    weighted = GATE @ model.sum.weight.T
    assert torch.equal((weighted >= model.threshold)[:, 0], y.bool())  # the threshold's own way of saying it


def test_learns_a_separable_set_within_the_bound():
    x, y, direction = blobs()
    model = Perceptron(3)
    corrections = learn(model, x, y, passes=1000)
    assert (model.fires(x)[:, 0] == y.bool()).all()
    # Novikoff 1962: at most (longest row / margin)^2 corrections, rows and plane with the bias as one more axis.
    rows = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    plane = torch.cat([direction, torch.tensor([-0.4])])
    margin = ((rows @ plane).abs() / plane.norm()).min()
    assert 0 < corrections <= (rows.norm(dim=1).max() / margin) ** 2


class Rows:
    """One row a batch, in their own order."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def set_epoch(self, number):
        pass

    def iterate(self, start):
        for row in range(start, len(self.x)):
            yield {"inputs": (self.x[row : row + 1],), "target": self.y[row : row + 1]}


def test_the_loop_at_rate_one_is_rosenblatts_rule():
    torch.manual_seed(1)
    x, y = torch.randint(-3, 4, (40, 5)).float(), torch.randint(0, 2, (40,))
    rule, trained = Perceptron(5), Perceptron(5)
    state = State(trained, Classify(2, loss="perceptron"), {}, precision="float32")
    state.optimizers = {"model": optimizer_for(trained, name="sgd", lr=1.0)}
    for row in range(len(x)):
        rosenblatt_step(rule, x[row : row + 1], y[row : row + 1])
    train(state, Rows(x, y), epochs=1)
    assert rule.sum.weight.abs().max() > 0
    assert torch.equal(rule.sum.weight, trained.sum.weight)  # whole numbers, so exactly
    assert torch.equal(rule.sum.bias, trained.sum.bias)


def test_several_outputs_learn_each_against_the_rest():
    torch.manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 2) * 0.3 + torch.tensor([[0.0, 3.0], [3.0, -2.0], [-3.0, -2.0]])[y]
    model = Perceptron(2, 3)
    learn(model, x, y)
    assert torch.equal(model.fires(x), torch.nn.functional.one_hot(y).bool())


def test_xor_is_not_learned_and_it_says_why():
    model = Perceptron(2)
    learn(model, GATE, XOR, passes=1000)
    assert rosenblatt_step(model, GATE, XOR) > 0
    answer = separable(GATE, XOR)
    assert not answer
    assert "the point (0.5, 0.5) is an average of rows 1, 2, where y is 1, and of rows 0, 3" in answer.reason


def test_separable_gives_a_perceptron_that_does_it():
    for x, y in [(GATE, torch.tensor(GATES["nand"])), blobs()[:2]]:
        answer = separable(x, y)
        assert answer
        assert ((x @ torch.tensor(answer.weights) + answer.bias > 0) == y.bool()).all()
    with pytest.raises(ValueError, match="one class"):
        separable(GATE, torch.ones(4))


def test_a_sigmoid_neuron_learns_the_gates_by_its_slope():
    torch.manual_seed(0)
    model, y = SigmoidNeuron(2), torch.tensor(GATES["and"]).float()[:, None]
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(GATE), y).backward()
        optimizer.step()
    assert ((model.answer(GATE) > 0.5) == y.bool()).all()
    torch.testing.assert_close(model.answer(GATE), 1 / (1 + torch.exp(-(GATE @ model.sum.weight.T + model.sum.bias))))


def test_pictures_are_flattened():
    for model in (Perceptron(12, 4), SigmoidNeuron(12, 4)):
        assert model(torch.randn(2, 3, 2, 2)).shape == (2, 4)
