"""What a loop does at every step to cures of it: its rows, gradients, modes, and the parameters that it moves."""

from torch import nn

from trainwell.doctor.dropping import lighten
from trainwell.doctor.finding import Finding
from trainwell.doctor.remedy import Chart
from trainwell.doctor.replay import stands_in_rows

MANY = 32  # rows, as many as a small batch usually has


def draw_rows(chart: Chart, finding: Finding) -> str | None:
    """Each step on rows drawn from all that were seen, where a loop of one's own hands over one batch at a time."""
    if finding.statistic.get("one batch") or not _replays(chart):
        return None
    return "each step taken on rows drawn from all seen so far, at the cost of a second pass"


def draw_more(chart: Chart, finding: Finding) -> str | None:
    """Each step on 32 rows drawn from all that were seen, in place of the few that the loop hands over."""
    chart.replay.least = MANY
    if not _replays(chart):
        return None
    return f"each step taken on {MANY} rows drawn from all seen so far, at the cost of a second pass"


def own_gradients(chart: Chart, finding: Finding) -> str | None:
    """Each step's gradients made anew, where a copy with nothing changed learns and the loop's own steps do not."""
    if not chart.seen or not ("given" in finding.statistic or chart.outdone()) or not alone(chart):
        return None
    chart.replay.one_back, chart.replay.latest = True, chart.seen[-1]
    chart.patient.scale = 1.0  # from now on the gradients are those of the loss that was told
    return "each step's gradients made anew, on the batch before: between loss and step the loop spoils its own"


def without_penalty(chart: Chart, finding: Finding) -> str | None:
    """Each step's gradients made anew from the loss alone, where a penalty beside it outweighs what the rows say."""
    return own_gradients(chart, finding) if "given" in finding.statistic and finding.where != "dropout" else None


def _replays(chart: Chart) -> bool:
    """Draws rows from now on, if the loop's loss and batches are of a kind that lets it."""
    if not _may_replay(chart):
        return False
    chart.replay.on = True
    for batch in chart.sample.batches if chart.sample is not None else []:
        chart.replay.keep(batch)
    return True


def _may_replay(chart: Chart) -> bool:
    """Whether a step can be taken on rows drawn: batches of inputs and targets row by row."""
    batches = chart.sample.batches if chart.sample is not None else []
    return alone(chart) and bool(batches) and stands_in_rows(batches[0])


def alone(chart: Chart) -> bool:
    """Whether a step's gradient can be made anew in a loop of one's own: one player, a loss that is known."""
    return not chart.own_loop and len(chart.patient.players) == 1 and chart.patient.loss_of is not None


def zero_gradients(chart: Chart, finding: Finding) -> str | None:
    """Gradients forgotten now and after every step."""
    chart.zero_after = True
    for optimizer in chart.patient.optimizers.values():
        optimizer.zero_grad()
    return "gradients set to zero after every step"


def turn_sign(chart: Chart, finding: Finding) -> str | None:
    """Maximizing off, a negative rate positive, or else the gradients negated."""
    if finding.where in ("schedule", "divergence"):
        return None
    for optimizer in chart.patient.optimizers.values():
        for group in optimizer.param_groups:
            if group.get("maximize"):
                group["maximize"] = False
                return "maximize set to False"
            if group["lr"] < 0:
                group["lr"] = abs(group["lr"])
                return f"learning rate set to {group['lr']:.3g}, without its minus sign"
    chart.turn_sign = not chart.turn_sign
    if finding.where == "loss":
        chart.patient.sign = -chart.patient.sign
    return "gradients negated before every step, as the loss is"


def training_mode(chart: Chart, finding: Finding) -> str | None:
    """Training mode in front of every pass with gradient, where steps were taken in evaluation mode."""
    if "training passes ran" not in finding.evidence:
        return None
    chart.train_mode = True
    return "model.train() before every training pass"


def evaluation_mode(chart: Chart, finding: Finding) -> str | None:
    """Evaluation mode in front of every pass without gradient, where such ran in training mode."""
    if "without gradient" not in finding.evidence:
        return None
    chart.eval_mode = True
    return "model.eval() before every pass without gradient"


def still_dropout(chart: Chart, finding: Finding) -> str | None:
    """Dropout that is called as a function, and so not told of the mode, left out of passes in evaluation mode."""
    if chart.own_loop or "F.dropout" not in finding.cause:
        return None
    lighten(chart.patient.bare, 0.0, lambda model: not model.training)
    return "dropout called as a function left out in evaluation: write F.dropout(x, p, self.training) to keep it so"


def keep_statistics(chart: Chart, finding: Finding) -> str | None:
    """A momentum of 0.1 for batch norms whose own is 0, or so small that what they keep lags behind."""
    norms = [each for each in chart.patient.bare.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    still = [each for each in norms if each.momentum is not None and each.momentum < 0.01]
    for each in still:
        each.momentum = 0.1
    return f"{len(still)} batch norms given a momentum of 0.1, so that they keep statistics" if still else None


def adopt_parameters(chart: Chart, finding: Finding) -> str | None:
    """Parameters that no optimizer holds, into the first one, those in plain lists of layers included."""
    listed = _register_lists(chart.patient.bare) if not chart.own_loop else 0
    held = {
        id(each)
        for optimizer in chart.patient.optimizers.values()
        for group in optimizer.param_groups
        for each in group["params"]
    }
    named = chart.patient.bare.named_parameters()
    loose = {name: each for name, each in named if each.requires_grad and id(each) not in held}
    if not loose:
        return None
    # Into a group that is there: a schedule has a rate for each of those that it was made with, and no more.
    first = next(iter(chart.patient.optimizers.values())).param_groups[0]
    first["params"].extend(loose.values())
    if "param_names" in first:
        first["param_names"].extend(loose)
    return f"{len(loose)} parameters given to the optimizer" + (", plain lists made nn.ModuleList" if listed else "")


def _register_lists(model: nn.Module) -> int:
    """Plain lists of layers in any module made lists that it registers; how many there were."""
    count, known = 0, {id(each) for each in model.parameters()}
    for module in list(model.modules()):
        for name, value in list(vars(module).items()):
            if not isinstance(value, list) or not value or not all(isinstance(each, nn.Module) for each in value):
                continue
            if any(id(weight) not in known for each in value for weight in each.parameters()):
                delattr(module, name)
                setattr(module, name, nn.ModuleList(value))
                count += 1
    return count
