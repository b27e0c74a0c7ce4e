# The programs that run inside the pods of the end-to-end tests. Included by tests/tests.mk.

E2E_TOOLS := $(BUILD)/tests/e2e/traffic
.PHONY: e2e-tools
e2e-tools: $(E2E_TOOLS)
test-programs: $(E2E_TOOLS)

# In any image: without libraries.
$(BUILD)/tests/e2e/traffic: tests/e2e/traffic.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -static -o $@ $< -lpthread
