"""The name of a layout to the transform that gives it."""

from typing import Any

from trainwell.data.box_transform import BoxTransform
from trainwell.data.clips import SoundTransform
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
    "pairs": PairsTransform,
    "tags": TagTransform,
    "answers": AnswerTransform,
    "series": SeriesTransform,
    "series with phase": SeriesTransform,
    "series with covariates": SeriesTransform,
}
PICTURED = ("image", "mask")  # layouts whose inputs are pictures: (rows, channels, height, width) bytes
