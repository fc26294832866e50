# What can be done with a checkout: make demo, make test, make lint, make bench-ingest, make clean.
# Needs make and python3 (3.11 or newer) with venv; everything else goes into .venv, nothing outside the
# checkout is touched, except that `make test` and `make bench-ingest` run as root may install packages by apt.

.DEFAULT_GOAL := help
.PHONY: help demo test proof proof-crash proof-xss proof-imap proof-many proof-outbox shots lint \
  bench-ingest bench-search bench-web bench-disk \
  bench-idle bench-verify bench-growth bench-memory bench-send messages clean

VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8460
MAILS  ?=
COUNT  ?= 20000
# Two by default: the tests start real servers, more at once only make them wait for each other.
JOBS   ?= 2
CODE   := postroom.py archive config gateway web tests bench
# The first interpreter that is new enough; PYTHON=/path/to/python3 chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP    := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt

help:
	@echo 'make demo            start Postroom with an embedded mail server and a small world (PORT=8460)'
	@echo 'make test            install what the tests need, lint, type-check and run them (JOBS=2)'
	@echo 'make proof           the crash tests in full, 1,000 changes that verify has to find, MIME bombs, axe at every width (about an hour)'
	@echo 'make proof-crash     killed or failing at every system call of a pass, full disks, power cuts, as a table'
	@echo 'make proof-xss       every XSS payload of a list, wherever a mail or people can say it (PAYLOADS=file of JSON lines)'
	@echo 'make proof-imap      every fault of a mail server at every command of a pass, as a table (about 12 minutes)'
	@echo 'make proof-outbox    10,000 mails, a server that refuses, stalls, cuts and lies, a sender that is killed, as a table'
	@echo 'make proof-many      490 broken mailboxes beside ten healthy ones; gateways that are killed for a minute (10 minutes)'
	@echo 'make bench-idle      measure how soon mail is there, what waiting costs, a backlog (CONNECTIONS=2000, BACKLOG=100000)'
	@echo 'make shots           pictures of every page, to be looked at, into shots/'
	@echo 'make lint            ruff and mypy only'
	@echo 'make bench-ingest    measure the intake (COUNT=20000, MAILS=folder of .eml), see docs/benchmarks.md'
	@echo 'make bench-search    measure the search (COUNT=20000), see docs/benchmarks.md'
	@echo 'make bench-web       measure the pages of a large archive (COUNT=1000000), see docs/benchmarks.md'
	@echo 'make bench-disk      measure what the archive takes on disk (COUNT=20000, MAILS=…), see docs/benchmarks.md'
	@echo 'make bench-verify    measure how long everything takes to be read again (COUNT=100000), see docs/benchmarks.md'
	@echo 'make bench-growth    measure whether a mail costs more the more there are (COUNT=1000000), see docs/benchmarks.md'
	@echo 'make bench-memory    measure what taking in mail needs of memory (COUNT=100000, MAILS=…), see docs/benchmarks.md'
	@echo 'make bench-send      measure how many mails a second leave, beside bare smtplib (COUNT=5000), see docs/benchmarks.md'
	@echo 'make messages        collect the sentences of the pages into web/translations, see docs/glossary.md'
	@echo 'make clean           remove .venv and everything built'

demo: $(VENV)/.demo
	@$(BIN)/postroom demo --port $(PORT)

test: $(VENV)/.test
	@tests/setup/packages dovecot-imapd postgresql chromium firefox-esr strace radosgw ceph-mon ceph-osd ceph-base
	@tests/setup/unpacked cyrus-imapd courier-imap postfix
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v radosgw >/dev/null || $(PIP) --no-build-isolation -e '.[moto]'
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n $(JOBS)

proof: proof-crash
	@tests/setup/packages chromium
	PROOF=1 $(BIN)/python -m pytest -n $(JOBS) tests/archive/events/test_verify.py \
	  tests/archive/test_backup.py tests/gateway/test_bombs.py tests/web/test_every_page.py

proof-crash: $(VENV)/.test
	@tests/setup/packages dovecot-imapd postgresql strace e2fsprogs
	PROOF=1 $(BIN)/python -m pytest -n $(JOBS) -p tests.crashes.crash_table tests/crashes

proof-xss: $(VENV)/.test
	@tests/setup/packages chromium
	PAYLOADS='$(if $(PAYLOADS),$(abspath $(PAYLOADS)))' $(BIN)/python -m pytest tests/web/test_proof_xss.py

