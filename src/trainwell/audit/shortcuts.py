"""Pictures and sounds to what tells a class or a part besides what they show: burnt whites, exchanged colors, hum."""

import numpy as np

from trainwell.audit.columns import said
from trainwell.audit.left_out import chance_of_order
from trainwell.audit.parts import FEWEST
from trainwell.audit.view import View
from trainwell.doctor.finding import Finding

WHITE, BURNT, SELDOM = 254, 0.1, 0.03  # of 255; share of such pixels in a class and, at most, in each other
TOLD = 0.9  # chance that a picture of the class has more of them than another
OWN, OTHERS = 0.98, 0.1  # shares of a class and of the other rows that hum
HUM = 25.0  # decibels of the mains above the tones around it
MAINS, AROUND = (50, 60), ((25.0, 8.0), (8.0, 25.0))  # hertz; from and to, below and above it
SURE = 1e-4  # how likely colors may be as unlike by chance, of parts that are told to be unlike
CHANCE = 0.01  # the same with red and blue exchanged, above which they agree


def burnt_class(view: View, pixels: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """One class with many pixels at full white and no other with more than a few. pixels: (rows, height, width, 3)"""
    white = (pixels >= WHITE).mean((1, 2, 3))
    kinds, counts = np.unique(labels, return_counts=True)
    shares = np.array([white[labels == kind].mean() for kind in kinds])
    place = int(shares.argmax())
    others = np.delete(shares, place)
    if len(kinds) < 2 or counts.min() < 15 or shares[place] < BURNT or others.max() > SELDOM:
        return []
    if chance_of_order(white, labels == kinds[place]) < TOLD:
        return []
    text = (
        f"{shares[place]:.0%} of the values in pictures of class {view.classes[int(kinds[place])]!r} are full white, "
        f"and at most {others.max():.1%} in any other class."
    )
    cause = "They were made brighter or lit in another way, which tells the class: prepare all in one way."
    return [said("data-leakage", "pictures", "warn", text, cause, 0.75)]


def exchanged_colors(view: View, pixels: np.ndarray, rows: list[int]) -> list[Finding]:
    """A given part whose pictures are as those to learn from once red and blue are exchanged, and otherwise not.

    Classes are compared each with itself, as far as classes are asked for.
    """
    if view.parts is None:
        return []
    parts = view.parts[rows]
    kinds = view.labels[rows] if view.labels is not None else np.zeros(len(rows), dtype=np.int64)
    redder = pixels[..., 0].mean((1, 2)) - pixels[..., 2].mean((1, 2))
    for part in ("test", "val"):
        ours, theirs = parts == "train", parts == part
        if min(ours.sum(), theirs.sum()) < FEWEST:
            continue
        as_is, exchanged = (
            _unlike(redder, ours, theirs, kinds),
            _unlike(np.where(theirs, -1, 1) * redder, ours, theirs, kinds),
        )
        if as_is < SURE and exchanged > CHANCE:
            text = (
                f"Red less blue is {np.median(redder[theirs]):+.0f} of 255 in the middle of the {part} pictures and "
                f"{np.median(redder[ours]):+.0f} in the training pictures, apart in each class as chance does not "
                "take them; with red and blue exchanged they agree."
            )
            cause = "One part was read as red, green, blue and the other as blue, green, red."
            return [said("preprocessing-mismatch", "pictures", "critical", text, cause, 0.8)]
    return []


def _unlike(values: np.ndarray, ours: np.ndarray, theirs: np.ndarray, kinds: np.ndarray) -> float:
    """How likely two parts' ranks differ so much by chance, over the classes (Mann & Whitney 1947; Fisher 1932)."""
    from scipy.stats import chi2

    total, tested = 0.0, 0
    for kind in np.unique(kinds):
        here = (kinds == kind) & (ours | theirs)
        own, other = int((here & ours).sum()), int((here & theirs).sum())
        if min(own, other) >= 5:
            away = chance_of_order(values[here], ours[here]) - 0.5
            total += away**2 * 12 * own * other / (own + other + 1)
            tested += 1
    return float(chi2.sf(total, tested)) if tested else 1.0


def hum_of(samples: np.ndarray, rate: int) -> list[float]:
    """Decibels by which a tone of the mains stands out of those around it, for each frequency that mains have.

    samples: (samples,), rate: samples a second
    """
    size = max(len(samples), 4 * rate)
    power = np.abs(np.fft.rfft((samples - samples.mean()) * np.hanning(len(samples)), size)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / rate)
    found = []
    for mains in MAINS:
        low, high = hertz - mains, mains - hertz
        beside = ((high >= AROUND[0][1]) & (high <= AROUND[0][0])) | ((low >= AROUND[1][0]) & (low <= AROUND[1][1]))
        loud = float(power[np.abs(hertz - mains) <= 2].max(initial=0.0))
        found.append(
            10 * float(np.log10((loud + 1e-12) / (float(np.median(power[beside])) + 1e-12))) if beside.any() else 0.0
        )
    return found


def humming_class(view: View, hums: np.ndarray, labels: np.ndarray) -> list[Finding]:
    """All sounds of one class with the hum of the mains, and hardly any other. hums: (rows, frequencies), decibels"""
    for mains, hum in zip(MAINS, hums.T, strict=True):
        for kind in np.unique(labels):
            own = labels == kind
            if (
                min(own.sum(), (~own).sum()) >= 10
                and (hum[own] >= HUM).mean() >= OWN
                and (hum[~own] >= HUM).mean() <= OTHERS
            ):
                text = (
                    f"A tone of {mains} Hz stands {np.median(hum[own]):.0f} decibels out of those around it in the "
                    f"sounds of class {view.classes[int(kind)]!r}, and so in {(hum[~own] >= HUM).mean():.0%} of others."
                )
                cause = "The hum of the mains where that class was recorded tells it: cut the lowest tones of all."
                return [said("data-leakage", "sounds", "warn", text, cause, 0.85)]
    return []
