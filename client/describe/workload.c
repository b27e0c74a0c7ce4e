/* describe: Deployments, ReplicaSets, nodes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/describe/describe.h"
#include "client/describe/parts.h"
#include "client/ui/print.h"
#include "proto/model/quantity.h"
#include "proto/schema/selector.h"

#define WIDTH 24

static struct str path(struct mp m, const char *p)
{
    return mp_str(mp_path(m, p));
}

static void selector_line(struct buf *out, struct mp selector)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    describe_label(out, 0, WIDTH, "Selector:");
    if (selector_from_mp(&a, selector, &s, NULL) == 0) {
        selector_write(out, s);
    }
    buf_putc(out, '\n');
}

static void int_or_text(struct buf *out, struct mp v, const char *fallback)
{
    struct str s = mp_str(v);
    if (s.p != NULL) {
        buf_append_str(out, s);
    } else if (mp_type(v) == MP_INT || mp_type(v) == MP_UINT) {
        buf_printf(out, "%" PRId64, mp_int(v, 0));
    } else {
        buf_puts(out, fallback);
    }
}

/* ---- Deployment ---- */

static int64_t replicas_of(const struct object *rs)
{
    return mp_int(mp_path(object_mp(rs), "status.replicas"), 0);
}

static int64_t wanted_of(const struct object *rs)
{
    return mp_int(mp_path(object_mp(rs), "spec.replicas"), 0);
}

/* "hello-5d8 (3/3 replicas created)"; the new one bears the Deployment's revision. */
static void sets_line(struct buf *out, const struct object *o, const struct describe_context *c, bool new)
{
    static const char revision[] = "deployment.kubernetes.io/revision";
    unsigned n = 0;
    describe_label(out, 0, 17, new ? "NewReplicaSet:" : "OldReplicaSets:");
    for (unsigned i = 0; i < c->sets_count; i++) {
        const struct object *rs = c->sets[i];
        bool is_new = str_eq(object_annotation(rs, revision), object_annotation(o, revision));
        if (is_new != new || (!new &&wanted_of(rs) == 0 && replicas_of(rs) == 0)) {
            continue;
        }
        buf_printf(out, "%s%.*s (%" PRId64 "/%" PRId64 " replicas created)", n++ > 0 ? ", " : "", STR_ARG(rs->name),
                   replicas_of(rs), wanted_of(rs));
    }
    buf_puts(out, n == 0 ? "<none>\n" : "\n");
}

void describe_deployment(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), strategy = mp_path(m, "spec.strategy.rollingUpdate");
    struct str type = path(m, "spec.strategy.type");
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    describe_time(out, 0, WIDTH, "CreationTimestamp:", path(m, "metadata.creationTimestamp"));
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    selector_line(out, mp_path(m, "spec.selector"));
    describe_label(out, 0, WIDTH, "Replicas:");
    buf_printf(out,
               "%" PRId64 " desired | %" PRId64 " updated | %" PRId64 " total | %" PRId64 " available | %" PRId64
               " unavailable\n",
               mp_int(mp_path(m, "spec.replicas"), 1), mp_int(mp_path(m, "status.updatedReplicas"), 0),
               mp_int(mp_path(m, "status.replicas"), 0), mp_int(mp_path(m, "status.availableReplicas"), 0),
               mp_int(mp_path(m, "status.unavailableReplicas"), 0));
    describe_text(out, 0, WIDTH, "StrategyType:", type);
    describe_label(out, 0, WIDTH, "MinReadySeconds:");
    buf_printf(out, "%" PRId64 "\n", mp_int(mp_path(m, "spec.minReadySeconds"), 0));
    if (str_is(type, "RollingUpdate")) {
        describe_label(out, 0, WIDTH, "RollingUpdateStrategy:");
        int_or_text(out, mp_get(strategy, "maxUnavailable"), "25%");
        buf_puts(out, " max unavailable, ");
        int_or_text(out, mp_get(strategy, "maxSurge"), "25%");
        buf_puts(out, " max surge\n");
    }
    if (mp_bool(mp_path(m, "spec.paused"), false)) {
        describe_text(out, 0, WIDTH, "Paused:", STR("true"));
    }
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_path(m, "spec.template"), 1);
    describe_conditions(out, mp_path(m, "status.conditions"), true);
    sets_line(out, o, c, false);
    sets_line(out, o, c, true);
    describe_events(out, c);
}

/* ---- ReplicaSet ---- */

