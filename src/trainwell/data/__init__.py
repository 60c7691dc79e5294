"""Files as users have them to batches: source, schema, split, transform, loader."""

import importlib
from typing import TYPE_CHECKING, Any

from trainwell.data.answer_kind import in_order, infer_as
from trainwell.data.answers import as_answers, looks_like_answers
from trainwell.data.boxes import as_boxes, looks_like_boxes
from trainwell.data.infer import drop_unlabelled, infer
from trainwell.data.language import as_language, looks_like_language
from trainwell.data.likeness import as_likeness
from trainwell.data.pairs import as_pairs, looks_like_pairs
from trainwell.data.schema import Column, Schema
from trainwell.data.segment import as_segments
from trainwell.data.series import as_series, looks_like_series, stamps_after
from trainwell.data.source import SOURCES, Source, read
from trainwell.data.speech import as_speech, spoken_column
from trainwell.data.split import Split, split
from trainwell.data.tags import as_tags, looks_like_tags
from trainwell.data.whole import as_whole

if TYPE_CHECKING:
    from trainwell.data.ahead import EncodedRows, PictureRows
    from trainwell.data.augment import AUGMENTATIONS
    from trainwell.data.bucketed import BucketedLoader
    from trainwell.data.layouts import PICTURED, TRANSFORMS, restored
    from trainwell.data.loader import Loader, StreamingLoader, fits
    from trainwell.data.transform import Transform

__all__ = [
    "AUGMENTATIONS",
    "PICTURED",
    "SOURCES",
    "TRANSFORMS",
    "BucketedLoader",
    "Column",
    "EncodedRows",
    "Loader",
    "PictureRows",
    "Schema",
    "Source",
    "Split",
    "StreamingLoader",
    "Transform",
    "as_answers",
    "as_boxes",
    "as_language",
    "as_likeness",
    "as_pairs",
    "as_segments",
    "as_series",
    "as_speech",
    "as_tags",
    "as_whole",
    "drop_unlabelled",
    "fits",
    "in_order",
    "infer",
    "infer_as",
    "looks_like_answers",
    "looks_like_boxes",
    "looks_like_language",
    "looks_like_pairs",
    "looks_like_series",
    "looks_like_tags",
    "read",
    "restored",
    "split",
    "spoken_column",
    "stamps_after",
]

# These need torch, which takes seconds to import: reading data and its schema goes without it.
_LATE = {
    "AUGMENTATIONS": "trainwell.data.augment",
    "BucketedLoader": "trainwell.data.bucketed",
    "Loader": "trainwell.data.loader",
    "EncodedRows": "trainwell.data.ahead",
    "PictureRows": "trainwell.data.ahead",
    "StreamingLoader": "trainwell.data.loader",
    "fits": "trainwell.data.loader",
    "PICTURED": "trainwell.data.layouts",
    "TRANSFORMS": "trainwell.data.layouts",
    "restored": "trainwell.data.layouts",
    "Transform": "trainwell.data.transform",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'trainwell.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)
