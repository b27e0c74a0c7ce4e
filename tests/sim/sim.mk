# The simulator and the fault tests with real processes. Included by tests/tests.mk.

SIM_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c))

$(BUILD)/tests/sim/sim: $(SIM_OBJS) $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  tests/sim/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(SIM_OBJS) $(call libs_of,master) $(LDLIBS_ALL)

FAULT_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fault/*.c))

# Starts build/reeve-master, which is therefore built with it.
$(BUILD)/tests/fault/fault_leader: $(FAULT_OBJS) $(call libs_of,client) | $(BUILD)/reeve-master
	@mkdir -p $(@D)
	@echo "  LINK  tests/fault/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(FAULT_OBJS) $(call libs_of,client) $(LDLIBS_ALL)
