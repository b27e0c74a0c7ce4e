#include "proto/facts/condition.h"
#include "proto/facts/node_lease.h"
#include "proto/kinds/kinds.h"

/* clang-format off */
SCHEMA_STATIC(taint, "Taint", "Keeps pods away that do not tolerate it.",
    STRING("key", "Key of the taint.", REQUIRED),
    STRING("value", "Value, if it has one."),
    STRING("effect",
           "NoSchedule keeps new pods away, PreferNoSchedule if possible, NoExecute also sends off those there.",
           .flags = FIELD_REQUIRED, ONE_OF("NoSchedule|PreferNoSchedule|NoExecute")),
    TIME("timeAdded", "When a NoExecute taint was added."));

SCHEMA_STATIC(config_map_source, "ConfigMapNodeConfigSource", "Not used any more.",
    STRING("namespace", "Namespace of the ConfigMap."),
    STRING("name", "Name of the ConfigMap."),
    STRING("uid", "Its identity."),
    STRING("resourceVersion", "Its revision."),
    STRING("kubeletConfigKey", "Key of the configuration."));

SCHEMA_STATIC(config_source, "NodeConfigSource", "Not used any more.",
    OBJECT("configMap", config_map_source, "Not used any more.", NUMBER(2)));

SCHEMA_STATIC(node_spec, "NodeSpec", "What the node is to be.",
    STRING("podCIDR", "Range of addresses for pods of the node. Cannot change once set."),
    STRINGS("podCIDRs", "All ranges; the first one is podCIDR.", .flags = FIELD_SET, NUMBER(7)),
    STRING("providerID", "Identity of the machine at its provider.", NUMBER(3)),
    BOOLEAN("unschedulable", "No new pods are put on the node (cordon).", ZERO),
    OBJECTS("taints", taint, "Taints of the node."),
    OBJECT("configSource", config_source, "Not used any more.", WARNED("not used any more")),
    STRING("externalID", "Not used any more.", WARNED("not used any more"), NUMBER(2)));

