"""Sound to pictures of which pitch sounds when: spectrum, mel bands, their logarithm, cepstrum, masks over them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

QUIET = 1e-6  # power below which nothing is heard, as samples lie in -1 to 1


class Spectrogram(nn.Module):
    """The power of each frequency in overlapping windows, each weighed by a Hann window and centered on its frame.

    Beyond both ends lies silence, so that frame t is centered on sample t * hop. `window`, `hop` and `size`, the
    length of the Fourier transform, are in samples. x: (batch, samples) -> (batch, size / 2 + 1, samples / hop + 1)
    """

    def __init__(self, size: int, *, window: int | None = None, hop: int | None = None) -> None:
        super().__init__()
        self.size, self.window = size, window or size
        self.hop = hop or self.window // 2
        if not 0 < self.window <= size:
            raise ValueError(f"a window of {self.window} samples does not fit a transform of {size}")
        self.register_buffer("shape", torch.hann_window(self.window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        shape: Tensor = self.shape  # type: ignore[assignment]
        waves = torch.stft(x.float(), self.size, self.hop, self.window, shape, pad_mode="constant", return_complex=True)
        return waves.real.square() + waves.imag.square()

    def frames(self, lengths: Tensor) -> Tensor:
        """How many frames so many samples give: (batch,) long -> (batch,) long"""
        return lengths // self.hop + 1


def mel(frequency: Tensor) -> Tensor:
    """Hertz to mels, on which equal steps sound equal. O'Shaughnessy 1987. (...) -> (...)"""
    return 2595.0 * torch.log10(1.0 + frequency / 700.0)


def mel_bands(rate: int, size: int, bands: int, low: float, high: float) -> Tensor:
    """Triangles over the frequencies of a spectrum, evenly spaced and half overlapping in mels, each with peak 1.

    Davis & Mermelstein 1980. rate: samples a second; low, high: the ends in hertz -> (bands, size / 2 + 1)
    """
    ends = mel(torch.tensor([low, high], dtype=torch.float64))
    corners = 700.0 * (10.0 ** (torch.linspace(float(ends[0]), float(ends[1]), bands + 2).double() / 2595.0) - 1.0)
    places = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)
    below, middle, above = (corners[i : i + bands, None] for i in range(3))
    rising, falling = (places - below) / (middle - below), (above - places) / (above - middle)
    return torch.minimum(rising, falling).clamp_min(0).float()


class LogMel(nn.Module):
    """The logarithm of the power in mel bands, from windows of 32 ms every 10 ms.

    `rate` is in samples a second; bands reach from `low` hertz to half the rate. x: (batch, samples)
    -> (batch, bands, frames)
    """

    def __init__(self, rate: int, *, bands: int = 40, window: float = 0.032, hop: float = 0.01, low: float = 20.0):
        super().__init__()
        length = max(2, round(window * rate))
        self.spectrogram = Spectrogram(2 ** math.ceil(math.log2(length)), window=length, hop=max(1, round(hop * rate)))
        self.bands = bands
        weights = mel_bands(rate, self.spectrogram.size, bands, low, rate / 2)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weights  # type: ignore[assignment]
        return (weights @ self.spectrogram(x)).clamp_min(QUIET).log()

    def frames(self, lengths: Tensor) -> Tensor:
        """How many frames so many samples give: (batch,) long -> (batch,) long"""
        return self.spectrogram.frames(lengths)


