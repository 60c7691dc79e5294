"""Words on a command line to calls of the package; torch is imported only by the commands that need it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.errors import InputError
from trainwell.listings import RunPath, figure, models, runs_app, sources, table, tasks

app = typer.Typer(
    name="trainwell",
    help="Point it at data: it plans, trains, diagnoses, explains and ships a neural network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="A file, a folder, or a named set such as digits.")]
Target = Annotated[str | None, typer.Option(help="The column to predict; several with commas.")]
Types = Annotated[
    list[str] | None, typer.Option(help="What a column is, as in age=category; id=ignored leaves it out; repeatable.")
]
Group = Annotated[str | None, typer.Option(help="Rows of one value of this column stay on one side.")]
Order = Annotated[str | None, typer.Option(help="Split by this column's order, the latest rows for the test.")]
Weights = Annotated[str | None, typer.Option(help="Start from a .safetensors file, a run folder or hub:owner/name.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be repeated.")
]


@app.command()
def fit(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="A file, a folder, or a named set.")] = None,
    target: Target = None,
    task: Annotated[str | None, typer.Option(help="What to learn; `trainwell tasks` lists them.")] = None,
    model: Annotated[str | None, typer.Option(help="Which network; `trainwell models` lists them.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe in YAML, in place of the plan.")] = None,
    changes: Changes = None,
    weights: Weights = None,
    types: Types = None,
    val: Annotated[str | None, typer.Option(help="A source to choose the checkpoint by.")] = None,
    test: Annotated[str | None, typer.Option(help="A source to judge by.")] = None,
    group: Group = None,
    order: Order = None,
    time: Annotated[str | None, typer.Option(help="Train for at most this long, as in 90s, 10m or 1h.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="The run folder to write.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the weights and the order of rows.")] = 0,
    doctor: Annotated[str, typer.Option(help="treat mends what ails it, ask proposes, watch tells.")] = "treat",
    no_doctor: Annotated[bool, typer.Option("--no-doctor", help="Train unwatched.")] = False,
) -> None:
    """Plan, train, examine and report a network for SOURCE."""
    if source is None and resume is None and recipe is None:
        raise InputError("fit: no SOURCE; give a file, a folder or a named set, as in `trainwell fit digits`")
    from trainwell.fit import fit as run_fit

    try:
        run = run_fit(
            source, target, task=task, model=model, recipe=recipe, changes=changes, weights=weights,
            types=_pairs(types), val=val, test=test, group=group, order=order, time=time, device=device, out=out,
            resume=resume, seed=seed, doctor=None if no_doctor else doctor,
        )  # fmt: skip
    except KeyboardInterrupt as error:
        kept = f"What it learned is kept; go on with: trainwell fit --resume {error.args[0]}" if error.args else ""
        _say(f"\nInterrupted. {kept or 'Nothing was learned yet, and no run was left.'}")
        raise typer.Exit(130) from None
    from trainwell.report import result

    print(result(run.path))
    print(f"\nreport  {run.report}\nrun     {run.path}")


@app.command()
def plan(
    source: SourceName,
    target: Target = None,
    task: Annotated[str | None, typer.Option(help="What to learn.")] = None,
    model: Annotated[str | None, typer.Option(help="Which network.")] = None,
    changes: Changes = None,
    weights: Weights = None,
    types: Types = None,
    group: Group = None,
    order: Order = None,
    time: Annotated[str | None, typer.Option(help="How long the training may take.")] = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the recipe alone, to edit and pass to --recipe.")] = False,
) -> None:
    """Say what fit would do with SOURCE, and why; train nothing."""
    from trainwell.prepare import prepare

    data, schema, made = prepare(
        source, target, task=task, model=model, changes=changes, weights=weights, types=_pairs(types), group=group,
        order=order, time=time,
    )  # fmt: skip
    if yaml:
        print(made.recipe.to_yaml(), end="")
        return
    print(
        f"{data.name}: {schema.rows:,} rows, task {schema.task}"
        + (f", {len(schema.classes)} classes" if schema.classes else "")
    )
    for note in data.notes:
        print(f"  note: {note}")
    table(
        [(c.name, c.kind, c.role, f"{c.missing:,}", c.reason) for c in schema.columns],
        ("column", "kind", "role", "missing", "why"),
    )
    print()
    table([(each.key, each.choice, each.why) for each in made.reasons], ("part", "choice", "why"))
    print("\nThe recipe: trainwell plan SOURCE --yaml. Change it with --set, as in --set model.width=256")


@app.command()
def check(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="A file, a folder, or a named set.")] = None,
    target: Target = None,
    task: Annotated[str | None, typer.Option(help="What to learn.")] = None,
    model: Annotated[str | None, typer.Option(help="Which network.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe in YAML, in place of the plan.")] = None,
    changes: Changes = None,
    types: Types = None,
    group: Group = None,
    order: Order = None,
) -> None:
    """Let the doctor look at SOURCE and at what fit would train on it, before any training; takes seconds."""
    if source is None and recipe is None:
        raise InputError("check: no SOURCE; give a file, a folder or a named set, as in `trainwell check digits`")
    if source is not None and recipe is None and source.endswith((".yaml", ".yml")):
        recipe, source = Path(source), None
    from trainwell.checkup import checkup

    print(
        checkup(
            source, target, task=task, model=model, recipe=recipe, changes=changes, types=_pairs(types), group=group,
            order=order,
        )
    )  # fmt: skip


@app.command()
def doctor(
    path: Annotated[
        Path, typer.Argument(metavar="LOG|RUN", help="A log in CSV, JSON, TensorBoard's form or as printed, or a run.")
    ],
) -> None:
    """Say what ails a training by its log, or what the doctor said of RUN, and what could not be seen there."""
    from trainwell.doctor.doctor import told
    from trainwell.doctor.log import judge_log

    print(told(*judge_log(path)))


@app.command()
def evaluate(
    run: RunPath,
    source: SourceName,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="Of pictures that RUN draws: a classifier's run that judges them, or Inception in TorchScript."
        ),
    ] = None,
    n: Annotated[int, typer.Option(help="Pictures to draw for a judge, beside as many of SOURCE.")] = 2_000,
    steps: Annotated[int, typer.Option(help="Steps from noise to picture, of diffusion.")] = 20,
    guidance: Annotated[float | None, typer.Option(help="How hard the class pulls, of diffusion.")] = None,
) -> None:
    """Judge RUN on SOURCE, whose rows have the target, or what RUN draws by a judge."""
    from trainwell.load import load
    from trainwell.report import write_report

    loaded = _fresh(load(run))
    found = (
        loaded.evaluate(source) if judge is None else loaded.scores(source, judge, n, steps=steps, guidance=guidance)
    )
    _told(loaded)
    rows = [
        (key, figure(each["value"]), f"[{figure(each['low'])}, {figure(each['high'])}]" if "low" in each else "")
        for key, each in found["metrics"].items()
    ]
    print(f"{found['rows']:,} rows")
    table(rows, ("metric", "value", "95 % interval"))
    if judge is not None:
        print(write_report(run))


@app.command()
def predict(
    run: RunPath,
    source: SourceName,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .csv, .json, .jsonl or .parquet file to write, or a folder for masks; else CSV is printed"
        ),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="A folder to write the pictures to, with what was found drawn in.")
    ] = None,
) -> None:
    """Answer for each row of SOURCE, in its order."""
    from trainwell.load import load
    from trainwell.predict import check_ending, draw_frame, flat, mask_frame, prediction_frame, write_frame

    found = _fresh(load(run))
    into = out if out is not None and not out.suffix and found.schema.task == "segment" else None
    if out is not None and into is None:
        check_ending(out)
    frame = prediction_frame(found, source) if into is None else mask_frame(found, source, into)
    _told(found)
    if pictures is not None:
        _say(f"{draw_frame(found, frame, pictures):,} pictures to {pictures}")
    if into is not None:
        _say(f"{frame.height:,} masks in {into}")
    elif out is None:
        sys.stdout.write(flat(frame).write_csv())
    else:
        write_frame(frame, out)
        _say(f"{frame.height:,} rows to {out}")


@app.command()
def sample(
    run: RunPath,
    prompt: Annotated[str | None, typer.Option(help="Text to go on from; without it, as its texts begin.")] = None,
    length: Annotated[int | None, typer.Option(help="Tokens to write: 300.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is the likeliest token: 0.8.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest tokens that hold this share.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Draw among tokens this share as likely as the best.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: repeat less.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End after this text; may be given again.")] = None,
    n: Annotated[int | None, typer.Option(help="Pictures (64) or rows of a table (1000) to draw.")] = None,
    class_: Annotated[str | None, typer.Option("--class", help="The class to draw; else all in turn.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps from noise to picture, of diffusion: 50.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How hard the class pulls, 1 to 5.")] = None,
    reconstruct: Annotated[str | None, typer.Option(help="A source whose rows an autoencoder rebuilds.")] = None,
    interpolate: Annotated[bool, typer.Option("--interpolate", help="Walk from one draw to another.")] = False,
    out: Annotated[Path | None, typer.Option(help=".png; .gif for the steps; .csv, .parquet, .jsonl for rows.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed writes and draws the same.")] = 0,
) -> None:
    """Let RUN write, if it is a language model, or draw pictures or rows of a table."""
    told = {key: each for key, each in locals().items() if key not in ("run", "seed")}
    wishes = {key: each for key, each in told.items() if each is not None and each is not False and each != []}
    from trainwell.sample import say

    say(run, wishes, seed)


@app.command()
def report(
    run: RunPath, open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False
) -> None:
    """Write RUN's page again, and say where it lies."""
    from trainwell.report import write_report
    from trainwell.runs import RunFolder

    path = write_report(RunFolder.open(run).path)
    print(path)
    if open_:
        typer.launch(path.resolve().as_uri())


app.add_typer(runs_app, name="runs")
for listing in (models, tasks, sources):
    app.command()(listing)


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in [part for each in texts or [] for part in each.split(",")]:
        name, equals, kind = text.partition("=")
        if not equals:
            raise InputError(f"--types {text}: expected COLUMN=KIND, such as age=category")
        pairs[name.strip()] = kind.strip()
    return pairs


def _fresh(run: Any) -> Any:
    """A loaded run without what its transform noticed in the data of the training."""
    run.transform.notes = []
    return run


def _told(run: Any) -> None:
    """Say what a run's transform noticed in what it was given."""
    for note in run.transform.notes:
        _say(f"note: {note}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> None:
    """Run the command line; input that its user can mend ends with one message and exit code 2."""
    try:
        app()
    except InputError as error:
        _say(f"trainwell: {error}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