SCHEMA_STATIC(node_condition, "NodeCondition", "One statement about the node.",
    STRING("type", "What it is about: Ready, MemoryPressure, DiskPressure, PIDPressure, or another."),
    STRING("status", "True, False or Unknown."),
    TIME("lastHeartbeatTime", "When it was last confirmed."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(node_address, "NodeAddress", "A way to reach the node.",
    STRING("type", "InternalIP, ExternalIP, Hostname, InternalDNS or ExternalDNS."),
    STRING("address", "The address or name."));

SCHEMA_STATIC(daemon_endpoint, "DaemonEndpoint", "A port of a daemon.",
    INT32("Port", "Number of the port."));

SCHEMA_STATIC(daemon_endpoints, "NodeDaemonEndpoints", "Ports of the daemons on the node.",
    OBJECT("kubeletEndpoint", daemon_endpoint, "The agent."));

SCHEMA_STATIC(node_swap, "NodeSwapStatus", "Swap space of the node.",
    INT64("capacity", "Its size in bytes."));

SCHEMA_STATIC(node_info, "NodeSystemInfo", "What the node is made of.",
    STRING("machineID", "Identity of the installation."),
    STRING("systemUUID", "Identity of the machine."),
    STRING("bootID", "Identity of this start of the machine."),
    STRING("kernelVersion", "Version of the kernel."),
    STRING("osImage", "Name of the operating system."),
    STRING("containerRuntimeVersion", "Container runtime: name://version."),
    STRING("kubeletVersion", "Version of the agent."),
    STRING("kubeProxyVersion", "Version of the service part of the agent."),
    STRING("operatingSystem", "Such as linux."),
    STRING("architecture", "Such as amd64."),
    OBJECT("swap", node_swap, "Swap space of the node."));

SCHEMA_STATIC(container_image, "ContainerImage", "An image on the node.",
    STRINGS("names", "Names it is known by."),
    INT64("sizeBytes", "Its size.", ZERO));

SCHEMA_STATIC(attached_volume, "AttachedVolume", "A volume attached to the node.",
    STRING("name", "Name of the volume."),
    STRING("devicePath", "Path of the device."));

SCHEMA_STATIC(config_status, "NodeConfigStatus", "Not used any more.",
    OBJECT("assigned", config_source, "Not used any more."),
    OBJECT("active", config_source, "Not used any more."),
    OBJECT("lastKnownGood", config_source, "Not used any more."),
    STRING("error", "Not used any more."));

SCHEMA_STATIC(handler_features, "NodeRuntimeHandlerFeatures", "What a container runtime can do.",
    BOOLEAN("recursiveReadOnlyMounts", "Mounts that are read-only as deep as they go."),
    BOOLEAN("userNamespaces", "User namespaces, also with volumes."));

SCHEMA_STATIC(runtime_handler, "NodeRuntimeHandler", "A container runtime of the node.",
    STRING("name", "Name of the runtime; empty for the usual one."),
    OBJECT("features", handler_features, "What it can do."));

SCHEMA_STATIC(node_features, "NodeFeatures", "What the node's agent can do.",
    BOOLEAN("supplementalGroupsPolicy", "It obeys supplementalGroupsPolicy."));

SCHEMA_STATIC(node_status, "NodeStatus", "What is known of the node.",
    QUANTITY_MAP("capacity", "All the node has."),
    QUANTITY_MAP("allocatable", "What pods may have of it."),
    STRING("phase", "Not used any more."),
    OBJECTS("conditions", node_condition, "Statements about the node.", MERGE("type")),
    OBJECTS("addresses", node_address, "Ways to reach the node.", MERGE("type")),
    OBJECT("daemonEndpoints", daemon_endpoints, "Ports of the daemons."),
    OBJECT("nodeInfo", node_info, "What the node is made of."),
    OBJECTS("images", container_image, "Images on the node."),
    STRINGS("volumesInUse", "Volumes that are mounted."),
    OBJECTS("volumesAttached", attached_volume, "Volumes that are attached."),
    OBJECT("config", config_status, "Not used any more."),
    OBJECTS("runtimeHandlers", runtime_handler, "Container runtimes of the node."),
    OBJECT("features", node_features, "What the node's agent can do."));

SCHEMA_STATIC(node, "Node", "A machine that runs pods.",
    TYPE_META,
    OBJECT("spec", node_spec, "What the node is to be.", DEFAULT("{}")),
    OBJECT("status", node_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Defaults and rules ---- */

/* podCIDR and the first of podCIDRs are one thing under two names. */
static void fill_cidrs(struct arena *a, struct value *spec)
{
    const struct value *one = value_get(spec, "podCIDR"), *all = value_get(spec, "podCIDRs");
    if (value_to_str(one).n > 0 && value_count(all) == 0) {
        value_append(a, value_ensure_list(a, spec, "podCIDRs"), value_copy(a, one));
    } else if (value_to_str(one).n == 0 && value_count(all) > 0) {
        value_set(a, spec, "podCIDR", value_copy(a, value_item(all, 0)));
    }
}

static void node_fill(struct arena *a, struct value *obj)
{
    if (value_is_map(value_get(obj, "spec"))) {
        fill_cidrs(a, value_get(obj, "spec"));
    }
    struct value *status = value_get(obj, "status"), *capacity = value_get(status, "capacity");
    if (capacity != NULL && value_get(status, "allocatable") == NULL) {
        value_set(a, status, "allocatable", value_copy(a, capacity));
    }
    /* What somebody has given to the node is for pods: nothing of it is set aside. */
    struct value *allocatable = value_get(status, "allocatable");
    for (unsigned i = 0; value_is_map(capacity) && value_is_map(allocatable) && i < value_count(capacity); i++) {
        const struct value_member *m = &capacity->map.members[i];
        if (memchr(m->key.p, '/', m->key.n) != NULL && value_get_str_key(allocatable, m->key) == NULL) {
            value_set_str_key(a, allocatable, m->key, value_copy(a, m->value));
        }
    }
}

static void check_taints(const struct value *taints, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, taints)
    {
        const struct value *t = value_item(taints, i), *v = value_get(t, "value");
        check_label_key(l, t, value_get(t, "key"), FPATH_AT(FPATH_ITEM(p, i), "key"));
        if (!name_is_label_value(value_to_str(v))) {
            bad_value(l, v, FPATH_AT(FPATH_ITEM(p, i), "value"), NAME_LABEL_VALUE_WHY);
        }
        for (unsigned j = 0; j < i; j++) {
            const struct value *u = value_item(taints, j);
            if (value_equal(value_get(t, "key"), value_get(u, "key")) &&
                value_equal(value_get(t, "effect"), value_get(u, "effect"))) {
                bad_duplicate(l, t, FPATH_ITEM(p, i));
                break;
            }
        }
    }
}

/* Ranges for pods: one of each family of addresses at most. podCIDR is among podCIDRs here (fill_cidrs). */
static void check_cidrs(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *one = value_get(spec, "podCIDR"), *all = value_get(spec, "podCIDRs");
    unsigned four = 0, six = 0;
    VALUE_FOR(i, all)
    {
        const struct value *v = value_item(all, i);
        bool again = false;
        for (unsigned j = 0; j < i; j++) {
            again = again || value_equal(v, value_item(all, j));
        }
        if (!name_is_cidr(value_to_str(v))) {
            bad_value(l, v, FPATH_ITEM(FPATH_AT(p, "podCIDRs"), i), "must be a range of addresses such as 10.1.2.0/24");
        } else if (again) {
            bad_duplicate(l, v, FPATH_ITEM(FPATH_AT(p, "podCIDRs"), i));
        } else {
            four += !name_is_ipv6(value_to_str(v));
            six += name_is_ipv6(value_to_str(v));
        }
    }
    if (four > 1 || six > 1) {
        bad_value(l, all, FPATH_AT(p, "podCIDRs"), "may specify no more than one CIDR for each IP family");
    }
    if (one != NULL && value_count(all) > 0 && !value_equal(one, value_item(all, 0))) {
        bad_value(l, all, FPATH_AT(p, "podCIDRs"), "the first one must be podCIDR");
    }
}

static void check_fixed(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l)
{
    static const char *const once[] = {"podCIDR", "podCIDRs", "providerID"};
    for (unsigned i = 0; i < ARRAY_SIZE(once); i++) {
        const struct value *before = value_get(old, once[i]), *now = value_get(spec, once[i]);
        bool set = value_to_str(before).n > 0 || value_count(before) > 0;
        if (set && (now == NULL || !value_equal(before, now))) {
            bad_forbidden(l, now, FPATH_AT(p, once[i]),
                          arena_printf(l->arena, "node updates may not change %s once it is set", once[i]));
        }
    }
    if (old != NULL &&
        !str_eq(value_to_str(value_get(spec, "externalID")), value_to_str(value_get(old, "externalID")))) {
        bad_forbidden(l, value_get(spec, "externalID"), FPATH_AT(p, "externalID"), "may not be updated");
    }
}

static void check_addresses(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        for (unsigned j = 0; j < i; j++) {
            if (value_equal(value_item(list, i), value_item(list, j))) {
                bad_duplicate(l, value_item(list, i), FPATH_ITEM(p, i));
                break;
            }
        }
    }
}

static void node_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *status = value_get(obj, "status");
    check_taints(value_get(spec, "taints"), FPATH_AT(FPATH("spec"), "taints"), l);
    check_cidrs(spec, FPATH("spec"), l);
    check_fixed(spec, value_get(old, "spec"), FPATH("spec"), l);
    check_addresses(value_get(status, "addresses"), FPATH_AT(FPATH("status"), "addresses"), l);
    check_resource_list(l, value_get(status, "capacity"), FPATH_AT(FPATH("status"), "capacity"));
    check_resource_list(l, value_get(status, "allocatable"), FPATH_AT(FPATH("status"), "allocatable"));
}

/* ---- Columns ---- */

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp c = condition_mp(o, "Ready");
    buf_puts(out, mp_type(c) == MP_NONE ? "Unknown" : condition_is(c, "True") ? "Ready" : "NotReady");
    if (mp_bool(mp_path(object_mp(o), "spec.unschedulable"), false)) {
        buf_puts(out, ",SchedulingDisabled");
    }
}

