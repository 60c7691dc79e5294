"""Sounds to a matrix of what their cepstra are on average, for the linear model beside a network."""

from collections.abc import Callable

import numpy as np
import torch

from trainwell.data import Source, Transform
from trainwell.nn.spectrogram import MFCC, clip_mask

COEFFICIENTS, BATCH = 20, 256


def mean_cepstra(source: Source, transform: Transform) -> Callable[[np.ndarray], np.ndarray]:
    """A function from rows to the mean and the deviation over time of each clip's first cepstral coefficients.

    -> (rows, 40), loosely standardized
    """
    cepstra = MFCC(transform.supplies["rate"], coefficients=COEFFICIENTS)

    def features(rows: np.ndarray) -> np.ndarray:
        waves = transform.encode(source, rows, with_target=False)["inputs"][0]
        found = []
        with torch.inference_mode():
            for start in range(0, len(waves), BATCH):
                part = slice(start, start + BATCH)
                sound = cepstra(waves[part])
                weight = clip_mask(cepstra.frames(waves.lengths[part]), sound.shape[2])[:, None].float()
                mean = (sound * weight).sum(2) / weight.sum(2)
                spread = ((sound - mean[:, :, None]).square() * weight).sum(2) / weight.sum(2)
                found.append(torch.cat((mean, spread.sqrt()), 1).numpy())
        return np.concatenate(found) / 10.0

    return features
