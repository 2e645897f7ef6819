# make demo    try it: a sample mailbox and the gateway before it, on 127.0.0.1:1110 (another port: PORT=2110)
# make test    install what the tests need, real servers and clients included, and run all of the next four:
#   lint       ruff
#   types      mypy
#   suite      the tests
#   newest     the tests once more, on the newest Python at hand
# make stored  the tests of sessions once more, with stored accounts in the place of pass-through
# make soak    random sessions and faults for MINUTES=10, held against a model
# make fuzz    for MINUTES=10: octets from either side that no test has thought of (its own options: FUZZ='--keep')
# make bench   measure the gateway beside Dovecot's POP3 over imapc; tests/bench/results gets the figures
#              (its own options: BENCH='--quick')
# make docs    write README's tables and deploy/gateway.yaml anew from the code
# make screenshots  take README's picture of the enrolment page anew, in Chromium
# make clean   remove what these have made, the virtual environments too
#
# All need python3 (3.11 or newer; another one: PYTHON=python3.12), and root's apt (or sudo) for what is missing.

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 1110
BIN    := $(VENV)/bin
PYTEST ?= $(BIN)/python -m pytest
# The rest of the suite runs on this one, too, where it is at hand.
NEWEST := $(shell tests/newest-python $(PYTHON))

SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
APT  := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get

# All that runs our code, once; the image brings its own Python, and the servers' own tests do not care.
NEWEST_PYTEST = .venv-newest/bin/python -m pytest -m 'not container' --ignore tests/servers --ignore tests/fakes \
                --ignore tests/bench --ignore tests/fuzz

.PHONY: demo test lint types suite newest packages docs clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.demo
	@exec $(BIN)/pop3-gateway demo --port $(PORT)

test: packages authorization-server page-rules $(VENV)/.test lint types suite newest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

suite: $(VENV)/.test
	$(PYTEST) -n 2

newest: packages authorization-server page-rules
ifneq ($(NEWEST),)
	$(MAKE) --no-print-directory suite VENV=.venv-newest PYTHON=$(NEWEST) PYTEST="$(NEWEST_PYTEST)"
else
	@echo "newest: $(PYTHON) is the newest Python here"
endif

# With an account here for each that a test makes on a mail server; what is about pass-through itself is left out.
.PHONY: stored
stored: packages authorization-server $(VENV)/.test
	TEST_ACCOUNTS=stored $(PYTEST) -n 2 tests/server tests/clients tests/faults

# Random sessions and faults for a while: `make soak MINUTES=60`.
MINUTES ?= 10
.PHONY: soak
soak: packages $(VENV)/.test
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

# Octets that no test has thought of, for a while: `make fuzz MINUTES=60`, `make fuzz FUZZ='--target pop3 --keep'`.
.PHONY: fuzz
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(FUZZ)

# Options of `python -m tests.bench`: `make bench BENCH='--quick --rows poll-10'`.
.PHONY: bench
bench: packages $(VENV)/.bench
	$(BIN)/python -m tests.bench $(BENCH)
	$(BIN)/python -m tests.documents

# What the tests use of Debian: installed where we may, skipped tests say what is missing where we may not.
packages: tests/debian-packages.txt
	@tests/install-packages $<

# The authorization server of the tests: what its lock file says, from whatever registry npm is set to.
OIDC_PROVIDER = tests/servers/oidc_provider
.PHONY: authorization-server
authorization-server: $(OIDC_PROVIDER)/node_modules/.package-lock.json

# What the enrolment page's HTML and its accessibility are held against.
PAGE_RULES = tests/web/rules
.PHONY: page-rules
page-rules: $(PAGE_RULES)/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent --prefix $* && touch $@; \
	  else echo "no npm: the tests that want $* are skipped" >&2; fi

# The picture of the enrolment page in README, taken anew.
.PHONY: screenshots
screenshots: packages authorization-server $(VENV)/.test
	SCREENSHOTS=docs/images $(PYTEST) tests/web/test_browser.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pop3-gateway needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(APT) update -q && $(APT) install -yq python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo,test]'
	@touch $@

$(VENV)/.bench: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,fuzz]'
	@touch $@

# The parts of documents that are made from the code.
docs: $(VENV)/.test
	$(BIN)/python -m tests.documents

clean:
	rm -rf .venv .venv-newest $(OIDC_PROVIDER)/node_modules $(PAGE_RULES)/node_modules .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
