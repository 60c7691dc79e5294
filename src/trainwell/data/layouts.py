"""The name of a layout to the transform that gives it."""

from typing import Any

import numpy as np

from trainwell.data.box_transform import BoxTransform
from trainwell.data.clips import SoundTransform
from trainwell.data.holes import MaskedTransform, SpansTransform
from trainwell.data.likeness_transform import LikenessTransform
from trainwell.data.mask_transform import MaskTransform
from trainwell.data.passages import AnswerTransform
from trainwell.data.sentences import PairsTransform
from trainwell.data.speech_transform import SpeechTransform
from trainwell.data.stream import StreamTransform
from trainwell.data.tagged import TagTransform
from trainwell.data.tokens import TextTransform
from trainwell.data.transform import Transform
from trainwell.data.windows import SeriesTransform
from trainwell.errors import InputError

VERSION = 1  # of what transforms save

TRANSFORMS: dict[str, Any] = {
    "columns": Transform,
    "vector": Transform,
    "image": Transform,
    "mask": MaskTransform,
    "boxes": BoxTransform,
    "likeness": LikenessTransform,
    "tokens": TextTransform,
    "sound": SoundTransform,
    "sound with length": SoundTransform,
    "speech": SpeechTransform,
    "stream": StreamTransform,
    "masked": MaskedTransform,
    "spans": SpansTransform,
    "pairs": PairsTransform,
    "tags": TagTransform,
    "answers": AnswerTransform,
    "series": SeriesTransform,
    "series with phase": SeriesTransform,
    "series with covariates": SeriesTransform,
}
PICTURED = ("image", "mask")  # layouts whose inputs are pictures: (rows, channels, height, width) bytes


def restored(state: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The transform that was saved, of whatever layout; raises InputError for one of a later version."""
    if state.get("version", 1) > VERSION:
        raise InputError(
            f"the transform was saved by a later trainwell (version {state['version']}, this one reads {VERSION})"
        )
    made = TRANSFORMS[state["layout"]].restore(state, arrays)
    made.notes = list(state.get("notes", []))
    return made
