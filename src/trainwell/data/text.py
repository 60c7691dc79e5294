"""Texts to numbers of tokens and back: characters, bytes, or words and pieces of words by the tokenizers library."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainwell.errors import InputError, suggest

PADDING, UNKNOWN = 0, 1  # the first two tokens of every vocabulary
SPECIAL = ["<padding>", "<unknown>"]
SAMPLE = 20_000  # texts that a vocabulary is learned from at most


class Tokenizer(Protocol):
    """What turns texts into tokens: token 0 pads, token 1 stands for what the vocabulary lacks."""

    vocabulary: int

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]: ...

    def located(self, text: str) -> tuple[np.ndarray, np.ndarray]: ...

    def decode(self, tokens: Iterable[int]) -> str: ...

    def save(self) -> dict[str, Any]: ...


class Characters:
    """Each character a token; those that the training texts lack are unknown."""

    def __init__(self, characters: list[str]) -> None:
        self.characters = characters
        self.vocabulary = len(characters) + len(SPECIAL)
        self.place = {each: place for place, each in enumerate(characters, start=len(SPECIAL))}

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.fromiter((self.place.get(each, UNKNOWN) for each in text), np.int32, len(text)) for text in texts]

    def located(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a text and the characters (tokens, 2) that each stands for, the end not included."""
        at = np.arange(len(text))
        return self.encode([text])[0], np.stack([at, at + 1], 1)

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(
            self.characters[each - len(SPECIAL)] if each >= len(SPECIAL) else "\ufffd" for each in tokens if each
        )

    def save(self) -> dict[str, Any]:
        return {"name": "characters", "characters": "".join(self.characters)}


