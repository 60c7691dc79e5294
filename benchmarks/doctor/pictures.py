"""Pictures of the lesson pages: python -m benchmarks.doctor.pictures [--out docs/ailments/pictures]; a few minutes.

For each ailment that has a planted fault: the training loss of the ill run beside that of its healthy twin, and the
step at which the doctor named it.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from benchmarks.doctor.faults import FAULTS, Fault
from benchmarks.doctor.run import run
from benchmarks.doctor.setups import FAMILIES
from benchmarks.doctor.watchers import Doctored

from trainwell.doctor import AILMENTS

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 260, 60, 36
ILL, HEALTHY = "#D55E00", "#0072B2"  # Okabe & Ito 2008


def drawn(fault: Fault) -> str:
    """The picture of one fault in the first of its families, as SVG."""
    family = fault.families[0]
    watched = Doctored("watch")
    setup = fault.plant(FAMILIES[family])
    ill, well = run(setup, 0, watched), run(FAMILIES[family], 0)
    told = next((each for each in watched.doctor.findings if each.name in (fault.ailment, *fault.also)), None)
    curves = {"ill": _smooth(ill.losses), "healthy": _smooth(well.losses)}
    values = np.concatenate([each[np.isfinite(each)] for each in curves.values()])
    logarithmic = values.min() > 0 and values.max() / values.min() > 20
    scale = np.log10 if logarithmic else lambda each: each
    low, high = float(scale(values.min())), float(scale(values.max()))
    longest = max(len(each) for each in curves.values())

    def place(step: float, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - 90) * step / longest
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 16) * (float(scale(value)) - low) / max(high - low, 1e-12)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui">']
    title = f"{AILMENTS[fault.ailment].title}: {fault.name}, {family}"
    parts.append(
        f"<title>{title}</title><style>text{{fill:#555;font-size:12px}} path{{fill:none;stroke-width:2}}</style>"
    )
    for value in _marks(low, high):
        shown = 10**value if logarithmic else value
        x, y = place(0, shown).split(",")
        parts.append(f'<path d="M{LEFT},{y} H{WIDTH - 90}" stroke="#8884" style="stroke-width:1"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{shown:.3g}</text>')
    for (name, curve), colour, dash in zip(
        curves.items(), (ILL, HEALTHY), ("", ' stroke-dasharray="6 3"'), strict=True
    ):
        points = [(step, value) for step, value in enumerate(curve) if math.isfinite(value)]
        if points:
            line = "M" + " L".join(place(step, value) for step, value in points[:: max(1, len(points) // 200)])
            parts.append(f'<path d="{line}" stroke="{colour}"{dash}/>')
            x, y = place(*points[-1]).split(",")
            parts.append(f'<text x="{float(x) + 6:.1f}" y="{float(y) + 4:.1f}" style="fill:{colour}">{name}</text>')
    if told is not None:
        x = place(min(told.step, longest), values.max()).split(",")[0]
        parts.append(
            f'<path d="M{x},10 V{HEIGHT - BOTTOM}" stroke="#888" stroke-dasharray="2 3" style="stroke-width:1"/>'
        )
        parts.append(f'<text x="{float(x) + 4:.1f}" y="14">named at step {told.step}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">step 0</text>')
    parts.append(f'<text x="{WIDTH - 90}" y="{HEIGHT - 10}" text-anchor="end">{longest}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - 90) / 2}" y="{HEIGHT - 10}" text-anchor="middle">training loss</text></svg>'
    )
    return "\n".join(parts) + "\n"


def _smooth(losses: list[float], window: int = 5) -> np.ndarray:
    """Running means of the finite losses, at most so many together."""
    values = np.asarray(losses, dtype=float)
    return np.array([np.mean(values[max(0, place - window + 1) : place + 1]) for place in range(len(values))])


def _marks(low: float, high: float) -> list[float]:
    """Three heights for the lines of the picture."""
    return [low, (low + high) / 2, high]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/ailments/pictures")
    folder = Path(parser.parse_args().out)
    folder.mkdir(parents=True, exist_ok=True)
    drawn_already: set[str] = set()
    for fault in FAULTS:
        if fault.ailment not in drawn_already:
            drawn_already.add(fault.ailment)
            (folder / f"{fault.ailment}.svg").write_text(drawn(fault), encoding="utf-8")
            print(fault.ailment, flush=True)


if __name__ == "__main__":
    main()
