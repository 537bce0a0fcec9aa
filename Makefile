# Two commands for newcomers: `make demo` and `make test`. Both set everything up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WHEELHOUSE := $(VENV)/wheelhouse

.PHONY: demo test check docs bench-grade bench-seal bench-fingerprint bench-precision bench-scoring bench-line bench-edge kill-line results truth fuzz clean bench-gaps soak bench-serve chaos evidence grade-sets
.DEFAULT_GOAL := demo

demo: $(VENV)/.ready-all
	@$(BIN)/tundish demo

# The tests run with the network cut, loopback excepted, where the machine allows it.
test: $(VENV)/.ready-dev
	@for key in fermentation water-flow la-haute-borne; do $(BIN)/tundish data fetch $$key --json > /dev/null || \
	  echo "note: without $$key the tests on it are skipped"; done
	$(BIN)/python tests/offline.py $(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check src tests docs
	$(BIN)/ruff check src tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes the generated pages of docs/reference; `make test` fails if they are stale.
docs: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py

# Measures the detectors on plants with known faults (minutes), and writes docs/reference/truth.md.
truth: $(VENV)/.ready-dev
	$(BIN)/python bench/truth.py

# Grades every set of the catalogue that lies in TUNDISH_DATA (five minutes), and writes docs/reference/dataset-grades.md.
grade-sets: $(VENV)/.ready-dev
	$(BIN)/tundish data grade-all --mirror $(TUNDISH_DATA) --out docs/reference/dataset-grades.md

# Grades a million rows beside a hand-written kernel and other tools (in throw-away environments;
# half an hour, 4 GB), and writes docs/reference/grade-speed.md. Quiet machines only.
bench-grade: $(VENV)/.ready-dev
	$(BIN)/python bench/grade.py --page docs/reference/grade-speed.md $(ARGS)

# Measures sealing and opening beside the raw work (half a minute), and writes docs/reference/seal-speed.md.
bench-seal: $(VENV)/.ready-dev
	$(BIN)/python bench/seal.py --page docs/reference/seal-speed.md $(ARGS)

# Measures `tundish serve` beside a bare ASGI application with the same inference (two minutes; needs wrk), and
# writes docs/reference/serve-speed.md.
bench-serve: $(VENV)/.ready-dev
	$(BIN)/python bench/serve.py --page docs/reference/serve-speed.md $(ARGS)

# Holds fingerprints of models against copies, extracted and independent models on real sets
# (TUNDISH_DATA; ten minutes), and writes docs/reference/fingerprint.md.
bench-fingerprint: $(VENV)/.ready-dev
	@$(BIN)/tundish data fetch fermentation --json > /dev/null
	$(BIN)/python bench/fingerprint.py --page docs/reference/fingerprint.md $(ARGS)

# Writes graphs of four real sets in narrower precisions (TUNDISH_DATA; five minutes), and docs/reference/precision.md.
bench-precision: $(VENV)/.ready-dev
	$(BIN)/python bench/precision.py --page docs/reference/precision.md $(ARGS)

# Times the graph of every recipe on the development sets (TUNDISH_DATA; ten minutes), and writes
# docs/reference/scoring-speed.md; ARGS="--only skab --keep FOLDER", then "--against FOLDER" to see what a change brings.
bench-scoring: $(VENV)/.ready-dev
	@$(BIN)/tundish data fetch fermentation --json > /dev/null
	$(BIN)/python -m bench.scoring $(if $(ARGS),$(ARGS),--page docs/reference/scoring-speed.md)
# Measures the line on MQTT beside a hand-written decoder and client libraries (in a folder of their own: gmqtt
# installs a package 'tests'; ten minutes), and on OPC UA beside asyncua (two minutes), and writes
# docs/reference/line-speed.md. Quiet machines only.
bench-line: $(VENV)/.ready-dev
	@$(PIP) install -qq --upgrade --target $(VENV)/peers paho-mqtt gmqtt aiomqtt
	PYTHONPATH=$(VENV)/peers OMP_NUM_THREADS=1 $(BIN)/python bench/line_mqtt.py --page docs/reference/line-speed.md $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python bench/line_opcua.py --page docs/reference/line-speed.md $(ARGS)

# Measures start-up, memory and bytes on disk of a line with 1,000 tags, in fresh environments with one client library
# (Debian's mosquitto; half an hour), and writes docs/reference/line-edge.md.
bench-edge: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python bench/line_edge.py --page docs/reference/line-edge.md $(ARGS)

# Kills the line a hundred times at random moments, with a real broker (Debian's mosquitto; two minutes).
kill-line: $(VENV)/.ready-dev
	TUNDISH_KILLS=100 $(BIN)/python -m pytest -n0 -q tests/line/test_mqtt_kill.py tests/line/test_http_kill.py tests/line/test_kafka_kill.py

# Plants gaps into real sets and counts what `tundish diagnose` names, and what it names where nothing was planted
# (TUNDISH_DATA; twenty minutes), keeps the rows and writes docs/explain/gaps.md.
bench-gaps: $(VENV)/.ready-dev
	$(BIN)/python -m bench.gaps $(ARGS)

# Measures every recipe on the development sets (TUNDISH_DATA; an hour or more), keeps the rows and writes
# docs/explain/results.md; `make results ONLY="anomaly:skab life"` measures less and keeps the other rows.
results: $(VENV)/.ready-dev
	$(BIN)/python -m bench.results $(ONLY)

# Fuzzes every parser of foreign bytes, guided by coverage (tests/fuzz), SECONDS each, or those named:
# `make fuzz SECONDS=60 TARGET="grant csv"`. Sums stay in tests/fuzz/results.json, the page follows.
SECONDS ?= 1200
fuzz: $(VENV)/.ready-dev
	@$(BIN)/python -c 'import atheris' 2> /dev/null || $(PIP) install -qq --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS) $(if $(TARGET),--only $(TARGET)); \
	  status=$$?; $(BIN)/python docs/generate.py && exit $$status

