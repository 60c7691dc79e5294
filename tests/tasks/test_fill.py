"""Holes: how many, of what kind and where; the published sentinels; and that hidden tokens alone count."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell.errors import InputError
from trainwell.models.bert import Bert
from trainwell.models.t5 import T5
from trainwell.tasks import MaskedLanguage, SpanCorruption
from trainwell.tasks.fill import stretches, with_sentinels

KNOWN = 500


def batch(rows: int = 8, time: int = 40, padded: int = 0) -> dict:
    tokens = torch.randint(2, KNOWN, (rows, time), generator=torch.Generator().manual_seed(0))
    if padded:
        tokens[:, -padded:] = 0
    return {"inputs": (tokens,), "target": tokens, "row": torch.arange(rows) * 7}


def test_fifteen_of_a_hundred_are_hidden_and_of_these_eighty_ten_and_ten() -> None:
    task, whole = MaskedLanguage(KNOWN + 1, KNOWN), batch(400, 100)
    torch.manual_seed(0)
    seen = next(task.batches(nn.Identity(), whole))
    (shown,), hidden = seen["inputs"], seen["target"] != 0
    assert (hidden.sum(1) == 15).all()
    assert torch.equal(seen["target"][hidden], whole["target"][hidden])
    assert torch.equal(shown[~hidden], whole["target"][~hidden])
    masked, kept = shown[hidden] == KNOWN, shown[hidden] == whole["target"][hidden]
    # 6,000 places: three standard deviations are 1.6 points of 80 and 1.2 of 10
    assert masked.float().mean() == pytest.approx(0.8, abs=0.016)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.013)
    changed = shown[hidden][~masked & ~kept]
    assert len(changed) / 6000 == pytest.approx(0.1, abs=0.013) and len(changed.unique()) > 200
    assert changed.min() >= 2 and changed.max() < KNOWN
    assert hidden.float().mean(0).std() < 0.03, "no place is preferred"
    again = next(task.batches(nn.Identity(), whole))
    assert not torch.equal(again["target"], seen["target"]), "others are hidden at each pass"


def test_only_hidden_places_count_and_padding_is_never_hidden() -> None:
    torch.manual_seed(0)
    task, whole = MaskedLanguage(KNOWN + 1, KNOWN), batch(padded=20)
    model = Bert(KNOWN + 1, width=16, depth=1, heads=2, context=40).eval()
    loss = task.loss(model, whole, "model")
    seen = task.fixed(model, whole)
    places = seen["target"] != 0
    assert (places.sum(1) == 3).all() and not places[:, 20:].any()
    want = F.cross_entropy(model(*seen["inputs"])[places], whole["target"][places], reduction="sum")
    assert torch.allclose(loss.total, want, rtol=1e-5) and loss.count == places.sum() == 24
    with torch.no_grad():
        answer = task.predict(model, whole)
    assert float(answer["nats"].sum()) == pytest.approx(float(want.detach()), rel=1e-4)
    assert answer["tokens"].tolist() == [3] * 8


@pytest.mark.parametrize("kind", ["masked", "spans"])
def test_a_batch_of_eight_is_eight_of_one_and_the_same_again(kind: str) -> None:
    torch.manual_seed(0)
    whole = batch()
    if kind == "masked":
        task, model = MaskedLanguage(KNOWN + 1, KNOWN), Bert(KNOWN + 1, width=16, depth=1, heads=2).eval()
    else:
        task = SpanCorruption(KNOWN + 101, KNOWN)
        model = T5(KNOWN + 101, width=16, depth=1, heads=2, head_width=8, hidden=32).eval()
    ones = [
        {"inputs": (row,), "target": row, "row": number}
        for row, number in zip(whole["target"].split(1), whole["row"].split(1), strict=True)
    ]
    total = sum(task.loss(model, one, "model").total for one in ones)
    assert torch.allclose(task.loss(model, whole, "model").total, total, rtol=1e-5)


def test_sentinels_are_those_of_the_published_example() -> None:
    # Thank you for inviting me to your party last week . -> Thank you <X> me to your party <Y> week .
    #                                                     -> <X> for inviting <Y> last <Z>
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    tokens = torch.arange(len(words)).unsqueeze(0)
    hidden = torch.tensor([[word in ("for", "inviting", "last") for word in words]])
    x, y, z = 99, 98, 97

    def said(row: torch.Tensor) -> list:
        return [words[each] if each < len(words) else {x: "X", y: "Y", z: "Z"}[each] for each in row[0].tolist()]

    assert said(with_sentinels(tokens, hidden, x)) == [
        "Thank",
        "you",
        "X",
        "me",
        "to",
        "your",
        "party",
        "Y",
        "week",
        ".",
    ]
    # where the text ends unhidden, the sentinel of its end follows; "Thank you" comes before the first
    target = with_sentinels(tokens, ~hidden, x)
    assert said(target) == ["X", "for", "inviting", "Y", "last", "Z"]


def test_stretches_are_three_long_on_average_and_as_many_in_each_row() -> None:
    torch.manual_seed(0)
    hidden = stretches(torch.rand(500, 128), torch.rand(500, 128), 0.15, 3.0)
    assert (hidden.sum(1) == 19).all() and not hidden[:, 0].any() and hidden[:, -1].all()
    begins = hidden & ~torch.cat((torch.zeros(500, 1, dtype=torch.bool), hidden[:, :-1]), 1)
    assert (begins.sum(1) == 6).all()
    lengths = torch.stack([begins.cumsum(1).eq(k).logical_and(hidden).sum(1) for k in range(1, 7)])
    assert lengths.float().mean(1).std() < 0.2 and lengths.unique().tolist()[:5] == [1, 2, 3, 4, 5]
    assert lengths.max() > 8, "lengths differ"


def test_spans_rebuild_their_text_and_end() -> None:
    task, whole = SpanCorruption(KNOWN + 101, KNOWN), batch(5, 64)
    model = T5(KNOWN + 101, width=16, depth=1, heads=2, head_width=8, hidden=32)
    seen = next(task.batches(model, whole))
    source, before = seen["inputs"]
    target = seen["target"]
    assert (before[:, 0] == 0).all() and torch.equal(before[:, 1:], target[:, :-1]) and (target[:, -1] == KNOWN).all()
    for row in range(5):
        holes: dict[int, list[int]] = {}
        for token in target[row, :-1].tolist():
            if token > KNOWN:
                holes[token] = []
            else:
                holes[list(holes)[-1]].append(token)
        assert list(holes) == list(range(KNOWN + 100, KNOWN + 100 - len(holes), -1))
        text = [part for token in source[row].tolist() for part in holes.get(token, [token])]
        assert text == whole["target"][row].tolist()
    answer = task.predict(model.eval(), whole)
    assert answer["tokens"].tolist() == [10] * 5, "sentinels and ends are no text"


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(ValueError, match=r"hidden=1\.5"):
        MaskedLanguage(10, 9, hidden=1.5)
    with pytest.raises(InputError, match="t5 and transformer do"):
        SpanCorruption(KNOWN + 101, KNOWN).loss(Bert(KNOWN + 101, width=16, depth=1, heads=2), batch(), "model")
    with pytest.raises(InputError, match="more stretches"):
        SpanCorruption(KNOWN + 2, KNOWN).loss(T5(KNOWN + 2, width=8, depth=1, heads=1), batch(), "model")


def test_bert_begins_at_how_often_each_token_comes() -> None:
    torch.manual_seed(0)
    model, tokens = Bert(50, width=16, depth=1, heads=2, context=40), torch.full((30, 40), 7)
    tokens[:, ::4] = 9
    model.initialize(tokens)
    with torch.no_grad():
        share = model(tokens).softmax(-1).mean((0, 1))
    assert share[7] == pytest.approx(0.72, abs=0.03) and share[9] == pytest.approx(0.24, abs=0.03)
