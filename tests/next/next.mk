# The programs of the next release, for tests of upgrades: the same sources but for tests/next. Included by tests/tests.mk.

NEXT_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/next/*.c))
NEXT_PROGRAMS := $(BUILD)/tests/reeve-master-next $(BUILD)/tests/reeve-agent-next $(BUILD)/tests/rctl-next

# What stands before the libraries is taken instead of the files of the same names in them.
$(BUILD)/tests/reeve-master-next: $(BUILD)/master/main.o $(BUILD)/tests/kit/failpoint_env.o $(NEXT_OBJS) $(call libs_of,master)
$(BUILD)/tests/reeve-agent-next: $(BUILD)/agent/main.o $(BUILD)/tests/kit/failpoint_env.o $(NEXT_OBJS) $(call libs_of,agent)
$(BUILD)/tests/rctl-next: $(BUILD)/client/main.o $(NEXT_OBJS) $(call libs_of,client)
$(NEXT_PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LINK  tests/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/tests/unit/master_upgrade: | $(NEXT_PROGRAMS) $(BUILD)/rctl $(BUILD)/reeve-agent
