from __future__ import annotations

from pathlib import Path

import pytest

from banger.cli.installation import Installation, is_older, judge_installation
from banger.core.errors import Unsupported

PIP = ["/v/bin/python", "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]


def test_who_installed_it(tmp_path: Path) -> None:
    def judge(origin: str | None = None, *, managed: bool = False, has_pip: bool = True) -> Installation:
        return judge_installation(prefix=tmp_path, origin=origin, managed=managed, has_pip=has_pip)

    assert not judge().pipx
    assert not judge('{"url": "file:///banger.whl", "archive_info": {}}').pipx
    editable = '{"url": "file:///src", "dir_info": {"editable": true}}'
    for origin, managed, has_pip in ((editable, False, True), (None, True, True), (None, False, False)):
        with pytest.raises(Unsupported) as caught:
            judge(origin, managed=managed, has_pip=has_pip)
        assert caught.value.hint
    (tmp_path / "pipx_metadata.json").touch()
    assert judge().pipx
    (tmp_path / "uv-receipt.toml").touch()
    with pytest.raises(Unsupported, match="uv installed"):
        judge()


def test_commands() -> None:
    assert Installation("/v/bin/python", pipx=False).plan_install("1.2") == [*PIP, "install", "--quiet", "banger==1.2"]
    assert Installation("/v/bin/python", pipx=True).plan_install("1.2") == ["pipx", "install", "--force", "banger==1.2"]
    assert Installation("/v/bin/python", pipx=True).plan_lookup(None)[:6] == PIP


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.2.0", "0.1.0", False),
        ("0.9", "0.10", True),
        ("1.0", "1.0", False),
        ("1", "1.0.1", True),
        ("", "0.1", True),
        ("x.y", "0.1", True),
        ("0.2rc1", "0.2", False),
    ],
)
def test_older(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older
