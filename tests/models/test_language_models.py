"""GPT-2, GPT, Llama and T5: sizes of the papers, and what each one's own parts promise."""

import pytest
import torch

from trainwell.models.gpt import GPT
from trainwell.models.gpt2 import GPT2
from trainwell.models.llama import Llama
from trainwell.models.t5 import T5


def count(build) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in build().parameters())


def test_sizes_are_those_of_the_papers():
    assert count(lambda: GPT2(50257)) == 124_439_808
    assert count(lambda: T5(32128)) == 60_506_624  # t5-small
    llama = lambda: Llama(  # noqa: E731
        32000, width=4096, depth=32, heads=32, hidden=11008, context=2048, tied=False
    )
    assert count(llama) == 6_738_415_616  # Llama 7B


def test_first_loss_is_that_of_a_uniform_guess():
    torch.manual_seed(0)
    tokens = torch.randint(0, 65, (4, 32))
    for model in (GPT2(65, width=64, depth=4, heads=4), GPT(65, width=64, depth=4), Llama(65, width=60, depth=4)):
        loss = torch.nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        assert loss.item() == pytest.approx(torch.log(torch.tensor(65.0)).item(), abs=0.15)


def test_gpt_starts_as_a_shortcut_and_caps_its_scores():
    torch.manual_seed(0)
    model, tokens = GPT(65, width=32, depth=3, heads=2, limit=5.0), torch.randint(0, 65, (2, 6))
    states = model.states(tokens)
    # all branches write zero at first, so each place is its own token's norm alone
    norm = torch.nn.functional.rms_norm(model.embedding.token(tokens), (32,))
    assert torch.allclose(states, norm, atol=1e-3)
    torch.nn.init.normal_(model.head.weight, std=50.0)
    assert model(tokens).abs().max() <= 5.0
    assert model(tokens).dtype == torch.float32


def test_gpt_ties_large_vocabularies():
    assert GPT(5000, width=32, depth=1).head is None
    assert GPT(100, width=32, depth=1).head is not None
    assert GPT(100, width=32, depth=1, tied=True).head is None


def test_rotary_models_see_distance_not_place():
    torch.manual_seed(0)
    model = Llama(30, width=32, depth=2, heads=2, hidden=48).eval()
    tokens = torch.randint(0, 30, (1, 6))
    padded = torch.cat((torch.zeros(1, 20, dtype=torch.long), tokens), 1)
    mask = torch.arange(26)[None] >= 20
    assert torch.allclose(model(padded, mask)[:, 20:], model(tokens), atol=1e-5)
