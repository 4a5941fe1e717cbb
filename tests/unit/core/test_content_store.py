"""The store of what never changes: publishing, crashes, makers at the same time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from banger.core.content_store import Content, ContentStore
from banger.core.errors import Failed, Invalid, NotFound, Unsupported


def publish(store: ContentStore, name: str, content: bytes = b"data", **manifest: Any) -> Content:
    with store.draft() as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "file").write_bytes(content)
        (draft / "left over").write_bytes(b"not published")
        return store.publish(draft, name=name, files=["sub/file"], manifest=manifest)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store", kind="thing", native="x86_64")


def test_what_is_published_is_found_read_listed_and_whole(store: ContentStore, tmp_path: Path) -> None:
    content = publish(store, "a", key="value")
    assert store.find("a") == store.read(content.digest) == content
    assert store.list() == [("a", content)]
    assert content.manifest["key"] == "value"
    assert content.size_bytes == 4
    assert (content.path / "sub" / "file").read_bytes() == b"data"
    assert not os.access(content.path / "sub" / "file", os.W_OK) or os.geteuid() == 0
    assert sorted(path.name for path in content.path.iterdir()) == ["manifest.json", "sub"]
    assert list((tmp_path / "store" / "drafts").iterdir()) == []
    store.verify(content)


def test_the_digest_is_of_content_and_manifest_but_not_of_the_time(store: ContentStore) -> None:
    first = publish(store, "a", created_at_s=1.0)
    assert publish(store, "b", created_at_s=2.0).digest == first.digest
    assert publish(store, "c", b"other", created_at_s=1.0).digest != first.digest
    assert publish(store, "d", created_at_s=1.0, more=1).digest != first.digest


def test_a_name_means_one_thing_for_each_architecture(store: ContentStore) -> None:
    foreign = publish(store, "a", b"arm", architecture="aarch64")
    assert store.find("a") == store.find("a", "aarch64") == foreign
    assert store.find("a", "x86_64") is None
    native = publish(store, "a", b"pc", architecture="x86_64")
    assert store.find("a") == store.find("a", "x86_64") == native
    assert store.find("a", "aarch64") == foreign
    other = publish(store, "0", b"arm", architecture="aarch64", more=1)
    assert store.list() == [("0", other), ("a", native), ("a", foreign)]
    assert store.remove("a", in_use=frozenset(), architecture="aarch64")
    assert store.list() == [("0", other), ("a", native)]
    assert store.remove("0", in_use=frozenset())
    assert store.remove("a", in_use=frozenset())
    assert store.list() == []


@pytest.mark.parametrize("architecture", ["riscv64", "..", "", "../../x"])
def test_an_architecture_that_nothing_here_can_have(store: ContentStore, architecture: str) -> None:
    with pytest.raises(Unsupported, match="things for"):
        publish(store, "a", architecture=architecture)
    assert store.find("a", architecture) is None


def test_each_name_of_the_same_content_keeps_what_was_said_of_it(store: ContentStore) -> None:
    first = publish(store, "a", source="here", created_at_s=1.0, key="value")
    second = publish(store, "b", source="there", created_at_s=2.0, key="value")
    assert first.digest == second.digest
    assert second.manifest["source"] == "there"
    found = store.find("b")
    assert found is not None
    assert (found.manifest["source"], found.manifest["key"]) == ("there", "value")
    assert store.read(first.digest).manifest["source"] == "here"
    assert [content.manifest["source"] for _, content in store.list()] == ["here", "there"]


def test_a_name_moves_to_new_content(store: ContentStore) -> None:
    old = publish(store, "a", b"old")
    new = publish(store, "a", b"new")
    assert store.find("a") == new
    assert store.read(old.digest) == old


def test_nothing_is_published_when_the_maker_fails(store: ContentStore, tmp_path: Path) -> None:
    def fail() -> None:
        with store.draft() as draft:
            (draft / "file").write_bytes(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.list() == []
    assert list((tmp_path / "store" / "drafts").iterdir()) == []


def test_damage_is_found(store: ContentStore) -> None:
    content = publish(store, "a")
    file = content.path / "sub" / "file"
    file.chmod(0o600)
    file.write_bytes(b"Data")
    with pytest.raises(Failed, match="sub/file of the thing"):
        store.verify(content)


def test_a_name_without_its_content_is_none(store: ContentStore, tmp_path: Path) -> None:
    content = publish(store, "a")
    content.path.rename(tmp_path / "elsewhere")
    assert store.find("a") is None
    assert store.list() == []
    with pytest.raises(NotFound):
        store.read(content.digest)
    assert publish(store, "a").digest == content.digest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"digest": 5}', '{"digest": "sha256:../../etc"}', "\0"])
def test_a_damaged_pointer_is_none(store: ContentStore, tmp_path: Path, text: str) -> None:
    publish(store, "a")
    (tmp_path / "store" / "names" / "a.json").write_text(text)
    assert store.find("a") is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "A", "x" * 64, "a\n", "é"])
async def test_names_that_are_no_file_names_are_refused(store: ContentStore, name: str) -> None:
    assert store.find(name) is None
    with pytest.raises(Invalid):
        publish(store, name)
    with pytest.raises(Invalid):
        async with store.making(name):
            pass


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../..", "md5:" + "0" * 64, "sha256:" + "0" * 64])
def test_digests_that_are_none(store: ContentStore, digest: str) -> None:
    with pytest.raises(NotFound):
        store.read(digest)


def test_removing_keeps_what_somebody_needs(store: ContentStore) -> None:
    content = publish(store, "a")
    publish(store, "b")
    assert store.remove("a", in_use=frozenset()) is False
    assert store.remove("b", in_use=frozenset({content.digest})) is False
    assert content.path.exists()
    assert store.list() == []
    publish(store, "c")
    assert store.remove("c", in_use=frozenset()) is True
    assert not content.path.exists()
    with pytest.raises(NotFound):
        store.remove("c", in_use=frozenset())


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(store: ContentStore, tmp_path: Path) -> None:
    maker = (
        "import sys, time\nfrom pathlib import Path\nfrom banger.core.content_store import ContentStore\n"
        "with ContentStore(Path(sys.argv[1]), kind='thing', native='x86_64').draft() as draft:\n"
        "    (draft / 'deep').mkdir()\n    (draft / 'deep' / 'half').write_bytes(b'x' * 1000)\n"
        "    print(draft, flush=True)\n    time.sleep(60)\n"
    )
    source = Path(sys.modules[ContentStore.__module__].__file__ or "").parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", maker, tmp_path / "store"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(source)},
    ) as process:
        assert process.stdout is not None
        draft = Path(process.stdout.readline().decode().strip())
        store.remove_drafts()
        assert (draft / "deep" / "half").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with store.draft() as own:
        store.remove_drafts()
        assert own.exists()
    assert not draft.exists()


async def test_one_maker_at_a_time_and_the_others_are_told(store: ContentStore) -> None:
    made: list[int] = []
    waited: list[int] = []

    async def ensure(number: int) -> str:
        async with store.making("a", lambda: waited.append(number)):
            found = store.find("a")
            if found is None:
                await asyncio.sleep(0.05)
                found = publish(store, "a")
                made.append(number)
            return found.digest

    digests = await asyncio.gather(*map(ensure, range(8)))
    assert len(set(digests)) == 1
    assert len(made) == 1
    assert len(waited) == 7


async def test_a_maker_that_gives_up_lets_the_next_one_in(store: ContentStore) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with store.making("a"):
            entered.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await entered.wait()
    hanging.cancel()
    async with asyncio.timeout(10), store.making("a"):
        pass


def test_makers_in_many_processes_make_it_once(tmp_path: Path) -> None:
    maker = (
        "import asyncio, sys, time\nfrom pathlib import Path\nfrom banger.core.content_store import ContentStore\n"
        "async def main():\n"
        "    store = ContentStore(Path(sys.argv[1]), kind='thing', native='x86_64')\n"
        "    async with store.making('a'):\n"
        "        if store.find('a') is None:\n"
        "            with store.draft() as draft:\n"
        "                (draft / 'file').write_bytes(b'x')\n"
        "                await asyncio.sleep(0.3)\n"
        "                store.publish(draft, name='a', files=['file'], manifest={})\n"
        "            print('made')\n"
        "asyncio.run(main())\n"
    )
    source = Path(sys.modules[ContentStore.__module__].__file__ or "").parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", maker, tmp_path / "store"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(outputs) == [b"", b"", b"made\n"]


def test_the_pointer_is_json_that_says_the_digest(store: ContentStore, tmp_path: Path) -> None:
    content = publish(store, "a", created_at_s=5.0, key="value")
    pointer = json.loads((tmp_path / "store" / "names" / "a.json").read_bytes())
    assert pointer == {"created_at_s": 5.0, "digest": content.digest}
