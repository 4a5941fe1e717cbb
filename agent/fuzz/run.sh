#!/usr/bin/env bash
# Fuzz the agent's session for SECONDS (default 60) with clang's libFuzzer and the address and undefined-behaviour
# sanitizers. `make fuzz-agent` installs what this needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:-60}
work=$(mktemp -d)
trap 'rm -rf "$work" /tmp/banger-fuzz-??????' EXIT  # the fuzzer's own directories
flags=(-D_GNU_SOURCE -std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
for part in session stream fields buffer paths tree; do clang "${flags[@]}" -c "../src/$part.c" -o "$work/$part.o"; done
for part in put get; do
  clang "${flags[@]}" -Wno-missing-prototypes -Dopen=fuzz_open -Dmake_directories=fuzz_make_directories -c "../src/$part.c" -o "$work/$part.o"
done
clang "${flags[@]}" -fsanitize=fuzzer session.c "$work"/*.o -o "$work/session"
${PYTHON:-python3} make_corpus.py "$work/corpus"
"$work/session" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$work/" "$work/corpus"
