# setup   virtual environment, web part, and (where it may) the Debian packages that tests and the jail use
# check   linters, types, import contracts, the web part's own checks
# test    everything, against real servers, ffmpeg and Chromium
# scan    checkov over the CloudFormation template, from an environment of its own (it pins an old boto3)
# demo    a real film from upload to protected playback; ARGS=--exit checks it headless and ends
# fuzz    the readers of manifests and media, for a minute; ARGS=-max_total_time=3600 for longer
# fuzz-jobs  random jobs from settings to outputs, for a minute; ARGS='--first 0 --seconds 3600' for longer
# record  what AWS really answers, in an account that you name; ARGS='--account ID', ARGS=--list
# bench   speed against what a user would pick instead; writes bench/README.md
.PHONY: setup check test scan demo bench attack fuzz fuzz-jobs record clean
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

setup: .venv/.installed web/node_modules/.installed src/penstock/api/studio/index.html

.venv/.installed: pyproject.toml constraints.txt
	@sh scripts/system-packages.sh bwrap=bubblewrap chromium=chromium initdb=postgresql php=php-cli
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

web/node_modules/.installed: web/package.json web/package-lock.json
	cd web && npm ci --no-progress
	touch $@

src/penstock/api/studio/index.html: web/node_modules/.installed $(shell find web/src web/*.html web/*.ts web/public -type f 2>/dev/null)
	cd web && npm run build
	touch $@

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd web && npm run check

test: setup
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

scan: .venv-scan/.installed
	.venv-scan/bin/checkov --config-file .checkov.yaml

.venv-scan/.installed:
	test -x .venv-scan/bin/python || $(PYTHON) -m venv .venv-scan
	.venv-scan/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	touch $@

demo: setup
	$(BIN)/python demo/demo.py $(ARGS)

attack: setup
	@sh scripts/system-packages.sh curl=curl
	$(BIN)/python attack/attack.py $(ARGS)

bench: setup
	@sh scripts/system-packages.sh nginx=nginx-light wrk=wrk
	$(BIN)/python bench/run.py $(ARGS)

fuzz: setup
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check 'atheris>=3'
	$(BIN)/python fuzz/readers.py $(ARGS)

fuzz-jobs: setup
	$(BIN)/python fuzz/jobs.py $(ARGS)

record: setup
	@PYTHONPATH=tests $(BIN)/python tests/aws/record.py $(ARGS)

clean:
	rm -rf .venv .venv-scan web/node_modules src/penstock/api/studio
