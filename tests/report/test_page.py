"""The page opens offline, holds together with any file missing or damaged, and can be read by everyone."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from run_folders import crowded, digits, housing, write

from trainwell.errors import InputError
from trainwell.report import render, result, write_report
from trainwell.report.page import TEMPLATES

RUNS = {"digits": digits, "housing": housing, "crowded": crowded, "empty": dict}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """The elements of a page, and whether each was closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(params=RUNS)
def page(request, tmp_path) -> str:
    return render(write(tmp_path / "run", RUNS[request.param]()))


def test_every_part_of_a_full_run_is_drawn_without_a_trouble(tmp_path):
    for name in ("digits", "housing"):
        text = render(write(tmp_path / name, RUNS[name]()))
        assert "could not be read" not in text and "is left out" not in text
        for section in ("result", "health", "data", "training", "metrics", "mistakes", "examples", "next"):
            assert f'<section id="{section}"' in text, section


def test_markup_is_closed_in_order_and_ids_are_unique(page):
    reader = Reader(page)
    assert reader.wrong == [] and reader.open == []
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for tag, attributes in reader.elements if tag == "a"]
    assert set(links) <= set(ids)


def test_no_request_leaves_the_page_and_there_is_no_script(page):
    reader = Reader(page)
    for tag, attributes in reader.elements:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in page


def test_page_is_small(page):
    assert len(page.encode()) < 500_000


def test_pictures_are_left_out_before_the_page_gets_large(tmp_path):
    files = digits()
    large = "iVBOR" + "A" * 90_000
    files["evaluation.json"]["examples"]["worst"] = [{"row": i, "truth": "1", "picture": large} for i in range(12)]
    files["augmented.json"]["pictures"] = [large] * 16
    assert len(render(write(tmp_path / "run", files)).encode()) < 2_000_000


def test_headings_are_in_order_and_sections_are_named(page):
    reader = Reader(page)
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = {attributes.get("id") for _, attributes in reader.elements}
    for tag, attributes in reader.elements:
        if tag == "section":
            assert attributes["aria-labelledby"] in ids
    tags = [tag for tag, _ in reader.elements]
    assert tags.count("main") == tags.count("nav") == tags.count("header") == tags.count("footer") == 1


def test_every_plot_and_picture_has_words(page):
    for tag, attributes in Reader(page).elements:
        if tag == "svg":
            assert attributes["role"] == "img" and len(attributes["aria-label"]) > 10
        if tag == "img":
            assert attributes["alt"]


def test_no_coordinate_is_not_a_number(page):
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        shapes = re.sub(r"<title>.*?</title>|aria-label=\"[^\"]*\"", "", svg)
        assert not re.search(r"=\"[^\"]*\b(nan|inf)\b", shapes)


def test_markup_in_names_is_escaped(tmp_path):
    page = render(write(tmp_path / "run", crowded()))
    tags = {tag for tag, _ in Reader(page).elements}
    assert not tags & {"script", "u", "s", "i"}
    assert "&lt;script&gt;" in page
    assert not any(a.get("src") == "x" for _, a in Reader(page).elements)


def test_many_classes_and_columns_are_cut_and_the_page_says_so(tmp_path):
    page = render(write(tmp_path / "run", crowded()))
    assert "Shown are the 20 of 150 classes" in page
    assert "The 20 of 150 classes with the lowest F1." in page
    assert "The first 20 of 300 columns" in page and "280 more columns" in page
    assert "Shown are the 20 dearest of 300." in page


@pytest.mark.parametrize("run", ["digits", "housing"])
def test_page_works_with_each_file_missing_or_damaged(run, tmp_path):
    files = RUNS[run]()
    for name in files:
        without = {other: value for other, value in files.items() if other != name}
        page = render(write(tmp_path / f"without-{name}", without))
        assert "could not be read" not in page
        folder = write(tmp_path / f"damaged-{name}", without)
        (folder / name).write_bytes(b'{"rows": [1, \xff')
        page = render(folder)
        assert f"{name} could not be read" in page
        for wrong in ("[1, 2]", '"text"', "7", "null", "{}", '{"metrics": 3, "columns": 4, "examples": [1]}', ""):
            (folder / name).write_text(wrong)
            assert "<h1" in render(folder)


