"""What a training says of itself: metrics.jsonl, the bar on a terminal, lines in a file."""

import io
import time

import pytest
import torch
from rich.console import Console
from toy import Events, Squares, TinyLoader, net, rows, state_of, train

from trainwell.runs import RunFolder
from trainwell.tasks.task import Loss
from trainwell.train.log import Bar, Recorder


def test_the_record_holds_the_mean_loss_since_its_last_line(tmp_path):
    folder = RunFolder.create("toy", tmp_path / "run")
    events, losses = Events(), []
    recorder = Recorder(folder, every=4).attach(events)
    events.on("step", lambda state, each: losses.append((each["model"].total.item(), each["model"].count)))
    data = TinyLoader(*rows(), 9)
    state = train(state_of(net(), lr=0.01), data, data, events, epochs=2)
    lines = folder.read_lines("metrics.jsonl")
    steps = [line for line in lines if line["event"] == "step"]
    assert [line["step"] for line in steps] == [4, 6, 8, 12]
    for line, start in zip(steps, [0, 4, 6, 8], strict=True):
        part = losses[start : line["step"]]
        assert line["loss"] == pytest.approx(
            sum(total for total, _ in part) / sum(count for _, count in part), rel=1e-5
        )
        assert line["lr"] == 0.01 and line["largest"] > 0
    judged = [line for line in lines if line["event"] == "evaluate"]
    assert [line["step"] for line in judged] == [6, 12] and judged[-1]["mse"] == pytest.approx(state.metrics["mse"])
    assert recorder.waiting == {} and set(recorder.last) == {"loss", "largest"}


def test_losses_of_players_and_changing_logs(tmp_path):
    folder = RunFolder.create("toy", tmp_path / "run")
    recorder = Recorder(folder, every=100)
    state = state_of(net())
    state.step = 1
    one = torch.ones(())
    recorder.step(state, {"critic": Loss(one * 6, torch.tensor(2.0)), "actor": Loss(one, 1, {"entropy": one * 3})})
    recorder.step(state, {"critic": Loss(one * 2, 2), "actor": Loss(one * 3, 1)})
    recorder.flush(state)
    (line,) = folder.read_lines("metrics.jsonl")
    assert (line["loss_critic"], line["loss_actor"], line["entropy"]) == (2.0, 2.0, 3.0)
    Recorder(None).flush(state)  # without a folder nothing is written


def test_an_interrupted_record_goes_on_without_repeating(tmp_path):
    folder = RunFolder.create("toy", tmp_path / "run")
    data = TinyLoader(*rows(), 10)

    def stop(state, losses):
        state.interrupted = state.step == 7

    events = Events().on("step", stop)
    Recorder(folder, every=3).attach(events)
    with pytest.raises(KeyboardInterrupt):
        train(state_of(net()), data, None, events, epochs=2)
    assert [line["step"] for line in folder.read_lines("metrics.jsonl")] == [3, 6, 7]  # what waited is written
    resumed = state_of(net())
    resumed.step = resumed.passed = resumed.batch = 4  # from a checkpoint before the end
    events = Events()
    Recorder(folder, every=3).attach(events)
    train(resumed, data, None, events, epochs=2)
    assert [line["step"] for line in folder.read_lines("metrics.jsonl")] == [3, 6, 9, 10]


def speak(stream, terminal, at_the_end=lambda state: None):
    events = Events().on("epoch", at_the_end)
    bar = Bar(Recorder(None, every=1).attach(events), stream=stream).attach(events)
    bar.console = Console(file=stream, force_terminal=terminal, width=100)
    bar.spoken = -100.0
    data = TinyLoader(*rows(), 10)
    train(state_of(net(), Squares()), data, data, events, epochs=2)
    return stream.getvalue()


def test_a_log_file_gets_plain_lines():
    text = speak(io.StringIO(), terminal=False)
    assert "\x1b" not in text and "\r" not in text
    assert "50%" in text and "loss" in text and "mse" in text and "s left" in text
    assert text.count("\n") == 1  # the second evaluation came within five seconds


def test_the_time_left_is_never_more_than_what_is_left_of_the_time_given():
    stream = io.StringIO()
    bar = Bar(Recorder(None), seconds=100.0, stream=stream)
    bar.console = Console(file=stream, width=20)
    state = state_of(net(), Squares())
    bar.start(state)
    bar.began, bar.spoken = time.perf_counter() - 60.0, -100.0  # 20 of them before the clock of the training ran
    state.steps, state.seconds = 1000, 40.0
    bar.evaluate(state, {"mse": 1.0})
    assert " 40%" in stream.getvalue() and "at most 60 s left" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1  # however narrow it is


def test_a_terminal_gets_a_bar_that_goes_away():
    text = speak(io.StringIO(), terminal=True)
    assert "training" in text and text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_the_cursor_comes_back_after_an_error_too(kind):
    def fail(state):
        raise kind

    stream = io.StringIO()
    with pytest.raises(kind):
        speak(stream, terminal=True, at_the_end=fail)
    assert stream.getvalue().count("\x1b[?25h") == 1