class Bytes:
    """Each byte of the text in UTF-8 a token: nothing is ever unknown."""

    vocabulary = 256 + len(SPECIAL)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.int32) + len(SPECIAL) for text in texts]

    def located(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a text and the characters (tokens, 2) that each stands in, the end not included."""
        at = np.repeat(np.arange(len(text)), [len(each.encode()) for each in text])
        return self.encode([text])[0], np.stack([at, at + 1], 1)

    def decode(self, tokens: Iterable[int]) -> str:
        return bytes(each - len(SPECIAL) for each in tokens if each >= len(SPECIAL)).decode("utf-8", errors="replace")

    def save(self) -> dict[str, Any]:
        return {"name": "bytes"}


class Learned:
    """Words, or pieces of words, as the tokenizers library learned them."""

    def __init__(self, name: str, content: str) -> None:
        self.name, self.content = name, content
        self.tokenizer = _library().Tokenizer.from_str(content)
        self.vocabulary = self.tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, dtype=np.int32) for each in encodings]

    def located(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a text and the characters (tokens, 2) that each stands for, the end not included."""
        found = self.tokenizer.encode(text, add_special_tokens=False)
        return np.array(found.ids, dtype=np.int32), np.array(found.offsets, dtype=np.int64).reshape(-1, 2)

    def decode(self, tokens: Iterable[int]) -> str:
        return self.tokenizer.decode([each for each in tokens if each != PADDING])

    def save(self) -> dict[str, Any]:
        return {"name": self.name, "content": self.content}


class Pretrained(Learned):
    """A tokenizer that came with weights, from its tokenizer.json, and the tokens that it puts around a text."""

    def __init__(self, content: str) -> None:
        super().__init__("file", content)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        plain, whole = (self.tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        first = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
        self.around: tuple[list[int], list[int]] = whole[:first], whole[first + len(plain) :]

    @classmethod
    def read(cls, path: str) -> "Pretrained":
        """The tokenizer of a file; raises InputError where it is none."""
        library = _library()
        try:
            content = Path(path).read_text(encoding="utf-8")
            library.Tokenizer.from_str(content)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"transform.tokenizer={path}: cannot be read: {error}") from None
        except Exception as error:  # the library raises Exception itself
            raise InputError(
                f"transform.tokenizer={path}: no tokenizer.json of the tokenizers library: {error}"
            ) from None
        return cls(content)


def enclosed(tokenizer: Tokenizer, pieces: np.ndarray, length: int, cut: str = "middle") -> np.ndarray:
    """The tokens of a text, cut so that they fit a length with what the tokenizer puts around them."""
    before, after = getattr(tokenizer, "around", ([], []))
    inside = shortened(pieces, max(0, length - len(before) - len(after)), cut)
    if not before and not after:
        return inside
    return np.concatenate([np.array(before, np.int32), inside, np.array(after, np.int32)])


def shortened(pieces: np.ndarray, length: int, cut: str) -> np.ndarray:
    """At most `length` tokens of a text: its beginning, or where its middle is cut its first quarter and its end.

    Long texts say much of what they are at their ends: Sun et al. 2019, arXiv:1905.05583.
    """
    if len(pieces) <= length:
        return pieces
    first = length // 4 if cut == "middle" else length
    return np.concatenate([pieces[:first], pieces[len(pieces) - (length - first) :]])


NAMES = ("characters", "bytes", "words", "bpe", "wordpiece", "unigram")


def tokenizer_of(name: str, texts: Sequence[str], size: int) -> Tokenizer:
    """A tokenizer of this name, its vocabulary of at most so many tokens learned from these texts.

    A name that ends in .json is a file, as weights have it beside them; nothing is learned then. Raises InputError for
    an unknown name, texts without content, or where the tokenizers library is needed and missing.
    """
    if name.endswith(".json"):
        return Pretrained.read(name)
    if name not in NAMES:
        raise InputError(f"transform.tokenizer={name!r}: no such tokenizer; {suggest(name, NAMES)}")
    if not any(text.strip() for text in texts):
        raise InputError("the texts to learn from are all empty; there is nothing to learn a vocabulary from")
    if name == "bytes":
        return Bytes()
    if name == "characters":
        counts = Counter(character for text in texts for character in text)
        return Characters(sorted(character for character, _ in counts.most_common(size)))
    return Learned(name, _learn(name, texts, size))


def restored_tokenizer(saved: dict[str, Any]) -> Tokenizer:
    """The tokenizer that was saved."""
    if saved["name"] == "characters":
        return Characters(list(saved["characters"]))
    if saved["name"] == "file":
        return Pretrained(saved["content"])
    return Bytes() if saved["name"] == "bytes" else Learned(saved["name"], saved["content"])


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise InputError(
            "words and pieces of words need the tokenizers library: pip install -c constraints.txt -e .[text]; "
            "transform.tokenizer=characters or bytes needs no library"
        ) from None
    return tokenizers


def _learn(name: str, texts: Sequence[str], size: int) -> str:
    """A tokenizer of the library, trained, as its JSON."""
    library = _library()
    models, trainers, parts = library.models, library.trainers, library.pre_tokenizers
    if len(texts) > SAMPLE:
        texts = [texts[place] for place in np.linspace(0, len(texts) - 1, SAMPLE).round().astype(int)]
    options: dict[str, Any] = {"vocab_size": size, "special_tokens": SPECIAL, "show_progress": False}
    if name == "bpe":  # of bytes, so that nothing is unknown
        made = library.Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = parts.ByteLevel(add_prefix_space=False), library.decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=parts.ByteLevel.alphabet(), **options)
    elif name == "unigram":
        made = library.Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = parts.Metaspace(), library.decoders.Metaspace()
        trainer = trainers.UnigramTrainer(unk_token=SPECIAL[UNKNOWN], **options)
    else:
        kind = {"words": models.WordLevel, "wordpiece": models.WordPiece}[name]
        made = library.Tokenizer(kind(unk_token=SPECIAL[UNKNOWN]))
        made.normalizer = library.normalizers.BertNormalizer()  # lower case, without accents
        made.pre_tokenizer = parts.BertPreTokenizer()
        if name == "words":
            trainer = trainers.WordLevelTrainer(min_frequency=2, **options)
        else:
            made.decoder = library.decoders.WordPiece()
            trainer = trainers.WordPieceTrainer(**options)
    made.train_from_iterator(texts, trainer)
    return made.to_str()
