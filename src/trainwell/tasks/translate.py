"""A text and what was written of it so far to the next token: translations, summaries, and how surprising each was."""

from trainwell.tasks.language import Language


class Translate(Language):
    """The next token of a translation, given the source and all tokens before it (teacher forcing).

    A model gives (batch, time, vocabulary) scores. The loss is a sum over tokens, so long sentences weigh more than
    short ones. When it answers, `beams` continuations are kept and scored by log-probability over length to the
    `length_penalty`: above zero favours long texts.
    """

    def __init__(
        self, vocabulary: int, *, label_smoothing: float = 0.1, beams: int = 5, length_penalty: float = 1.0
    ) -> None:
        super().__init__(vocabulary, label_smoothing=label_smoothing)
        if beams < 1:
            raise ValueError(f"beams={beams}: expected 1 or more")
        self.beams, self.length_penalty = beams, length_penalty


class Summarize(Translate):
    """The next token of a summary, given the whole text; learned and written as a translation is, judged by ROUGE."""