def test_wrong_shapes_inside_a_file_leave_the_rest_standing(tmp_path):
    files = digits()
    files["evaluation.json"]["confusion"] = {"labels": ["a", "b"], "counts": [[1], [2, 3]]}
    files["plan.json"] = {"reasons": ["text", None]}
    page = render(write(tmp_path / "run", files))
    assert "is left out" in page and "Right for" in page


def test_report_is_written_whole_and_leaves_nothing_beside_it(tmp_path):
    folder = write(tmp_path / "run", digits())
    before = {path.name for path in folder.iterdir()}
    target = write_report(folder)
    assert target == folder / "report.html" and target.read_text(encoding="utf-8").endswith("</html>\n")
    assert write_report(folder) == target
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}


def test_missing_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="no such run folder"):
        render(tmp_path / "nowhere")


def test_commands_quote_the_folder(tmp_path):
    page = render(write(tmp_path / "my run", housing()))
    assert f"trainwell predict &#39;{tmp_path / 'my run'}&#39;" in page
    assert "trainwell fit &#39;my data/housing.csv&#39; --recipe" in page


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the light, the dark and the printed page."""
    style = (TEMPLATES / "stylesheet.css").read_text(encoding="utf-8")
    roots = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", root))
        for root in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    light, dark, print_ = roots
    return {"light": light, "dark": {**light, **dark}, "print": {**light, **print_}}


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_contrast_of_text_and_of_lines(name):
    colours = palettes()[name]
    for text in ("ink", "muted", "accent", "strong-right", "strong-wrong"):
        for ground in ("paper", "surface"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for cell in ("right", "wrong"):
        assert contrast(colours["ink"], colours[cell]) >= 4.5, cell
    for badge in ("sky", "orange", "vermillion", "green"):
        assert contrast(colours["badge"], colours[badge]) >= 4.5, badge
    for series in ("first", "second", "third", "other"):
        assert contrast(colours[series], colours["paper"]) >= 3, series


def test_every_colour_used_is_defined():
    style = (TEMPLATES / "stylesheet.css").read_text(encoding="utf-8")
    pages = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
    by_cell = set(re.findall(r'style="--([\w-]+):', pages))  # a number that a template gives each cell
    assert set(re.findall(r"var\(--([\w-]+)\)", style)) <= set(palettes()["light"]) | by_cell


def test_templates_are_installed_with_the_package():
    assert {path.name for path in Path(TEMPLATES).iterdir()} >= {"page.html", "stylesheet.css"}


def test_terminal_reads_what_the_page_reads(tmp_path):
    told = result(write(tmp_path / "digits", digits()))
    assert told.startswith("Right for 99.2 % of 362 held-out pictures [97.9, 99.8]; always answering")
    assert told.splitlines()[-1].endswith("nothing found.")
    assert "\nA simple answer does better. On the same rows boosted trees give" in result(
        write(tmp_path / "b", housing())
    )
    assert result(write(tmp_path / "c", {})) == "Not yet measured on held-out rows."


def test_numbers_of_a_regression_are_read_from_text(tmp_path):
    files = housing()
    files["evaluation.json"]["examples"]["worst"] = [{"row": 7, "truth": "500000", "prediction": "140000"}]
    assert '<td class="number">−360,000</td>' in render(write(tmp_path / "run", files))


def test_an_interrupted_run_says_so(tmp_path):
    files = {**digits(), "run.json": {"version": 1, "state": "interrupted"}}
    assert "trainwell fit --resume" in render(write(tmp_path / "run", files))
