/* describe: Deployments and ReplicaSets. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/describe/parts.h"
#include "proto/kinds/workload.h"
#include "proto/schema/selector.h"

#define WIDTH 24

static struct str path(struct mp m, const char *p)
{
    return mp_str(mp_path(m, p));
}

void workload_describe_selector(struct buf *out, unsigned width, struct mp selector)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    describe_label(out, 0, width, "Selector:");
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
static void sets_line(struct buf *out, const struct object *o, const struct describe_context *c, bool latest)
{
    static const char revision[] = "deployment.kubernetes.io/revision";
    unsigned n = 0;
    describe_label(out, 0, 17, latest ? "NewReplicaSet:" : "OldReplicaSets:");
    for (unsigned i = 0; i < c->related[0].count; i++) {
        const struct object *rs = c->related[0].items[i];
        bool is_new = str_eq(object_annotation(rs, revision), object_annotation(o, revision));
        if (is_new != latest || (!latest && wanted_of(rs) == 0 && replicas_of(rs) == 0)) {
            continue;
        }
        buf_printf(out, "%s%.*s (%" PRId64 "/%" PRId64 " replicas created)", n++ > 0 ? ", " : "", STR_ARG(rs->name),
                   replicas_of(rs), wanted_of(rs));
    }
    buf_puts(out, n == 0 ? "<none>\n" : "\n");
}

void deployment_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), strategy = mp_path(m, "spec.strategy.rollingUpdate");
    struct str type = path(m, "spec.strategy.type");
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    describe_time(out, 0, WIDTH, "CreationTimestamp:", path(m, "metadata.creationTimestamp"));
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    workload_describe_selector(out, WIDTH, mp_path(m, "spec.selector"));
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

void workload_describe_pods(struct buf *out, unsigned width, const struct describe_context *c)
{
    static const char *const phases[] = {"Running", "Pending", "Succeeded", "Failed"};
    static const char *const titles[] = {"Running", "Waiting", "Succeeded", "Failed"};
    unsigned n[ARRAY_SIZE(phases)] = {0};
    for (unsigned i = 0; i < c->related[0].count; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(phases); k++) {
            n[k] += str_is(path(object_mp(c->related[0].items[i]), "status.phase"), phases[k]);
        }
    }
    describe_label(out, 0, width, "Pods Status:");
    for (unsigned k = 0; k < ARRAY_SIZE(phases); k++) {
        buf_printf(out, "%s%u %s", k > 0 ? " / " : "", n[k], titles[k]);
    }
    buf_putc(out, '\n');
}

void replicaset_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    describe_text(out, 0, 14, "Name:", o->name);
    describe_text(out, 0, 14, "Namespace:", o->ns);
    workload_describe_selector(out, 14, mp_path(m, "spec.selector"));
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
    workload_describe_pods(out, 14, c);
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_path(m, "spec.template"), 1);
    describe_conditions(out, mp_path(m, "status.conditions"), true);
    describe_events(out, c);
}
