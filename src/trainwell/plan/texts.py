"""The profile of texts whose answer is text too to a recipe: the rules, each with the reason that it gives."""

from typing import TYPE_CHECKING, Any

from trainwell.plan.profile import Profile

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

FEW_PAIRS, MANY_PAIRS, FEW_TEXTS = 5_000, 200_000, 20_000
WINDOWS = "question, then passage; a longer passage in windows that share a third, the likeliest answer of all counts"
PAIR_STEPS = 7_000  # of 64 pairs, in which some 30,000 pairs are learned


def from_pairs(profile: Profile, plan: "Plan") -> None:
    """Pairs of texts: a small transformer from one to the other, on pieces of words that both sides share."""
    aligned, rows = profile.aligned, profile.rows
    given = " and ".join(sorted(profile.given))
    choice = f"{given} as the source gives it" if given else "10 % test, 5 % validation"
    plan.choose("split", {"test": 0.1, "val": 0.05}, choice, f"{rows:,} pairs to learn from; equal ones on one side")
    writes = f"{aligned['from']} is read, {aligned['to']} written"
    task = {"name": profile.task, "label_smoothing": 0.1, "beams": 5, "length_penalty": 1.0}
    plan.choose("task", task, f"{profile.task}, labels smoothed", f"{writes}; five beams, scored by token, answer")
    vocabulary = 2_000 if rows < FEW_PAIRS else 4_000 if rows < MANY_PAIRS else 16_000
    transform = {"tokenizer": "bpe", "vocabulary": vocabulary}
    why = f"{rows:,} pairs show few words often: pieces of words, one vocabulary, as names are the same in both"
    plan.choose("transform", transform, f"bpe, {vocabulary:,} pieces", why)
    model: dict[str, Any] = {"name": "transformer", "width": 128, "depth": 3, "heads": 4, "hidden": 512}
    model["dropout"] = 0.3 if rows < FEW_PAIRS else 0.2 if profile.long else 0.15
    if rows >= MANY_PAIRS:
        model |= {"width": 384, "depth": 4, "heads": 6, "hidden": 1536, "dropout": 0.1}
    why = f"{rows:,} pairs: small, so that it sees them often in the time there is and does not learn them by heart"
    plan.choose("model", model, f"transformer, {model['width']} wide, {model['depth']} blocks a side", why)
    optimizer = {"name": "muon", "lr": 6e-3, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, "Muon at 0.006", "fewer steps to the same loss than AdamW on such networks")
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    batch = 32 if rows < FEW_PAIRS else 64 if rows < MANY_PAIRS else 128
    steps = 3 * PAIR_STEPS if profile.long else PAIR_STEPS
    epochs = max(2, min(60, round(steps * batch / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": batch, "evaluations": 20, "clip": 1.0, "precision": "float32"}
    why = f"some {steps:,} steps, batches of like length; --time gives it more or less"
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", why)


def from_tags(profile: Profile, plan: "Plan") -> None:
    """Sentences with a tag for each word: what stands on both sides of each piece of a word says what it is."""
    tagged, rows = profile.tagged, profile.rows
    given = " and ".join(sorted(profile.given))
    choice = f"{given} as the source gives it" if given else "20 % test, 10 % validation"
    plan.choose("split", {"test": 0.2, "val": 0.1}, choice, f"{rows:,} sentences to learn from")
    kinds = len({tag[2:] for tag in tagged["classes"] if tag[1:2] == "-"})
    what = f"{kinds} kinds of entity in BIO" if kinds else f"{len(tagged['classes'])} tags"
    plan.choose("task", {"name": "tag"}, "tag", f"{what}; the F1 of whole spans chooses the checkpoint")
    vocabulary = 4_000 if rows < FEW_TEXTS else 16_000
    transform = {"tokenizer": "bpe", "vocabulary": vocabulary}
    why = "pieces of words: new names are made of known pieces, and capitals tell them"
    plan.choose("transform", transform, f"bpe, {vocabulary:,} pieces", why)
    model = {"name": "recurrent_tagger", "width": 128, "dropout": 0.5 if rows < FEW_TEXTS else 0.3}
    why = f"{tagged['tokens']:,} words: a transformer needs far more of them, or weights learned elsewhere (--weights)"
    plan.choose("model", model, "LSTM both ways", why)
    plan.choose(
        "optimizer", {"name": "adamw", "lr": 3e-3, "weight_decay": 0.01}, "AdamW at 0.003", "as usual for LSTMs"
    )
    plan.choose("schedule", {"name": "trapezoid"}, "hold, then down", "the fall of the rate brings most of the gain")
    epochs = max(3, min(20, round(2_000 * 32 / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": 32, "clip": 1.0, "precision": "float32"}
    plan.choose("train", settings, f"{epochs} epochs, batch 32", "some 2,000 steps, 20 passes at most")


def from_answers(profile: Profile, plan: "Plan") -> None:
    """Questions on passages: a small transformer reads both and points at the answer; weights do far better."""
    asked, rows = profile.asked, profile.rows
    given = " and ".join(sorted(profile.given))
    choice = f"{given} as the source gives it" if given else f"20 % test, 10 % validation, by {asked['grouped']}"
    plan.choose("split", {"test": 0.2, "val": 0.1}, choice, f"{rows:,} questions on {asked['passages']:,} passages")
    why = "each answer stands in its passage: its two ends are pointed at"
    if asked["unanswered"]:
        why += f"; “no answer” is learned from the {asked['unanswered']:,} questions that have none"
    plan.choose("task", {"name": "answer"}, "answer", why)
    vocabulary = 8_000 if rows < FEW_TEXTS else 16_000
    plan.choose(
        "transform",
        {"tokenizer": "bpe", "vocabulary": vocabulary, "length": 384},
        "bpe, 384 tokens",
        WINDOWS,
    )
    model = {"name": "bert_tagger", "width": 128, "depth": 4, "heads": 4}
    why = f"{rows:,} questions: far too few to learn reading from; start from weights with --weights"
    plan.choose("model", model, "a small BERT", why)
    optimizer = {"name": "adamw", "lr": 5e-4, "weight_decay": 0.01}
    plan.choose("optimizer", optimizer, "AdamW at 0.0005", "small steps, as transformers that point need")
    plan.choose("schedule", {"name": "cosine", "warmup": 0.1}, "warm-up, then cosine", "attention learns late")
    epochs = max(2, min(20, round(2_000 * 16 / max(1, rows))))
    settings = {"epochs": epochs, "batch_size": 16, "clip": 1.0, "evaluations": 10, "precision": "float32"}
    plan.choose("train", settings, f"{epochs} epochs, batch 16", "some 2,000 steps, 20 passes at most")
