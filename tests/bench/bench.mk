# Benchmarks. Included by tests/tests.mk.

BENCH_CLUSTER := $(addprefix $(BUILD)/tests/bench/,bench_cluster.o bench_load.o bench_state.o bench_pods.o bench_feeds.o bench_nodes.o bench_rest.o bench_creates.o bench_fair.o bench_web.o bench_kit.o)
BENCH_PROGRAMS := $(addprefix $(BUILD)/tests/bench/,bench_cluster bench_events bench_memory bench_scale bench_scheduler bench_services disk_probe)

$(BUILD)/tests/bench/bench_cluster: $(BENCH_CLUSTER) $(call libs_of,client)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/bench_scale: $(addprefix $(BUILD)/tests/bench/,bench_scale.o bench_masters.o bench_turns.o bench_load.o bench_nodes.o bench_kit.o) $(call libs_of,client)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/bench_scheduler: $(addprefix $(BUILD)/tests/bench/,bench_scheduler.o bench_store.o) $(call libs_of,scheduler)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/bench_memory: $(addprefix $(BUILD)/tests/bench/,bench_memory.o bench_store.o) $(call libs_of,scheduler)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/bench_events: $(BUILD)/tests/bench/bench_events.o $(call libs_of,controllers)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/bench_services: $(BUILD)/tests/bench/bench_services.o $(call libs_of,agent)
	@mkdir -p $(@D)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tests/bench/disk_probe: $(BUILD)/tests/bench/disk_probe.o $(call lib,base)
	@echo "  LINK  $(@F)"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

# A client in Go, of Debian's packages alone: without a module proxy, from /usr/share/gocode.
$(BUILD)/tests/bench/bench_etcd: tests/bench/etcd/main.go
	@mkdir -p $(@D)
	@echo "  GO    $<"
	$(Q)GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE=$(abspath $(BUILD))/go-cache go build -o $@ ./tests/bench/etcd

# usage: make bench [PARTS="writes gets ..."]; make bench-etcd [ROUNDS=N] [SECONDS_EACH=S]
bench:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	@[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory images
	@BUILD=$(BUILD) $(if $(PARTS),PARTS="$(PARTS)") tests/bench/run

bench-scale:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	@BUILD=$(BUILD) $(if $(SCALE),SCALE="$(SCALE)") $(if $(NODES),NODES=$(NODES)) $(if $(PODS),PODS=$(PODS)) $(if $(LARGE),LARGE=$(LARGE)) $(if $(MILLION),MILLION=$(MILLION)) $(if $(NODES100K),NODES100K=$(NODES100K)) $(if $(MASTERS),MASTERS=$(MASTERS)) $(if $(EACH),EACH=$(EACH)) $(if $(MILLION_PHASES),MILLION_PHASES="$(MILLION_PHASES)") $(if $(SCALE_SECONDS),SCALE_SECONDS=$(SCALE_SECONDS)) tests/bench/scale

bench-etcd:
	@.ci/deps build run bench
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS) $(BUILD)/tests/bench/bench_etcd
	@BUILD=$(BUILD) tests/bench/etcd/run
