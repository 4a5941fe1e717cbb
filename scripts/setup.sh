#!/usr/bin/env bash
# Makes this checkout ready: `setup.sh run` for using banger, `setup.sh test` for testing it, `setup.sh fuzz` for fuzzing,
# `setup.sh images` for trying images that other tools build.
#
# Idempotent, and quick when nothing is to do: what was done is remembered under .venv by a hash of what it was made from.
# Needs root only to install Debian packages that are missing, and says so before it asks sudo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONDONTWRITEBYTECODE  # banger starts quickly from bytecode

readonly PURPOSE=${1:-run}
readonly VENV=.venv

# QEMU for guests of this computer's own architecture, and the other one, which only guests of that other one need.
case "$(uname -m)" in
  x86_64) qemu=(qemu-system-x86:qemu-system-x86_64 qemu-system-arm:qemu-system-aarch64) ;;
  aarch64) qemu=(qemu-system-arm:qemu-system-aarch64 qemu-system-x86:qemu-system-x86_64) ;;
  *)
    echo "setup: banger runs VMs on x86_64 and aarch64 computers, and this one is $(uname -m)" >&2
    exit 1
    ;;
esac

# name of the package : a file or program that shows it is there (used where there is no dpkg)
packages=(
  "${qemu[0]}"
  passt:passt
  mmdebstrap:mmdebstrap
  uidmap:newuidmap
  e2fsprogs:mke2fs
  openssh-client:ssh-keygen
  git:git
  kmod:depmod
)
case "$PURPOSE" in
  run) ;;
  test | fuzz | images)
    packages+=("${qemu[1]}" erofs-utils:dump.erofs busybox-static:busybox iproute2:ip strace:strace cpio:cpio docker-registry:docker-registry umoci:umoci rpm:rpmbuild skopeo:skopeo man-db:man
      zsh:zsh fish:fish bash-completion:/usr/share/bash-completion/bash_completion)
    if [ "$PURPOSE" = fuzz ]; then packages+=(clang:clang libclang-rt-14-dev:clang); fi
    if [ "$PURPOSE" = images ]; then packages+=(debootstrap:debootstrap buildah:buildah qemu-user-static:qemu-aarch64-static binfmt-support:update-binfmts); fi
    ;;
  *) echo "usage: $0 run|test|fuzz|images" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*" >&2; }

installed() {
  local status
  status=$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$1" 2>/dev/null) && [ "${status:0:2}" = ii ]
}

install_packages() {
  local missing=() entry name
  for entry in "$@"; do
    name=${entry%%:*}
    installed "$name" || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local command=(apt-get install --yes --no-install-recommends "${missing[@]}") sudo=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "not root, and no sudo here; run this as root, then try again: ${command[*]}"
      exit 1
    fi
    sudo=(sudo)
  fi
  say "${sudo[*]:+sudo }${command[*]}"
  command=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "${command[@]}")
  # Only an outdated or absent package list makes the first attempt fail; then it is worth the time to fetch a new one.
  if quietly "${command[@]}" 2>/dev/null; then return; fi
  say "${sudo[*]:+sudo }apt-get update"
  quietly "${sudo[@]}" apt-get update
  quietly "${command[@]}"
}

quietly() {  # what it printed is shown only if it fails
  local printed status=0
  printed=$("$@" 2>&1 </dev/null) || status=$?
  if [ $status -ne 0 ]; then printf '%s\n' "$printed" >&2; fi
  return $status
}

system_packages() {
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_packages "${packages[@]}"
    return
  fi
  local entry absent=()
  for entry in "${packages[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${entry##*:}" >/dev/null || [ -e "${entry##*:}" ] || absent+=("${entry##*:}")
  done
  if [ ${#absent[@]} -gt 0 ]; then
    say "this is not Debian; install what provides these programs, then try again: ${absent[*]}"
    exit 1
  fi
}

good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
    if command -v "$candidate" >/dev/null && good_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  say "Python 3.11 or newer is needed (Debian: apt-get install python3)"
  exit 1
}

virtual_environment() {
  if [ -x $VENV/bin/python ] && good_python $VENV/bin/python && $VENV/bin/python -m pip --version >/dev/null 2>&1; then return; fi
  local python
  python=$(find_python)
  say "making $VENV with $python"
  rm -rf $VENV
  if ! "$python" -m venv $VENV >/dev/null 2>&1; then  # Debian keeps a part of venv in a package of its own
    rm -rf $VENV
    install_packages python3-venv:
    python=/usr/bin/python3
    good_python "$python" || { say "$python is older than 3.11"; exit 1; }
    "$python" -m venv $VENV
  fi
}

fingerprint() {  # of everything that decides what is in .venv
  {
    $VENV/bin/python -VV
    pwd
    cat pyproject.toml scripts/setup.sh
    find agent -type f -not -name '*.pyc' -print0 | LC_ALL=C sort --zero-terminated | xargs --null --no-run-if-empty cat
  } | sha256sum | cut -d' ' -f1
}

python_packages() {
  local extra=$1 stamp=$VENV/.banger-$1 want
  want=$(fingerprint)
  if ls src/banger/guest/agents/* >/dev/null 2>&1; then
    if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] || [ "$(cat $VENV/.banger-dev 2>/dev/null)" = "$want" ]; then return; fi
  fi
  say "installing Python packages and building the guest agent"
  # The build tools first and into .venv itself: a build in isolation would fetch the C compiler anew each time.
  $VENV/bin/python - >$VENV/.banger-build-requires <<'PYTHON'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
PYTHON
  $VENV/bin/python -m pip install --quiet --quiet --requirement $VENV/.banger-build-requires
  local target=.
  if [ "$extra" = dev ]; then target='.[dev,docs]'; fi
  $VENV/bin/python -m pip install --quiet --quiet --no-build-isolation --editable "$target"
  $VENV/bin/python -m compileall -q src
  printf '%s\n' "$want" >"$stamp"
}

system_packages
virtual_environment
if [ "$PURPOSE" = run ]; then python_packages run; else python_packages dev; fi
