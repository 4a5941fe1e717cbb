"""Recipes of the user's: what they may say, and what is refused with the place where it stands."""

from __future__ import annotations

import pytest

from banger.core.errors import Invalid
from banger.image.build_recipe import Recipe, digest_recipe, parse_recipe, plan_build_environment, plan_run
from banger.image.pinned import Pinned
from banger.image.run_config import RunConfig

WHOLE = b"""
base = "debian-bookworm"
packages = ["build-essential", "libssl-dev"]
network = true
vcpu = 2
memory = "2GiB"
disk = "20G"
commands = [
    "make -C /srv/app && make -C /srv/app install",
    ["useradd", "--create-home", "app"],
]

[environment]
APP_HOME = "/srv/app"

[[files]]
source = "app"
path = "/srv/app"

[[files]]
source = "conf/app.conf"
path = "/etc/app.conf"
mode = "0640"

[run]
entrypoint = ["/usr/local/bin/app"]
command = ["serve"]
user = "app:app"
working_dir = "/srv/app"
stop_signal = "QUIT"
"""


def parse(text: bytes | str) -> Recipe:
    return parse_recipe(text.encode() if isinstance(text, str) else text, file="tools.toml")


def test_everything_that_a_recipe_may_say() -> None:
    recipe = parse(WHOLE)
    assert (recipe.base, recipe.packages, recipe.network) == (
        "debian-bookworm",
        ("build-essential", "libssl-dev"),
        True,
    )
    assert (recipe.vcpu, recipe.memory_mib, recipe.disk_bytes) == (2, 2048, 20 << 30)
    assert recipe.argvs == (
        ("/bin/sh", "-e", "-c", "make -C /srv/app && make -C /srv/app install"),
        ("useradd", "--create-home", "app"),
    )
    assert [(file.source, file.path, file.mode_bits) for file in recipe.files] == [
        ("app", "/srv/app", None),
        ("conf/app.conf", "/etc/app.conf", 0o640),
    ]
    assert plan_run(recipe, RunConfig(entrypoint=("old",), command=("old",))) == RunConfig(
        entrypoint=("/usr/local/bin/app",), command=("serve",), user="app:app", working_dir="/srv/app", stop_signal=3
    )


def test_a_base_is_enough_and_is_run_as_before() -> None:
    recipe = parse('base = "alpine:3.20"')
    run = RunConfig(entrypoint=("x",), command=("y",), user="z", working_dir="/w", stop_signal=9)
    assert plan_run(recipe, run) == run
    assert (recipe.vcpu, recipe.memory_mib, recipe.disk_bytes) == (None, None, None)


def test_a_new_entrypoint_does_not_get_the_old_command() -> None:
    recipe = parse('base = "b"\n[run]\nentrypoint = ["new"]')
    assert plan_run(recipe, RunConfig(entrypoint=("old",), command=("for", "old"))).argv == ("new",)
    recipe = parse('base = "b"\n[run]\ncommand = ["new"]')
    assert plan_run(recipe, RunConfig(entrypoint=("old",), command=("for", "old"))).argv == ("old", "new")


