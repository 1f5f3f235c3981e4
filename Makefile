# openalgo-ws: `make run` to see it work, `make test` to check it.
#
# Everything happens in .venv, which is made on first use. PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: run test faults sdk test-lowest lint docs audit format bench bench-codecs bench-binary bench-ring bench-scale storm soak production screenshots clean lock

run: $(STAMP)
	$(BIN)/twistd -n --pidfile= openalgo-ws --demo

# Hundreds of tests start servers: were nothing kept of what is compiled, each would compile everything anew.
test: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Feeds against brokers that misbehave: a table of faults and times to recover. Part of `make test`.
faults: $(STAMP)
	$(BIN)/pytest tests/faults

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site, in build/site. A link that leads nowhere fails it (it would not with --quiet).
docs: $(STAMP)
	$(BIN)/mkdocs build --strict

# What bandit finds in the code, and known vulnerabilities of what CI installs (needs a network).
audit: $(STAMP)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive openalgo_ws adapters twisted
	$(BIN)/python requirements/audit.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A delivery's cost and latency in many scenarios, or in some: make bench SCENARIOS="S1 S2".
bench: $(STAMP)
	$(BIN)/python benchmarks/fanout.py $(SCENARIOS)

bench-codecs: $(STAMP)
	$(BIN)/python benchmarks/codecs.py

bench-binary: $(STAMP)
	$(BIN)/python benchmarks/binary.py

bench-ring: $(STAMP)
	$(BIN)/python benchmarks/ring.py

# Past one process and one machine; fails where something is missing.
bench-scale: $(STAMP)
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/large.py

# A minute of disconnects; fails if a client has not the latest value of every symbol at the end.
storm: $(STAMP)
	$(BIN)/python benchmarks/storm.py

# Floods of 2, 5 and 20 times what the machine can take, a minute each, and a trading day on a fast clock;
# fails if memory grows, a last value is wrong, a ping is not answered, or the feed is away too long.
soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/day.py

# A complete installation with a simulated broker of 10,000 instruments, under load: rate, latency, memory.
production: $(STAMP)
	$(BIN)/python examples/production

# The pictures of the status page in the documentation; needs Chromium.
screenshots: $(STAMP)
	OPENALGO_WS_SCREENSHOTS=docs/images $(BIN)/pytest tests/ops/test_chromium.py

# Environments for the brokers' own SDKs, which tests/sdk connects to the simulators.
sdk: $(STAMP)
	$(BIN)/python tests/sdk/environments.py

# The suite's quick part on the lowest versions that pyproject.toml allows, in an environment of its own.
test-lowest:
	$(PYTHON) requirements/lowest.py
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/pip install --quiet --disable-pip-version-check -c requirements/lowest.txt -e '.[test]'
	build/lowest/bin/pytest tests/gateway tests/bus tests/accounts tests/symbols tests/server tests/clients

# The exact versions that CI installs, from what is installed here.
lock: $(STAMP)
	$(BIN)/pip freeze --exclude-editable --exclude pip --exclude setuptools > requirements/ci.lock

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(STAMP): pyproject.toml requirements/ci.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "openalgo-ws needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "this Python has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements/ci.lock -e '.[test,lint,docs]'
	@touch $(STAMP)
