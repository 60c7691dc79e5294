"""Letters one after another: a makemore-like table, a char-RNN and a nanoGPT, and what goes wrong in them."""

import copy
import math

import torch
from benchmarks.doctor.apprentices.composing_data import DoctorOf, first_names, plays
from benchmarks.doctor.loops.planted import FAST, STEEP, Mistake
from torch import Tensor, nn
from torch.nn import functional as F


def contexts(names: list[str]) -> tuple[Tensor, Tensor]:
    """Three letters and the one that follows, 0 at both ends."""
    before, after = [], []
    for each in names:
        letters = [0, 0, 0, *(ord(letter) - 96 for letter in each), 0]
        for at in range(3, len(letters)):
            before.append(letters[at - 3 : at])
            after.append(letters[at])
    return torch.tensor(before), torch.tensor(after)


def next_letter(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A hand-made MLP over three letters of names; score: share of ln 27 that is saved."""
    (xs, ys), (far, right) = contexts(first_names()[:8000]), contexts(first_names()[-1500:])
    p = nn.ParameterDict({
        "C": torch.randn(27, 10),
        "W1": torch.randn(30, 200) * (5 / 3) / 30**0.5,
        "b1": torch.randn(200) * (100 if name == "first biases a hundred wide, not a hundredth" else 0.01),
        "W2": torch.randn(200, 27) * (4.0 if name == "last layer from a normal four wide" else 0.01),
        "b2": torch.zeros(27),
    })  # fmt: skip
    if name == "last layer at nought":
        nn.init.zeros_(p["W2"])
    optimizer = torch.optim.SGD(p.parameters(), lr=0.25)

    def forward(x: Tensor) -> Tensor:
        return torch.tanh(p["C"][x].view(-1, 30) @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]

    how = "sum" if name == "losses added at the mean's rate" else "mean"
    doctor = doctor_of(p, optimizer)
    for step in range(500):
        if step == 400:
            optimizer.param_groups[0]["lr"] *= 0.1
        ix = torch.randint(0, len(xs), (64,))
        loss = F.cross_entropy(forward(xs[ix]), ys[ix], reduction=how)
        for each in p.values():
            each.grad = None
        loss.backward()
        optimizer.step()
        doctor.watch(loss, xs[ix], ys[ix])
    doctor.close()
    with torch.no_grad():
        return 1 - F.cross_entropy(forward(far), right).item() / math.log(27)


class CharRNN(nn.Module):
    """Letters to scores of the next, and the state."""

    def __init__(self, size: int, rows_first: bool = True, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = nn.Embedding(65, 32)
        self.rnn = nn.LSTM(32, size, layers, batch_first=rows_first, dropout=dropout)
        self.decoder = nn.Linear(size, 65)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden


def char_rnn(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """An LSTM over Shakespeare whose state is carried on; score: share of ln 65 saved on what it never read."""
    text = plays()
    rows = text[: 32 * 30000].view(32, 30000)
    model = CharRNN(96, name != "rows taken for moments")
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    criterion = nn.CrossEntropyLoss()
    doctor = doctor_of(model, optimizer, loss=lambda out, target: criterion(out[0].transpose(1, 2), target))
    hidden, kept, shift = None, [], 0 if name == "the letter itself as the answer" else 1
    for step in range(260):
        at = step * 32
        x, y = rows[:, at : at + 32], rows[:, at + shift : at + 32 + shift]
        if hidden is not None:
            hidden = tuple(each.detach() for each in hidden)
        if name in ("rows taken for moments", "state begun anew for each piece"):
            hidden = None
        if name != "gradients of all pieces added":
            optimizer.zero_grad()
        out, hidden = model(x, hidden)
        loss = criterion(out.transpose(1, 2), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        if name == "scores of all pieces kept for a plot":
            kept.append((out, hidden, loss))
        doctor.watch(loss, x, y)
    doctor.close()
    far = text[-32 * 1000 :].view(32, 1000)
    with torch.no_grad():
        out, _ = model(far[:, :-1], None)
        return 1 - criterion(out.transpose(1, 2), far[:, 1:]).item() / math.log(65)


class Block(nn.Module):
    """Masked attention of four heads and an MLP, norms first."""

    def __init__(self, size: int, length: int, masked: bool) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.c_attn, self.c_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        seen = torch.ones(length, length)
        self.register_buffer("bias", torch.tril(seen) if masked else seen)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = (each.view(b, t, 4, c // 4).transpose(1, 2) for each in self.c_attn(self.ln_1(x)).split(c, dim=2))
        att = (q @ k.transpose(-2, -1)) / math.sqrt(c // 4)
        att = F.softmax(att.masked_fill(self.bias[:t, :t] == 0, float("-inf")), dim=-1)
        y = (att @ v).transpose(1, 2).reshape(b, t, c)
        x = x + self.c_proj(y)
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Two blocks; the head shares its weights with the letters' table."""

    def __init__(self, masked: bool, spread: float) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(65, 64), nn.Embedding(48, 64)
        self.blocks = nn.Sequential(*(Block(64, 48, masked) for _ in range(2)))
        self.ln_f, self.lm_head = nn.LayerNorm(64), nn.Linear(64, 65, bias=False)
        for each in self.modules():
            if isinstance(each, nn.Linear | nn.Embedding):
                nn.init.normal_(each.weight, std=0.1)
        self.lm_head.weight = self.wte.weight
        nn.init.normal_(self.wte.weight, std=spread)

    def forward(self, idx: Tensor) -> Tensor:
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        return self.lm_head(self.ln_f(self.blocks(x)))


def nano_gpt(doctor_of: DoctorOf, seed: int, name: str) -> float:
    """A small GPT over Shakespeare with warm-up, cosine and clipping; score: share of ln 65 saved on new text."""
    text = plays()
    model = GPT(name != "a mask of nothing but ones",
                6.0 if name == "tied tables six wide" else 0.1)  # fmt: skip
    top = 4e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=top, betas=(0.9, 0.95), weight_decay=0.1)
    micro = 2 if name == "two small batches for one" else 1

    def get_batch(part: Tensor) -> tuple[Tensor, Tensor]:
        ix = torch.randint(len(part) - 49, (16 // micro if part is not held else 64,))
        return torch.stack([part[i : i + 48] for i in ix]), torch.stack([part[i + 1 : i + 49] for i in ix])

    @torch.no_grad()
    def estimate_loss() -> float:
        far, right = get_batch(held)
        cost = F.cross_entropy(model.eval()(far).view(-1, 65), right.view(-1)).item()
        model.train()
        return cost

    train, held = text[:1000000], text[1000000:]
    doctor = doctor_of(model, optimizer)
    saved = copy.deepcopy(model.state_dict())
    for step in range(240):
        rate = top * min((step + 1) / 20, 0.1 + 0.45 * (1 + math.cos(math.pi * step / 240)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        for _ in range(micro):
            x, y = get_batch(train)
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "sixteen bits where they do"):
                logits = model(x)
            loss = F.cross_entropy(logits.float().view(-1, 65), y.view(-1)) / micro
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if name == "the first checkpoint loaded at each interruption" and step % 70 == 69:
            model.load_state_dict(saved)
        told = {"validation": estimate_loss()} if step % 60 == 59 else {}
        doctor.watch(loss * micro, x, y, **told)
    doctor.close()
    torch.manual_seed(1)
    return 1 - estimate_loss() / math.log(65)


PROGRAMS = (next_letter, char_rnn, nano_gpt)
AWKWARD = (
    ("next_letter", "last layer at nought"), ("char_rnn", "state begun anew for each piece"),
    ("nano_gpt", "sixteen bits where they do"), ("nano_gpt", "two small batches for one"),
)  # fmt: skip
MISTAKES = (
    Mistake("next_letter", "first biases a hundred wide, not a hundredth", "saturated-activations", STEEP),
    Mistake("next_letter", "last layer from a normal four wide", "wrong-initial-loss", ("bad-initialization",)),
    Mistake("next_letter", "losses added at the mean's rate", "learning-rate-too-high",
            (*FAST, "saturated-activations")),
    Mistake("char_rnn", "rows taken for moments", "cross-sample-leak", ("no-long-range-signal",), False),
    Mistake("char_rnn", "the letter itself as the answer", "data-leakage",
            ("cross-sample-leak", "targets-out-of-range"), False),
    Mistake("char_rnn", "gradients of all pieces added", "missing-zero-grad"),
    Mistake("char_rnn", "scores of all pieces kept for a plot", "memory-leak", (), False, "symptom"),
    Mistake("nano_gpt", "a mask of nothing but ones", "cross-sample-leak", ("data-leakage", "transformer-instability"),
            False, "too good"),
    Mistake("nano_gpt", "tied tables six wide", "wrong-initial-loss", ("bad-initialization",)),
    Mistake("nano_gpt", "the first checkpoint loaded at each interruption", "training-state-lost", ("loss-spike",),
            False),
)  # fmt: skip
