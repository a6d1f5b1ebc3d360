#!/usr/bin/env bash
# Set giblet up, if that is still to be done, then run a command in its environment: ./do giblet run, ./do pytest.
# What set-up prints goes to stderr, so that `./do giblet plugins --json | jq` works.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if command -v uv >/dev/null 2>&1; then
  uv=uv
else
  uv="$here/.uv/bin/uv"
  [ -x "$uv" ] || python3 -m pip install --quiet --disable-pip-version-check --target "$here/.uv" 'uv>=0.9' >&2
fi

# --inexact keeps plugins that you installed beside ours. The first time, bytecode is compiled at once, on all cores:
# the libraries' thousands of files would otherwise be compiled one by one by whatever imports them first.
[ -d "$here/.venv" ] && compile="" || compile="--compile-bytecode"
# PESQ has no wheels: it is built where there is a C compiler, and "n/a" where there is none.
command -v cc >/dev/null 2>&1 && pesq="--group pesq" || pesq=""
# shellcheck disable=SC2086
"$uv" sync --quiet --inexact --all-packages $compile $pesq --project "$here" >&2
export VIRTUAL_ENV="$here/.venv" PATH="$here/.venv/bin:$(dirname "$uv"):$PATH"
if [ $# -eq 0 ]; then
  echo "usage: ./do COMMAND [ARGUMENT...], for example: ./do giblet run" >&2
  exit 2
fi
exec "$@"
