"""Sound files to waves: what is read, what is odd and said, what is refused; names to labels; changes to sounds."""

import wave
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy.io import wavfile

from trainwell.data import infer, read, split
from trainwell.data.audio import AudioError, open_sound, resampled
from trainwell.data.augment_sound import Hiss, Pace, Trim
from trainwell.data.clips import SoundTransform
from trainwell.errors import InputError


def hum(hertz: float = 440.0, rate: int = 8000, seconds: float = 0.25, loud: float = 0.5) -> np.ndarray:
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write(path: Path, samples: np.ndarray, rate: int = 8000, kind: str = "i2") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "u1":
        values = np.rint(samples * 127 + 128).astype(np.uint8)
    elif kind == "f4":
        values = samples.astype(np.float32)
    else:
        values = np.rint(samples * (2 ** (8 * int(kind[1]) - 1) - 1)).astype(kind)
    wavfile.write(path, rate, values)
    return path


@pytest.mark.parametrize(("kind", "near"), [("u1", 0.01), ("i2", 1e-4), ("i4", 1e-6), ("f4", 1e-6)])
def test_every_width_of_sample_is_read_alike(tmp_path: Path, kind: str, near: float):
    sound = open_sound(str(write(tmp_path / "a.wav", hum(), kind=kind)))
    assert np.allclose(sound.samples, hum(), atol=near) and sound.samples.dtype == np.float32
    assert (sound.rate, sound.channels, sound.bits, sound.clipped) == (8000, 1, 8 * int(kind[1]), False)
    assert sound.seconds == pytest.approx(0.25)


def test_24_bits_are_read(tmp_path: Path):
    values = np.rint(hum() * (2**23 - 1)).astype("<i4")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8000)
        file.writeframes(values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    assert np.allclose(open_sound(str(tmp_path / "a.wav")).samples, hum(), atol=1e-6)


def test_two_channels_are_mixed_and_clipping_is_seen(tmp_path: Path):
    both = np.stack([hum(), -0.5 * hum()], axis=1)
    sound = open_sound(str(write(tmp_path / "a.wav", both)))
    assert sound.channels == 2 and np.allclose(sound.samples, 0.25 * hum(), atol=1e-3)
    assert open_sound(str(write(tmp_path / "b.wav", np.clip(hum(loud=3), -1, 1)))).clipped
    spike = hum()
    spike[100] = 1.0
    assert not open_sound(str(write(tmp_path / "c.wav", spike))).clipped  # one sample is a peak
    assert open_sound(str(write(tmp_path / "d.wav", np.zeros(400), kind="u1"))).silent


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"hello, this is text", "no sound"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "damaged"),
        (b"RIFF\x24\x00\x00\x00WAVEjunkjunkjunk", "damaged"),
    ],
)
def test_what_is_no_sound_says_why(tmp_path: Path, content: bytes, said: str):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=said):
        open_sound(str(tmp_path / "a.wav"))
    with pytest.raises(AudioError, match=said):
        open_sound(content)


def test_no_samples_no_file_no_cell(tmp_path: Path):
    with pytest.raises(AudioError, match="0 samples"):
        open_sound(str(write(tmp_path / "a.wav", np.zeros(0))))
    with pytest.raises(AudioError, match="no such file"):
        open_sound(str(tmp_path / "b.wav"))
    with pytest.raises(AudioError, match="no sound in this row"):
        open_sound(None)
    with pytest.raises(AudioError, match="NaN"):
        open_sound(str(write(tmp_path / "c.wav", np.full(100, np.nan), kind="f4")))


def test_another_rate_keeps_the_sound():
    found = resampled(hum(rate=44100).astype(np.float32), 44100, 8000)
    assert len(found) == 2000
    assert np.abs(found[100:-100] - hum()[100:-100]).max() < 0.01


def spoken(folder: Path, takes: int = 6, speakers: tuple[str, ...] = ("ann", "bob")) -> Path:
    random = np.random.default_rng(0)
    for digit in (3, 7):
        for place, speaker in enumerate(speakers):
            for take in range(takes):
                sound = hum(300 * digit + 40 * place, seconds=0.1 + 0.02 * take) + random.normal(size=1) * 0
                write(folder / f"{digit}_{speaker}_{take}.wav", sound)
    return folder


def test_names_give_label_speaker_and_take(tmp_path: Path):
    source = read(spoken(tmp_path / "clips"))
    assert source.frame.columns == ["audio", "label", "speaker", "take"] and source.parts is None
    schema = infer(source)
    assert schema.classes == ["3", "7"] and schema["speaker"].role == schema["take"].role == "ignored"
    grouped = split(source, infer(source, group="speaker"), test=0.5, val=0.1)
    speakers = source.frame["speaker"].to_numpy()
    assert not set(speakers[grouped.train]) & set(speakers[grouped.test])


def test_other_names_stay_files_without_labels(tmp_path: Path):
    for place in range(12):
        write(tmp_path / "clips" / f"recording{place}.wav", hum(100 + place))
    assert read(tmp_path / "clips").frame.columns == ["audio"]


