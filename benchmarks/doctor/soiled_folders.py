"""Pictures and texts as people have them, with a fault planted in the files, each beside its healthy twin.

Written and put on record on 2026-11-21 at 11:29 UTC, before any of it was run and without a look at the rules.
"""

import io
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.doctor.setups import DATA
from benchmarks.doctor.soiled_tables import FEATURES, IMBALANCE, LEAK, MISMATCH, NOISE, TARGETS, Soiled
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Pictures = list[tuple[str, Image.Image]]  # a class folder, or a part's folder and in it a class, and a picture
Texts = list[tuple[str, str]]


def drawn(name: str, classes: tuple[int, ...], count: int) -> Pictures:
    """So many pictures of each class of mnist or cifar10."""
    frame = pl.read_parquet(DATA / name / "test.parquet")
    pictures = []
    for label in classes:
        rows = frame.filter(pl.col("label") == label).head(count)["image"].to_list()
        pictures += [(f"class{label}", Image.open(io.BytesIO(row["bytes"]))) for row in rows]
    return pictures


def digits() -> Pictures:
    return drawn("mnist", (0, 3, 4, 7), 100)


def photos() -> Pictures:
    return drawn("cifar10", (1, 6, 8), 120)


def letters() -> Pictures:
    """Twenty drawings each of twelve characters."""
    with zipfile.ZipFile(DATA / "omniglot" / "images_background_small1.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png") and "/Greek/" in name)
        names = [name for name in names if int(name.split("/")[-2][-2:]) <= 12]
        return [(name.split("/")[-2], Image.open(io.BytesIO(archive.read(name))).convert("L")) for name in names]


def parted(base: Callable[[], Pictures]) -> Callable[[], Pictures]:
    """The same with folders train and test, three rows in ten for the test."""

    def deal() -> Pictures:
        chance = random.Random(2)
        return [(f"{'test' if chance.random() < 0.3 else 'train'}/{name}", picture) for name, picture in base()]

    return deal


def folders(
    base: Callable[[], Pictures],
    soil: Callable[[Pictures, random.Random], Pictures],
    after: Callable[[Path, random.Random], None] | None = None,
    form: str = "png",
) -> Callable[[Path, bool], Path]:
    """A folder of class folders with pictures; `after` soils what was written."""

    def make(folder: Path, planted: bool) -> Path:
        chance, root = random.Random(11), folder / "pictures"
        shutil.rmtree(root, ignore_errors=True)
        for place, (name, picture) in enumerate(soil(base(), chance) if planted else base()):
            path = root / name / f"{place:04}.{form}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        if planted and after:
            after(root, chance)
        return root

    return make


def some(change: Callable[[Image.Image], Image.Image], share: float = 1.0, only: str = "") -> Callable[..., Pictures]:
    """Change a share of the pictures whose folder begins with `only` or ends with it."""
    return lambda pictures, chance: [
        (name, change(each) if (name.startswith(only) or name.endswith(only)) and chance.random() < share else each)
        for name, each in pictures
    ]


def black(picture: Image.Image) -> Image.Image:
    return Image.new(picture.mode, picture.size)


def framed(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=(0, 255, 0), width=2)
    return picture


def stamped(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    ImageDraw.Draw(picture).rectangle((1, 1, 5, 4), fill=(255, 255, 255))
    return picture


def brighter(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.8)


def darker(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.3)


def coded_again(picture: Image.Image) -> Image.Image:
    written = io.BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=60)
    return Image.open(written)


def swapped(picture: Image.Image) -> Image.Image:
    """Blue for red."""
    red, green, blue = picture.convert("RGB").split()
    return Image.merge("RGB", (blue, green, red))


def large(picture: Image.Image) -> Image.Image:
    return picture.resize((96, 96))


def again(change: Callable[[Image.Image], Image.Image], share: float = 0.3) -> Callable[..., Pictures]:
    """A share of the pictures once more under another file name."""
    return lambda pictures, chance: [
        *pictures,
        *[(name, change(each)) for name, each in chance.sample(pictures, int(share * len(pictures)))],
    ]


