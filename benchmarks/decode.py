"""Greedy decoding with a KV cache, ours against transformers' generate on equal weights, to milliseconds a token.

python benchmarks/decode.py [--dtype float32|bfloat16] [--size 124m|small] [--repeats 5] [--threads 2]
Rounds of the two alternate, so that both meet the same weather; medians and the spread are printed. Prompt 32 tokens,
48 new ones, random weights; the prompt's own pass counts, and so does bookkeeping. Both must give equal tokens.
"""

import argparse
import statistics
import tempfile
import time

import torch
import transformers

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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = transformers.GPT2Config(eos_token_id=None, bos_token_id=None, **SIZES[options.size])
    theirs = transformers.GPT2LMHeadModel(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_hub(folder)
    kind = getattr(torch, options.dtype)
    theirs, ours = theirs.to(kind), ours.to(kind)
    for batch in (1, 16):
        prompt = torch.randint(0, config.vocab_size, (batch, PROMPT))
        mask = torch.ones_like(prompt)

        def run_theirs(prompt=prompt, mask=mask) -> torch.Tensor:
            texts = theirs.generate(
                input_ids=prompt,
                attention_mask=mask,
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                do_sample=False,
                pad_token_id=0,
            )
            return texts[:, PROMPT:]

        def run_ours(prompt=prompt) -> torch.Tensor:
            return torch.stack(generate(ours, prompt, length=NEW))

        times: dict[str, list[float]] = {"theirs": [], "ours": []}
        equal = torch.equal(run_theirs(), run_ours())  # and warm
        for _ in range(options.repeats):
            for name, run in (("theirs", run_theirs), ("ours", run_ours)):
                start = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - start) / NEW * 1000)
        line = ", ".join(
            f"{name} {statistics.median(values):.1f} ms a token ({min(values):.1f} to {max(values):.1f})"
            for name, values in times.items()
        )
        ratio = statistics.median(times["theirs"]) / statistics.median(times["ours"])
        print(f"{options.size} {options.dtype} batch {batch}: {line}; {ratio:.2f} times the speed; equal: {equal}")


if __name__ == "__main__":
    main()
