"""The rules of a review: what file names and added lines reveal. Tables and pure functions on one file at a time.

Names are compared in lower case. The lists are of tools in wide use; they decide what is pointed at, never what is
allowed.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import Final

# Directories whose files are read, and run, by a service, an editor, a tool or an agent without anybody asking for it.
# fmt: off
_RUN_BELOW: Final = (
    ".github/workflows", ".github/actions", ".gitlab/ci", ".circleci", ".buildkite", ".woodpecker", ".tekton",
    ".forgejo", ".gitea", ".azure-pipelines", ".teamcity", ".semaphore", ".drone", ".harness", ".vscode", ".idea",
    ".fleet", ".zed", ".nvim", ".vs", ".settings", ".sublime", ".theia", ".devcontainer", ".run", ".husky",
    ".githooks", ".git-hooks", ".hooks", ".lefthook", ".overcommit", ".claude", ".cursor", ".codex", ".gemini",
    ".windsurf", ".continue", ".aider", ".roo", ".kiro", ".cline", ".amazonq", ".cargo", ".mvn/wrapper",
    ".yarn/plugins", ".yarn/releases", "gradle/wrapper", ".bundle", ".direnv", ".mise", ".nix",
)
# fmt: on
# Single files of the same kind, wherever they are.
# fmt: off
_RUN_NAMES: Final = frozenset((
    ".gitlab-ci.yml", ".gitlab-ci.yaml", ".travis.yml", "jenkinsfile", "azure-pipelines.yml",
    "bitbucket-pipelines.yml", ".drone.yml", ".woodpecker.yml", "appveyor.yml", ".appveyor.yml", ".cirrus.yml",
    "cloudbuild.yaml", "buildspec.yml", "wercker.yml", ".semaphore.yml", "codemagic.yaml", "renovate.json",
    "dependabot.yml", "action.yml", "action.yaml", ".exrc", ".nvimrc", ".nvim.lua", ".vimrc", "_vimrc", ".lvimrc",
    ".local.vimrc", ".dir-locals.el", ".dir-locals-2.el", ".projectile", ".sublime-project", "devcontainer.json",
    ".devcontainer.json", ".envrc", ".env", "mise.toml", ".mise.toml", ".tool-versions", ".autoenv", ".autoenv.zsh",
    "shell.nix", "default.nix", "flake.nix", ".bashrc", ".profile", ".bash_profile", ".zshrc", ".zshenv",
    ".inputrc", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml", "lefthook.yml", ".lefthook.yml",
    ".overcommit.yml", ".huskyrc", ".lintstagedrc", ".lintstagedrc.json", "lint-staged.config.js", "dangerfile",
    "commitlint.config.js", "claude.md", "agents.md", "gemini.md", ".cursorrules", ".windsurfrules", ".clinerules",
    ".goosehints", ".mcp.json", "mcp.json", ".aider.conf.yml", "copilot-instructions.md", ".roomodes",
    "opencode.json", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pip.conf", ".pypirc", ".gemrc",
    ".curlrc", ".wgetrc", ".netrc", ".gitattributes", ".gitconfig", ".lfsconfig", ".gitmodules", ".gdbinit",
    ".lldbinit", ".pdbrc", ".irbrc", "setup.py", "conftest.py", "sitecustomize.py", "usercustomize.py", "build.rs",
    "binding.gyp", "extconf.rb", "package.json", "tox.ini", "noxfile.py", "gradlew", "gradlew.bat", "mvnw",
    "mvnw.cmd", ".rspec", ".ocamlinit", "makefile", "gnumakefile", "justfile", "taskfile.yml", "rakefile",
    "dockerfile", "vagrantfile", "procfile", "docker-compose.yml", "docker-compose.yaml", "compose.yml",
    "compose.yaml",
))
# fmt: on
_RUN_SUFFIXES: Final = (".pth", ".code-workspace", ".sublime-project", ".desktop", ".service", ".iml", ".gitconfig")
# fmt: off
_LOCKS: Final = frozenset((
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock",
    "cargo.lock", "poetry.lock", "uv.lock", "pipfile.lock", "pdm.lock", "pixi.lock", "conda-lock.yml", "go.sum",
    "go.mod", "gemfile.lock", "composer.lock", "flake.lock", "mix.lock", "rebar.lock", "pubspec.lock",
    "podfile.lock", "package.resolved", "cartfile.resolved", "gradle.lockfile", "packages.lock.json", "paket.lock",
    "project.assets.json", "chart.lock", ".terraform.lock.hcl", "stack.yaml.lock", "cabal.project.freeze",
    "banger.lock", "module.bazel.lock", "jsonnetfile.lock.json", "buf.lock", "requirements.txt", "constraints.txt",
    "vcpkg-lock.json",
))
# fmt: on

# fmt: off
_TEST_PLACES: Final = frozenset((
    "test", "tests", "__tests__", "spec", "specs", "testing", "e2e", "testdata", "t",
))
# fmt: on
_TEST_NAME: Final = re.compile(
    r"(?:[Tt]est_.*|.*[_.-][Tt]ests?|.*[_.-][Ss]pec|[A-Z].*(?:Test|Tests|Spec)|tests?|specs?|conftest)"
    r"\.(?:py|pyi|js|jsx|mjs|cjs|ts|tsx|mts|go|rs|java|kt|kts|scala|groovy|rb|php|c|cc|cpp|cxx|h|hpp|cs|fs|swift|m|ex|exs"
    r"|erl|clj|hs|ml|lua|pl|pm|t|sh|bats|dart|r|jl|zig|nim)"
)
# Lines that keep a test from running, or keep all others from it.
_SKIP: Final = re.compile(
    rb"@(?:pytest\.mark\.|mark\.)(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\(|@(?:unittest\.)?skip(?:If|Unless|Test)?\b"
    rb"|\bself\.skipTest\(|\b(?:it|test|describe|context|suite|specify)\.(?:skip|only|todo|failing|fixme)\b"
    rb"|(?:^|\s)(?:xit|xtest|xdescribe|xcontext|fit|fdescribe|xspecify|xscenario)\s*[(\x22']"
    rb"|@(?:Disabled|Ignore|IgnoreIf|Requires)\b|\[(?:Ignore|Skip)\b|\bSkip\s*=\s*\x22|\bt\.Skip(?:f|Now)?\(|\btesting\.Short\(\)"
    rb"|#\[(?:should_panic|ignore)\b|\bGTEST_SKIP\(|\bDISABLED_\w|\bskip_on_|\bmarkTestSkipped\b|\bpending\s*[(\x22']"
    rb"|:tag\s+:skip|@tag\s+:?skip|\bXCTSkip\b|\bskip\s+['\x22]|\bassert\s+True\b|\bexpect\(true\)\.(?:toBe\(true\)|toBeTruthy)"
)
_TEST_BEGINS: Final = re.compile(
    rb"^\s*(?:async\s+)?def\s+test_?\w*\s*\(|^\s*(?:it|test|specify|scenario)\s*\(\s*['\x22`]|^func\s+Test\w+\s*\("
    rb"|#\[(?:\w+::)?test\]|^\s*@(?:Test|ParameterizedTest|Property)\b|\[(?:Fact|Theory|Test|TestMethod)\b|^\s*TEST(?:_F|_P)?\s*\("
    rb"|^\s*@test\s+['\x22]|^\s*(?:it|specify|scenario|test)\s+['\x22]|^\s*(?:public\s+)?function\s+test\w+\s*\("
)
_TEST_WORDS: Final = (
    *(
        b"skip",
        b"xfail",
        b".only",
        b".todo",
        b".failing",
        b".fixme",
        b"xit",
        b"test",
        b"describe",
        b"context",
        b"specify",
    ),
    *(
        b"scenario",
        b"fit(",
        b"fit ",
        b"disabled",
        b"ignore",
        b"requires",
        b"should_panic",
        b"pending",
        b"assert",
        b"expect(",
    ),
    *(b"it(", b"it ", b"fact", b"theory", b"property"),
)
LONG_LINE_BYTES: Final = 2_000
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BETWEEN_WORDS: Final = re.compile(r"[\W\d_]+")
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE: Final = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u3164\ufeff\uffa0"
)
_HIDDEN: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f" + "".join((*_BIDI, *_INVISIBLE)) + "]")
# fmt: off
_GENERATED: Final = frozenset((
    "node_modules", "__pycache__", ".venv", "venv", "target", "dist", "build", "out", ".next", ".tox",
    ".mypy_cache", ".pytest_cache", "vendor", ".gradle", ".terraform", ".cache", "coverage", "htmlcov",
    ".ipynb_checkpoints",
))
# fmt: on


def runs_by_itself(path: bytes) -> bool:
    """Whether some tool or service acts on the file without being asked to."""
    text = _lower(path)
    name = posixpath.basename(text)
    if name in _RUN_NAMES or name.endswith(_RUN_SUFFIXES) or name.startswith((".env.", "docker-compose.")):
        return True
    return any(f"/{place}/" in f"/{text}" for place in _RUN_BELOW)


def is_lock_file(path: bytes) -> bool:
    """Whether it pins versions of other people's code."""
    name = posixpath.basename(_lower(path))
    return name in _LOCKS or (name.startswith("requirements") and name.endswith(".txt"))


