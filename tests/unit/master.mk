# The master's tests start real masters and share a kit.
MASTER_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/master_*.c))
$(MASTER_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/kit/master_kit.o $(BUILD)/tests/unit/kit/master_clients.o $(BUILD)/tests/unit/kit/master_https.o $(BUILD)/tests/libstage.a $(call libs_of,master) \
  | $(BUILD)/reeve-master $(BUILD)/tests/reeve-master
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter-out %.o,$^) $(CMOCKA) $(LDLIBS_ALL)
$(BUILD)/tests/unit/master_repeat $(BUILD)/tests/unit/master_streams $(BUILD)/tests/unit/master_resume $(BUILD)/tests/unit/master_links $(BUILD)/tests/unit/master_homes: | $(BUILD)/rctl $(BUILD)/reeve-agent
$(BUILD)/tests/unit/master_waits: | $(BUILD)/rctl
# Backups are saved by rctl, and cut by failpoints.
$(BUILD)/tests/unit/master_backup $(BUILD)/tests/unit/master_restore $(BUILD)/tests/unit/master_reseal: $(BUILD)/tests/unit/kit/backup_kit.o \
  | $(BUILD)/rctl $(BUILD)/tests/reeve-master
# The key that seals is replaced by rctl, and masters die by failpoints.
$(BUILD)/tests/unit/master_reseal $(BUILD)/tests/unit/master_reseal_killed: $(BUILD)/tests/unit/kit/reseal_kit.o \
  | $(BUILD)/rctl $(BUILD)/tests/reeve-master
# What masters tell is compared with what a node makes of it.
$(BUILD)/tests/unit/master_policing: $(patsubst %,$(BUILD)/agent/policy/%.o,core core_grants peers peers_identity peers_ranges cells)
