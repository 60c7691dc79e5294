"""Every odd picture of a folder: read as a person would see it, or named, counted and left out, in one note."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

import trainwell as tw
from trainwell.data import Transform, infer, read, split
from trainwell.errors import InputError

SHADE = 90


def grey(folder, count=12, size=(20, 16)):
    """Two class folders of plain grey pictures, each with a dot of its own so that none repeats another."""
    for place in range(count):
        pixels = np.full((size[1], size[0], 3), SHADE, dtype=np.uint8)
        pixels[place // 4, place % 4] = 10 * place
        keep(folder, f"{place:02}.png", Image.fromarray(pixels), "ab"[place % 2])
    return folder


def keep(folder, name, picture, label="a", **options):
    (folder / label).mkdir(parents=True, exist_ok=True)
    picture.save(folder / label / name, **options)


def seen(folder, **options):
    """The pictures by name, those left out aside, and all notes."""
    source = read(folder)
    transform = Transform.fit(source, infer(source), np.arange(source.rows), layout="image", **options)
    found = transform.encode(source)
    names = [source.frame["image"][row].rsplit("/", 1)[1] for row in found["row"].tolist()]
    return dict(zip(names, found["inputs"][0].float(), strict=True)), source.notes + transform.notes


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_every_kind_of_picture_shows_the_same_shade(tmp_path):
    grey(tmp_path)
    plain = Image.new("L", (20, 16), SHADE)
    rgb = plain.convert("RGB")
    keep(tmp_path, "cmyk.jpg", rgb.convert("CMYK"), quality=95)
    keep(tmp_path, "ycc.tif", rgb.convert("YCbCr"))
    palette = rgb.quantize(4)
    keep(tmp_path, "palette.png", palette)
    keep(tmp_path, "palette_alpha.png", palette, transparency=bytes([255] * 256))
    keep(tmp_path, "alpha.png", Image.merge("RGBA", (*rgb.split(), Image.new("L", (20, 16), 255))))
    keep(tmp_path, "grey_alpha.png", Image.merge("LA", (plain, Image.new("L", (20, 16), 255))))
    keep(tmp_path, "deep.png", Image.fromarray(np.full((16, 20), SHADE * 257, dtype=np.uint16)))
    keep(tmp_path, "moving.gif", rgb, save_all=True, append_images=[Image.new("RGB", (20, 16), "white")] * 2)
    keep(tmp_path, "pages.tif", rgb, save_all=True, append_images=[Image.new("RGB", (20, 16), "white")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, notes = seen(tmp_path)
    assert len(found) == 21
    for name, picture in found.items():
        assert abs(float(picture.median()) - SHADE) <= 3, name
    told = "; ".join(notes)
    assert "2 pictures with several frames: the first of each is read" in told
    assert "1 picture of more than 8 bits: values 0 to 65535 become 0 to 255" in told


def test_a_see_through_palette_lies_on_white(tmp_path):
    grey(tmp_path)
    clear = Image.new("P", (20, 16), 0)
    clear.putpalette([0, 0, 0, 255, 0, 0])
    keep(tmp_path, "clear.png", clear, transparency=0)
    assert (seen(tmp_path)[0]["clear.png"] == 255).all()


@pytest.mark.parametrize(
    ("values", "told"),
    [((0, 4095), "values 0 to 4095"), ((0, 900), "values 0 to 1023"), ((5, 60_000), "values 0 to 65535")],
)
def test_deep_pictures_share_one_scale(tmp_path, values, told):
    """Scanners write 12 bits into files of 16: divided by 65,535 all would be black, each by its own range unlike."""
    low, high = values
    for place in range(10):
        ramp = np.full((8, 8), low, dtype=np.uint16)
        ramp[place % 8] = high if place < 5 else high // 2
        keep(tmp_path, f"{place}.png", Image.fromarray(ramp), "ab"[place % 2])
    found, notes = seen(tmp_path)
    assert told in "; ".join(notes)
    assert found["0.png"].max() > 200 and found["5.png"].max() == pytest.approx(found["0.png"].max() / 2, abs=1)


def test_floats_keep_their_range(tmp_path):
    for place in range(10):
        share = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8) * (0.5 + place / 20)
        keep(tmp_path, f"{place}.tif", Image.fromarray(share), "ab"[place % 2])
    found, notes = seen(tmp_path)
    assert "values 0 to 1 become" in "; ".join(notes) and found["0.tif"].max() == pytest.approx(127, abs=1)


def test_what_cannot_be_read_is_counted_once_and_named(tmp_path):
    grey(tmp_path)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name, content in {
        "cut.jpg": encoded(noise, "jpeg")[:900],
        "cut.png": encoded(noise, "png")[:900],
        "empty.jpg": b"",
        "text.png": b"<html>not found</html>",
    }.items():
        (tmp_path / "a" / name).write_bytes(content)
    keep(tmp_path, "dot.png", Image.new("RGB", (1, 1)))
    found, notes = seen(tmp_path)
    assert len(found) == 12
    (told,) = [note for note in notes if "could not be read" in note]
    assert told.startswith("5 pictures could not be read and left out") and "(and 2 more)" in told
    assert "cut.jpg: damaged" in told


def test_the_limit_of_pixels_can_be_set(tmp_path):
    grey(tmp_path)
    keep(tmp_path, "large.png", Image.new("RGB", (300, 200), (SHADE,) * 3))
    assert "large.png" in seen(tmp_path)[0]
    found, notes = seen(tmp_path, most_pixels=50_000)
    assert "large.png" not in found and "large.png: 300 x 200, more than 50,000 pixels" in "; ".join(notes)


def test_pictures_of_one_pixel_are_refused(tmp_path):
    for place in range(12):
        keep(tmp_path, f"{place}.png", Image.new("RGB", (1, 1), (place, 0, 0)), "ab"[place % 2])
    with pytest.raises(InputError, match="1 x 1 pixel show nothing"):
        tw.fit(tmp_path, out=tmp_path / "run", quiet=True)


def test_class_folders_without_a_picture_are_told(tmp_path):
    grey(tmp_path)
    (tmp_path / "bare").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "a.pdf").write_text("x")
    source = read(tmp_path)
    assert source.hints["labels"] == ["a", "b"]
    assert any("2 class folders hold no picture: bare, words" in note for note in source.notes)


def test_the_same_picture_on_both_sides_is_told(tmp_path):
    for part in ("train", "test"):
        grey(tmp_path / part)
    for place in range(4):
        pixels = np.full((16, 20, 3), 200 - place, dtype=np.uint8)
        keep(tmp_path / "train", f"own{place}.png", Image.fromarray(pixels), "ab"[place % 2])
    source = read(tmp_path)
    assert "12 rows repeat the inputs of another, 11 of them on both sides" in split(source, infer(source), seed=0).how
