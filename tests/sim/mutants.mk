# Known bugs put back in, one at a time: the simulator must notice each. Included by tests/tests.mk.
# usage: make sim-mutants [MUTANTS="NAME..."] [SEEDS=N] [FIRST=N] [JOBS=N] [QUICK=no]

.PHONY: sim-mutants
sim-mutants: $(BUILD)/tests/sim/sim $(addprefix $(BUILD)/tests/unit/,$(sort $(shell sed -n 's/^unit: //p' tests/sim/mutants/*.patch)))
	@BUILD=$(BUILD) CC="$(CC)" CFLAGS_ALL='$(CFLAGS_ALL)' SIM_OBJS="$(SIM_OBJS)" SIM_LIBS="$(CHECK_LIB) $(call libs_of,master)" \
	  UNIT_LIBS="$(BUILD)/tests/sim/sim_disk.o $(BUILD)/tests/sim/sim_io.o $(BUILD)/tests/unit/kit/placement.o $(BUILD)/tests/unit/kit/placement_text.o $(STAGE_LIB) $(call libs_of,master)" CMOCKA='$(CMOCKA)' LDFLAGS_ALL='$(LDFLAGS_ALL)' LDLIBS_ALL='$(LDLIBS_ALL)' SEEDS=$(if $(filter file,$(origin SEEDS)),200,$(SEEDS)) FIRST=$(FIRST) \
	  JOBS=$(if $(filter file,$(origin JOBS)),,$(JOBS)) QUICK=$(QUICK) nice tests/sim/mutants/run $(MUTANTS)
