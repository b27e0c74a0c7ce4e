# Fuzz targets, two ways: with libFuzzer (make fuzz), and over their corpora with any compiler (make fuzz-corpora). Included by
# tests/tests.mk. tests/fuzz/run says what is printed.

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_KIT := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/kit_*.c))
FUZZ_LIBS := $(foreach m,client agent $(LIBS_master),$(call lib,$(m)))
FUZZ_CC ?= clang
# pointer-overflow speaks of NULL + 0, which is how an empty range looks here; what lies outside of memory is found by the other one.
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=pointer-overflow
FUZZ_JOBS ?= $(or $(JOBS),1)

# The fuzzed build: sanitizers and coverage in every object. Warnings are gcc's business.
FUZZ_MAKE = $(MAKE) --no-print-directory BUILD=build-fuzz CC="$(FUZZ_CC)" WARN=-w OPT="-O1 -g" HARDEN= \
  CFLAGS="-fsanitize=fuzzer-no-link $(FUZZ_SAN) -DTXNIDS_SLACK=64u"

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_KIT) $(FUZZ_LIBS)
	@echo "  LINK  tests/fuzz/$(@F)"
	$(Q)$(CC) -fsanitize=fuzzer $(FUZZ_SAN) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_KIT) $(FUZZ_LIBS)
	@echo "  LINK  tests/fuzz/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

# Its master stands in a simulated cluster.
$(BUILD)/tests/fuzz/fuzz_rest $(BUILD)/tests/fuzz/replay_rest: $(BUILD)/tests/sim/sim_disk.o $(BUILD)/tests/sim/sim_io.o
$(BUILD)/tests/fuzz/fuzz_rest $(BUILD)/tests/fuzz/replay_rest: LDLIBS_ALL += -lcmocka

$(BUILD)/tests/fuzz/seeds: $(BUILD)/tests/fuzz/seeds.o $(FUZZ_KIT) $(FUZZ_LIBS)
	@echo "  LINK  tests/fuzz/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

.PHONY: fuzz fuzz-programs fuzz-replay-programs fuzz-merge
fuzz-programs: $(FUZZ_NAMES:%=$(BUILD)/tests/fuzz/fuzz_%)
fuzz-replay-programs: $(FUZZ_NAMES:%=$(BUILD)/tests/fuzz/replay_%)

# usage: make fuzz [SECONDS=N] [JOBS=N] [TARGETS="yaml json"]; N seconds for each target
fuzz:
	@.ci/deps build clang
	@$(FUZZ_MAKE) fuzz-programs
	@FUZZ_SECONDS=$(or $(SECONDS),20) FUZZ_JOBS=$(FUZZ_JOBS) tests/fuzz/run build-fuzz $(or $(TARGETS),$(FUZZ_NAMES))

# After fuzzing: first inputs from real objects, and the best of what was found, into tests/fuzz/corpus.
fuzz-merge: $(BUILD)/tests/fuzz/seeds
	@$(FUZZ_MAKE) fuzz-programs
	@$< build-fuzz/corpus
	@tests/fuzz/merge build-fuzz $(or $(TARGETS),$(FUZZ_NAMES))

# Every kept input once more, under gcc's sanitizers.
fuzz-corpora:
	@$(MAKE) --no-print-directory $(ALL_AT_ONCE) SAN=1 BUILD=build-san fuzz-replay-programs
	@tests/fuzz/corpora build-san $(or $(TARGETS),$(FUZZ_NAMES))