REFUSED = {
    "no base": ("packages = []", "base"),
    "an empty base": ('base = ""', "base"),
    "a base with a blank": ('base = "a b"', "base"),
    "no TOML": ("base = ", "not a TOML document"),
    "no text": (b"\xff\xfe", "not a TOML document"),
    "nested too deep": ("base = " + "[" * 5000, "not a TOML document"),
    "an unknown key": ('base = "b"\nbuild = 1', "build"),
    "an unknown key of a file": ('base = "b"\n[[files]]\nsource = "a"\npath = "/a"\nowner = 1', "owner"),
    "an unknown key of run": ('base = "b"\n[run]\nports = []', "ports"),
    "a package that is an option": ('base = "b"\npackages = ["-o=x"]', "packages[0]"),
    "a package that is a path": ('base = "b"\npackages = ["../x.deb"]', "packages[0]"),
    "packages that are a text": ('base = "b"\npackages = "git"', "packages"),
    "an absolute source": ('base = "b"\n[[files]]\nsource = "/etc/passwd"\npath = "/p"', "/etc/passwd"),
    "a source above": ('base = "b"\n[[files]]\nsource = "../x"\npath = "/p"', "../x"),
    "a source above later": ('base = "b"\n[[files]]\nsource = "a/../../x"\npath = "/p"', "a/../../x"),
    "the directory itself": ('base = "b"\n[[files]]\nsource = "."\npath = "/p"', "inside the recipe's directory"),
    "a relative path": ('base = "b"\n[[files]]\nsource = "a"\npath = "p"', "files[0].path"),
    "a path upwards": ('base = "b"\n[[files]]\nsource = "a"\npath = "/p/../q"', "/p/../q"),
    "a path with a NUL": ('base = "b"\n[[files]]\nsource = "a"\npath = "/p\\u0000"', "files[0].path"),
    "a mode with setuid": ('base = "b"\n[[files]]\nsource = "a"\npath = "/p"\nmode = "4755"', "mode"),
    "a mode that is a number": ('base = "b"\n[[files]]\nsource = "a"\npath = "/p"\nmode = 755', "mode"),
    "an empty command": ('base = "b"\ncommands = [[]]', "empty"),
    "a command that is a number": ('base = "b"\ncommands = [1]', "commands[0]"),
    "a command with a NUL": ('base = "b"\ncommands = ["a\\u0000b"]', "NUL"),
    "a command that is too long": (f'base = "b"\ncommands = ["{"x" * 60_500}"]', "commands[0]"),
    "a variable without a name": ('base = "b"\n[environment]\n"" = "x"', "environment variable"),
    "a variable that is a number": ('base = "b"\n[environment]\nA = 1', "environment"),
    "no signal": ('base = "b"\n[run]\nstop_signal = "STOPIT"', "signal"),
    "a relative working directory": ('base = "b"\n[run]\nworking_dir = "w"', "working directory"),
    "no size": ('base = "b"\ndisk = "big"', "size"),
    "a version that is an option": ('base = "b"\npackages = ["git=-x"]', "packages[0]"),
    "a base of no digest": ('base = "b"\nbase_digest = "latest"', "base_digest"),
    "a download without a digest": (
        'base = "b"\n[[downloads]]\nurl = "https://a/b"\nsize = 1\npath = "/p"',
        "sha256",
    ),
    "a download of a file here": (
        f'base = "b"\n[[downloads]]\nurl = "file:///etc/passwd"\nsha256 = "{"0" * 64}"\nsize = 1\npath = "/p"',
        "downloads[0].url",
    ),
    "a download that is too large": (
        f'base = "b"\n[[downloads]]\nurl = "https://a/b"\nsha256 = "{"0" * 64}"\nsize = {1 << 40}\npath = "/p"',
        "downloads[0].size",
    ),
    "a download upwards": (
        f'base = "b"\n[[downloads]]\nurl = "https://a/b"\nsha256 = "{"0" * 64}"\nsize = 1\npath = "/p/../q"',
        "/p/../q",
    ),
    "files that are a table": ('base = "b"\n[files]\nsource = "a"', "files"),
    "too many packages": (f'base = "b"\npackages = {["aa"] * 1001}'.replace("'aa'", '"aa"'), "of one thing"),
    "a huge file": (b"#" * (1 << 20) + b"\n", "larger"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.summary.startswith("tools.toml")
    assert said in refused.value.summary
    assert refused.value.hint
    assert refused.value.summary.isprintable()


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('base = "b"\npackage = ["git"]', "no key package", "did you mean `packages`?"),
        ('base = "b"\n[[files]]\nsource = "a"\npaht = "/a"', "no key files[0].paht", "did you mean `path`?"),
        ('base = "b"\n[[downloads]]\nsha265 = "a"', "no key downloads[0].sha265", "did you mean `sha256`?"),
        ('base = "b"\n[run]\nworkdir = "/"', "no key run.workdir", "did you mean `working_dir`?"),
        ('base = "b"\n[run]\nxyzzy = 1', "no key run.xyzzy", "the keys here are entrypoint, command,"),
        ('base = "b"\n"\\u001b[2J" = 1', "no key", "the keys here are base,"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(text: str, said: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert said in refused.value.summary
    assert refused.value.hint.startswith(hint)
    assert refused.value.summary.isprintable()


def test_what_is_pinned() -> None:
    digest = "ab" * 32
    recipe = parse(f"""
base = "b"
base_digest = "sha256:{digest}"
packages = ["git=1:2.39.5-0+deb12u2"]
[[downloads]]
url = "https://example.org/tool?v=1"
sha256 = "{digest}"
size = 7
path = "/usr/local/bin/tool"
mode = "0755"
optional = true
""")
    assert recipe.base_digest == f"sha256:{digest}"
    assert recipe.packages == ("git=1:2.39.5-0+deb12u2",)
    (download,) = recipe.downloads
    assert (download.mode_bits, download.pinned) == (
        0o755,
        Pinned(url="https://example.org/tool?v=1", sha256=digest, size_bytes=7, optional=True),
    )
    assert download.pinned.name == "tool"


def test_the_digest_covers_text_and_files() -> None:
    one = digest_recipe(b"base", [("a", "sha256:1", None)])
    assert one == digest_recipe(b"base", [("a", "sha256:1", None)])
    others = [
        digest_recipe(b"bases", [("a", "sha256:1", None)]),
        digest_recipe(b"base", [("a", "sha256:2", None)]),
        digest_recipe(b"base", [("b", "sha256:1", None)]),
        digest_recipe(b"base", [("a", "sha256:1", 0o644)]),
        digest_recipe(b"base", []),
    ]
    assert len({one, *others}) == 6


def test_whose_variables_count() -> None:
    found = plan_build_environment({"PATH": "/image", "A": "image"}, {"A": "recipe"}, more={"http_proxy": "p"})
    assert (found["PATH"], found["A"], found["http_proxy"]) == ("/image", "recipe", "p")
