"""How long the command line and the import take, and how much memory a training needs over a hand-written loop.

    python benchmarks/footprint.py [--rounds 9]

Each measurement is a process of its own, the two of a pair taking turns; medians with least and most.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Peak memory of a process that builds one workload of step_time.py and trains it for some steps.
MEMORY = """
import resource, sys
sys.path.insert(0, {here!r})
import step_time
from trainwell.data import Loader
make, shape, steps = step_time.WORKLOADS[{workload!r}]
x, y = step_time.data(shape, 50)
getattr(step_time, {who!r})(make, x, y, "auto")(steps)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = range(parser.parse_args().rounds)
    python = sys.executable
    trainwell = str(Path(python).with_name("trainwell"))
    print(
        json.dumps({"trainwell --help, seconds": spread([seconds([trainwell, "--help"]) for _ in rounds])}), flush=True
    )
    pairs = [
        (seconds([python, "-c", "import torch"]), seconds([python, "-c", "import torch, trainwell"])) for _ in rounds
    ]
    print(
        json.dumps({"import trainwell after torch, seconds": spread([both - alone for alone, both in pairs])}),
        flush=True,
    )
    pairs = [
        (seconds([python, "-c", "import torch"]), seconds([python, "-c", "import torch, trainwell; trainwell.fit"]))
        for _ in rounds
    ]
    print(
        json.dumps({"trainwell.fit at hand after torch, seconds": spread([both - alone for alone, both in pairs])}),
        flush=True,
    )
    for workload in ("MLP 784-256-256-10", "ResNet-20 32x32x3"):
        ratios, sizes = [], []
        for _ in list(rounds)[:3]:
            megabytes = [
                float(
                    subprocess.run(
                        [python, "-c", MEMORY.format(here=str(HERE), workload=workload, who=who)],
                        check=True, capture_output=True, text=True,
                    ).stdout
                )
                for who in ("hand", "ours")
            ]  # fmt: skip
            sizes.append(megabytes)
            ratios.append(megabytes[1] / megabytes[0])
        print(
            json.dumps({"workload": workload, "memory over hand-written": spread(ratios), "MB": sizes[0]}), flush=True
        )


if __name__ == "__main__":
    main()
