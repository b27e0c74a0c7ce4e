# The certificates' tests run a node's agent and rctl beside the masters.
$(BUILD)/tests/unit/master_certs: | $(BUILD)/reeve-agent $(BUILD)/rctl
$(BUILD)/tests/unit/master_rotate $(BUILD)/tests/unit/master_authority $(BUILD)/tests/unit/master_limits_stolen: | $(BUILD)/reeve-agent $(BUILD)/rctl
