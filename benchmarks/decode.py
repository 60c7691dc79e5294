"""Greedy decoding with a KV cache, ours against transformers' generate on equal weights, to milliseconds a token.

python benchmarks/decode.py [--dtype float32|bfloat16] [--size 124m|small] [--repeats 5] [--threads 2] [--spread 0.05]
Rounds of the two alternate, so that both meet the same weather; the median of the rounds' ratios and the spread are
printed, of the clock and, on one thread, of processor time, which other work on the machine disturbs less. Prompt 32
tokens, 48 new ones; the prompt's own pass counts, but in the lines of "steps alone", and so does bookkeeping; copies of
the weights that are made once are made before. Weights are random, spread so that the text does not repeat one token,
which would be easy to guess; how many different tokens there are is printed, and how many guesses were right. Both must
give equal tokens.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
import transformers

from trainwell.models import ahead
from trainwell.models.decode import generate
from trainwell.models.hub import load_hub

SIZES = {"124m": {}, "small": {"n_layer": 6, "n_embd": 384, "n_head": 6}}
PROMPT, NEW = 32, 48


def main() -> None:
    """Run all batch sizes and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--size", default="124m", choices=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--spread", type=float, default=0.05)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 16])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = transformers.GPT2Config(eos_token_id=None, bos_token_id=None, **SIZES[options.size])
    theirs = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            if weight.dim() == 2:
                weight.add_(options.spread * torch.randn_like(weight))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_hub(folder)
    kind = getattr(torch, options.dtype)
    theirs, ours = theirs.to(kind), ours.to(kind)
    guessing = watch()
    for batch in options.batches:
        prompt = torch.randint(0, config.vocab_size, (batch, PROMPT))
        mask = torch.ones_like(prompt)

        def run_theirs(new=NEW, prompt=prompt, mask=mask) -> torch.Tensor:
            texts = theirs.generate(
                input_ids=prompt,
                attention_mask=mask,
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
            )
            return texts[:, PROMPT:]

        def run_ours(new=NEW, prompt=prompt) -> torch.Tensor:
            return torch.stack(generate(ours, prompt, length=new))

        generate(ours, prompt, length=256)  # long enough for every copy of the weights to be made
        texts = run_ours()
        equal = torch.equal(run_theirs(), texts)  # and warm
        rounds: list[dict[str, dict[str, float]]] = []
        for _ in range(options.repeats):
            rounds.append({})
            for name, run in (("theirs", run_theirs), ("ours", run_ours)):
                whole, first = timed(run, NEW), timed(run, 1)
                rounds[-1][name] = {
                    **{key: value / NEW for key, value in whole.items()},
                    **{f"{key}, steps alone": (value - first[key]) / (NEW - 1) for key, value in whole.items()},
                }
        for key in rounds[0]["ours"]:
            if "processor" in key and options.threads > 1:
                continue
            line = ", ".join(
                f"{name} {statistics.median(each[name][key] for each in rounds):.1f} ms a token"
                for name in ("theirs", "ours")
            )
            ratios = sorted(each["theirs"][key] / each["ours"][key] for each in rounds)
            spread = f"{statistics.median(ratios):.2f} times the speed ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"{options.size} {options.dtype} batch {batch}, {key}: {line}; {spread}")
        different = len(texts[0].unique())
        right, checked = (sum(getattr(each, name) for each in guessing) for name in ("right", "checked"))
        last = f"; {right} of {checked} guesses right" if checked and batch == 1 else ""
        print(f"    equal: {equal}; {different} different tokens of {NEW} in the first text{last}", flush=True)


def timed(run: Callable[[int], torch.Tensor], new: int) -> dict[str, float]:
    """Milliseconds of the clock and of the processor that so many new tokens take."""
    clocks = {"clock": time.perf_counter, "processor": time.process_time}
    start = {key: clock() for key, clock in clocks.items()}
    run(new)
    return {key: (clock() - start[key]) * 1000 for key, clock in clocks.items()}


def watch() -> list[ahead.Ahead]:
    """A list to which each decoding that guesses ahead is added."""
    made: list[ahead.Ahead] = []
    start = ahead.Ahead.__init__

    def noted(self: ahead.Ahead, *parts: object) -> None:
        start(self, *parts)  # type: ignore[arg-type]
        made.append(self)

    ahead.Ahead.__init__ = noted  # type: ignore[method-assign]
    return made


if __name__ == "__main__":
    main()