def other(names: list[str], name: str, chance: random.Random) -> str:
    return chance.choice([each for each in names if each != name])


def in_two(pictures: Any, chance: random.Random) -> Any:
    """One row in four also under another class."""
    names = sorted({name for name, _ in pictures})
    extra = chance.sample(pictures, len(pictures) // 4)
    return [*pictures, *[(other(names, name, chance), each) for name, each in extra]]


def mislabeled(share: float) -> Callable[..., Any]:
    def soil(pictures: Any, chance: random.Random) -> Any:
        names = sorted({name for name, _ in pictures})
        return [(other(names, name, chance) if chance.random() < share else name, each) for name, each in pictures]

    return soil


def moved(old: str, new: str, share: float) -> Callable[..., Any]:
    return lambda pictures, chance: [
        (new if name == old and chance.random() < share else name, each) for name, each in pictures
    ]


def few(name: str, count: int) -> Callable[..., Any]:
    def soil(pictures: Any, chance: random.Random) -> Any:
        rare = [each for each in pictures if each[0] == name][:count]
        return [*[each for each in pictures if each[0] != name], *rare]

    return soil


def as_is(rows: Any, chance: random.Random) -> Any:
    return rows


def truncated(root: Path, chance: random.Random) -> None:
    for path in sorted(root.rglob("*.png")):
        if chance.random() < 0.15:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pages(root: Path, chance: random.Random) -> None:
    """What a server answered in place of some pictures."""
    for path in sorted(root.rglob("*.png")):
        if chance.random() < 0.1:
            path.write_text("<html><body>429 Too Many Requests</body></html>")


def shared(pictures: Pictures, chance: random.Random) -> Pictures:
    learned = [each for each in pictures if each[0].startswith("train")]
    return [*pictures, *[(name.replace("train", "test"), each) for name, each in chance.sample(learned, 50)]]


def unknown(pictures: Pictures, chance: random.Random) -> Pictures:
    """A class that only the test has."""
    return [("test/class7" if name == "train/class7" else name, each) for name, each in pictures]


def _of(twin: str, base: Callable[[], Any], files: Callable[..., Any]) -> Callable[..., Soiled]:
    def planted(
        name: str, soil: Any, meant: tuple[str, ...], *told: str, command: str = "check", **more: Any
    ) -> Soiled:
        return Soiled(name, twin, files(base, soil, **more), meant, told, {}, command)

    return planted


digit, photo = _of("pictures of digits", digits, folders), _of("photos", photos, folders)
letter = _of("letters", letters, folders)
digit_apart = _of("pictures of digits apart", parted(digits), folders)
photo_apart = _of("photos apart", parted(photos), folders)
BROKEN = (".png", "damaged", "broken", "cannot be read", "no picture")
PICTURES = [
    digit("three pictures in ten black", some(black, 0.3), FEATURES, "black", "same"),
    letter("all drawings blank", some(lambda picture: Image.new("L", picture.size, 255)), FEATURES, "same", "blank"),
    digit("one class black", some(black, 1.0, "class3"), (*FEATURES, *LEAK), "black", "same"),
    digit("pictures cut off in the file", as_is, FEATURES, *BROKEN, after=truncated),
    digit("pages in place of pictures", as_is, FEATURES, *BROKEN, after=pages),
    photo("one class of another size", some(large, 1.0, "class6"), LEAK, "size"),
    digit("one class inverted", some(ImageOps.invert, 1.0, "class4"), LEAK),
    letter("half the drawings inverted", some(ImageOps.invert, 0.5), (*FEATURES, *MISMATCH, "input-not-normalized")),
    photo("a frame around one class", some(framed, 1.0, "class8"), LEAK),
    photo("a stamp on one class", some(stamped, 1.0, "class1"), LEAK),
    photo("one class brighter", some(brighter, 1.0, "class6"), LEAK),
    digit("pictures twice", again(lambda picture: picture), LEAK, "twice", "duplicate"),
    photo("photos coded again", again(coded_again), LEAK, "twice", "duplicate"),
    photo("photos mirrored beside themselves", again(ImageOps.mirror, 0.5), LEAK, "twice", "duplicate"),
    digit("pictures in two classes", in_two, (*NOISE, *LEAK), "classes"),
    digit("three pictures in ten under another class", mislabeled(0.3), NOISE, command="fit"),
    digit("fours among the sevens", moved("class4", "class7", 0.4), NOISE, command="fit"),
    letter("one letter in five under another", mislabeled(0.2), NOISE, command="fit"),
    digit("hardly any sevens", few("class7", 3), IMBALANCE),
    digit("one seven", few("class7", 1), (*IMBALANCE, *TARGETS), "class7"),
    digit("an empty class folder", as_is, (*TARGETS, *IMBALANCE), "empty",
          after=lambda root, chance: (root / "class9").mkdir()),
    digit_apart("the test inverted", some(ImageOps.invert, 1.0, "test"), MISMATCH),
    photo_apart("the test darker", some(darker, 1.0, "test"), MISMATCH),
    photo_apart("blue for red in the test", some(swapped, 1.0, "test"), MISMATCH),
    digit_apart("test pictures from the training", shared, LEAK, "twice", "duplicate"),
    digit_apart("a class that only the test has", unknown, (*TARGETS, *MISMATCH), "class7"),
]  # fmt: skip


def reviews() -> Texts:
    """A hundred and fifty good and as many bad, their first 1,200 characters."""
    return [
        (kind, path.read_text(encoding="latin-1")[:1200])
        for kind in ("neg", "pos")
        for path in sorted((DATA / "review-polarity" / kind).glob("*.txt"))[:150]
    ]


def parted_reviews() -> Texts:
    chance = random.Random(2)
    return [(f"{'test' if chance.random() < 0.3 else 'train'}/{kind}", text) for kind, text in reviews()]


def files(base: Callable[[], Texts], soil: Callable[[Texts, random.Random], Texts]) -> Callable[[Path, bool], Path]:
    """A folder of class folders with texts."""

    def make(folder: Path, planted: bool) -> Path:
        root = folder / "texts"
        shutil.rmtree(root, ignore_errors=True)
        for place, (name, text) in enumerate(soil(base(), random.Random(11)) if planted else base()):
            path = root / name / f"{place:04}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return make


def reworded(change: Callable[[str, str], str], share: float = 1.0) -> Callable[..., Texts]:
    """Change a share of the texts by folder name and text."""
    return lambda texts, chance: [
        (name, change(name, text) if chance.random() < share else text) for name, text in texts
    ]


review, review_apart = _of("reviews", reviews, files), _of("reviews apart", parted_reviews, files)
LOST = "404 not found the page that you look for does not exist"
TEXTS = [
    review("one text in five empty", reworded(lambda name, text: "", 0.2), FEATURES, "empty"),
    review("two texts in five the same page", reworded(lambda name, text: LOST, 0.4), (*FEATURES, *LEAK),
          "same", "twice"),
    review("texts cut after twelve characters", reworded(lambda name, text: text[:12]), FEATURES, "short"),
    review("texts twice", again(lambda text: text), LEAK, "twice", "duplicate"),
    review("the rating in the text", reworded(lambda name,
          text: f"rated {'9' if name == 'pos' else '3'} . {text}"), LEAK),
    review("markup in one class", reworded(lambda name, text: f"<p> {text} </p>" if name == "pos" else text), LEAK),
    review("three reviews in ten under the other class", mislabeled(0.3), NOISE, command="fit"),
    review("reviews in both classes", in_two, (*NOISE, *LEAK), "classes"),
    review("hardly any good reviews", few("pos", 3), IMBALANCE),
    review_apart("the test in capitals without blanks at signs", reworded(lambda name,
          text: text.upper().replace(" .", ".")
           .replace(" ,", ",") if name.startswith("test") else text), MISMATCH),
    review_apart("test texts from the training", shared, LEAK, "twice", "duplicate"),
]  # fmt: skip
