# Tables of command lines: rctl, masters and agents as programs, beside the kit of the master's tests.
HABITS_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/client_habits_*.c))
$(HABITS_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/kit/habits.o $(BUILD)/tests/unit/kit/master_kit.o $(BUILD)/tests/unit/kit/master_clients.o \
  $(call libs_of,client) | $(BUILD)/rctl $(BUILD)/reeve-master $(BUILD)/reeve-agent
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)
$(BUILD)/tests/unit/client_habits_manifests: $(BUILD)/tests/script/script.o
