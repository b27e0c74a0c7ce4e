# What unit programs start as processes of their own. Included by tests/tests.mk.

$(BUILD)/tests/unit/master_members $(BUILD)/tests/unit/master_members_deaths: | $(BUILD)/tests/reeve-master $(BUILD)/reeve-master $(BUILD)/rctl
