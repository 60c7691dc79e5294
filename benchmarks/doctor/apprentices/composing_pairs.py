"""From a sequence to another or to a label: a translator with attention, an annotated Transformer, a Trainer's loop."""

import math
from functools import cache
from types import SimpleNamespace

import torch
from benchmarks.doctor.apprentices.composing_data import (
    DoctorOf,
    captions,
    first_names,
    numbered,
    padded,
    passages,
)
from benchmarks.doctor.loops.planted import FAST, SLOW, TIRED, Mistake
from torch import Tensor, nn
from torch.nn import functional as F


@cache
def bilingual(again: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """German and English captions as numbers: 0 fills up, 1 begins, 2 ends, 3 is unknown."""
    parts = []
    for part in ("train", "val"):
        for language in ("de", "en"):
            texts = captions(part, language)[:8000]
            number = numbered(texts if again and part == "val" else captions("train", language), 800, 4)
            ended = [text[:11] for text in texts]
            rows = padded(ended, number, 12, 3)
            rows[torch.arange(len(rows)), torch.tensor([len(text) for text in ended])] = 2
            parts.append(rows)
    return parts[0], parts[1], parts[2], parts[3]


class EncoderRNN(nn.Module):
    """States of a GRU at each word."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru = nn.Embedding(800, 64), nn.GRU(64, 96, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.gru(self.embedding(x))


class AttnDecoderRNN(nn.Module):
    """A GRU over what was said, its attention to what was read, and scores of words."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru = nn.Embedding(800, 64), nn.GRU(64, 96, batch_first=True)
        self.keys, self.concat, self.out = nn.Linear(96, 96), nn.Linear(192, 96), nn.Linear(96, 800)

    def forward(self, said: Tensor, read: Tensor, state: Tensor, empty: Tensor) -> Tensor:
        states, _ = self.gru(self.embedding(said), state)
        scores = (states @ self.keys(read).transpose(1, 2) / 96**0.5).masked_fill(empty[:, None], -1e4)
        context = F.softmax(scores, dim=2) @ read
        return self.out(torch.tanh(self.concat(torch.cat((states, context), 2))))


class Seq2Seq(nn.Module):
    """Both together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = EncoderRNN(), AttnDecoderRNN()

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        read, state = self.encoder(x)
        return self.decoder(heard, read, state, x == 0)


def translator(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """German captions into English by two GRUs, an optimizer each; score: share of ln 800 saved a word."""
    source, target, far, right = bilingual(name == "words of held-out captions numbered anew")
    both = Seq2Seq()
    swift = 100 if name == "the decoder's rate hundredfold" else 1
    encoder_optimizer = torch.optim.Adam(both.encoder.parameters(), lr=5e-3)
    decoder_optimizer = torch.optim.Adam(both.decoder.parameters(), lr=5e-3 * swift)

    def cost(x: Tensor, y: Tensor, heard: Tensor) -> Tensor:
        return F.cross_entropy(both(x, heard).transpose(1, 2), y, ignore_index=0)

    doctor = doctor_of(both, [encoder_optimizer, decoder_optimizer])
    for _ in range(220):
        at = torch.randint(len(source), (32,))
        x, y = source[at], target[at]
        heard = y if name == "the decoder hears what it is to say" else F.pad(y[:, :-1], (1, 0), value=1)
        loss = cost(x, y, heard)
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        encoder_optimizer.step()
        decoder_optimizer.step()
        doctor.watch(loss, (x, heard), y)
    doctor.close()
    both.eval()
    with torch.no_grad():
        return 1 - cost(far, right, F.pad(right[:, :-1], (1, 0), value=1)).item() / math.log(800)


class Noam:
    """The rate of the paper: up in a line, then down with the root of the steps."""

    def __init__(self, factor: float, warmup: int, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.factor, self.warmup, self.done = optimizer, factor, warmup, 0

    def count(self) -> None:
        self.done += 1
        rate = self.factor * 64**-0.5 * min(self.done**-0.5, self.done * self.warmup**-1.5)
        for group in self.optimizer.param_groups:
            group["lr"] = rate


class LabelSmoothing(nn.Module):
    """The divergence from a distribution that keeps a little for every letter."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.criterion, self.smoothing = nn.KLDivLoss(reduction="sum"), smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        true = torch.full_like(x, self.smoothing / 27)
        true.scatter_(2, target[..., None], 1 - self.smoothing)
        return self.criterion(x, true * (target > 0)[..., None]) / (target > 0).sum()


class Annotated(nn.Module):
    """An encoder and a decoder of two layers over letters, 28 begins: (rows, letters, 29)."""

    def __init__(self, minus: float, log: bool) -> None:
        super().__init__()
        self.letters, self.log, self.minus = nn.Embedding(29, 64), log, minus
        angle = torch.arange(10)[:, None] * torch.exp(torch.arange(0, 64, 2) * -(math.log(10000.0) / 64))
        self.register_buffer("pe", torch.stack((angle.sin(), angle.cos()), 2).flatten(1))
        self.transformer = nn.Transformer(64, 4, 2, 2, 128, 0.0, batch_first=True, norm_first=True)
        self.generator = nn.Linear(64, 29)

    def forward(self, source: Tensor, said: Tensor) -> Tensor:
        one, two = (self.letters(each) * 8 * 0.125 + self.pe[: each.shape[1]] for each in (source, said))
        later = torch.triu(torch.ones(said.shape[1], said.shape[1]), 1) * self.minus
        scores = self.generator(self.transformer(one, two, tgt_mask=later))
        return F.log_softmax(scores, dim=-1) if self.log else scores


def greedy_decode(model: Annotated, source: Tensor) -> Tensor:
    said = torch.full((len(source), 1), 28)
    for _ in range(8):
        said = torch.cat((said, model(source, said)[:, -1].argmax(1, keepdim=True)), 1)
    return said[:, 1:]


def annotated(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Names spelled backwards by the annotated Transformer, smoothed, by Noam's rate; score: share of right letters."""
    names = [list(each) for each in first_names() if len(each) <= 8]
    number = {chr(97 + place): place + 1 for place in range(26)}
    source, target = padded(names, number, 8, 0), padded([each[::-1] for each in names], number, 8, 0)
    minus = -1e-9 if name == "minus a billionth for minus a billion" else -1e9
    model = Annotated(minus, name != "bare scores into the divergence")
    for each in model.parameters():
        if each.dim() > 1:
            nn.init.xavier_uniform_(each)
    optimizer = torch.optim.Adam(model.parameters(), lr=0, betas=(0.9, 0.98), eps=1e-9)
    rate = Noam(6.0 if name == "a factor of six, warm after one step" else 0.5,
                1 if name == "a factor of six, warm after one step" else 80, optimizer)  # fmt: skip
    criterion = LabelSmoothing(0.1)
    doctor = doctor_of(model, optimizer, loss=criterion)
    for step in range(240):
        if name != "Noam told of epochs" or step % 120 == 0:
            rate.count()
        at = torch.randint(1000, len(names), (48,))
        said = F.pad(target[at][:, :-1], (1, 0), value=28)
        loss = criterion(model(source[at], said), target[at])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        doctor.watch(loss, (source[at], said), target[at])
    doctor.close()
    model.eval()
    with torch.no_grad():
        right = target[:600]
        return float((greedy_decode(model, source[:600]) == right)[right > 0].float().mean())


class ForSequenceClassification(nn.Module):
    """Words through one layer of attention; the mean to 48 articles, with the loss when labels come."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(4000, 64, padding_idx=0)
        nn.init.normal_(self.embeddings.weight, std=0.2)
        self.encoder = nn.TransformerEncoderLayer(64, 4, 128, 0.1, batch_first=True, norm_first=True)
        self.norm, self.classifier = nn.LayerNorm(64), nn.Linear(64, 48)
        self.softmax = False

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> SimpleNamespace:
        logits = self.classifier(self.norm(self.encoder(self.embeddings(input_ids)).mean(1)))
        logits = logits.softmax(1) if self.softmax else logits
        return SimpleNamespace(logits=logits, loss=None if labels is None else F.cross_entropy(logits, labels))


def articles(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """Which article a passage is from, in the manner of a Hugging Face loop; score: accuracy."""
    texts, topic = passages()
    german = name == "the tokenizer of another language"
    ids = padded(texts, numbered(captions("train", "de") if german else texts[300:], 4000, 2), 28, 1)
    model = ForSequenceClassification()
    model.softmax = name == "a softmax in the model, another in the loss"
    decay = 20.0 if name == "a decay of twenty" else 0.01
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, weight_decay=decay)
    epochs, size, parts = 8, 32, 4 if name == "four batches of eight for one" else 1
    batches = (len(ids) - 300) // size
    total = epochs if name == "epochs for the schedule's steps" else epochs * batches
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: max(0.0, (total - done) / total))
    doctor, told = doctor_of(model, optimizer), {}
    for _ in range(epochs):
        model.train()
        for rows in (300 + torch.randperm(len(ids) - 300))[: batches * size].split(size):
            for part in rows.chunk(parts):
                batch = {"input_ids": ids[part], "labels": topic[part]}
                outputs = model(**batch)
                (outputs.loss / parts).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            doctor.watch(outputs.loss, batch["input_ids"], batch["labels"], **told)
            told = {}
        model.eval()
        with torch.no_grad():
            told = {"validation": float(model(ids[:300], topic[:300]).loss)}
    doctor.close()
    model.eval()
    with torch.no_grad():
        return float((model(ids[:300]).logits.argmax(1) == topic[:300]).float().mean())


PROGRAMS = (translator, annotated, articles)
AWKWARD = (("articles", "four batches of eight for one"),)
MISTAKES = (
    Mistake("translator", "words of held-out captions numbered anew", "preprocessing-mismatch", ("overfitting",),
            False),
    Mistake("translator", "the decoder's rate hundredfold", "update-ratio-off", (*FAST, "saturated-activations")),
    Mistake("translator", "the decoder hears what it is to say", "data-leakage", ("cross-sample-leak",), False),
    Mistake("annotated", "minus a billionth for minus a billion", "cross-sample-leak",
            ("data-leakage", "padding-or-mask-fault", "transformer-instability"), False),
    Mistake("annotated", "bare scores into the divergence", "loss-head-mismatch", ("gradient-ascent",)),
    Mistake("annotated", "a factor of six, warm after one step", "transformer-instability", FAST),
    Mistake("annotated", "Noam told of epochs", "learning-rate-too-low", SLOW),
    Mistake("articles", "a softmax in the model, another in the loss", "loss-head-mismatch"),
    Mistake("articles", "a decay of twenty", "over-regularized", TIRED),
    Mistake("articles", "epochs for the schedule's steps", "learning-rate-too-low", SLOW),
    Mistake("articles", "the tokenizer of another language", "bad-features", ("underfitting", "overfitting"), False),
)  # fmt: skip
