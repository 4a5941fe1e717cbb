"""What the configuration file may say, and how what it may not say is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.config.file_sync import FileSync
from banger.core.config.parsing import Configuration, parse_configuration
from banger.core.config.registries import Mirror, Registry
from banger.core.errors import Invalid

FILE = "/home/me/.config/banger/config.toml"


def parse(text: str) -> Configuration:
    return parse_configuration(text, file=FILE, home="/home/me")


def sync(*lines: str) -> str:
    return "[[file_sync]]\n" + "\n".join(lines)


KEY = 'key = "ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="'


def catalogue(*lines: str) -> str:
    return "[[catalogues]]\n" + "\n".join(lines) + "\n"


EVERYTHING = """
log_level = "Debug"
ssh_key_path = "~/.ssh/id_ed25519"
default_image = "tiny"
default_kernel = "mine"
auto_stop_stale_after = "2h"

[vm_defaults]
vcpu = 3
memory = "1.5G"
disk = "20GiB"
nat = true
ttl = "1d"

[[file_sync]]
host = "~/.gitconfig"
guest = "~/.gitconfig"

[[file_sync]]
host = "/home/me//.config/./nvim/"
guest = "/root/.config/nvim/"
mode = "0640"

[registries."index.docker.io"]
mirrors = ["Mirror.example.com/hub", "10.0.0.1:5000"]