# Grades the development sets with a known target (TUNDISH_DATA); takes minutes, and no test runs it.
letters: $(VENV)/.ready-dev
	$(BIN)/python docs/letters.py

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tundish needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-all: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Tundish and what it needs into $(VENV) (a minute or two, once) ..."
	@$(PIP) install -qq --editable '.[all]'
	@touch $@

# The wheelhouse holds the base install and the clients of a line, so that a test can install the built wheel without a network.
$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Tundish with its development tools into $(VENV) ..."
	@$(PIP) install -qq --editable '.[dev]'
	@$(PIP) wheel -qq --wheel-dir $(WHEELHOUSE) '.[line]'
	@rm -f $(WHEELHOUSE)/tundish-*.whl
	@touch $@ $(VENV)/.ready-all

# An hour of a line on a noisy plant, its memory watched; writes docs/explain/line-soak.md (TUNDISH_DATA).
soak: $(VENV)/.ready-dev
	$(BIN)/python -m bench.soak $(ARGS)

# Does to a line what plants do, with 100 kills at random moments (twenty minutes); docs/explain/line-chaos.md says what.
chaos: $(VENV)/.ready-dev
	TUNDISH_CHAOS=100 $(BIN)/python -m pytest -n0 -q tests/line/test_ua_chaos.py tests/line/test_ua_kill.py tests/line/test_uasecurity.py \
	  tests/line/test_mqtt_chaos.py tests/line/test_mqtt_kill.py tests/line/test_modbus_chaos.py tests/line/test_chaos_kill.py tests/line/test_kafka_chaos.py tests/line/test_kafka_kill.py \
	  tests/line/test_http_chaos.py tests/line/test_http_kill.py $(ARGS)

# Runs every scenario whose evidence is stale or missing, on its generated stream and on the sets that name it.
evidence: $(VENV)/.ready-dev
	$(BIN)/python -W ignore -m bench.evidence $(if $(TUNDISH_DATA),--mirror $(TUNDISH_DATA)) $(ARGS)
