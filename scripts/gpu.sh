#!/usr/bin/env bash
# Everything that only a GPU can prove, with this machine's own Python and torch. The options are those of `make gpu`;
# see docs/gpu.md. Nothing is installed: packages that are missing are used from wheels/, see scripts/carry_wheels.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" scripts/unpack_wheels.py wheels out/wheels
export PYTHONPATH="$PWD:$PWD/out/wheels${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m speed.gpu "$@"
