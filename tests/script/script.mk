# The stage of script and property tests: tests/script/*.c as a library. Included by tests/tests.mk.

STAGE_LIB := $(BUILD)/tests/libstage.a
$(STAGE_LIB): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/script/*.c))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar qcs $@ $^

STAGE_UNITS = $(BUILD)/tests/unit/$(1)_script $(BUILD)/tests/unit/$(1)_property
$(call STAGE_UNITS,controllers) $(BUILD)/tests/unit/controllers_runtime $(BUILD)/tests/unit/controllers_pace $(BUILD)/tests/unit/controllers_claim $(BUILD)/tests/unit/controllers_runtime_class $(BUILD)/tests/unit/controllers_services_property $(BUILD)/tests/unit/controllers_slices: %: %.o $(STAGE_LIB) $(call libs_of,controllers)
$(call STAGE_UNITS,scheduler) $(BUILD)/tests/unit/scheduler_oracle $(BUILD)/tests/unit/scheduler_gangs $(BUILD)/tests/unit/scheduler_kin: %: %.o $(STAGE_LIB) $(call libs_of,scheduler)
$(BUILD)/tests/unit/storage_property: %: %.o $(STAGE_LIB) $(call libs_of,controllers) $(call libs_of,scheduler)
$(call STAGE_UNITS,controllers) $(call STAGE_UNITS,scheduler) $(BUILD)/tests/unit/scheduler_oracle $(BUILD)/tests/unit/scheduler_gangs $(BUILD)/tests/unit/scheduler_kin $(BUILD)/tests/unit/storage_property $(BUILD)/tests/unit/controllers_runtime $(BUILD)/tests/unit/controllers_pace $(BUILD)/tests/unit/controllers_claim $(BUILD)/tests/unit/controllers_runtime_class $(BUILD)/tests/unit/controllers_services_property $(BUILD)/tests/unit/controllers_slices:
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)

# What the masters decide on a state, without masters.
$(BUILD)/tests/unit/access_rbac: %: %.o $(STAGE_LIB) $(call libs_of,master)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)
