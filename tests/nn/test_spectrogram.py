"""Sound features against SciPy, transformers' filters and closed forms; masks over them."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from trainwell.nn.spectrogram import (
    MFCC,
    ClipNorm,
    LogMel,
    MaskedConv,
    SpecAugment,
    Spectrogram,
    VocalTract,
    clip_mask,
    mel_bands,
)


def tone(hertz: float, rate: int = 8000, seconds: float = 0.5) -> torch.Tensor:
    return torch.sin(2 * np.pi * hertz * torch.arange(round(rate * seconds)) / rate)[None]


def test_the_spectrum_is_the_fourier_transform_of_each_window():
    x = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    found = Spectrogram(256, window=200, hop=80)(x)
    assert found.shape == (2, 129, 1000 // 80 + 1)
    window = np.zeros(256)
    window[28:228] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)  # Hann's, in the middle of the transform
    padded = np.pad(x.double().numpy(), ((0, 0), (128, 128)))
    for frame in (0, 1, 7, 12):
        piece = padded[:, frame * 80 : frame * 80 + 256] * window
        wanted = np.abs(np.fft.rfft(piece)) ** 2
        assert np.allclose(found[:, :, frame].numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_a_window_longer_than_the_transform_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        Spectrogram(64, window=65)


@pytest.mark.parametrize(("rate", "size", "bands"), [(8000, 256, 40), (16000, 512, 64)])
def test_mel_bands_equal_those_of_transformers(rate: int, size: int, bands: int):
    audio = pytest.importorskip("transformers.audio_utils")
    wanted = audio.mel_filter_bank(size // 2 + 1, bands, 20.0, rate / 2, rate, norm=None, mel_scale="htk")
    assert np.allclose(mel_bands(rate, size, bands, 20.0, rate / 2).numpy(), wanted.T, atol=1e-5)


def test_a_tone_is_loudest_in_the_band_that_holds_it():
    features = LogMel(8000)
    weights = features.weights
    for hertz in (250.0, 1000.0, 3000.0):
        place = round(hertz / 8000 * features.spectrogram.size)
        assert int(features(tone(hertz))[0, :, 25].argmax()) == int(weights[:, place].argmax())
    silence = features(torch.zeros(1, 800))
    assert torch.allclose(silence, torch.full_like(silence, np.log(1e-6)))


def test_cepstra_are_the_cosine_transform_of_log_mel_bands():
    x = torch.randn(2, 2000, generator=torch.Generator().manual_seed(1))
    bands, cepstra = LogMel(8000, bands=32)(x).numpy(), MFCC(8000, bands=32, coefficients=13)(x).numpy()
    assert np.allclose(cepstra, dct(bands, axis=1, norm="ortho")[:, :13], atol=1e-3)
    with pytest.raises(ValueError, match="as many as bands"):
        MFCC(8000, bands=10, coefficients=11)


def test_a_clip_is_normalized_over_its_own_frames():
    x = 5 + 3 * torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(2))
    mask = clip_mask(torch.tensor([20, 12]), 20)
    found = ClipNorm()(x, mask)
    assert found[1, :, 12:].abs().max() == 0
    for row, end in ((0, 20), (1, 12)):
        assert abs(float(found[row, :, :end].mean())) < 1e-4
        assert float(found[row, :, :end].std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_specaugment_hides_no_more_than_its_share_and_only_in_training():
    torch.manual_seed(0)
    x, mask = torch.ones(64, 40, 100), clip_mask(torch.tensor([100] * 32 + [50] * 32), 100)
    augment = SpecAugment(masks=2, time=0.15, pitch=0.15)
    hidden = augment(x, mask) == 0
    columns, rows = hidden.all(1).sum(1), hidden.all(2).sum(1)
    assert columns[:32].max() <= 2 * 15 and columns[32:].max() <= 2 * 7 and rows.max() <= 2 * 6
    assert columns.float().mean() > 4 and rows.float().mean() > 1
    assert not hidden[32:, :, 50:].all(1).any()  # what lies beyond a clip needs no hiding
    assert augment.eval()(x, mask) is x
    assert SpecAugment(masks=0)(x, mask) is x


def test_padding_does_not_reach_into_a_convolution():
    torch.manual_seed(0)
    layer = MaskedConv(1, 4, stride=2, every=2).eval()
    layer.norm.bias.data.fill_(1.0)
    x = torch.randn(1, 1, 8, 10)
    short, ends = layer(x, clip_mask(torch.tensor([10]), 10))
    padded = torch.cat((x, torch.zeros(1, 1, 8, 6)), 3)
    long, longer = layer(padded, clip_mask(torch.tensor([10]), 16))
    assert ends.sum() == longer.sum() == 5
    assert torch.allclose(long[..., :5], short) and long[..., 5:].abs().max() == 0


def test_another_vocal_tract_moves_a_tone_to_where_its_frequency_would_be():
    features, tract = LogMel(8000, bands=40), VocalTract(8000, 40, most=0.2)
    sounds = torch.cat([tone(1000.0), tone(1000.0), tone(1000.0)])
    found = tract.stretched(features(sounds), torch.tensor([1.0, 0.8, 1.25]))
    assert torch.allclose(found[0], features(sounds)[0], atol=1e-4)
    for place, hertz in ((1, 1250.0), (2, 800.0)):  # a band at 1,250 Hz holds what stood at 0.8 times that
        wanted = features(tone(hertz))[0].mean(1).argmax()
        assert abs(int(found[place].mean(1).argmax()) - int(wanted)) <= 1
    torch.manual_seed(0)
    drawn = tract(features(sounds))
    assert not torch.allclose(drawn[0], drawn[1]) and tract.eval()(drawn) is drawn
    assert not torch.isnan(drawn).any() and VocalTract(8000, 40, most=0.0)(drawn) is drawn
    with pytest.raises(ValueError, match="warp=1"):
        VocalTract(8000, 40, most=1.0)
