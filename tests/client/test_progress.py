"""The bar over a canvas goes from its first step to its end."""

from __future__ import annotations

import pytest

from omruntime import GroupResult, Omega, virtualobj


@virtualobj
def even(data: int) -> int:
    """Fail for odd numbers."""
    if data % 2:
        raise ValueError(data)
    return data


@pytest.fixture
def om(tmp_path: object) -> Omega:
    om = Omega(f"sqlite:///{tmp_path}/store")
    om.scripts.put(even, "even")
    return om


def test_a_canvas_is_watched_to_its_end(om: Omega, capsys: pytest.CaptureFixture[str]) -> None:
    with om, om.runtime.parallel() as crt:
        for number in range(4):
            crt.script("even").run(number)
        result = crt.run()
        result.progress()
        assert result.ready()
        assert "parallel: 4 of 4, 2 failed\n" in capsys.readouterr().err
        (group,) = result.collect()
        assert isinstance(group, GroupResult)
        group.progress()
        assert "group: 4 of 4, 2 failed\n" in capsys.readouterr().err
        result.forget()
