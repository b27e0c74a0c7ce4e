/* Each name is a file beside this one. */
SCRIPT("binding"), SCRIPT("cordon"), SCRIPT("node_gone"), SCRIPT("pods_limit"), SCRIPT("ports"), SCRIPT("priority"),
    SCRIPT("refused"), SCRIPT("resources"), SCRIPT("selector"), SCRIPT("spread"), SCRIPT("taints"), SCRIPT("volumes"),
    SCRIPT("volumes_local"), SCRIPT("volumes_modes"), SCRIPT("wake"),
