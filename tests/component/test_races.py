"""What several clients want of one machine at the same moment."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from threading import Thread

from tests.component.fake_world import FakeWorld
from tests.reliability.api import Api

from banger.core.errors import BangerError, NotFound


def test_what_others_want_of_a_machine_that_is_being_made_waits_until_it_is_ready(fake_world: FakeWorld) -> None:
    """A start, and then a deletion, from the moment on at which the name can be seen."""
    api = Api(fake_world)
    for number in range(12):
        making = Thread(target=api.run_detached, args=[f"box{number}"])
        making.start()
        verb = ("start", "delete")[number % 2]
        while True:
            with suppress(NotFound):
                after = api.act(verb, f"box{number}")
                break
        making.join()
        if verb == "start":
            assert after is not None
            assert after["state"] == "running"
            assert api.exec(f"box{number}", "echo", "hi") == (0, b"hi\n")
    assert {vm["name"] for vm in api.vms()} == {f"box{number}" for number in range(0, 12, 2)}


def test_a_command_in_a_paused_machine_is_refused_at_once(fake_world: FakeWorld) -> None:
    api = Api(fake_world)
    api.run_detached("box")
    api.act("pause", "box")
    done = fake_world.banger("vm", "exec", "box", "--", "true")
    assert done.returncode == 5
    assert b"banger vm resume box" in done.stderr
    api.act("resume", "box")
    assert api.exec("box", "echo", "hi") == (0, b"hi\n")


def test_a_machine_that_was_adopted_while_it_was_paused_answers_when_it_is_resumed(fake_world: FakeWorld) -> None:
    api = Api(fake_world)
    api.run_detached("box")
    api.act("pause", "box")
    fake_world.kill_daemon()
    fake_world.start_daemon()
    assert api.show("box")["state"] == "paused"
    api.act("resume", "box")
    assert api.exec("box", "echo", "hi") == (0, b"hi\n")


def test_a_machine_whose_making_is_given_up_is_not_found_by_who_waits_for_it(fake_world: FakeWorld) -> None:
    # It ends with its guest: a command of the fake VMM is a process of this host.
    words = ("vm", "run", "--rm", "--no-workspace", "--name", "box", "--", "cat")
    making = fake_world.start(*words, stdin=subprocess.PIPE)
    api = Api(fake_world)
    while True:
        with suppress(BangerError):
            api.act("delete", "box")
            break
    making.communicate(timeout=30)
    assert making.returncode != 0
    assert api.vms() == []


def test_a_disk_that_somebody_removed_is_told_and_leaves_nothing_open(fake_world: FakeWorld) -> None:
    api = Api(fake_world)
    api.create("box", start=False)
    shutil.rmtree(api.show("box")["directory"])
    assert fake_world.banger("vm", "rename", "box", "other").returncode == 1
    assert fake_world.rows("step") == 0
    assert [vm["name"] for vm in api.vms()] == ["box"]