def test_the_digits_of_the_free_set_keep_their_split(shared: Path):
    source = read(shared / "fsdd")
    assert source.rows == 3000 and source.frame["speaker"].n_unique() == 6
    assert source.parts is not None and (source.parts == "test").sum() == 300
    assert set(source.frame["take"].to_numpy()[source.parts == "test"]) == set(range(5))


def test_oddities_are_counted_and_named_in_one_note(tmp_path: Path):
    folder = spoken(tmp_path / "clips")
    write(folder / "3_ann_90.wav", np.stack([hum(), hum()], axis=1))
    write(folder / "3_ann_91.wav", hum(rate=16000), rate=16000)
    write(folder / "3_ann_92.wav", hum(), kind="u1")
    write(folder / "3_ann_93.wav", np.clip(hum(loud=4), -1, 1))
    write(folder / "3_ann_94.wav", hum(seconds=9.0))
    (folder / "7_bob_95.wav").write_bytes(b"")
    (folder / "7_bob_96.wav").write_bytes(b"not a sound at all")
    source = read(folder)
    schema = infer(source)
    clean = np.flatnonzero(source.frame["take"].to_numpy() < 90)
    transform = SoundTransform.fit(source, schema, clean)
    assert len(transform.notes) == 1
    for part in (
        "2 sounds left out, unreadable (7_bob_95.wav: empty file, 7_bob_96.wav: no sound",
        "1 sound mixed down to one channel (3_ann_90.wav: 2 channels)",
        "1 sound resampled to 8,000 samples a second (3_ann_91.wav: 16,000)",
        "1 sound of 8 bits a sample, which hiss (3_ann_92.wav)",
        "1 sound clipped at full scale, kept as found (3_ann_93.wav)",
        "cut after 0.20 s (3_ann_90.wav: 0.25 s",
    ):
        assert part in transform.notes[0]
    encoded = transform.encode(source)
    waves, lengths = encoded["inputs"]
    assert len(encoded["row"]) == source.rows - 2 == len(lengths) and lengths.max() == 1600
    assert waves[:].shape == (source.rows - 2, 1600) and len(transform.notes) == 1
    assert waves[:3].shape[1] == int(lengths[:3].max())  # padded only as far as needed
    state, arrays = transform.save()
    again = SoundTransform.restore(state, arrays)
    assert torch.equal(again.encode(source)["inputs"][0][:], waves[:])


def test_sounds_that_cannot_be_learned_from(tmp_path: Path):
    for place in range(12):
        (tmp_path / f"{place % 2}_ann_{place}.wav").write_bytes(b"")
    source = read(tmp_path)
    with pytest.raises(InputError, match=r"none of 12 sounds could be read \(0_ann_0.wav: empty file\)"):
        SoundTransform.fit(source, infer(source), np.arange(12))
    with pytest.raises(InputError, match="expected more than 0"):
        SoundTransform.fit(source, infer(source), np.arange(12), rate=0)
    with pytest.raises(InputError, match="reads sounds; the columns are number"):
        table = read(pl.DataFrame({"x": np.arange(20.0) / 3, "y": ["a", "b"] * 10}))
        SoundTransform.fit(table, infer(table, target="y"), np.arange(20))


def test_pace_moves_length_and_pitch_together():
    torch.manual_seed(0)
    x = torch.from_numpy(hum(500, seconds=0.5)).float()[None].repeat(32, 1)
    changed, ends = Pace(most=0.2).change(x, torch.full((32,), 4000))
    assert ends.min() >= 4000 / 1.2 - 1 and ends.max() <= 4000 / 0.8 + 1 and ends.unique().numel() > 10
    for wave_, end in zip(changed[:8], ends[:8].tolist(), strict=True):
        spectrum = torch.fft.rfft(wave_[:end]).abs()
        assert float(spectrum.argmax()) / end * 8000 == pytest.approx(500 * 4000 / end, rel=0.02)
        assert wave_[end:].abs().max() == 0 if end < changed.shape[1] else True


def test_trim_and_hiss_keep_to_their_shares():
    torch.manual_seed(0)
    x, lengths = torch.ones(16, 1000), torch.tensor([1000] * 8 + [500] * 8)
    x[8:, 500:] = 0
    cut, ends = Trim(share=0.1).change(x, lengths)
    assert (ends >= 0.8 * lengths - 1).all() and (ends < lengths + 1).all()
    assert torch.equal(cut.sum(1).long(), ends)
    noisy, same = Hiss(most=0.1).change(x, lengths)
    noise = noisy - x
    assert same is lengths and noise[8:, 500:].abs().max() == 0
    assert 0 < float(noise.std(1).max()) < 0.12
    batch = {"inputs": (x, lengths), "target": torch.zeros(16)}
    assert Trim()(batch)["inputs"][0].shape[0] == 16 and len(Trim()({**batch, "inputs": (x,)})["inputs"]) == 1
    with pytest.raises(InputError, match="trim changes sounds"):
        Trim()({"inputs": (torch.ones(2, 3, 8, 8),)})
    for wrong in (lambda: Trim(share=0.5), lambda: Pace(most=1)):
        with pytest.raises(ValueError, match="expected"):
            wrong()
