# Checkers of histories: a library for the fault tests and the simulator, and a program for files. Included by tests/tests.mk.

CHECK_LIB := $(BUILD)/tests/libcheck.a
CHECK_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/check/main.c,$(wildcard tests/check/*.c)))
CHECK_UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/check_*.c))

$(CHECK_LIB): $(CHECK_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(CHECK_UNITS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(CHECK_LIB) $(call libs_of,proto)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA) $(LDLIBS_ALL)

.PHONY: test-check
test-check: $(CHECK_UNITS)
	@tests/run-units $(BUILD)/tests $^

$(BUILD)/tests/check/check: $(BUILD)/tests/check/main.o $(CHECK_LIB) $(call libs_of,proto)
	@mkdir -p $(@D)
	@echo "  LINK  tests/check/$(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
test-programs: $(BUILD)/tests/check/check
