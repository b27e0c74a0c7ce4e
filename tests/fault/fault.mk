# Fault tests on real processes. Included by tests/tests.mk.
#
# make fault [FAULT=NAME|list] [WORKLOAD=NAME] [SECONDS=N] [MASTERS=3|5] [SEED=N]; make fault-short: what every change runs.

FAULT_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/fault/shim.c,$(wildcard tests/fault/*.c)))
FAULT_PROGRAM := $(BUILD)/tests/fault/fault
FAULT_ARGS = $(if $(FAULT),--fault $(FAULT)) $(if $(WORKLOAD),--workload $(WORKLOAD)) \
	$(if $(SECONDS),--seconds $(SECONDS)) $(if $(MASTERS),--masters $(MASTERS)) $(if $(SEED),--seed $(SEED))

# Starts build/tests/reeve-master and reeve-agent, which are therefore built with it.
$(BUILD)/tests/fault/shim.so: tests/fault/shim.c tests/fault/shim.h
	@mkdir -p $(@D)
	@echo "  LINK  tests/fault/$(@F)"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -g -fPIC -shared -I. -o $@ $< -ldl

$(FAULT_PROGRAM): $(FAULT_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,client) | $(BUILD)/tests/reeve-master $(BUILD)/tests/reeve-agent $(BUILD)/tests/fault/shim.so \
		$(BUILD)/tests/check/check
	@mkdir -p $(@D)
	@echo "  LINK  tests/fault/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(FAULT_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,client) $(LDLIBS_ALL)

.PHONY: fault fault-short
fault: $(FAULT_PROGRAM)
	@$(FAULT_PROGRAM) $(FAULT_ARGS)
fault-short: $(FAULT_PROGRAM)
	@$(FAULT_PROGRAM) --short

# Judges of its own, tried with what they must find.
FAULT_UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/fault_*.c))
$(FAULT_UNITS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/fault/rollout.o $(BUILD)/tests/fault/copy.o $(BUILD)/tests/fault/kit.o \
		$(BUILD)/tests/libcheck.a $(call libs_of,client)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)
