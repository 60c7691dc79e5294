"""Recurrent parts: written-out cells and fast layers against torch's, with and without padding."""

import pytest
import torch
from torch import nn

from trainwell.nn.recurrent import GRUCell, LSTMCell, Recurrent, RNNCell, packed, reversed_rows, unroll

CELLS = {"rnn": (RNNCell, nn.RNNCell), "lstm": (LSTMCell, nn.LSTMCell), "gru": (GRUCell, nn.GRUCell)}
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@pytest.mark.parametrize("name", CELLS)
def test_cells_equal_torch_in_value_and_gradient(name):
    torch.manual_seed(0)
    ours, twin = CELLS[name][0](5, 7), CELLS[name][1](5, 7)
    twin.load_state_dict(ours.state_dict())
    x, h = torch.randn(3, 5), torch.randn(3, 7)
    state = (h, torch.randn(3, 7)) if name == "lstm" else (h,)
    got = ours(x, state)[0]
    wanted = twin(x, state)[0] if name == "lstm" else twin(x, h)
    assert torch.allclose(got, wanted, atol=1e-6)
    got.square().sum().backward()
    wanted.square().sum().backward()
    for mine, other in zip(ours.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_unrolled_cells_equal_torch_layers(name):
    torch.manual_seed(0)
    cell, layer = CELLS[name][0](5, 7), LAYERS[name](5, 7, batch_first=True)
    layer.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})
    x = torch.randn(2, 6, 5)
    outputs, state = unroll(cell, x)
    wanted, last = layer(x)
    assert torch.allclose(outputs, wanted, atol=1e-6)
    last = last if name == "lstm" else (last,)
    for mine, other in zip(state, last, strict=True):
        assert torch.allclose(mine, other[0], atol=1e-6)


def twin_of(layer: Recurrent, name: str, inputs: int, width: int, depth: int, both_ways: bool) -> nn.Module:
    twin = LAYERS[name](inputs, width, depth, batch_first=True, bidirectional=both_ways)
    state = {}
    for place in range(depth):
        for suffix, parts in (("", layer.forwards), ("_reverse", layer.backwards)):
            if not suffix or both_ways:
                own = parts[place].state_dict()
                state |= {f"{key[:-3]}_l{place}{suffix}": value for key, value in own.items()}
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_deep_layers_equal_torch_packed(name, both_ways):
    torch.manual_seed(0)
    layer = Recurrent(5, 6, cell=name, depth=2, both_ways=both_ways)
    twin = twin_of(layer, name, 5, 6, 2, both_ways)
    x = torch.randn(3, 8, 5)
    mask = torch.arange(8) < torch.tensor([[8], [3], [1]])
    wanted, last = packed(twin, x, mask)
    got = layer(x, mask)
    assert torch.allclose(got[mask], wanted[mask], atol=1e-6)
    last = last[0] if name == "lstm" else last
    ends = torch.cat((last[-2], last[-1]), -1) if both_ways else last[-1]
    assert torch.allclose(layer.last(got, mask), ends, atol=1e-6)
    assert torch.allclose(layer(x), twin(x)[0], atol=1e-6)


def test_rows_turn_within_their_length():
    x = torch.arange(8.0).view(2, 4, 1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    assert reversed_rows(x, mask).squeeze(-1).tolist() == [[2, 1, 0, 3], [7, 6, 5, 4]]


def test_running_on_from_a_state_equals_one_run():
    torch.manual_seed(0)
    layer, x = Recurrent(4, 5, depth=2), torch.randn(2, 7, 4)
    first, states = layer.run(x[:, :3], None, [])
    second, _ = layer.run(x[:, 3:], None, states)
    assert torch.allclose(torch.cat((first, second), 1), layer(x), atol=1e-6)


def test_unknown_cells_are_named():
    with pytest.raises(ValueError, match="no recurrent cell 'lstn'; known: rnn, lstm, gru"):
        Recurrent(4, 5, cell="lstn")
