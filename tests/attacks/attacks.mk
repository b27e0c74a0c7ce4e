# Attacks by hand, whose figures stand in tests/README.md. Included by tests/tests.mk.

ATTACKS := $(addprefix $(BUILD)/tests/attacks/,masters inside no_inotify.so)
.PHONY: attacks
attacks: all $(ATTACKS)
test-programs: $(ATTACKS)

$(BUILD)/tests/attacks/masters: $(BUILD)/tests/attacks/masters.o $(BUILD)/tests/unit/kit/master_kit.o $(BUILD)/tests/unit/kit/master_clients.o $(BUILD)/tests/libstage.a \
  $(call libs_of,master) | $(BUILD)/reeve-master
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter-out %.o,$^) -lcmocka $(LDLIBS_ALL)

# Run inside containers, whatever their images bring.
$(BUILD)/tests/attacks/inside: tests/attacks/inside.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -static -o $@ $<
$(BUILD)/tests/attacks/no_inotify.so: tests/attacks/no_inotify.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -fPIC -shared -o $@ $<
