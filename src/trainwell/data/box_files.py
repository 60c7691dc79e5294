"""Files that mark boxes in pictures (VOC XML, COCO JSON, YOLO text, rows of a table) to one record a picture."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any
from xml.etree import ElementTree

import yaml

from trainwell.data.folder import PARTS, PICTURES
from trainwell.data.rows import Source, counted
from trainwell.errors import InputError

Box = tuple[str, float, float, float, float]  # label, left, top, right, bottom; NaN where there is no number
ANY = re.compile(r"[a-z]+")


@dataclass
class Record:
    """The boxes of one picture, and where they were read; `shares` says that they are parts of its width and height."""

    picture: str
    boxes: list[Box]
    where: str
    part: str = ""
    shares: bool = False


@dataclass
class Marks:
    """What the files of one kind hold: records, the labels that they declare, what was noticed."""

    kind: str
    records: list[Record]
    labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Tree:
    """All files below a folder, by kind of ending, and pictures by name."""

    root: Path
    files: dict[str, list[Path]]
    pictures: dict[str, list[Path]]

    @classmethod
    def of(cls, root: Path) -> "Tree":
        """Walk the folder, hidden folders aside."""
        files: dict[str, list[Path]] = defaultdict(list)
        pictures: dict[str, list[Path]] = defaultdict(list)
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(names):
                path, ending = Path(folder, name), PurePath(name).suffix.lower()
                if ending in PICTURES:
                    pictures[path.stem.lower()].append(path)
                elif not name.startswith("."):
                    files[ending].append(path)
        return cls(root, files, pictures)

    def picture(self, name: str, beside: Path) -> Path | None:
        """The picture that a file calls by this name: of equal ending and the longest way in common with the file."""
        wanted = PurePath(name.replace("\\", "/"))
        found = self.pictures.get(wanted.stem.lower(), [])
        same = [path for path in found if path.name.lower() == wanted.name.lower()] or found
        ends = [path for path in same if path.parts[-len(wanted.parts) :] == wanted.parts] or same
        return max(ends, key=lambda path: len(os.path.commonpath([path.parent, beside.parent])), default=None)

    def part(self, path: Path) -> str:
        """The part (train, val, test) that a folder on the way to the file is called after; empty where none is."""
        ways = path.relative_to(self.root).parts[:-1]
        return next((PARTS[way.lower()] for way in ways if way.lower() in PARTS), "")

    def near(self, path: Path) -> str:
        """The path as seen from the folder."""
        return path.relative_to(self.root).as_posix()


def read_marks(root: Path) -> Marks | None:
    """The boxes that files below a folder mark; nothing where there are none.

    Raises InputError where they cannot be read.
    """
    tree = Tree.of(root)
    if not tree.pictures:
        return None
    for reader in (_voc, _coco, _yolo):
        found = reader(tree)
        if found is not None:
            return found
    return None


def _voc(tree: Tree) -> Marks | None:
    """Pascal VOC: an XML file for each picture, the parts listed in ImageSets/Main."""
    paths = tree.files.get(".xml", [])
    if not any(b"<annotation" in path.read_bytes()[:2000] for path in paths[:5]):
        return None
    marks, broken = Marks("VOC XML", []), []
    parts = _voc_parts(tree)
    for path in paths:
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            broken.append(f"{tree.near(path)}: {error}")
            continue
        if root.tag != "annotation":
            continue
        name = (root.findtext("filename") or path.stem).strip()
        # Many tools leave the name of an earlier file inside: the file's own name is tried as well.
        picture = tree.picture(name, path) or tree.picture(path.stem, path)
        boxes = [_voc_box(each) for each in root.iter("object")]
        part = parts.get(path.stem, "") if parts else tree.part(picture or path)
        marks.records.append(Record(str(picture or name), boxes, tree.near(path), part))
    if broken:
        files = counted(len(broken), "annotation file")
        marks.notes.append(f"{files} could not be read and left out, as {broken[0]}")
    return marks


def _voc_parts(tree: Tree) -> dict[str, str]:
    """Stem to part by lists called train.txt, val.txt and test.txt in a folder called Main."""
    parts = {}
    for path in tree.files.get(".txt", []):
        part = PARTS.get(path.stem.lower())
        if part and path.parent.name.lower() == "main":
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.strip():
                    parts[line.split()[0]] = part
    return parts


def _voc_box(found: ElementTree.Element) -> Box:
    box = found.find("bndbox")
    sides = [_number(None if box is None else box.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax")]
    return ((found.findtext("name") or "").strip(), *sides)  # type: ignore[return-value]


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _coco(tree: Tree) -> Marks | None:
    """COCO: one JSON file a part, which lists images, annotations and categories."""
    marks = Marks("COCO JSON", [])
    for path in tree.files.get(".json", []):
        text = path.read_text(encoding="utf-8", errors="replace")
        if not all(f'"{key}"' in text for key in ("images", "annotations", "bbox")):
            continue
        try:
            saved = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}; expected COCO annotations") from None
        if not isinstance(saved, dict) or not isinstance(saved.get("annotations"), list):
            continue
        _coco_file(tree, path, saved, marks)
    return marks if marks.records else None


def _coco_file(tree: Tree, path: Path, saved: dict[str, Any], marks: Marks) -> None:
    where = tree.near(path)
    try:
        names = {each["id"]: str(each["name"]) for each in saved.get("categories", [])}
        images = {each["id"]: str(each["file_name"]) for each in saved["images"]}
        boxes: dict[Any, list[Box]] = {key: [] for key in images}
        crowds, lost, unknown = 0, 0, []
        for each in saved["annotations"]:
            if each.get("iscrowd"):
                crowds += 1
            elif each["category_id"] not in names:
                unknown.append(each["category_id"])
            elif each["image_id"] not in boxes:
                lost += 1
            elif each.get("bbox"):
                left, top, width, height = map(_number, each["bbox"])
                label = names[each["category_id"]]
                boxes[each["image_id"]].append((label, left, top, left + width, top + height))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not as COCO has it: {type(error).__name__} {error}") from None
    if unknown:
        known = ", ".join(f"{key} {name}" for key, name in list(names.items())[:6]) or "none"
        raise InputError(
            f"{path}: {counted(len(unknown), 'annotation')} of a class that is not known, as category_id {unknown[0]}; "
            f"categories has {known}: add it there or mend the annotations"
        )
    for number, what in ((crowds, "marks a crowd"), (lost, "names no listed image")):
        if number:
            marks.notes.append(f"{where}: {counted(number, 'annotation')} left out that {what}")
    used = {box[0] for found in boxes.values() for box in found}
    marks.labels += [name for name in names.values() if name in used and name not in marks.labels]
    words = [PARTS[word] for word in ANY.findall(path.stem.lower()) if word in PARTS]
    part = words[0] if words else tree.part(path)
    for key, name in images.items():
        found = tree.picture(name, path)
        marks.records.append(Record(str(found or name), boxes[key], where, part))


def _yolo(tree: Tree) -> Marks | None:
    """YOLO: a text file beside each picture, or in a folder labels beside images: class, middle and size in shares."""
    texts = {path: None for path in tree.files.get(".txt", [])}
    pairs = [(picture, _yolo_file(picture, texts)) for found in tree.pictures.values() for picture in found]
    marked = [path for _, path in pairs if path is not None]
    if not marked or not any(map(_is_yolo, marked[:20])):
        return None
    names, said = _yolo_names(tree)
    marks, unknown = Marks("YOLO text", [], list(names)), []
    for picture, path in sorted(pairs):
        boxes: list[Box] = []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path else []
        for number, line in enumerate(lines, 1):
            cells = [_number(cell) for cell in line.split()]
            if not cells:
                continue
            where = f"{tree.near(path)}, line {number}"  # type: ignore[arg-type]
            if len(cells) < 5 or cells[0] != cells[0] or cells[0] != int(cells[0]):
                raise InputError(f"{where}: {line[:60]!r}; expected five numbers: class, middle x and y, width, height")
            code, (x, y, width, height) = int(cells[0]), cells[1:5]
            if names and not 0 <= code < len(names):
                unknown.append(f"{where}: class {code}")
                continue
            label = names[code] if names else str(code)
            boxes.append((label, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        marks.records.append(Record(str(picture), boxes, tree.near(path or picture), tree.part(picture), True))
    if unknown:
        known = ", ".join(f"{i} {name}" for i, name in enumerate(names[:6]))
        raise InputError(
            f"{tree.root}: {counted(len(unknown), 'box').replace('boxs', 'boxes')} of a class that is not known, as "
            f"{unknown[0]}; {said} has {known}: add it there or mend the labels"
        )
    bare = sum(path is None for _, path in pairs)
    if bare:
        marks.notes.append(f"{counted(bare, 'picture')} without a label file: taken as showing none of the classes")
    return marks


def _yolo_file(picture: Path, texts: dict[Path, None]) -> Path | None:
    """The label file of a picture: beside it, or with the folder "images" on its way called "labels"."""
    ways = list(picture.with_suffix(".txt").parts)
    for place in range(len(ways) - 2, -1, -1):
        if ways[place].lower() == "images":
            path = Path(*ways[:place], "labels", *ways[place + 1 :])
            if path in texts:
                return path
    return picture.with_suffix(".txt") if picture.with_suffix(".txt") in texts else None


def _is_yolo(path: Path) -> bool:
    """Whether every line begins with a whole number and four shares."""
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    numbers = [[_number(cell) for cell in line[:5]] for line in lines]
    return bool(lines) and all(len(n) == 5 and n[0] == n[0] // 1 and all(-1 <= x <= 2 for x in n[1:]) for n in numbers)


def _yolo_names(tree: Tree) -> tuple[list[str], str]:
    """The classes by a data.yaml or a classes.txt, and what the file is called."""
    for path in [*tree.files.get(".yaml", []), *tree.files.get(".yml", [])]:
        try:
            saved = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        names = saved.get("names") if isinstance(saved, dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names)]
        if isinstance(names, list):
            return [str(name) for name in names], tree.near(path)
    for path in [*tree.files.get(".txt", []), *tree.files.get(".names", [])]:
        if path.name.lower() in ("classes.txt", "obj.names", "names.txt", "labels.txt"):
            lines = path.read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()], tree.near(path)
    return [], ""


# What the sides of a box and its class are called in tables; the first of each that a table has is taken.
SIDES: list[tuple[tuple[str, str, str, str], Callable[[float, float, float, float], tuple[float, ...]]]] = [
    (("xmin", "ymin", "xmax", "ymax"), lambda a, b, c, d: (a, b, c, d)),
    (("x_min", "y_min", "x_max", "y_max"), lambda a, b, c, d: (a, b, c, d)),
    (("left", "top", "right", "bottom"), lambda a, b, c, d: (a, b, c, d)),
    (("x1", "y1", "x2", "y2"), lambda a, b, c, d: (a, b, c, d)),
    (("x", "y", "width", "height"), lambda a, b, c, d: (a, b, a + c, b + d)),
    (("x", "y", "w", "h"), lambda a, b, c, d: (a, b, a + c, b + d)),
]
CLASSES = ("class", "label", "name", "class_name", "category", "cell_type", "object")


def marks_of_table(source: Source) -> Marks | None:
    """Rows that name a picture file, four sides and a class, one row a box; nothing for any other table.

    Rows without sides mark pictures that show none of the classes.
    """
    columns = {name.lower(): name for name in source.frame.columns}
    pictures = [name for name, kind in source.hints.get("kinds", {}).items() if kind == "image"]
    label = next((columns[name] for name in CLASSES if name in columns), None)
    found = next(((names, make) for names, make in SIDES if all(name in columns for name in names)), None)
    if not pictures or label is None or found is None:
        return None
    names, make = found
    sides = [columns[name] for name in names]
    frame = source.frame
    rows: dict[str, list[Box]] = {}
    for picture, kind, *cells in frame.select(pictures[0], label, *sides).iter_rows():
        if picture is None:
            continue
        boxes = rows.setdefault(picture, [])
        if kind is not None or any(cell is not None for cell in cells):
            boxes.append((str(kind or ""), *make(*map(_number, cells))))  # type: ignore[arg-type]
    where = PurePath(source.origin).name
    marks = Marks("a table", [Record(picture, boxes, where) for picture, boxes in rows.items()])
    marks.notes = list(source.notes)
    return marks
