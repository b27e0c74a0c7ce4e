/* Filters: can this node take a pod of this class? Names and texts are those of the Kubernetes scheduler framework's
 * plugins. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/facts/node_match.h"
#include "scheduler/cache.h"

void reasons_add(struct reasons *r, const char *fmt, ...)
{
    if (r == NULL) {
        return;
    }
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    uintptr_t count = (uintptr_t)strmap_get(&r->counts, str_of(text));
    strmap_set(&r->counts, str_of(text), (void *)(count + 1));
}

/* A cordoned node takes pods that tolerate the taint which stands for it. */
static bool node_unschedulable(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    /* {key: ..., effect: NoSchedule}, as msgpack. */
    static const char taint[] = "\x82\xa3key\xd9\x20node.kubernetes.io/unschedulable\xa6"
                                "effect\xaaNoSchedule";
    if (!n->unschedulable || node_match_tolerated(c->tolerations, mp_of(taint, sizeof taint - 1))) {
        return true;
    }
    reasons_add(why, "node(s) were unschedulable");
    return false;
}

static bool node_name(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    if (str_empty(c->node_name) || str_is(c->node_name, n->name)) {
        return true;
    }
    reasons_add(why, "node(s) didn't match the requested node name");
    return false;
}

static bool taint_toleration(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (struct mp_iter it = mp_iter(n->taints); mp_next(&it);) {
        struct str effect = mp_str(mp_get(it.value, "effect"));
        if (str_is(effect, "PreferNoSchedule") || node_match_tolerated(c->tolerations, it.value)) {
            continue;
        }
        reasons_add(why, "node(s) had untolerated taint {%.*s: %.*s}", STR_ARG(mp_str(mp_get(it.value, "key"))),
                    STR_ARG(mp_str(mp_get(it.value, "value"))));
        return false;
    }
    return true;
}

static bool node_affinity(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    struct mp required = mp_get(c->affinity, "requiredDuringSchedulingIgnoredDuringExecution");
    bool fits = true;
    for (struct mp_iter it = mp_iter(c->node_selector); fits && mp_next(&it);) {
        struct mp label = mp_get_str_key(n->labels, it.key);
        fits = label.p != label.end && str_eq(mp_str(label), mp_str(it.value));
    }
    if (fits && (mp_count(required) == 0 || node_match_selector(required, n->labels, str_of(n->name)))) {
        return true;
    }
    reasons_add(why, "node(s) didn't match Pod's node affinity/selector");
    return false;
}

static bool node_ports(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    for (unsigned i = 0; i < c->ports_count; i++) {
        for (unsigned j = 0; j < n->ports_count; j++) {
            if (host_ports_conflict(&c->ports[i], &n->ports[j])) {
                reasons_add(why, "node(s) didn't have free ports for the requested pod ports");
                return false;
            }
        }
    }
    return true;
}

/* used < 0: so much that it cannot be counted. */
static bool has_left(int64_t alloc, int64_t used, int64_t wanted)
{
    return used >= 0 && wanted <= alloc - used;
}

/* "All insufficient resources of a node are named." */
static bool resources_fit(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    static const char *const names[RESOURCE_FIXED] = {"cpu", "memory", "ephemeral-storage"};
    bool fits = true;
    if (n->pods_used >= n->pods_alloc) {
        reasons_add(why, "Too many pods");
        fits = false;
    }
    for (unsigned i = 0; i < RESOURCE_FIXED && (fits || why != NULL); i++) {
        if (c->request.fixed[i] > 0 && !has_left(n->alloc.fixed[i], n->used.fixed[i], c->request.fixed[i])) {
            reasons_add(why, "Insufficient %s", names[i]);
            fits = false;
        }
    }
    for (unsigned i = 0; i < c->request.ext_count && (fits || why != NULL); i++) {
        const struct extended *e = &c->request.ext[i];
        if (e->amount > 0 &&
            !has_left(resources_ext(&n->alloc, e->name), resources_ext(&n->used, e->name), e->amount)) {
            reasons_add(why, "Insufficient %s", e->name);
            fits = false;
        }
    }
    return fits;
}

static const struct filter filters[] = {
    {"NodeUnschedulable", true, node_unschedulable},
    {"NodeName", true, node_name},
    {"TaintToleration", true, taint_toleration},
    {"NodeAffinity", true, node_affinity},
    {"NodePorts", false, node_ports},
    {"NodeResourcesFit", false, resources_fit},
};

const struct filter *filters_all(unsigned *count)
{
    *count = ARRAY_SIZE(filters);
    return filters;
}

bool sched_node_fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    if (n->obj == NULL) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(filters); i++) {
        if (!filters[i].fits(c, n, why)) {
            return false;
        }
    }
    return true;
}
