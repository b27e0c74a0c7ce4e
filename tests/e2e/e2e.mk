# The programs that run inside the pods of the end-to-end tests, and beside the nodes. Included by tests/tests.mk.

E2E_TOOLS := $(addprefix $(BUILD)/tests/e2e/,traffic upstream resolve-glibc resolve-musl)
.PHONY: e2e-tools
e2e-tools: $(E2E_TOOLS)
test-programs: $(E2E_TOOLS)

# In any image: without libraries.
$(BUILD)/tests/e2e/%: tests/e2e/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -static -o $@ $< -lpthread
# glibc's resolver as images of Debian have it, and that of musl, as many small images have it.
$(BUILD)/tests/e2e/resolve-glibc: tests/e2e/resolve.c
	@mkdir -p $(@D)
	@echo "  CC    $< (glibc)"
	$(Q)$(CC) $(CSTD) $(WARN) -O2 -o $@ $< -lresolv
$(BUILD)/tests/e2e/resolve-musl: tests/e2e/resolve.c
	@mkdir -p $(@D)
	@echo "  CC    $< (musl)"
	$(Q)musl-gcc $(CSTD) -O2 -static -o $@ $<