static void pods_status(struct buf *out, const struct describe_context *c)
{
    static const char *const phases[] = {"Running", "Pending", "Succeeded", "Failed"};
    static const char *const titles[] = {"Running", "Waiting", "Succeeded", "Failed"};
    unsigned n[ARRAY_SIZE(phases)] = {0};
    for (unsigned i = 0; i < c->pods_count; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(phases); k++) {
            n[k] += str_is(path(object_mp(c->pods[i]), "status.phase"), phases[k]);
        }
    }
    describe_label(out, 0, 14, "Pods Status:");
    for (unsigned k = 0; k < ARRAY_SIZE(phases); k++) {
        buf_printf(out, "%s%u %s", k > 0 ? " / " : "", n[k], titles[k]);
    }
    buf_putc(out, '\n');
}

void describe_replicaset(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    describe_text(out, 0, 14, "Name:", o->name);
    describe_text(out, 0, 14, "Namespace:", o->ns);
    describe_label(out, 0, 14, "Selector:");
    if (selector_from_mp(&a, mp_path(m, "spec.selector"), &s, NULL) == 0) {
        selector_write(out, s);
    }
    buf_putc(out, '\n');
    describe_map(out, 0, 14, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, 14, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    for (struct mp_iter it = mp_iter(mp_path(m, "metadata.ownerReferences")); mp_next(&it);) {
        if (mp_bool(mp_get(it.value, "controller"), false)) {
            struct str kind = path(it.value, "kind"), name = path(it.value, "name");
            buf_printf(out, "Controlled By:  %.*s/%.*s\n", STR_ARG(kind), STR_ARG(name));
        }
    }
    describe_label(out, 0, 14, "Replicas:");
    buf_printf(out, "%" PRId64 " current / %" PRId64 " desired\n", replicas_of(o),
               mp_int(mp_path(m, "spec.replicas"), 1));
    pods_status(out, c);
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_path(m, "spec.template"), 1);
    describe_conditions(out, mp_path(m, "status.conditions"), true);
    describe_events(out, c);
}

/* ---- Node ---- */

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

static bool is_over(const struct object *pod)
{
    struct str phase = path(object_mp(pod), "status.phase");
    return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}

/* Sum over the pod's containers; cpu in thousandths, memory in bytes. */
static int64_t pod_sum(const struct object *pod, const char *list, const char *what)
{
    int64_t sum = 0;
    bool cpu = strcmp(what, "cpu") == 0;
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

static void indented(struct buf *out, struct buf *table)
{
    const char *text = buf_cstr(table);
    while (*text != '\0') {
        size_t n = strcspn(text, "\n") + 1;
        buf_puts(out, "  ");
        buf_append(out, text, n);
        text += n;
    }
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
    const char **cells = arena_alloc(&a, 7 * ((size_t)c->pods_count + 1) * sizeof(*cells));
    memcpy(cells, head, sizeof(head));
    for (unsigned i = 0; i < c->pods_count; i++) {
        const struct object *p = c->pods[i];
        if (is_over(p)) {
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
    print_grid(&table, cells, 7, rows);
    indented(out, &table);
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
    print_grid(&table, sums, 3, 3);
    indented(out, &table);
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

void describe_node(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    describe_head(out, o, 20);
    describe_time(out, 0, 20, "CreationTimestamp:", path(m, "metadata.creationTimestamp"));
    taints(out, mp_path(m, "spec.taints"));
    describe_text(out, 0, 20,
                  "Unschedulable:", mp_bool(mp_path(m, "spec.unschedulable"), false) ? STR("true") : STR("false"));
    describe_conditions(out, mp_path(m, "status.conditions"), true);
    buf_puts(out, "Addresses:\n");
    for (struct mp_iter it = mp_iter(mp_path(m, "status.addresses")); mp_next(&it);) {
        struct str type = path(it.value, "type"), address = path(it.value, "address");
        buf_printf(out, "  %.*s:  %.*s\n", STR_ARG(type), STR_ARG(address));
    }
    resource_block(out, "Capacity:", mp_path(m, "status.capacity"));
    resource_block(out, "Allocatable:", mp_path(m, "status.allocatable"));
    if (mp_count(mp_path(m, "status.nodeInfo")) > 0) {
        buf_puts(out, "System Info:\n");
        describe_value(out, mp_path(m, "status.nodeInfo"), 1);
    }
    describe_text(out, 0, 20, "PodCIDR:", path(m, "spec.podCIDR"));
    node_pods(out, m, c);
    describe_events(out, c);
}
