/* describe: nodes, with the pods that run there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/describe/parts.h"
#include "proto/facts/pod_state.h"
#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"
#include "proto/text/grid.h"

static struct str path(struct mp m, const char *p)
{
    return mp_str(mp_path(m, p));
}

static void resource_block(struct buf *out, const char *label, struct mp map)
{
    if (mp_count(map) == 0) {
        return;
    }
    size_t width = 0;
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        width = MAX(width, it.key.n);
    }
    buf_printf(out, "%s\n", label);
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "  %.*s:%*s%.*s\n", STR_ARG(it.key), (int)(width - it.key.n) + 2, "", STR_ARG(v));
    }
}

/* Sum over the pod's containers; cpu in thousandths, memory in bytes. */
static int64_t pod_sum(const struct object *pod, const char *list, const char *what)
{
    int64_t sum = 0;
    bool cpu = strcmp(what, "cpu") == 0;
    struct str whole = mp_str(mp_get(mp_path(object_spec(pod), list), what));
    if (whole.n > 0 && (cpu ? quantity_milli(whole, &sum) : quantity_units(whole, &sum))) {
        return sum; /* of the pod, not of its containers */
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.containers")); mp_next(&it);) {
        int64_t v = 0;
        struct str q = mp_str(mp_get(mp_path(it.value, list), what));
        if (cpu ? quantity_milli(q, &v) : quantity_units(q, &v)) {
            sum += v;
        }
    }
    return sum;
}

static const char *quantity_text(struct arena *a, bool cpu, int64_t v, int64_t of)
{
    char text[QUANTITY_SIZE];
    if (cpu) {
        quantity_format_milli(v, text);
    } else {
        quantity_format_bytes(v, text);
    }
    return arena_printf(a, "%s (%" PRId64 "%%)", v == 0 ? "0" : text, of > 0 ? v * 100 / of : 0);
}

struct capacity {
    int64_t cpu, memory;
};

static struct capacity allocatable(struct mp m)
{
    struct capacity c = {0};
    quantity_milli(path(m, "status.allocatable.cpu"), &c.cpu);
    quantity_units(path(m, "status.allocatable.memory"), &c.memory);
    return c;
}

static void node_pods(struct buf *out, struct mp m, const struct describe_context *c)
{
    static const char *const columns[][2] = {{"resources.requests", "cpu"},
                                             {"resources.limits", "cpu"},
                                             {"resources.requests", "memory"},
                                             {"resources.limits", "memory"}};
    static const char *const head[] = {"Namespace",       "Name",          "CPU Requests", "CPU Limits",
                                       "Memory Requests", "Memory Limits", "Age"};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf table = BUF_INIT;
    struct capacity cap = allocatable(m);
    int64_t totals[4] = {0};
    unsigned rows = 1;
    const char **cells = arena_alloc(&a, 7 * ((size_t)c->related[0].count + 1) * sizeof(*cells));
    memcpy(cells, head, sizeof(head));
    for (unsigned i = 0; i < c->related[0].count; i++) {
        const struct object *p = c->related[0].items[i];
        if (pod_finished(p)) {
            continue;
        }
        const char **row = cells + 7 * (size_t)rows++;
        char age[TIMEFMT_SIZE];
        timefmt_age(MAX(c->now_ms - object_created_ms(p), 0), age);
        row[0] = arena_strndup(&a, p->ns.p, p->ns.n);
        row[1] = arena_strndup(&a, p->name.p, p->name.n);
        for (unsigned k = 0; k < 4; k++) {
            int64_t v = pod_sum(p, columns[k][0], columns[k][1]);
            totals[k] += v;
            row[2 + k] = quantity_text(&a, k < 2, v, k < 2 ? cap.cpu : cap.memory);
        }
        row[6] = arena_strdup(&a, age);
    }
    buf_printf(out, "Non-terminated Pods:  (%u in total)\n", rows - 1);
    grid_print(&table, cells, 7, rows);
    describe_indented(out, buf_cstr(&table));
    buf_reset(&table);
    const char *sums[] = {"Resource",
                          "Requests",
                          "Limits",
                          "cpu",
                          quantity_text(&a, true, totals[0], cap.cpu),
                          quantity_text(&a, true, totals[1], cap.cpu),
                          "memory",
                          quantity_text(&a, false, totals[2], cap.memory),
                          quantity_text(&a, false, totals[3], cap.memory)};
    buf_puts(out, "Allocated resources:\n");
    grid_print(&table, sums, 3, 3);
    describe_indented(out, buf_cstr(&table));
}

static void taints(struct buf *out, struct mp list)
{
    unsigned n = 0;
    describe_label(out, 0, 20, "Taints:");
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        struct str key = path(it.value, "key"), value = path(it.value, "value"), effect = path(it.value, "effect");
        if (n > 0) {
            describe_label(out, 0, 20, "");
        }
        buf_printf(out, "%.*s%s%.*s:%.*s\n", STR_ARG(key), value.n > 0 ? "=" : "", STR_ARG(value), STR_ARG(effect));
    }
    buf_puts(out, n == 0 ? "<none>\n" : "");
}