proof-imap: $(VENV)/.test
	@tests/setup/packages dovecot-imapd
	PROOF_IMAP=1 $(BIN)/python -m pytest -n $(JOBS) -p tests.gateway.fault_table tests/gateway/test_faults.py

proof-many: $(VENV)/.test
	@tests/setup/packages dovecot-imapd postgresql
	PROOF_MANY=1 $(BIN)/python -m pytest -n 0 -s tests/gateway/test_rounds.py tests/gateway/test_gateways.py

proof-outbox: $(VENV)/.test
	PROOF_OUTBOX=10000 $(BIN)/python -m pytest -n 0 -s tests/gateway/test_proof_outbox.py

shots: $(VENV)/.test
	@tests/setup/packages chromium
	@$(BIN)/python -m tests.web.shots shots

lint: $(VENV)/.test
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

bench-ingest: $(VENV)/.test
	@tests/setup/packages dovecot-imapd isync notmuch
	@$(BIN)/python -m bench.ingest --count $(COUNT) $(if $(MAILS),--mails '$(MAILS)')

bench-search: $(VENV)/.test
	@tests/setup/packages notmuch maildir-utils
	@$(BIN)/python -m bench.search --beside --count $(COUNT)

bench-web: COUNT := $(if $(filter command line,$(origin COUNT)),$(COUNT),1000000)
bench-web: $(VENV)/.test
	@tests/setup/packages chromium
	@$(BIN)/python -m bench.web --count $(COUNT)

bench-disk: $(VENV)/.test
	@tests/setup/packages zstd git
	@$(BIN)/python -m bench.disk --count $(COUNT) $(if $(MAILS),--mails '$(MAILS)')

CONNECTIONS ?= 2000
BACKLOG ?= 100000

bench-idle: $(VENV)/.test
	@tests/setup/packages dovecot-imapd
	@$(BIN)/python -m bench.idle --connections $(CONNECTIONS) --backlog $(BACKLOG)

bench-verify: COUNT := $(if $(filter command line,$(origin COUNT)),$(COUNT),100000)
bench-verify: $(VENV)/.test
	@$(BIN)/python -m bench.verify --count $(COUNT)

bench-growth: COUNT := $(if $(filter command line,$(origin COUNT)),$(COUNT),1000000)
bench-growth: $(VENV)/.test
	@tests/setup/packages dovecot-imapd
	@$(BIN)/python -m bench.growth --count $(COUNT)

bench-send: COUNT := $(if $(filter command line,$(origin COUNT)),$(COUNT),5000)
bench-send: $(VENV)/.test
	@$(BIN)/python -m bench.send --count $(COUNT)

bench-memory: COUNT := $(if $(filter command line,$(origin COUNT)),$(COUNT),100000)
bench-memory: $(VENV)/.test
	@tests/setup/packages dovecot-imapd
	@$(BIN)/python -m bench.memory --count $(COUNT) $(if $(MAILS),--mails '$(MAILS)')

LANGUAGES := cs pl es ru
PO_STYLE  := --width 120 --ignore-obsolete --ignore-pot-creation-date --no-fuzzy-matching

# A sentence that is new stands in the catalogues without a translation; the tests fail until it has one.
messages: $(VENV)/.test
	@mkdir -p build
	@$(BIN)/pybabel --quiet extract --mapping web/babel.cfg --add-location file --sort-by-file --width 120 \
	  --project Postroom --keyword Note --keyword _say --keyword say --output build/messages.pot web archive/search archive/post archive/work archive/outgoing archive/sending.py
	@for language in $(LANGUAGES); do \
	  file=web/translations/$$language/LC_MESSAGES/messages.po; \
	  if test -f $$file; then $(BIN)/pybabel --quiet update $(PO_STYLE) -l $$language -i build/messages.pot -o $$file; \
	  else $(BIN)/pybabel --quiet init -l $$language -i build/messages.pot -o $$file; fi || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info bench/work .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Postroom needs Python 3.11 or newer;" \
	  "$$(python3 --version 2>&1 || echo no python3) was found. Install one and say: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments." \
	  "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo 'making $(VENV) …'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The checkout is installed editable: demo and tests run the files one sees, and a repeated run installs nothing.
# The build backend comes from the constraints as well, therefore no isolated build.
$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo 'installing Postroom into $(VENV) …'
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.demo pyproject.toml constraints.txt
	@echo 'installing what the tests need into $(VENV) …'
	@$(PIP) --no-build-isolation -e '.[test]'
	@touch $@
