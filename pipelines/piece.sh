#!/usr/bin/env bash
# One piece of a long reproduction, for a machine that is lent for minutes at a time. Run it until it exits with 0:
#
#   pipelines/piece.sh gpu 9
#
# goes on for nine minutes (and for as long as the stages then at work take to write a checkpoint) and exits with 75
# while there is more to do. The last piece leaves results.csv, the tables and a description of the machine in
# reports/gpu/. What must be kept between pieces: .venv, .dvc/cache, .mult, data, runs and dvc.lock.
set -uo pipefail
cd "$(dirname "$0")/.."
scale=${1:?usage: pipelines/piece.sh SCALE MINUTES} minutes=${2:?usage: pipelines/piece.sh SCALE MINUTES}

make .venv/.ready || exit 1
.venv/bin/mult repro --scale "$scale" --minutes "$minutes"
code=$?
[ $code -eq 0 ] || exit $code

out=reports/$scale
mkdir -p "$out"
cp reports/results.csv reports/README.md "$out/"
cp -r reports/tables "$out/"
{
    git log -1 --format='commit %H'
    .venv/bin/python -c 'from mult.bench.report import machine; print(machine())'
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null
    free -g 2>/dev/null | awk '/^Mem/ {print $2 " GiB of memory"}'
    .venv/bin/python -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} > "$out/machine.txt"
echo "$out: results, tables and machine.txt"
