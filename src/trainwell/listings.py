"""What there is (runs, models, tasks, named sets) to tables on the terminal; torch is imported where it is needed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

runs_app = typer.Typer(help="List, show, compare and remove runs.", invoke_without_command=True)
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/digits-1.")]


@runs_app.callback()
def runs(context: typer.Context) -> None:
    """List, show, compare and remove runs."""
    if context.invoked_subcommand is None:
        list_(Path("runs"))


@runs_app.command("list")
def list_(folder: Annotated[Path, typer.Argument(help="Where the runs lie.")] = Path("runs")) -> None:
    """All runs, the newest last."""
    from trainwell.runs import list_runs

    found = list_runs(folder)
    if not found:
        print(f"no runs in {folder}; make one with `trainwell fit digits`")
        return
    rows = []
    for each in found:
        metrics = ", ".join(f"{key} {figure(value)}" for key, value in list((each.get("metrics") or {}).items())[:2])
        rows.append((each["path"], each["state"], each.get("task") or "", each.get("model") or "", metrics))
    table(rows, ("run", "state", "task", "model", "result"))


@runs_app.command("show")
def show(
    run: RunPath, as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False
) -> None:
    """What RUN is and gave."""
    from trainwell.report import result
    from trainwell.runs import RunFolder

    folder = RunFolder.open(run)
    state, why = folder.facts()["state"], folder.facts().get("why", "")
    if as_json:
        print(json.dumps({**folder.facts(), **folder.read_json("summary.json")}, indent=1, ensure_ascii=False))
        return
    print(result(folder.path))
    if state != "finished":
        print(f"state: {state}{f' ({why})' if why else ''}; go on with: trainwell fit --resume {folder.path}")
        return
    known = folder.read_json("summary.json")
    rows = ", ".join(f"{part} {count:,}" for part, count in known["rows"].items() if count)
    table(
        [
            ("source", known["origin"]),
            ("task", known["task"] + (f" of {', '.join(known['target'])}" if known["target"] else "")),
            ("rows", f"{rows} ({known['split']})"),
            ("model", f"{known['model']}, {known['parameters']:,} weights"),
            ("training", f"{known['seconds_training']:,.0f} s, {known['steps']:,} steps; {known['stopped']}"),
            ("report", folder.path / "report.html"),
        ],
        ("", ""),
    )


@runs_app.command("compare")
def compare(runs: Annotated[list[Path], typer.Argument(metavar="RUN...")]) -> None:
    """What differs between runs: recipe and metrics."""
    from trainwell.runs import compare as differences

    rows = [
        (key, *("" if each is None else figure(each) if isinstance(each, float) else str(each) for each in values))
        for key, values in differences(list(runs)).items()
    ]
    table(rows, ("", *(run.name for run in runs)))


@runs_app.command("remove")
def remove(run: RunPath, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete RUN with all it holds."""
    from trainwell.runs import RunFolder

    folder = RunFolder.open(run)
    if yes or typer.confirm(f"Delete {folder.path}?"):
        folder.remove()
        print(f"removed {folder.path}")


def models() -> None:
    """The networks, with what a recipe may set."""
    from trainwell.models import MODELS

    _signatures(MODELS)


def tasks() -> None:
    """The tasks, with what a recipe may set."""
    from trainwell.tasks import TASKS

    _signatures(TASKS)


def sources() -> None:
    """The named sets that need no download."""
    from trainwell.data import SOURCES

    table(
        [(name, (each.__doc__ or "").strip().splitlines()[0]) for name, each in SOURCES.items()], ("name", "what it is")
    )


def figure(value: float) -> str:
    """A number in four digits, from a thousand on in full: 0.9831, 48,730."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _signatures(named: dict[str, Any]) -> None:
    from trainwell.recipe import choices

    rows = []
    for name, each in named.items():
        arguments = ", ".join(f"{key}={parameter.default!r}" for key, parameter in choices(each).items())
        rows.append((name, (each.__doc__ or "").strip().splitlines()[0], arguments))
    table(rows, ("name", "what it is", "a recipe may set"))


def table(rows: list[tuple], header: tuple[str, ...]) -> None:
    """Print rows under a header, as wide as the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(str(each).replace("[", r"\[") for each in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(drawn)
