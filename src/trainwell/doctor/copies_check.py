"""Training rows and held-out rows to whether the one hold copies of the other: noisy, moved, mirrored, overlapping."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainwell.doctor.data_check import small
from trainwell.doctor.finding import Finding
from trainwell.doctor.sample import Sample, is_picture
from trainwell.doctor.thresholds import THRESHOLDS

LIMITS = THRESHOLDS
CHANNELS = 16  # of a series at most that are looked at one by one
NOTHING = np.zeros((0, 16), dtype=np.int64)
SIDE = 28  # pixels at most that pictures are compared at
MOVES = [(down, right) for down in (-2, -1, 0, 1, 2) for right in (-2, -1, 0, 1, 2)]


def copies(sample: Sample, held: Sample | None) -> Finding | None:
    """Held-out rows that are training rows, a little changed."""
    found = _near_copies(sample, held) or _moved_copies(sample, held) or _overlapping(sample, held)
    return found or _windows_of_one_series(sample, held)


def _near_copies(sample: Sample, held: Sample | None) -> Finding | None:
    """Held-out rows that lie far nearer to a training row than training rows lie to each other."""
    ours, theirs = _points(sample), _points(held) if held is not None else None
    if ours is None or theirs is None or ours.shape[1] != theirs.shape[1] or min(len(ours), len(theirs)) < 100:
        return None
    deviation = ours.std(0)
    deviation = np.maximum(deviation, 0.1 * deviation.max() + 1e-12)
    ours, theirs = ours / deviation, theirs / deviation
    within = _nearest(ours, ours, same=True)
    usual = float(np.median(within))
    if usual < 1e-9:
        return None
    close = _nearest(theirs, ours) < LIMITS.copies * usual
    among = float((within < LIMITS.copies * usual).mean())
    share = float(close.mean())
    if close.sum() < 5 or share <= max(LIMITS.overlap_critical, 3 * among + 0.01):
        return None
    evidence = (
        f"{int(close.sum())} of {len(theirs):,} held-out rows lie within a tenth of the usual distance of one of "
        f"{len(ours):,} training rows; of the training rows themselves {among:.1%} lie so near another."
    )
    return _copied(evidence, "Copies of training rows, a little changed, are among the held-out ones.", share, among)


def _points(sample: Sample) -> np.ndarray | None:
    """At most 512 rows of number or picture inputs as points, pictures made small."""
    parts = []
    for each in sample.inputs:
        if each.dim() == 4 and (each.is_floating_point() or is_picture(each)):
            parts.append(small(each[:512]).flatten(1).cpu().numpy().astype(np.float64))
        elif each.dim() == 2 and each.is_floating_point() and each.shape[1] >= 3:
            parts.append(np.nan_to_num(each[:512].detach().float().cpu().numpy().astype(np.float64)))
    return np.concatenate(parts, 1) if parts and len({len(each) for each in parts}) == 1 else None


def _nearest(rows: np.ndarray, others: np.ndarray, same: bool = False) -> np.ndarray:
    """The distance of each row to the nearest of the others, itself left out where they are the same."""
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * rows @ others.T
    if same:
        np.fill_diagonal(squares, np.inf)
    return np.sqrt(np.maximum(squares.min(1), 0.0))


def _moved_copies(sample: Sample, held: Sample | None) -> Finding | None:
    """Held-out pictures that lie far nearer to a training picture once that is moved by a pixel or two, or mirrored,
    whatever their brightness, than training pictures do among themselves."""
    ours, theirs = _pictures(sample), _pictures(held)
    if ours is None or theirs is None or ours.shape[1:] != theirs.shape[1:]:
        return None
    middle = _cut(ours, 0, 0)
    own, other = _unit(middle), _unit(_cut(theirs, 0, 0))
    among, across, mirrored = torch.full((len(own),), -1.0), torch.full((len(other),), -1.0), 0.0
    for down, right in MOVES:
        moved = _unit(_cut(ours, down, right))
        alike = own @ moved.T
        among = torch.maximum(among, alike.fill_diagonal_(-1.0).amax(1))
        across = torch.maximum(across, (other @ moved.T).amax(1))
    flipped = (other @ _unit(middle.flip(3)).T).amax(1)
    # Of unit length, 1 - cosine is half the squared distance: a tenth of the usual distance is a hundredth of it.
    limit = LIMITS.copies**2 * float((1 - among).median())
    within = float((1 - among < limit).float().mean())
    mirrored = float((1 - flipped < limit).float().mean())
    close = torch.maximum(across, flipped)
    share = float((1 - close < limit).float().mean())
    if share * len(other) < 5 or share <= max(LIMITS.overlap_critical, 3 * within + 0.01):
        return None
    how = "mirrored" if mirrored > share / 2 else "moved by a pixel or two, or made brighter"
    return _copied(
        f"{share:.1%} of {len(other)} held-out pictures are one of {len(own)} training pictures {how}; of the training "
        f"pictures themselves {within:.1%} are another one's like.",
        "The pictures were augmented first and split afterwards.",
        share,
        within,
    )


def _pictures(sample: Sample | None) -> Tensor | None:
    """At most 512 pictures of at most 28 pixels a side, which one argument must be."""
    found = [each for each in sample.inputs if each.dim() == 4] if sample is not None else []
    if len(found) != 1 or len(found[0]) < 100 or min(found[0].shape[2:]) < 8:
        return None
    if not (found[0].is_floating_point() or is_picture(found[0])):
        return None
    height, width = (min(SIDE, side) for side in found[0].shape[2:])
    pictures = torch.nn.functional.adaptive_avg_pool2d(found[0][:512].detach().float().cpu(), (height, width))
    return pictures if bool(pictures.isfinite().all()) else None


def _cut(pictures: Tensor, down: int, right: int) -> Tensor:
    """The inside of each picture, moved by so many pixels."""
    height, width = pictures.shape[2:]
    return pictures[:, :, 2 + down : height - 2 + down, 2 + right : width - 2 + right]


def _unit(pictures: Tensor) -> Tensor:
    """Each picture's pixels about their mean, at unit length."""
    flat = pictures.flatten(1)
    return torch.nn.functional.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def _stretches(row: np.ndarray, length: int) -> set[int]:
    """Hashes of so many tokens in a row, of what stands between the runs of one token that fill both ends up."""
    changes = np.flatnonzero(np.diff(row)) + 1
    inside = row[changes[0] - 1 : changes[-1] + 1] if len(changes) else row[:0]
    if len(inside) < length:
        return set()
    return {hash(piece.tobytes()) for piece in np.lib.stride_tricks.sliding_window_view(inside, length)}


