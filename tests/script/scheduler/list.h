/* Each name is a file beside this one. */
SCRIPT("affinity"), SCRIPT("affinity_names"), SCRIPT("anti_affinity"), SCRIPT("binding"), SCRIPT("cordon"),
    SCRIPT("gates"), SCRIPT("images"), SCRIPT("known_faults"), SCRIPT("node_gone"), SCRIPT("overhead"),
    SCRIPT("packing"), SCRIPT("pod_resources"), SCRIPT("pods_limit"), SCRIPT("ports"), SCRIPT("ports_addresses"),
    SCRIPT("preempt"), SCRIPT("preempt_affinity"), SCRIPT("preempt_budget"), SCRIPT("preempt_choice"),
    SCRIPT("preempt_faults"), SCRIPT("preempt_nominee"), SCRIPT("priority"), SCRIPT("retry"), SCRIPT("refused"),
    SCRIPT("resources"), SCRIPT("selector"), SCRIPT("spread"), SCRIPT("spread_nodes"), SCRIPT("spread_wish"),
    SCRIPT("spread_zones"), SCRIPT("taints"), SCRIPT("too_many_keys"), SCRIPT("too_many_terms"), SCRIPT("volumes"),
    SCRIPT("volumes_foreign"), SCRIPT("volumes_local"), SCRIPT("volumes_modes"), SCRIPT("volumes_own"), SCRIPT("wake"),
