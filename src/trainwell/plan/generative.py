"""The profile of pictures or a table to a recipe that rebuilds or draws them: the rules, each with its reason."""

from typing import TYPE_CHECKING, Any

from trainwell.errors import InputError
from trainwell.plan.profile import Profile
from trainwell.plan.sequences import forecasts

if TYPE_CHECKING:
    from trainwell.plan.rules import Plan

# The networks that each of these tasks can train; the first for pictures, the last for tables.
NETWORKS = {
    "reconstruct": ("conv_vae", "conv_autoencoder", "autoencoder", "vae"),
    "gan": ("dcgan", "gan"),
    "diffusion": ("diffusion_unet", "dit", "diffusion_mlp"),
}
OF_PICTURES = ("conv_vae", "conv_autoencoder", "dcgan", "diffusion_unet", "dit")  # and of nothing else
LEAST_SIDE = 8  # pixels that the convolutional networks can halve
STEPS = {"reconstruct": 8_000, "gan": 12_000, "diffusion": 10_000}
MOST_EPOCHS = 400


def task_of(model: Any) -> str | None:
    """The one of these tasks that a network of this name is for, or a forecast; None for any other network."""
    if isinstance(model, str) and forecasts(model):
        return "forecast"
    return next((task for task, names in NETWORKS.items() if model in names), None)


def check_pair(task: str | None, model: str | None) -> None:
    """Raises InputError for a network that the task cannot train."""
    if model is None or model == "own" or task is None:
        return
    if task in NETWORKS and model not in NETWORKS[task]:
        names = ", ".join(NETWORKS[task])
        raise InputError(f"model: {model!r} is no network for the task {task!r}; choose one of {names}")
    wanted = task_of(model)
    if wanted not in (None, task):
        raise InputError(f"task: {model!r} is trained by the task {wanted!r}, not by {task!r}; leave --task out")


def from_whole(profile: Profile, plan: "Plan", model: str | None = None) -> None:
    """Pictures or rows to rebuild or to draw: split, network, task and optimizer by the kind of work."""
    pictures, rows = bool(profile.images), profile.rows
    if model in OF_PICTURES and not pictures:
        names = ", ".join(name for name in NETWORKS[profile.task] if name not in OF_PICTURES)
        raise InputError(f"model: {model!r} reads pictures and this is a table; choose one of {names}")
    if model == "diffusion_mlp" and pictures:
        raise InputError("model: 'diffusion_mlp' reads tables and these are pictures; choose diffusion_unet or dit")
    noun = "pictures" if pictures else "rows"
    plan.choose("split", {"test": 0.15, "val": 0.05}, "15 % test, 5 % validation", f"{rows:,} {noun}, to judge by")
    if pictures:
        plan.choose("transform", {}, "bytes", "the task scales pictures to what its loss wants")
    else:
        why = (
            "each number column gets a normal shape, which noise and draws have too; categories become one column each"
        )
        plan.choose("transform", {"numbers": "quantile"}, "quantile", why)
    {"reconstruct": _rebuilt, "gan": _played, "diffusion": _denoised}[profile.task](profile, plan, model)
    batch = plan.recipe.train["batch_size"]
    epochs = max(1, min(MOST_EPOCHS, round(STEPS[profile.task] * batch / max(1, rows))))
    settings = {**plan.recipe.train, "epochs": epochs, "evaluations": 20}
    why = f"some {STEPS[profile.task]:,} steps, {MOST_EPOCHS} passes at most; --time gives it more or less"
    plan.choose("train", settings, f"{epochs} epochs, batch {batch}", f"{why}; averaged weights answer")