/* What masters tell of its heartbeats; nothing where they tell nothing. */
static void lease(struct buf *out, const struct describe_list *leases)
{
    if (leases->count == 0) {
        return;
    }
    struct mp spec = object_spec(leases->items[0]);
    struct str acquired = path(spec, "acquireTime");
    buf_puts(out, "Lease:\n");
    describe_text(out, 1, 17, "HolderIdentity:", path(spec, "holderIdentity"));
    if (acquired.n == 0) {
        describe_text(out, 1, 17, "AcquireTime:", STR("<unset>"));
    } else {
        describe_time(out, 1, 17, "AcquireTime:", acquired);
    }
    describe_time(out, 1, 17, "RenewTime:", path(spec, "renewTime"));
}

static const char *time_text(struct arena *a, struct str time)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    describe_time(&b, 0, 0, "", time);
    return arena_strndup(a, (const char *)b.data + 1, b.size - 2); /* without the blank of the label, and the end */
}

static void conditions(struct buf *out, struct mp list)
{
    static const char *const head[] = {
        "Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message",
        "----", "------", "-----------------", "------------------", "------", "-------"};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf table = BUF_INIT;
    unsigned rows = 2;
    if (mp_count(list) == 0) {
        return;
    }
    const char **cells = arena_alloc(&a, 6 * ((size_t)mp_count(list) + 2) * sizeof *cells);
    memcpy(cells, head, sizeof head);
    for (struct mp_iter it = mp_iter(list); mp_next(&it); rows++) {
        static const char *const keys[] = {"type",   "status", "lastHeartbeatTime", "lastTransitionTime",
                                           "reason", "message"};
        for (unsigned i = 0; i < 6; i++) {
            struct str text = path(it.value, keys[i]);
            cells[6 * rows + i] = i == 2 || i == 3 ? time_text(&a, text) : arena_strndup(&a, text.p, text.n);
        }
    }
    buf_puts(out, "Conditions:\n");
    grid_print(&table, cells, 6, rows);
    describe_indented(out, buf_cstr(&table));
}

static void addresses(struct buf *out, struct mp list)
{
    size_t width = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        width = MAX(width, path(it.value, "type").n);
    }
    buf_puts(out, "Addresses:\n");
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str type = path(it.value, "type"), address = path(it.value, "address");
        buf_printf(out, "  %.*s:%*s%.*s\n", STR_ARG(type), (int)(width - type.n) + 2, "", STR_ARG(address));
    }
}

static void system_info(struct buf *out, struct mp info)
{
    static const char *const rows[][2] = {
        {"Machine ID:", "machineID"},
        {"System UUID:", "systemUUID"},
        {"Boot ID:", "bootID"},
        {"Kernel Version:", "kernelVersion"},
        {"OS Image:", "osImage"},
        {"Operating System:", "operatingSystem"},
        {"Architecture:", "architecture"},
        {"Container Runtime Version:", "containerRuntimeVersion"},
        {"Kubelet Version:", "kubeletVersion"},
        {"Kube-Proxy Version:", "kubeProxyVersion"},
    };
    if (mp_count(info) == 0) {
        return;
    }
    buf_puts(out, "System Info:\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        describe_label(out, 1, 28, rows[i][0]);
        buf_append_str(out, path(info, rows[i][1]));
        buf_putc(out, '\n');
    }
}

static void ranges(struct buf *out, struct mp m)
{
    const char *between = "";
    describe_text(out, 0, 20, "PodCIDR:", path(m, "spec.podCIDR"));
    if (mp_count(mp_path(m, "spec.podCIDRs")) == 0) {
        return;
    }
    describe_label(out, 0, 20, "PodCIDRs:");
    for (struct mp_iter it = mp_iter(mp_path(m, "spec.podCIDRs")); mp_next(&it);) {
        struct str one = mp_str(it.value);
        buf_printf(out, "%s%.*s", between, STR_ARG(one));
        between = ",";
    }
    buf_putc(out, '\n');
}

void node_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    describe_text(out, 0, 20, "Name:", o->name);
    describe_label(out, 0, 20, "Roles:");
    node_write_roles(out, o);
    buf_putc(out, '\n');
    describe_map(out, 0, 20, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, 20, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    describe_time(out, 0, 20, "CreationTimestamp:", path(m, "metadata.creationTimestamp"));
    taints(out, mp_path(m, "spec.taints"));
    describe_text(out, 0, 20,
                  "Unschedulable:", mp_bool(mp_path(m, "spec.unschedulable"), false) ? STR("true") : STR("false"));
    lease(out, &c->related[1]);
    conditions(out, mp_path(m, "status.conditions"));
    addresses(out, mp_path(m, "status.addresses"));
    resource_block(out, "Capacity:", mp_path(m, "status.capacity"));
    resource_block(out, "Allocatable:", mp_path(m, "status.allocatable"));
    system_info(out, mp_path(m, "status.nodeInfo"));
    ranges(out, m);
    node_pods(out, m, c);
    describe_events(out, c);
}
