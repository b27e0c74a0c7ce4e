# The simulator. Included by tests/tests.mk.

SIM_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c))

$(BUILD)/tests/sim/sim: $(SIM_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  tests/sim/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(SIM_OBJS) $(BUILD)/tests/libcheck.a $(call libs_of,master) $(LDLIBS_ALL)

# Tests of the store that run clusters of their own on the simulated network and disk.
SIM_UNITS := $(patsubst %,$(BUILD)/tests/unit/raft-store_%,answers catchup faults hostile membership node splits)
$(SIM_UNITS): %: %.o $(BUILD)/tests/sim/sim_disk.o $(BUILD)/tests/sim/sim_io.o $(call libs_of,raft-store)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)

# Another front of the API, on the same.
$(addprefix $(BUILD)/tests/unit/,api_front api_lines api_verbs api_rest api_rest_rights api_rest_kept api_rest_protobuf): %: %.o $(BUILD)/tests/sim/sim_disk.o $(BUILD)/tests/sim/sim_io.o $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)
$(BUILD)/tests/unit/api_rest $(BUILD)/tests/unit/api_rest_rights $(BUILD)/tests/unit/api_rest_kept $(BUILD)/tests/unit/api_rest_protobuf: $(BUILD)/tests/script/script.o

JOBS ?= 1

# A failing seed leaves its trace in $(BUILD)/tests/logs.
sim: $(BUILD)/tests/sim/sim
	@mkdir -p $(BUILD)/tests/logs
	@$< --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS) --logs $(BUILD)/tests/logs
