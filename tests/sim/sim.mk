# The simulator. Included by tests/tests.mk.

SIM_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c))

$(BUILD)/tests/sim/sim: $(SIM_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  tests/sim/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(SIM_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,master) $(LDLIBS_ALL)

JOBS ?= 1

# A failing seed leaves its trace in $(BUILD)/tests/logs.
sim: $(BUILD)/tests/sim/sim
	@mkdir -p $(BUILD)/tests/logs
	@$< --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS) --logs $(BUILD)/tests/logs
