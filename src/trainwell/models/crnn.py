"""Sound to scores: mel bands, convolutions over pitch and time, a recurrent layer over time. Choi et al. 2016.

arXiv:1609.04243; with CTC the same reads what is said, as Graves & Jaitly 2014 and Amodei et al. 2015,
arXiv:1512.02595.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainwell.nn.embed import mean_of_tokens
from trainwell.nn.recurrent import Recurrent
from trainwell.nn.spectrogram import MFCC, ClipNorm, LogMel, MaskedConv, SpecAugment, VocalTract, clip_mask

FEATURES = {"log_mel": LogMel, "mfcc": MFCC}


class SoundEncoder(nn.Module):
    """Waves to states, one for each 20 ms of 10 ms frames; what is beyond a clip's length changes nothing.

    `rate` is in samples a second. x: (batch, samples) from -1 to 1, lengths: (batch,) long, or None for whole rows
    -> (batch, time, outputs) and mask: (batch, time) bool
    """

    def __init__(
        self,
        rate: int,
        *,
        features: str,
        bands: int,
        widths: Sequence[int],
        width: int,
        dropout: float,
        masks: int,
        warp: float = 0.0,
    ) -> None:
        super().__init__()
        if features not in FEATURES:
            raise ValueError(f"no features {features!r}; known: {', '.join(FEATURES)}")
        self.features = FEATURES[features](rate, bands=bands)
        self.tract = VocalTract(rate, bands, most=warp) if features == "log_mel" else nn.Identity()
        self.norm, self.augment = ClipNorm(), SpecAugment(masks=masks)
        self.layers = nn.ModuleList()
        before, height = 1, bands
        for place, after in enumerate(widths):
            self.layers.append(MaskedConv(before, after, stride=2, every=1 if place else 2))
            before, height = after, -(-height // 2)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Recurrent(before * height, width, cell="gru", both_ways=True)
        self.outputs = self.recurrent.outputs

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lengths = lengths if lengths is not None else x.new_full((x.shape[0],), x.shape[1], dtype=torch.long)
        with torch.autocast(x.device.type, enabled=False):  # a logarithm of small powers needs its digits
            sound = self.tract(self.features(x))
            mask = clip_mask(self.features.frames(lengths), sound.shape[2])
            sound = self.augment(self.norm(sound, mask), mask)
        maps = sound.unsqueeze(1)
        for layer in self.layers:
            maps, mask = layer(maps, mask)
        states = maps.flatten(1, 2).transpose(1, 2)  # (batch, time, channels * bands)
        return self.recurrent(self.dropout(states), mask), mask


class CRNN(nn.Module):
    """A clip of sound to scores of its classes, from the mean and the largest of what the recurrent layer gives.

    `features` is "log_mel" or "mfcc"; `masks` is how many stretches of time and of pitch SpecAugment hides; `warp` is
    by which share of its length the vocal tract that speaks is changed in training, of log-mel bands.
    x: (batch, samples), lengths: (batch,) long or None -> (batch, classes)
    """

    def __init__(
        self,
        rate: int,
        classes: int,
        *,
        features: str = "log_mel",
        bands: int = 40,
        widths: Sequence[int] = (24, 48, 72, 96),
        width: int = 64,
        dropout: float = 0.3,
        masks: int = 2,
        warp: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = SoundEncoder(
            rate, features=features, bands=bands, widths=widths, width=width, dropout=dropout, masks=masks, warp=warp
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * self.encoder.outputs, classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        states, mask = self.encoder(x, lengths)
        largest = states.masked_fill(~mask.unsqueeze(-1), -1.0).amax(1)  # states lie in (-1, 1)
        return self.head(self.dropout(torch.cat((mean_of_tokens(states, mask), largest), -1)))


class SpeechCRNN(nn.Module):
    """Speech to scores of symbols, each 20 ms; symbol 0 is the blank of CTC.

    x: (batch, samples), lengths: (batch,) long or None -> (batch, time, symbols) and how many of them count, (batch,)
    """

    def __init__(
        self,
        rate: int,
        symbols: int,
        *,
        features: str = "log_mel",
        bands: int = 40,
        widths: Sequence[int] = (24, 48, 72, 96),
        width: int = 96,
        dropout: float = 0.2,
        masks: int = 2,
        warp: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = SoundEncoder(
            rate, features=features, bands=bands, widths=widths, width=width, dropout=dropout, masks=masks, warp=warp
        )
        self.head = nn.Linear(self.encoder.outputs, symbols)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        states, mask = self.encoder(x, lengths)
        return self.head(states), mask.sum(1)
