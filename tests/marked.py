"""Pictures of coloured discs and squares with their boxes, made up, and written in the formats that people use."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LABELS = ("disc", "square")
COLOURS = {"disc": (220, 60, 40), "square": (40, 90, 220)}


def scene(seed: int, width: int = 96, height: int = 72) -> tuple[Image.Image, list[tuple]]:
    """A grey picture with one to three things on it, and their boxes: label, left, top, right, bottom."""
    random = np.random.default_rng(seed)
    picture = Image.fromarray(random.integers(150, 190, (height, width, 3), dtype=np.uint8))
    pen, boxes = ImageDraw.Draw(picture), []
    for place in range(int(random.integers(1, 4))):
        size = int(random.integers(18, 29))
        left = int(random.integers(0, width // 3 - size + 4)) + place * (width // 3)
        top, label = int(random.integers(0, height - size)), LABELS[int(random.integers(2))]
        left = min(left, width - size)
        box = (left, top, left + size, top + size)
        (pen.ellipse if label == "disc" else pen.rectangle)(box, fill=COLOURS[label])
        boxes.append((label, *map(float, box)))
    return picture, boxes


def scenes(count: int) -> dict[str, tuple[Image.Image, list[tuple]]]:
    """Names of files to pictures and boxes."""
    return {f"scene{seed:03d}.png": scene(seed) for seed in range(count)}


def voc(root: Path, made: dict, parts: dict[str, str] | None = None) -> Path:
    """JPEGImages, Annotations and, of parts, ImageSets/Main."""
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True)
    for name, (picture, boxes) in made.items():
        picture.save(root / "JPEGImages" / name)
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            "</bndbox></object>"
            for label, a, b, c, d in boxes
        )
        text = f"<annotation><filename>{name}</filename>{objects}</annotation>"
        (root / "Annotations" / name).with_suffix(".xml").write_text(text)
    for part in set((parts or {}).values()):
        lists = root / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text("\n".join(Path(k).stem for k, v in (parts or {}).items() if v == part))
    return root


def coco(root: Path, made: dict, part: str = "train") -> Path:
    """A folder of pictures and annotations/instances_PART2017.json."""
    (root / f"{part}2017").mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, marks = [], []
    for number, (name, (picture, boxes)) in enumerate(made.items(), 100):
        picture.save(root / f"{part}2017" / name)
        images.append({"id": number, "file_name": name, "width": picture.width, "height": picture.height})
        for label, a, b, c, d in boxes:
            box = [a, b, c - a, d - b]
            code = LABELS.index(label) + 7
            marks.append({"id": len(marks), "image_id": number, "category_id": code, "bbox": box, "iscrowd": 0})
    saved = {
        "images": images, "annotations": marks, "categories": [{"id": i + 7, "name": n} for i, n in enumerate(LABELS)]
    }  # fmt: skip
    (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(saved))
    return root


def yolo(root: Path, made: dict, part: str = "train") -> Path:
    """images/PART, labels/PART and data.yaml."""
    for folder in ("images", "labels"):
        (root / folder / part).mkdir(parents=True)
    for name, (picture, boxes) in made.items():
        picture.save(root / "images" / part / name)
        lines = []
        for label, a, b, c, d in boxes:
            shares = ((a + c) / 2 / picture.width, (b + d) / 2 / picture.height)
            sizes = ((c - a) / picture.width, (d - b) / picture.height)
            lines.append(" ".join(map(str, (LABELS.index(label), *shares, *sizes))))
        (root / "labels" / part / name).with_suffix(".txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(f"names: {list(LABELS)}\ntrain: images/{part}\n")
    return root


def table(root: Path, made: dict) -> Path:
    """Pictures and boxes.csv, one row a box."""
    (root / "pictures").mkdir(parents=True)
    rows = ["image,class,xmin,ymin,xmax,ymax"]
    for name, (picture, boxes) in made.items():
        picture.save(root / "pictures" / name)
        rows += [",".join(map(str, (name, *box))) for box in boxes]
    (root / "boxes.csv").write_text("\n".join(rows))
    return root
