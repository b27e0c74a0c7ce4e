/* Each name is a file beside this one. */
SCRIPT("adoption"), SCRIPT("cordon"), SCRIPT("deletion_policies"), SCRIPT("deployment_bad_image"),
    SCRIPT("deployment_collision"), SCRIPT("deployment_history"), SCRIPT("deployment_long_name"),
    SCRIPT("deployment_minready"), SCRIPT("deployment_pause"), SCRIPT("deployment_recreate"),
    SCRIPT("deployment_rollout"), SCRIPT("deployment_same_meaning"), SCRIPT("deployment_scale"), SCRIPT("event_ttl"),
    SCRIPT("generated_names"), SCRIPT("namespace_deletion"), SCRIPT("node_ipam"), SCRIPT("node_ipam_config"),
    SCRIPT("node_lost"), SCRIPT("node_lost_briefly"), SCRIPT("node_lost_calendar"), SCRIPT("nodes_all_lost"),
    SCRIPT("out_of_service"), SCRIPT("owners_in_a_circle"), SCRIPT("pod_garbage"), SCRIPT("references"),
    SCRIPT("replicaset_deletion_order"), SCRIPT("replicaset_failed_pods"), SCRIPT("taint_eviction"), SCRIPT("upgrade"),
