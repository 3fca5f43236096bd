#!/usr/bin/env bash
# Collects what a GPU machine without a network may lack into wheels/, which git ignores; carry it there with the checkout.
#   scripts/carry_wheels.sh [python-version]      that machine's; 3.12 if not given
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-3.12}
limit_mb=64
python=$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)

rm -rf wheels
"$python" -m pip download --quiet --disable-pip-version-check --dest wheels --no-deps --only-binary=:all: \
    --implementation cp --python-version "$version" \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    --requirement scripts/gpu_wheels.txt

sum_mb() { xargs -0 stat --format=%s | awk '{ bytes += $1 } END { printf "%.0f", bytes / 1e6 + 0.5 }'; }
wheels_mb=$(find wheels -name '*.whl' -print0 | sum_mb)
whole_mb=$((wheels_mb + $(git ls-files -z | sum_mb)))
echo "wheels/: $(find wheels -name '*.whl' | wc -l) wheels for Python $version, $wheels_mb MB; with the checkout $whole_mb MB"
if ((whole_mb > limit_mb)); then
    echo "error: found $whole_mb MB to carry, expected at most $limit_mb; take something out of scripts/gpu_wheels.txt" >&2
    exit 1
fi
