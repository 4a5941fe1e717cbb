from __future__ import annotations

import json

import pytest

from banger.cli.exits import Hangup
from banger.cli.failures import report
from banger.core.errors import NotFound


def test_a_defect_is_one_sentence_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ValueError("bad \x1b[2J"), ["vm", "list"], {}) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "banger: something went wrong inside banger: ValueError: bad \\x1b[2J",
        "  hint: run it again with BANGER_DEBUG=1 to see where, and report it",
    ]


def test_a_traceback_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="bad") as caught:
        int("bad")
    assert report(caught.value, [], {"BANGER_DEBUG": "1"}) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt(), ["vm", "list", "--json"], {}) == 130
    assert capsys.readouterr() == ("", "banger: cancelled\n")


def test_nothing_is_said_when_nobody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Hangup(141), [], {}) == 141
    assert capsys.readouterr() == ("", "")


def test_an_error_of_the_system_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(PermissionError(13, "Permission denied", "/x/\x07"), [], {}) == 1
    assert capsys.readouterr().err == (
        "banger: /x/\\x07: Permission denied\n  hint: run it again with BANGER_DEBUG=1 to see where\n"
    )


def test_json_goes_where_json_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NotFound("no"), ["vm", "show", "x", "--json"], {}) == 3
    out, err = capsys.readouterr()
    assert (json.loads(out)["error"]["kind"], err) == ("not_found", "")
    assert report(NotFound("no"), ["vm", "exec", "x", "--", "--json"], {}) == 3
    assert capsys.readouterr() == ("", "banger: no\n")
