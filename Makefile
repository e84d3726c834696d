# A thin front of meson and ninja; `make help` lists what there is.
.DEFAULT_GOAL := all
.PHONY: all deps demo test test-long sim-bugs check bench bench-group bench-elections fuzz install format clean help

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
RELEASE := build/release

all: ## build everything (release) into build/release
	@tools/setup.sh release
	ninja -C $(RELEASE)

deps: ## install the Debian packages that are missing
	@tools/deps.sh

demo: deps ## four processes, one state; one is frozen, one comes late, the leader is killed
	@tools/setup.sh release >/dev/null && ninja -C $(RELEASE) --quiet src/mortar examples/lines
	@tools/demo.sh

test: deps ## everything that must pass, under 15 minutes on two cores
	@tools/run_tests.sh

test-long: deps ## the same with more seeds, more fuzzing, TSan for all
	@tools/run_tests.sh --long

sim-bugs: deps ## each planted bug is found by the simulator (some ten minutes)
	@tools/small_bugs.sh
	@tools/sim_bugs.sh

check: deps ## clang-tidy, cppcheck, iwyu and the quick checks
	@tools/lint.sh

bench: deps all ## every benchmark; BENCH_JSON=file appends JSON lines
	@bench/run.sh

bench-group: deps all ## the benchmarks of one group: commit, read, replay, sources
	@bench/run.sh group

bench-elections: deps all ## failover, and ten minutes of load without an election
	@bench/run.sh elections

fuzz: deps ## every fuzz target for FUZZ_SECONDS=60
	@tools/setup.sh fuzz && ninja -C build/fuzz
	@tools/fuzz.sh $(FUZZ_SECONDS)

install: all ## install under PREFIX=/usr/local, below DESTDIR if given
	@meson configure $(RELEASE) --prefix "$(abspath $(PREFIX))"
	DESTDIR="$(DESTDIR)" meson install -C $(RELEASE)

format: ## lay out all C files by .clang-format
	@git ls-files --cached --others --exclude-standard '*.c' '*.h' | xargs -r clang-format -i

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'