[registries."10.0.0.1:5000"]
plain_http = true
"""


def test_everything_that_can_be_said() -> None:
    assert parse(EVERYTHING) == Configuration(
        log_level="debug",
        ssh_key_path="/home/me/.ssh/id_ed25519",
        default_image="tiny",
        default_kernel="mine",
        auto_stop_stale_after_s=7200,
        vcpu=3,
        memory_mib=1536,
        disk_bytes=20 << 30,
        nat=True,
        ttl_s=86400,
        file_sync=(
            FileSync(host=".gitconfig", guest=".gitconfig", mode=None),
            FileSync(host=".config/nvim", guest=".config/nvim", mode=0o640),
        ),
        registries={
            "docker.io": Registry("docker.io", (Mirror("mirror.example.com", "hub"), Mirror("10.0.0.1:5000", ""))),
            "10.0.0.1:5000": Registry("10.0.0.1:5000", plain_http=True),
        },
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "[vm_defaults]\n"])
def test_everything_may_be_left_out(text: str) -> None:
    assert parse(text) == Configuration()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("[vm_defaults]\nmemory = 2048", "memory_mib", 2048),
        ('[vm_defaults]\nmemory = "2048"', "memory_mib", 2048),
        ("[vm_defaults]\ndisk = 1024", "disk_bytes", 1 << 30),
        ("[vm_defaults]\nnat = false", "nat", False),
        ('[vm_defaults]\nttl = "0"', "ttl_s", 0),
        ("[vm_defaults]\nttl = 0", "ttl_s", 0),
        ('auto_stop_stale_after = "0"', "auto_stop_stale_after_s", 0),
        ('ssh_key_path = "/keys/mine"', "ssh_key_path", "/keys/mine"),
        ("file_sync = []", "file_sync", ()),
    ],
)
def test_other_ways_to_say_it(text: str, field: str, value: object) -> None:
    assert getattr(parse(text), field) == value


@pytest.mark.parametrize(
    ("text", "summary", "hint"),
    [
        ("log_levle = 1", "there is no key 'log_levle'", "did you mean `log_level`?"),
        ("[vm_default]", "there is no key 'vm_default'", "did you mean `vm_defaults`?"),
        ("[vm_defaults]\nvcpus = 1", "there is no key 'vm_defaults.vcpus'", "did you mean `vcpu`?"),
        ("vcpu = 1", "there is no key 'vcpu'", "`vcpu` belongs below [vm_defaults]"),
        (
            "[vm_defaults]\nlog_level = 1",
            "there is no key 'vm_defaults.log_level'",
            "`log_level` belongs above the first [section]",
        ),
        ("zzz = 1", "there is no key 'zzz'", "the keys here are log_level"),
        ('"\\u001b[2J" = 1', "there is no key '\\x1b[2J'", "the keys here are"),
        ('log_level = "loud"', "log_level: 'loud' is not a log level", "debug, info, warning, error"),
        ("log_level = true", "log_level: true is not a log level", "debug, info"),
        ('ssh_key_path = "id"', "ssh_key_path: 'id' is not an absolute path", "begin it with / or ~/"),
        ('ssh_key_path = "~you/id"', "ssh_key_path: '~you/id' is not an absolute path", "~/"),
        ("ssh_key_path = 1", "ssh_key_path: 1 is not an absolute path", "~/"),
        ('default_image = ""', "default_image: '' is not a name", "image list"),
        ('default_kernel = "a\\nb"', "default_kernel: 'a\\nb' is not a name", "kernel list"),
        ("auto_stop_stale_after = 7200", "auto_stop_stale_after: 7200 is not a duration", '"2h"'),
        ("auto_stop_stale_after = false", "auto_stop_stale_after: false is not a duration", '"2h"'),
        ('auto_stop_stale_after = "soon"', "auto_stop_stale_after: 'soon' is not a duration", "2h"),
        ("vm_defaults = 1", "vm_defaults: 1 is not a section", "[vm_defaults]"),
        ("[vm_defaults]\nvcpu = 0", "vm_defaults.vcpu: 0 is not possible", "1 to 256"),
        ("[vm_defaults]\nvcpu = 257", "vm_defaults.vcpu: 257 is not possible", "1 to 256"),
        ("[vm_defaults]\nvcpu = true", "vm_defaults.vcpu: true is not possible", "1 to 256"),
        ("[vm_defaults]\nvcpu = 1.5", "vm_defaults.vcpu: 1.5 is not possible", "1 to 256"),
        ('[vm_defaults]\nvcpu = "2"', "vm_defaults.vcpu: '2' is not possible", "1 to 256"),
        ('[vm_defaults]\nmemory = "4X"', "vm_defaults.memory: '4X' is not a size", "512M"),
        ('[vm_defaults]\nmemory = "1M"', "vm_defaults.memory: 1 MiB is not possible", "128 MiB to 1 TiB"),
        ('[vm_defaults]\nmemory = "200000K"', "vm_defaults.memory: '200000K' is not a whole number of MiB", "512M"),
        ("[vm_defaults]\nmemory = -1", "vm_defaults.memory: '-1' is not a size", "512M"),
        ("[vm_defaults]\nmemory = true", "vm_defaults.memory: true is not a size", "4G"),
        ("[vm_defaults]\ndisk = 1.5", "vm_defaults.disk: 1.5 is not a size", "4G"),
        ('[vm_defaults]\ndisk = "99T"', "vm_defaults.disk: 99 TiB is not possible", "16 TiB"),
        ("[vm_defaults]\nnat = 1", "vm_defaults.nat: 1 is neither true nor false", "without quotes"),
        ('[vm_defaults]\nttl = "1"', "vm_defaults.ttl: '1' is not a duration", "1h30m"),
        ("[file_sync]", "file_sync: it is not a list of sections", "[[file_sync]]"),
        ("file_sync = [1]", "file_sync: entry 1 is not a section", "[[file_sync]]"),
        (sync(), "file_sync: entry 1: host is missing", "host ="),
        ("[catalogues]", "catalogues: it is not a list of sections", "[[catalogues]]"),
        ("catalogues = [1]", "catalogues: entry 1: it is not a section", "[[catalogues]]"),
        (catalogue(), "catalogues: entry 1: it needs either url or path", "url ="),
        (catalogue('url = "https://a.example/"'), "catalogues: entry 1: key: it is missing", "ed25519:"),
        (catalogue("key = []", 'path = "/c"'), "catalogues: entry 1: key: it is not a key or a list", "ed25519:"),
        (catalogue('key = "x"', 'path = "/c"'), "catalogues: entry 1: key: 'x' is not a key", "ed25519:"),
        (catalogue('path = "c"', KEY), "catalogues: entry 1: path: 'c' is not an absolute path", "~/"),
        (catalogue('url = "ftp://a.example"', KEY), "catalogues: entry 1: url: 'ftp://a.example' is not", "https://"),
        (catalogue('url = "https://u:p@a.example"', KEY), "catalogues: entry 1: url: 'https://u:p@a", "https://"),
        (catalogue('url = "https://a.example"', 'path = "/c"', KEY), "catalogues: entry 1: it needs either", "url ="),
        (catalogue('path = "/c"', KEY) * 2, "catalogues: entry 2: it is listed already", "in one entry"),
        (catalogue('pfad = "/c"'), "catalogues: entry 1: there is no key 'pfad'", "url, path, key"),
        (sync('host = "~/a"'), "file_sync: entry 1: guest is missing", "guest ="),
        (sync('hots = "~/a"'), "file_sync: entry 1: there is no key 'hots'", "did you mean `host`?"),
        (sync('host = ""', 'guest = "~/a"'), "file_sync: entry 1: host is empty", "host ="),
        (sync("host = 1", 'guest = "~/a"'), "file_sync: entry 1: host must be a string", "host ="),
        (sync('host = "a"', 'guest = "~/a"'), "file_sync: entry 1: host: 'a' is not an absolute path", "~/FILE"),
        (sync('host = "~you/a"', 'guest = "~/a"'), "host: '~you/a' is not an absolute path", "~/FILE"),
        (sync('host = "~"', 'guest = "~/a"'), "host: '~' is not an absolute path", "~/FILE"),
        (sync('host = "~/"', 'guest = "~/a"'), "host: '~/' is a whole home directory", "in it"),
        (sync('host = "/home/me"', 'guest = "~/a"'), "host: '/home/me' is not in your home", "only files"),
        (sync('host = "/home/mean/a"', 'guest = "~/a"'), "host: '/home/mean/a' is not in your home", "only files"),
        (sync('host = "/etc/passwd"', 'guest = "~/a"'), "host: '/etc/passwd' is not in your home", "only files"),
        (sync('host = "~/../you/a"', 'guest = "~/a"'), "host: '~/../you/a' contains `..`", "without it"),
        (sync('host = "/home/me/../you"', 'guest = "~/a"'), "host: '/home/me/../you' contains `..`", "without it"),
        (sync('host = "~/a"', 'guest = "/etc/a"'), "guest: '/etc/a' is not in the guest's home", "/root/FILE"),
        (sync('host = "~/a"', 'guest = "/rooty/a"'), "guest: '/rooty/a' is not in the guest's home", "/root/FILE"),
        (sync('host = "~/a"', 'guest = "/root"'), "guest: '/root' is not in the guest's home", "/root/FILE"),
        (sync('host = "~/a"', 'guest = "/root/"'), "guest: '/root/' is a whole home directory", "in it"),
        (sync('host = "~/a"', 'guest = "~/a/../../b"'), "guest: '~/a/../../b' contains `..`", "without it"),
        (sync('host = "~/a\\u0000"', 'guest = "~/a"'), "host: '~/a\\x00' is not a usable path", "in it"),
        (sync('host = "~/a"', 'guest = "~/a\\nb"'), "guest: '~/a\\nb' is not a usable path", "in it"),
        (sync(f'host = "~/{"a" * 256}"', 'guest = "~/a"'), "is not a usable path", "in it"),
        (sync('host = "~/a"', 'guest = "~/a"', "mode = 600"), "mode: 600 is not a file mode", 'mode = "0600"'),
        (sync('host = "~/a"', 'guest = "~/a"', 'mode = "0999"'), "mode: '0999' is not a file mode", 'mode = "0600"'),
        (sync('host = "~/a"', 'guest = "~/a"', 'mode = "4755"'), "mode: '4755' is not a file mode", 'mode = "0600"'),
        (
            sync('host = "~/a"', 'guest = "~/a"') + "\n" + sync('host = "~/b"', 'guest = "/root/a"'),
            "file_sync: entry 2: guest: /root/a is also where entry 1 goes",
            "another place",
        ),
        ("registries = 1", "registries: 1 is not a section", '[registries."HOST"]'),
        ("[registries]\nmirrors = []", "registries: 'mirrors': it is not a section", '[registries."HOST"]'),
        ('[registries."https://a"]', "registries: 'https://a': 'https://a' is a URL", "HOST:PORT"),
        ('[registries."a b"]', "'a b' is not the name of a registry", "HOST:PORT"),
        ('[registries."a:0"]', "'a:0' has no usable port", "1 to 65535"),
        ('[registries."a:70000"]', "'a:70000' has no usable port", "1 to 65535"),
        ('[registries."1.2.3"]', "'1.2.3' is neither a name nor an IPv4 address", "HOST:PORT"),
        ('[registries."[::g]"]', "is not an IPv6 address in brackets", "HOST:PORT"),
        ('[registries."a"]\nmirror = []', "registries: 'a': there is no key 'mirror'", "did you mean `mirrors`?"),
        ('[registries."a"]\nmirrors = "b"', "registries: 'a': mirrors is not a list of strings", "mirrors = ["),
        ('[registries."a"]\nmirrors = [1]', "registries: 'a': mirrors is not a list of strings", "mirrors = ["),
        ('[registries."a"]\nmirrors = [""]', "registries: 'a': mirrors: '': it has no host", "mirrors = ["),
        ('[registries."a"]\nmirrors = ["b/C"]', "mirrors: 'b/C': 'C' is not the name of a repository", "lower-case"),
        (
            '[registries."a"]\nmirrors = ["A"]',
            "registries: 'a': mirrors: a registry cannot be its own mirror",
            "asked last",
        ),
        ('[registries."a"]\nplain_http = 1', "registries: 'a': plain_http is neither true nor false", "without quotes"),
        ('[registries."a"]\n[registries."A"]', "registries: a is listed twice", "merge the two"),
        ("vcpu = ", "is not a TOML document: ", "fix that line"),
        ("log_level = 'info'\nlog_level = 'info'", "is not a TOML document: ", "fix that line"),
    ],
)
def test_what_cannot_be_said(text: str, summary: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.summary.count(FILE) == 1
    assert summary in caught.value.summary
    assert hint in caught.value.hint
    assert "\n" not in caught.value.summary
    assert "\x1b" not in caught.value.summary


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Invalid):
        parse(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_value_is_read_or_refused(value: object) -> None:
    try:
        written = toml(value)
    except TypeError:
        return
    for key in (
        "log_level",
        "ssh_key_path",
        "default_image",
        "auto_stop_stale_after",
        "vm_defaults",
        "file_sync",
        "registries",
        "catalogues",
    ):
        with suppress(Invalid):
            parse(f"{key} = {written}")
    for key in ("vcpu", "memory", "disk", "nat", "ttl"):
        with suppress(Invalid):
            parse(f"[vm_defaults]\n{key} = {written}")


def toml(value: object) -> str:
    """The TOML of a value; what has none raises `TypeError`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if value is None:
        raise TypeError
    return json.dumps(value) if not isinstance(value, float) else repr(value)


def test_the_documented_example_is_good() -> None:
    page = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    said = parse(example)
    assert None not in said
    assert said.file_sync is not None
    assert len(said.file_sync) == 2