def is_test(path: bytes) -> bool:
    """Whether it looks like a test, by its name or the directory that it is in."""
    *above, _ = _lower(path).split("/")
    name = posixpath.basename(path).decode("utf-8", "surrogateescape")
    return _TEST_NAME.fullmatch(name) is not None or not _TEST_PLACES.isdisjoint(above)


def is_generated(path: bytes) -> bool:
    """Whether it is where tools put generated or downloaded files."""
    return not _GENERATED.isdisjoint(_lower(path).split("/")[:-1])


def skips_a_test(line: bytes) -> bool:
    """Whether a line keeps a test from running, or makes it meaningless."""
    return _SKIP.search(line) is not None


def begins_a_test(line: bytes) -> bool:
    """Whether a line is the first one of a test."""
    return _TEST_BEGINS.search(line.lstrip()) is not None


def may_be_about_tests(lines: bytes) -> bool:
    """Whether there is any word in a text that the two above look for: much faster, and mostly there is none."""
    small = lines.lower()
    return any(word in small for word in _TEST_WORDS)


def hides_something(text: bytes) -> bool:
    """Whether a text may look different from what it is: controls, reordered or invisible characters."""
    if text.isascii():
        return _CONTROLS.search(text) is not None
    return _HIDDEN.search(text.decode("utf-8", "replace")) is not None


def is_odd_name(path: bytes) -> bool:
    """Whether a name looks like another one, or cannot be typed."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return True
    if any(c in _INVISIBLE or c in _BIDI or (unicodedata.category(c)[0] in "CZ" and c != " ") for c in text):
        return True
    if any(part.startswith(("-", "~")) or part != part.strip() or part.endswith(".") for part in text.split("/")):
        return True
    return any(map(_mixes_scripts, _BETWEEN_WORDS.split(text)))


def _mixes_scripts(word: str) -> bool:
    """Latin letters beside ones of another alphabet that look the same."""
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in word if c.isalpha()}
    return "LATIN" in scripts and not scripts.isdisjoint(("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"))


def _lower(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").lower()
