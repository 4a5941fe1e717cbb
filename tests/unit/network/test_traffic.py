from __future__ import annotations

import os
from pathlib import Path

from banger.network.traffic import Traffic, TrafficMeter, read_traffic


def test_what_is_shown_is_read(tmp_path: Path) -> None:
    path = tmp_path / "traffic"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    meter = TrafficMeter(descriptor)
    os.close(descriptor)
    assert read_traffic(path) == Traffic(0, 0)
    meter.show(Traffic(sent_bytes=1 << 40, received_bytes=7))
    assert read_traffic(path) == Traffic(sent_bytes=1 << 40, received_bytes=7)
    meter.show(Traffic(sent_bytes=(1 << 40) + 1, received_bytes=8))
    assert read_traffic(path) == Traffic(sent_bytes=(1 << 40) + 1, received_bytes=8)


def test_what_nobody_counts_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    assert read_traffic(tmp_path / "short") is None
    assert read_traffic(tmp_path / "missing") is None
