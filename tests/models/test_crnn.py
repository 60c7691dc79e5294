"""Sound networks: padding changes nothing, one batch is memorised, every weight learns, state saves and loads."""

import pytest
import torch

from trainwell.models.crnn import CRNN, SpeechCRNN

SMALL = {"widths": (8, 8, 8), "width": 12, "bands": 20}


def waves(rows: int = 4, samples: int = 2400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([samples - 317 * row for row in range(rows)])
    inside = torch.arange(samples) < lengths[:, None]
    return torch.randn(rows, samples, generator=generator) * 0.1 * inside, lengths


@pytest.mark.parametrize("features", ["log_mel", "mfcc"])
def test_a_batch_gives_what_its_clips_give_alone(features: str):
    torch.manual_seed(0)
    model = CRNN(8000, 3, features=features, **SMALL).eval()
    x, lengths = waves()
    together = model(x, lengths)
    for row, end in enumerate(lengths.tolist()):
        assert torch.allclose(model(x[row : row + 1, :end]), together[row], atol=1e-4)


def test_speech_gives_as_many_steps_as_it_says():
    torch.manual_seed(0)
    model = SpeechCRNN(8000, 5, **SMALL).eval()
    x, lengths = waves()
    scores, ends = model(x, lengths)
    assert scores.shape[2] == 5 and ends.tolist() == [-(-(end // 80 + 1) // 2) for end in lengths.tolist()]
    alone, end = model(x[2:3, : lengths[2]])
    assert torch.allclose(alone[0, : end[0]], scores[2, : ends[2]], atol=1e-4)


def test_one_batch_is_memorised_and_every_weight_learns():
    torch.manual_seed(0)
    model = CRNN(8000, 4, dropout=0.0, masks=0, **SMALL)
    x, lengths = waves()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(x, lengths), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.parameters())


def test_weights_save_and_load_without_the_fixed_tables():
    model = CRNN(8000, 4, **SMALL)
    state = model.state_dict()
    assert not any("weights" in key and "features" in key for key in state)
    again = CRNN(8000, 4, **SMALL)
    again.load_state_dict(state)
    x, lengths = waves()
    assert torch.equal(again.eval()(x, lengths), model.eval()(x, lengths))


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match="log_mel, mfcc"):
        CRNN(8000, 2, features="waves")
