"""What all tests share: real data where it lies beside the project, one thread a test, and patience."""

import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in the background, which inherits that
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A slow or busy machine is no fault of what is tested. Examples are the same at each run, so that a change answers for
# what it breaks; TRAINWELL_EXPLORE=1 draws new ones.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="TRAINWELL_EXPLORE" not in os.environ,
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: $TRAINWELL_DATA, else shared/data beside the project; skips where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("TRAINWELL_DATA", beside))
    if not path.is_dir():
        pytest.skip(f"real data is not here: {path} is absent; set TRAINWELL_DATA to its folder")
    return path