/* Labels of objects are sorted, so the roles are. */
void node_write_roles(struct buf *out, const struct object *o)
{
    const struct str prefix = STR("node-role.kubernetes.io/");
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.labels")); mp_next(&it);) {
        struct str role = STR_NONE;
        if (str_starts(it.key, prefix)) {
            role = (struct str){it.key.p + prefix.n, it.key.n - prefix.n};
        } else if (str_is(it.key, "kubernetes.io/role")) {
            role = mp_str(it.value);
        }
        if (role.n > 0) {
            buf_puts(out, count++ > 0 ? "," : "");
            buf_append_str(out, role);
        }
    }
    if (count == 0) {
        buf_puts(out, "<none>");
    }
}

static void cell_roles(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    node_write_roles(out, o);
}

static void cell_version(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "status.nodeInfo.kubeletVersion"));
}

static void cell_address(struct buf *out, const struct object *o, const char *type)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.addresses")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), type)) {
            cell_str(out, mp_get(it.value, "address"));
            return;
        }
    }
    buf_puts(out, "<none>");
}

static void cell_internal_ip(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_address(out, o, "InternalIP");
}

static void cell_external_ip(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_address(out, o, "ExternalIP");
}

static void cell_info(struct buf *out, const struct object *o, const char *path)
{
    struct str s = mp_str(mp_path(object_mp(o), path));
    buf_append_str(out, s.n == 0 ? STR("<unknown>") : s);
}

static void cell_os(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_info(out, o, "status.nodeInfo.osImage");
}

static void cell_kernel(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_info(out, o, "status.nodeInfo.kernelVersion");
}

static void cell_runtime(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_info(out, o, "status.nodeInfo.containerRuntimeVersion");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "STATUS", .cell = cell_status},
    {.title = "ROLES", .cell = cell_roles},
    {.title = "AGE"},
    {.title = "VERSION", .cell = cell_version},
    {.title = "INTERNAL-IP", .wide = true, .cell = cell_internal_ip},
    {.title = "EXTERNAL-IP", .wide = true, .cell = cell_external_ip},
    {.title = "OS-IMAGE", .wide = true, .cell = cell_os},
    {.title = "KERNEL-VERSION", .wide = true, .cell = cell_kernel},
    {.title = "CONTAINER-RUNTIME", .wide = true, .cell = cell_runtime},
};

static const struct kind_related related[] = {
    {.kind = KIND_POD, .field = "spec.nodeName"},
    {.kind = KIND_LEASE, .field = "metadata.name", .ns = NODE_LEASE_NS, .optional = true},
    {0},
};

const struct kind kind_node = {
    .id = KIND_NODE,
    .name = "Node",
    .api_version = "v1",
    .plural = "nodes",
    .singular = "node",
    .short_names = "no",
    .has_status = true,
    .selectable = "spec.unschedulable",
    .schema = &node,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = node_validate,
    .fill = node_fill,
    .describe = node_describe,
    .related = related,
};
