#!/usr/bin/env bash
# One piece of a long reproduction, for a machine that is lent for minutes at a time. Run it until it exits with
# another code than 75:
#
#   pipelines/piece.sh gpu 9
#
# goes on for nine minutes and exits with 75 while there is more to do, with 1 when a stage has failed. Trainings then at
# work write a checkpoint and end; a stage that renders or scores is let finish. The last piece leaves results.csv, the
# tables and a description of the machine in reports/gpu/. What must be kept between pieces: .venv, .dvc/cache, .mult,
# mlflow.db, data, runs and dvc.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
scale=${1:?usage: pipelines/piece.sh SCALE MINUTES} minutes=${2:?usage: pipelines/piece.sh SCALE MINUTES}

make .venv/.ready
.venv/bin/mult repro --scale "$scale" --minutes "$minutes"

out=reports/$scale
mkdir -p "$out"
cp reports/results.csv reports/README.md "$out/"
cp -r reports/tables "$out/"
{
    git log -1 --format='commit %H'
    .venv/bin/python -c 'from mult.bench.report import machine; print(machine())'
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null || echo "no GPU"
    awk '/^MemTotal/ {printf "%.0f GiB of memory\n", $2 / 2^20}' /proc/meminfo
    .venv/bin/python -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} > "$out/machine.txt"
echo "$out: results, tables and machine.txt"