def _overlapping(sample: Sample, held: Sample | None) -> Finding | None:
    """Held-out sequences of tokens half of which stand, token by token, in a training sequence as well."""
    ours, theirs = _tokens(sample), _tokens(held)
    if ours is None or theirs is None or ours.shape[1] != theirs.shape[1]:
        return None
    length = max(8, ours.shape[1] // 2)
    known: set[int] = set()
    within, rows = 0, 0
    for row in ours:
        stretches = _stretches(row, length)
        if not stretches or len(np.unique(row)) < 4:
            continue
        rows += 1
        within += bool(stretches & known)
        known |= stretches
    varied = [row for row in theirs if len(np.unique(row)) >= 4]
    found = sum(bool(_stretches(row, length) & known) for row in varied)
    if rows < 100 or len(varied) < 100:
        return None
    share, among = found / len(varied), within / rows
    if share < LIMITS.overlapping or among > 0.5:
        return None  # text of few phrases repeats them in each part
    return _copied(
        f"{share:.0%} of {len(varied)} held-out sequences share {length} or more tokens in a row with one of {rows} "
        f"training sequences.",
        "Windows of one text overlap across the split: split the text first, then cut it.",
        share,
        among,
    )


def _tokens(sample: Sample | None) -> np.ndarray | None:
    first = sample.inputs[0] if sample is not None and sample.inputs else None
    if first is None or first.is_floating_point() or first.dim() != 2 or first.shape[1] < 16:
        return None
    return np.ascontiguousarray(first[:512].cpu().numpy())


def _windows_of_one_series(sample: Sample, held: Sample | None) -> Finding | None:
    """Held-out windows of a series half of which lie, at another place, in training windows as well.

    Measured values do not come again in the same order by chance, so that windows which overlap among themselves, as
    those cut at every step do, are no excuse.
    """
    for ours, theirs in zip(_moments(sample), _moments(held), strict=False):
        if ours.shape[1] != theirs.shape[1] or len(np.unique(ours)) < LIMITS.moments:
            continue
        (known, places, _), (runs, at, varied) = _runs(ours), _runs(theirs)
        order = known.flatten().argsort()
        known, places = known.flatten()[order], places.flatten()[order]
        nearest = np.searchsorted(known, runs).clip(max=len(known) - 1)
        elsewhere = (known[nearest] == runs) & (places[nearest] != at) & varied
        share = float((elsewhere.sum(1) * 2 > np.maximum(varied.sum(1), 1)).mean())
        if share >= LIMITS.overlapping and _answered(sample, held):
            return _copied(
                f"{share:.0%} of {len(theirs)} held-out windows lie by half or more in {len(ours)} training windows.",
                "Windows of one series overlap across the split: split the series first, then cut it.",
                share,
                0.0,
            )
    return None


def _answered(sample: Sample, held: Sample | None) -> bool:
    """Whether the training rows hold what the held-out ones ask for: a forecast may look back on what was learned from,
    as long as what it tells lies beyond. Of classes the window itself is what is asked about."""
    target = held.target if held is not None else None
    if held is None or target is None or sample.target is None or not target.is_floating_point():
        return target is not None
    for ours, theirs in zip(_told(sample), _told(held), strict=True):
        if min(len(ours), len(theirs)) and ours.shape[1] == theirs.shape[1]:
            known = np.unique(_runs(ours)[0])
            # The last run holds the answer, or its end; single values come again by chance where few digits are kept.
            if float(np.isin(_runs(theirs)[0][:, -1], known).mean()) > 0.5:
                return True
    return False


def _told(sample: Sample) -> Iterator[np.ndarray]:
    """Each window with what is asked for behind it, as moments: of all channels, or of one where one is asked for; by
    either axis of window and answer."""
    first, target = sample.inputs[0][:512].detach().float().cpu(), sample.target
    assert target is not None
    answer = target[:512].detach().float().cpu().reshape(len(first), -1)
    first = first[:, :, None] if first.dim() == 2 else first
    for window in (first, first.transpose(1, 2)):
        channels, fits = window.shape[2], 16 <= window.shape[1] <= 1024
        whole = fits and answer.shape[1] >= channels and answer.shape[1] % channels == 0
        yield _hashed(window, answer.view(len(first), -1, channels)) if whole else NOTHING
        yield _hashed(window, answer.view(len(first), channels, -1).transpose(1, 2)) if whole else NOTHING
        for channel in range(CHANNELS):
            alone = window[:, :, channel : channel + 1]
            yield _hashed(alone, answer[:, :, None]) if fits and channel < channels else NOTHING


def _hashed(window: Tensor, behind: Tensor) -> np.ndarray:
    """The moments of a window and of what comes behind it, (rows, time)."""
    rows = np.ascontiguousarray(torch.cat([window, behind], 1).numpy())
    return np.array([[hash(moment.tobytes()) for moment in row] for row in rows], dtype=np.int64)


def _runs(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every eight moments in a row as one number, where they begin, and whether they are not mostly the same."""
    pieces = np.lib.stride_tricks.sliding_window_view(moments, 8, axis=1)
    powers = np.array([6364136223846793005**power % 2**63 for power in range(1, 9)], dtype=np.int64)
    varied = (np.diff(np.sort(pieces, 2), axis=2) != 0).sum(2) >= 5
    return (pieces * powers).sum(2), np.broadcast_to(np.arange(pieces.shape[1]), pieces.shape[:2]), varied


def _moments(sample: Sample | None) -> list[np.ndarray]:
    """What is measured at a time as one number, (rows, time), with either axis of a series taken for its time."""
    first = sample.inputs[0] if sample is not None and sample.inputs else None
    if first is None or not first.is_floating_point() or first.dim() not in (2, 3) or len(first) < 100:
        return []
    values = first[:512].detach().float().cpu()
    ways = [values[:, :, None]] if values.dim() == 2 else [values, values.transpose(1, 2)]
    found = []
    for each in ways:
        rows = np.ascontiguousarray(each.numpy())
        fits = 16 <= rows.shape[1] <= 1024
        marks = [[hash(moment.tobytes()) for moment in row] for row in rows] if fits else []
        found.append(np.array(marks or np.zeros((0, 16)), dtype=np.int64))
    return found


def _copied(evidence: str, cause: str, share: float, within: float) -> Finding:
    return Finding(
        "data-leakage",
        "split",
        "critical" if share > 0.02 else "warn",
        evidence,
        cause,
        0.85,
        statistic={"value": share, "healthy": [0, LIMITS.overlap_critical], "within training": within},
    )
