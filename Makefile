# Reeve. `make run` is the main job, `make test` runs all tests; `make help` lists the rest.
#
# BUILD=dir builds elsewhere. SAN=1 builds with AddressSanitizer and UndefinedBehaviorSanitizer. V=1 shows commands.

SHELL := /bin/bash
SAN ?= 0
ifeq ($(SAN),1)
BUILD ?= build-san
else
BUILD ?= build
endif
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

CC ?= gcc
PACKAGES := libuv msgpack yaml-0.1 raft libarchive liblz4 openssl libxxhash zlib
CSTD := -std=gnu11 -D_GNU_SOURCE
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wpointer-arith -Werror
OPT := -O2 -g
# What makes a mistake in memory end the program instead of running somebody's code: checked calls of libc (level 3 where the compiler knows sizes at run
# time), programs anywhere in memory, stacks that cannot be jumped over, and tables that nobody writes after the start. Without OPT there are no checked calls.
FORTIFY := $(shell echo 'int x;' | $(CC) -Werror -O2 -D_FORTIFY_SOURCE=3 -include stdio.h -fsyntax-only -x c - 2>/dev/null && echo 3 || echo 2)
HARDEN = $(if $(filter -O1 -O2 -O3 -Os,$(OPT)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY)) -fPIE -fstack-clash-protection
HARDEN_LINK = -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifeq ($(SAN),1)
HARDEN = -fPIE
endif
CFLAGS_ALL = $(CSTD) $(WARN) $(OPT) $(HARDEN) -fno-omit-frame-pointer -fno-strict-aliasing -fstack-protector-strong -I. $(CFLAGS)
# libraft is linked statically: the version that was checked at build time is the one that runs.
LDLIBS_ALL = -l:libraft.a -luv -lmsgpackc -lyaml -larchive -llz4 -lz -lxxhash -lldns -lcurl -lssl -lcrypto -lpthread -lm
# libraft calls io_destroy on the loop, which waits for the kernel some 30 ms: raft-store/raft/uv_io.c gives it to a thread.
# What it opens gets a descriptor that is kept for it: there as well.
# Unit programs alone: which of its tests a program runs is looked at before cmocka has them (tests/unit/kit/filter.c).
CMOCKA := -Wl,--wrap=_cmocka_run_group_tests -lcmocka
LDFLAGS_ALL = $(LDFLAGS) $(HARDEN_LINK) -Wl,--wrap=io_destroy,--wrap=uv_fs_open,--wrap=uv_fs_scandir,--wrap=eventfd
ifeq ($(SAN),1)
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1
LDFLAGS_ALL += -fsanitize=address,undefined
endif

# Masters live on malloc: jemalloc takes less of a core and leaves fewer holes. Sanitizers bring their own.
MASTER_LDLIBS := $(if $(filter 1,$(SAN)),,-ljemalloc)

# A module is a folder; its library holds all its .c files but those with main().
MODULES := base proto raft-store controllers scheduler master agent client
MAINS := master/main.c agent/main.c client/main.c
objs = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAINS),$(wildcard $(1)/*.c $(1)/*/*.c)))
lib = $(BUILD)/lib$(1).a

# What each module stands on: dependencies point down only.
LIBS_base := base
LIBS_proto := proto base
LIBS_raft-store := raft-store $(LIBS_proto)
LIBS_controllers := controllers $(LIBS_raft-store)
LIBS_scheduler := scheduler $(LIBS_controllers)
LIBS_master := master scheduler controllers $(LIBS_raft-store)
LIBS_agent := agent $(LIBS_proto)
LIBS_client := client $(LIBS_proto)
libs_of = $(foreach m,$(LIBS_$(1)),$(call lib,$(m)))

.SECONDARY:
.PHONY: all
all: $(BUILD)/reeve-master $(BUILD)/reeve-agent $(BUILD)/rctl

define module_rules
$(call lib,$(1)): $(call objs,$(1))
	$(Q)rm -f $$@ && ar qcs $$@ $$^
.PHONY: lib-$(1) test-$(1)
lib-$(1): $(call lib,$(1))
test-$(1): $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/$(1)_*.c))
	$(Q)tests/run-units $(BUILD)/tests $$^
$(BUILD)/tests/unit/$(1)_%: $(BUILD)/tests/unit/$(1)_%.o $(call libs_of,$(1))
	@mkdir -p $$(@D)
	@echo "  LINK  $$(@F)"
	$(Q)$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(CMOCKA) $(LDLIBS_ALL)
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$(m))))

# Other flags make other objects.
.PHONY: flags-now
$(BUILD)/flags: flags-now
	@mkdir -p $(@D)
	@echo '$(CFLAGS_ALL)' | cmp -s - $@ || echo '$(CFLAGS_ALL)' >$@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -MT $@ -c -o $@ $<

$(BUILD)/reeve-master: $(BUILD)/master/main.o $(call libs_of,master)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(MASTER_LDLIBS) $(LDLIBS_ALL)
$(BUILD)/reeve-agent: $(BUILD)/agent/main.o $(call libs_of,agent)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/rctl: $(BUILD)/client/main.o $(call libs_of,client)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

-include tests/tests.mk

.PHONY: clean format
clean:
	rm -rf build build-san
format:
	clang-format -i $$(git ls-files '*.c' '*.h')

-include $(shell [ -d $(BUILD) ] && find $(BUILD) -name '*.d')
