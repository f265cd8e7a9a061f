"""When its time is over a task is stopped, whatever it is doing."""

from __future__ import annotations

import pytest

from omruntime import Omega
from omruntime.errors import TaskTimeout
from tests.worker.gates import run, value

pytestmark = pytest.mark.shared_workers


@pytest.mark.parametrize(
    "code",
    [
        "sum(range(10 ** 13))",
        "import ctypes; ctypes.PyDLL(None).sleep(3600)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "while True: print('without end')",
    ],
    ids=["busy loop in C", "holds the GIL", "ignores the signal", "floods its output", "prints for ever"],
)
def test_time_is_over_whatever_the_task_does(shared: Omega, code: str) -> None:
    with pytest.raises(TaskTimeout) as caught:
        run(shared, "shell", code, require={"timeout": 0.2}).get(60)
    assert caught.value.timeout == 0.2
    assert value(run(shared, "echo", "next")) == "next"