class MFCC(nn.Module):
    """The cosine transform of the log-mel bands: their outline, from coarse to fine. Davis & Mermelstein 1980.

    x: (batch, samples) -> (batch, bands, frames), of which the lowest `coefficients` are kept as bands
    """

    def __init__(self, rate: int, *, bands: int = 40, coefficients: int | None = None) -> None:
        super().__init__()
        self.log_mel = LogMel(rate, bands=bands)
        self.bands = coefficients or bands
        if self.bands > bands:
            raise ValueError(f"{self.bands} coefficients of {bands} bands: there are as many as bands at most")
        self.register_buffer("cosines", cosines(bands)[: self.bands], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        transform: Tensor = self.cosines  # type: ignore[assignment]
        return transform @ self.log_mel(x)

    def frames(self, lengths: Tensor) -> Tensor:
        """How many frames so many samples give: (batch,) long -> (batch,) long"""
        return self.log_mel.frames(lengths)


def cosines(size: int) -> Tensor:
    """The orthonormal cosine transform of the second kind as a matrix. Ahmed et al. 1974. -> (size, size)"""
    place = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix.float()


class VocalTract(nn.Module):
    """While training, stretches each clip's pitches as a longer or shorter vocal tract would, which makes new voices.

    `rate` and `low` as of the log-mel bands; a clip's frequencies are those of a voice up to `most`, a share, longer
    or shorter. Jaitly & Hinton 2013. x: (batch, bands, frames) -> (batch, bands, frames)
    """

    def __init__(self, rate: int, bands: int, *, most: float = 0.15, low: float = 20.0) -> None:
        super().__init__()
        if not 0 <= most < 1:
            raise ValueError(f"warp={most}: expected a share of the frequency, 0 for none, below 1")
        self.most, self.first = most, float(mel(torch.tensor(low)))
        self.step = (float(mel(torch.tensor(rate / 2))) - self.first) / (bands + 1)
        middles = self.first + self.step * torch.arange(1, bands + 1)
        self.register_buffer("hertz", 700.0 * (10.0 ** (middles / 2595.0) - 1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.most:
            return x
        return self.stretched(x, 1 + self.most * (2 * torch.rand(len(x), device=x.device) - 1))

    def stretched(self, x: Tensor, times: Tensor) -> Tensor:
        """Each band as what stood at so many times its frequency, between two bands in a straight line; beyond the
        last band as that one. x: (batch, bands, frames), times: (batch,) -> (batch, bands, frames)"""
        hertz: Tensor = self.hertz  # type: ignore[assignment]
        place = ((mel(hertz * times[:, None]) - self.first) / self.step - 1).clamp(0, x.shape[1] - 1)
        below = place.floor().long().clamp_max(x.shape[1] - 2)
        share = (place - below)[:, :, None].to(x.dtype)
        lower, upper = (x.gather(1, at[:, :, None].expand_as(x)) for at in (below, below + 1))
        return lower + share * (upper - lower)


class ClipNorm(nn.Module):
    """Each clip with mean 0 and deviation 1 over its own frames, so that loudness tells nothing; padding becomes 0.

    x: (batch, bands, frames), mask: (batch, frames) bool -> (batch, bands, frames)
    """

    def __init__(self, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weight = mask.unsqueeze(1).to(x.dtype)
        count = weight.sum((1, 2), keepdim=True) * x.shape[1]
        mean = (x * weight).sum((1, 2), keepdim=True) / count
        centered = (x - mean) * weight
        return centered * (centered.square().sum((1, 2), keepdim=True) / count + self.epsilon).rsqrt()


class SpecAugment(nn.Module):
    """While training, hides a few stretches of time and of pitch, drawn anew for each clip. Park et al. 2019.

    `time` and `pitch` are the largest shares of a clip that one stretch hides; arXiv:1904.08779.
    x: (batch, bands, frames), mask: (batch, frames) bool -> (batch, bands, frames), hidden places 0
    """

    def __init__(self, *, masks: int = 2, time: float = 0.15, pitch: float = 0.15) -> None:
        super().__init__()
        self.masks, self.time, self.pitch = masks, time, pitch

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.training or not self.masks:
            return x
        frames = mask.sum(1).to(x.dtype)
        hidden = hidden_stretches(frames, x.shape[2], self.masks, self.time)[:, None, :]
        bands = torch.full_like(frames, x.shape[1])
        return x.masked_fill(hidden | hidden_stretches(bands, x.shape[1], self.masks, self.pitch)[:, :, None], 0.0)


def hidden_stretches(lengths: Tensor, size: int, masks: int, share: float) -> Tensor:
    """True inside `masks` stretches of random place and width, each up to `share` of the length.

    lengths: (batch,) float -> (batch, size) bool
    """
    width, start = torch.rand(2, len(lengths), masks, 1, device=lengths.device)
    width = (width * share * lengths[:, None, None]).floor()
    start = (start * (lengths[:, None, None] - width)).floor()
    place = torch.arange(size, device=lengths.device)
    return ((place >= start) & (place < start + width)).any(1)


def clip_mask(lengths: Tensor, size: int) -> Tensor:
    """True for the first `lengths` places of each row: (batch,) long -> (batch, size) bool"""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


class MaskedConv(nn.Module):
    """A 3x3 convolution with batch norm and ReLU over pitch and time that padding does not reach into.

    x: (batch, before, bands, frames), mask: (batch, frames) bool -> (batch, after, bands / stride, frames / every) and
    the mask of the frames that are left
    """

    def __init__(self, before: int, after: int, *, stride: int = 2, every: int = 1) -> None:
        super().__init__()
        self.every = every
        self.conv = nn.Conv2d(before, after, 3, (stride, every), 1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = mask[:, :: self.every]
        return F.relu(self.norm(self.conv(x))) * mask[:, None, None, :], mask
