"""Run one stage's script: ``python -m pipelines train mult-shared-s0`` is what dvc.yaml calls."""

import sys

from mult.warm import run_stage

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m pipelines SCRIPT [ARGUMENT …], e.g. python -m pipelines train mult-shared-s0")
    sys.exit(run_stage(sys.argv[1], sys.argv[2:]))
