# The daemons as fault tests start them: with failpoints that REEVE_FAILPOINTS arms. Included by tests/tests.mk.

$(BUILD)/tests/reeve-master: $(BUILD)/master/main.o $(BUILD)/tests/kit/failpoint_env.o $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  tests/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/reeve-agent: $(BUILD)/agent/main.o $(BUILD)/tests/kit/failpoint_env.o $(call libs_of,agent)
	@mkdir -p $(@D)
	@echo "  LINK  tests/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