def _rebuilt(profile: Profile, plan: "Plan", model: str | None) -> None:
    """An autoencoder, variational unless a plain one is named, so that it can also draw."""
    side = min(profile.shape[:2] or (0,))
    name = model or ("conv_vae" if side >= LEAST_SIDE else "vae")
    part: dict[str, Any] = {"name": name}
    if name in ("vae", "conv_vae"):
        part["latent"] = 20 if profile.images else max(2, min(20, profile.numbers + profile.categories))
    why = "named by the user" if model else "a code that can be drawn from, so that it also makes new ones"
    plan.choose("model", part, name, why)
    task: dict[str, Any] = {"name": "reconstruct"}
    colour = len(profile.shape) == 3 and profile.shape[2] == 3
    if profile.images and not colour:
        task["likelihood"], choice = "bernoulli", "Bernoulli"
        why = "grey pixels are taken as shares of black and white"
    else:
        task |= {"likelihood": "gaussian", "deviation": 0.1 if profile.images else 0.3}
        choice = f"normal, deviation {task['deviation']}"
        why = "colours are amounts" if profile.images else "scaled columns; a larger deviation blurs, a smaller copies"
    if name in ("vae", "conv_vae"):
        task |= {"free": 0.05, "warmup": min(20_000, 2 * profile.rows)}
        why += "; the cost of the code rises slowly and its first 0.05 nats a unit are free, so that units stay in use"
    plan.choose("task", task, choice, why)
    _optimizer(plan, "adam", 1e-3, [0.9, 0.99], 128)


def _played(profile: Profile, plan: "Plan", model: str | None) -> None:
    """Two players, a discriminator held back by a penalty on its slope at real rows."""
    side = min(profile.shape[:2] or (0,))
    name = model or ("dcgan" if side >= LEAST_SIDE else "gan")
    part: dict[str, Any] = {"name": name, "latent": 64, "maps": 32} if name == "dcgan" else {"name": name}
    if not profile.images:
        part |= {"latent": 32, "bits": 16, "widths": [256, 256, 256]}
    plan.choose("model", part, name, "named by the user" if model else _told(profile))
    # A slope is longer the more pixels there are: the rule of StyleGAN2-ADA, with a factor of four found on MNIST.
    weight = float(f"{max(1e-3, 0.01 * side**2 / 28**2):.1g}") if profile.images else 0.01
    task: dict[str, Any] = {"name": "gan", "game": "non_saturating", "penalty": "r1", "weight": weight}
    why = "a penalty on the discriminator's slope at real ones lets both players come to rest"
    if not profile.images:
        task |= {"blur": 0.5, "blurred": STEPS["gan"] // 2}
        why += "; rows are blurred at first, so that rare ones are not passed over"
    plan.choose("task", task, f"non-saturating, R1 {weight}", why)
    _optimizer(plan, "adam", 5e-4, [0.5, 0.99], 64 if profile.images else 256)


def _denoised(profile: Profile, plan: "Plan", model: str | None) -> None:
    """Flow matching: the direction from noise to data is learned at every time between."""
    name = model or ("diffusion_unet" if profile.images else "diffusion_mlp")
    part: dict[str, Any] = {"name": name}
    if profile.images:
        side = min(profile.shape[:2] or (LEAST_SIDE,))
        patch = 1 if side <= 16 else 2 if side <= 64 else 4 if side <= 128 else 8
        if name == "diffusion_unet":
            stages = [1, 2, 2] if side // patch >= 28 else [1, 2] if side // patch >= 4 else [1]
            part |= {"maps": 48, "patch": patch, "stages": stages}
        elif name == "dit":
            part["patch"] = 2 * patch
    elif name == "diffusion_mlp":
        part |= {"width": 256, "depth": 3}
    plan.choose("model", part, name, "named by the user" if model else _told(profile))
    task = {"name": "diffusion", "path": "flow", "prediction": "velocity"}
    plan.choose("task", task, "flow matching", "straight lines from noise to data are sampled in few steps")
    _optimizer(plan, "adamw", 1e-3, [0.9, 0.99], 128 if profile.images else 256)
    plan.recipe.train["clip"] = 1.0


def _told(profile: Profile) -> str:
    """Whether the network hears of classes."""
    if not profile.images:
        return "rows of a table: dense layers; the answer is a column like any other"
    size = " x ".join(map(str, profile.shape[1::-1]))
    if profile.classes:
        return f"pictures of {size} in {profile.classes} classes: it is told the class, so that one can be asked for"
    return f"pictures of {size} without classes"


def _optimizer(plan: "Plan", name: str, rate: float, betas: list[float], batch: int) -> None:
    part = {"name": name, "lr": rate, "betas": betas}
    plan.choose("optimizer", part, f"{name} at {rate}", "one for each player" if betas[0] == 0.5 else "usual for it")
    plan.choose("schedule", {"name": "cosine", "warmup": 0.02}, "warm-up, then cosine", "ends in small steps")
    plan.recipe.train |= {"batch_size": batch, "ema": 0.999}
