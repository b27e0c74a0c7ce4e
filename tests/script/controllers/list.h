SCRIPT("deployment_rollout"),
