# What unit programs start as processes of their own. Included by tests/tests.mk.

$(BUILD)/tests/unit/master_members $(BUILD)/tests/unit/master_members_deaths: | $(BUILD)/tests/reeve-master $(BUILD)/reeve-master $(BUILD)/rctl

# A measurement lasts as long as the test likes.
$(BUILD)/tests/unit/agent_pods_evict $(BUILD)/tests/unit/agent_limits_disk: LDFLAGS_ALL += -Wl,--wrap=evict_measure
$(BUILD)/tests/unit/agent_pods_evict: LDFLAGS_ALL += -Wl,--wrap=cgroup_usage
# As if a pod had taken all of inotify.
$(BUILD)/tests/unit/agent_limits_watches: LDFLAGS_ALL += -Wl,--wrap=uv_fs_event_start
# Looks at the programs as they were built.
$(BUILD)/tests/unit/base_limits_programs: | $(BUILD)/reeve-master $(BUILD)/reeve-agent $(BUILD)/rctl

# What the scheduler may do, written once more.
$(BUILD)/tests/unit/scheduler_oracle: $(BUILD)/tests/unit/kit/placement.o $(BUILD)/tests/unit/kit/placement_text.o
