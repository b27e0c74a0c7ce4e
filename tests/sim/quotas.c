/* ResourceQuotas: clients make, change and delete quotas, pods, ConfigMaps and a ReplicaSet in a namespace of its own,
 * several in one transaction, and what must hold behind every transaction of the history:
 *
 *  1. What a quota says is used is what there is, counted anew.
 *  2. Nothing grows above its bound. (It may be above where the bound was set below, but not become more.)
 * At rest the ReplicaSet has its pods, or a quota has no room for one more.
 *
 * Nothing is asked of proto/facts/quota.h or of the store's own counting. The pods fit on no node: nobody runs them,
 * and clients end them. */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/model/quantity.h"
#include "tests/sim/cluster.h"

#define SALT     (UINT64_C(71993) << 32) /* such that the seeds that were kept before have none of them */
#define HELD     "held"
#define NAMES    10u
#define CPU_STEP 100 /* thousandths */

void quotas_draw(struct cluster *c)
{
    c->holding = rng_apart(c->seed, SALT);
    c->swarm.quotas = rng_below(&c->holding, 2) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool quotas_next(struct cluster *c)
{
    return c->swarm.quotas && rng_below(&c->holding, 6) == 0;
}

/* ---- What clients ask for ---- */

#define POD_SPEC                                                                                                       \
    "{nodeSelector: {no: node}, terminationGracePeriodSeconds: 0, %scontainers: [{name: c, image: i, resources: "      \
    "{requests: {cpu: %um}}}]}"

static int make(const struct view *tip, const char *text, struct txn *t, struct error *err)
{
    return op_make_in(tip, HELD, text, t, err);
}

static const char *quota_text(struct rng *r, struct arena *a)
{
    bool lasting = rng_below(r, 3) == 0;
    return arena_printf(a,
                        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q%u, namespace: " HELD
                        "}, spec: {hard: "
                        "{pods: %u, requests.cpu: %um%s%s}%s}}",
                        (unsigned)rng_below(r, 3), (unsigned)rng_below(r, 8), CPU_STEP * (unsigned)rng_below(r, 16),
                        lasting ? "" : ", count/pods: 9", lasting ? "" : ", configmaps: 3",
                        lasting ? ", scopes: [NotTerminating]" : "");
}

static int pods_make(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    unsigned first = (unsigned)rng_below(r, NAMES), count = 1 + (unsigned)rng_below(r, 3);
    int rv = 0;
    for (unsigned i = 0; i < count && rv == 0; i++) {
        const char *ends = rng_below(r, 3) == 0 ? "activeDeadlineSeconds: 99, " : "";
        rv = make(tip,
                  arena_printf(
                      a, "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: " HELD "}, spec: " POD_SPEC "}",
                      (first + i) % NAMES, ends, CPU_STEP * (1 + (unsigned)rng_below(r, 3))),
                  t, err);
    }
    return rv;
}

static const struct object *one_of(const struct view *tip, struct rng *r, enum kind_id kind)
{
    const struct object *found = NULL;
    uint64_t n = rng_below(r, NAMES);
    struct view_iter it;
    view_iter(&it, tip, kind_of(kind), STR(HELD));
    VIEW_FOR(o, &it)
    {
        found = found == NULL || n-- > 0 ? o : found;
    }
    return found;
}

static int quota_change(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    const struct object *o = one_of(tip, r, KIND_RESOURCEQUOTA);
    if (o == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no quota");
    }
    struct value *doc = object_to_value(a, o), *hard = value_path(doc, "spec.hard");
    value_set(a, hard, "pods", value_strf(a, "%u", (unsigned)rng_below(r, 9)));
    if (rng_below(r, 3) == 0 && !value_remove(hard, "limits.cpu")) {
        value_set(a, hard, "limits.cpu", value_cstr(a, "0")); /* names change: all is counted anew */
    }
    return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
}

static int pod_end(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    const struct object *o = one_of(tip, r, KIND_POD);
    if (o == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no pod");
    }
    struct value *doc = object_to_value(a, o);
    value_set(a, value_ensure_map(a, doc, "status"), "phase",
              value_cstr(a, rng_below(r, 2) == 0 ? "Succeeded" : "Failed"));
    return txn_update_value(t, o->kind, doc, TXN_PART_STATUS, o->revision, err);
}

static int set_scale(const struct view *tip, struct rng *r, struct arena *a, struct txn *t, struct error *err)
{
    const struct object *o = view_get(tip, kind_of(KIND_REPLICASET), STR(HELD), STR("rs"));
    unsigned replicas = (unsigned)rng_below(r, 8);
    if (o == NULL) {
        return make(tip,
                    arena_printf(a,
                                 "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, namespace: " HELD
                                 "}, spec: {replicas: %u, selector: {matchLabels: {app: rs}}, template: {metadata: "
                                 "{labels: {app: rs}}, spec: " POD_SPEC "}}}",
                                 replicas, "", CPU_STEP * 2),
                    t, err);
    }
    struct value *doc = object_to_value(a, o);
    value_set(a, value_get(doc, "spec"), "replicas", value_int(a, replicas));
    return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
}

static void take_away(struct life *life, const struct object *o, struct txn *t)
{
    if (o->kind->id == KIND_POD) {
        strmap_set(&life->c->killed, o->uid, life->c); /* somebody wanted it: no controller has to answer for it */
    }
    txn_delete(t, o);
}

/* One goes, and another comes in its place. */
static int pods_exchange(struct life *life, const struct view *tip, struct rng *r, struct arena *a, struct txn *t,
                         struct error *err)
{
    const struct object *o = one_of(tip, r, KIND_POD);
    int rv = pods_make(tip, r, a, t, err);
    if (o != NULL && rv == 0) {
        take_away(life, o, t);
    }
    return rv;
}

int quotas_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 21)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (view_get(tip, kind_of(KIND_NAMESPACE), STR_NONE, STR(HELD)) == NULL) {
        return op_make_in(tip, NULL, "{apiVersion: v1, kind: Namespace, metadata: {name: " HELD "}}", t, err);
    }
    switch (rng_below(&r, 12)) {
    case 0:
    case 1:
        return make(tip, quota_text(&r, &a), t, err);
    case 2:
        return quota_change(tip, &r, &a, t, err);
    case 3:
    case 4:
    case 5:
        return pods_make(tip, &r, &a, t, err);
    case 6:
        return pod_end(tip, &r, &a, t, err);
    case 7:
        return pods_exchange(life, tip, &r, &a, t, err);
    case 8:
        return set_scale(tip, &r, &a, t, err);
    case 9:
        return make(tip,
                    arena_printf(&a, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: " HELD "}}",
                                 (unsigned)rng_below(&r, NAMES)),
                    t, err);
    default: {
        static const enum kind_id kinds[] = {KIND_POD, KIND_POD, KIND_POD, KIND_CONFIGMAP, KIND_RESOURCEQUOTA};
        const struct object *o = one_of(tip, &r, kinds[rng_below(&r, ARRAY_SIZE(kinds))]);
        if (o == NULL) {
            return error_set(err, ERR_NOT_FOUND, "nothing to delete");
        }
        take_away(life, o, t);
        return 0;
    }
    }
}

/* ---- Counting anew ---- */

static int64_t thousandths(struct mp v)
{
    int64_t n = 0;
    quantity_milli(mp_str(v), &n);
    return n;
}

static bool has_ended(const struct object *pod)
{
    struct str phase = mp_str(mp_get(object_status(pod), "phase"));
    return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}

static int64_t cpu_of(const struct object *pod, const char *which)
{
    int64_t n = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "containers")); mp_next(&it);) {
        n += thousandths(mp_get(mp_get(mp_get(it.value, "resources"), which), "cpu"));
    }
    return n;
}

/* Of a name that the quotas of this file have, in thousandths. */
static int64_t there_is(const struct view *v, const struct object *quota, struct str name)
{
    bool lasting = mp_count(mp_get(object_spec(quota), "scopes")) > 0;
    struct view_iter it;
    int64_t n = 0;
    if (str_is(name, "configmaps")) {
        view_iter(&it, v, kind_of(KIND_CONFIGMAP), STR(HELD));
        while (view_next(&it) != NULL) {
            n += 1000;
        }
        return n;
    }
    view_iter(&it, v, kind_of(KIND_POD), STR(HELD));
    VIEW_FOR(pod, &it)
    {
        bool ends = mp_type(mp_get(object_spec(pod), "activeDeadlineSeconds")) != MP_NONE, over = has_ended(pod);
        if (lasting && ends) {
            continue;
        }
        n += str_is(name, "count/pods")          ? 1000
             : over                              ? 0
             : str_is(name, "pods")              ? 1000
             : str_starts(name, STR("requests")) ? cpu_of(pod, "requests")
                                                 : cpu_of(pod, "limits");
    }
    return n;
}

static void judge_quota(struct cluster *c, const struct view *before, const struct view *after,
                        const struct history_txn *t, const struct object *quota)
{
    const struct object *was = view_get(before, quota->kind, quota->ns, quota->name);
    struct mp used = mp_get(object_status(quota), "used");
    for (struct mp_iter it = mp_iter(mp_get(object_spec(quota), "hard")); mp_next(&it);) {
        int64_t now = there_is(after, quota, it.key), told = thousandths(mp_get_str_key(used, it.key));
        if (now != told || mp_type(mp_get_str_key(used, it.key)) == MP_NONE) {
            cluster_violate(
                c, "quota %.*s says at revision %llu that %lld thousandths of %.*s are used, and there are %lld",
                STR_ARG(quota->name), (unsigned long long)t->revision, (long long)told, STR_ARG(it.key),
                (long long)now);
        }
        if (was != NULL && str_eq(was->uid, quota->uid) && now > thousandths(it.value) &&
            now > there_is(before, quota, it.key)) {
            cluster_violate(c, "%.*s of quota %.*s grow above their bound at revision %llu", STR_ARG(it.key),
                            STR_ARG(quota->name), (unsigned long long)t->revision);
        }
    }
}

void quotas_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t)
{
    bool touched = false;
    for (unsigned i = 0; i < t->count && c->swarm.quotas; i++) {
        const struct object *o = t->changes[i].new != NULL ? t->changes[i].new : t->changes[i].old;
        touched = touched || str_is(o->ns, HELD);
    }
    if (!touched) {
        return;
    }
    struct view_iter it;
    view_iter(&it, after, kind_of(KIND_RESOURCEQUOTA), STR(HELD));
    VIEW_FOR(quota, &it)
    {
        judge_quota(c, before, after, t, quota);
    }
}

/* ---- The end ---- */

/* Has a quota no room for one more pod of the ReplicaSet? */
static bool is_full(const struct view *v)
{
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_RESOURCEQUOTA), STR(HELD));
    VIEW_FOR(quota, &it)
    {
        for (struct mp_iter hard = mp_iter(mp_get(object_spec(quota), "hard")); mp_next(&hard);) {
            int64_t one = str_is(hard.key, "requests.cpu")                             ? 2 * CPU_STEP
                          : str_is(hard.key, "pods") || str_is(hard.key, "count/pods") ? 1000
                                                                                       : 0;
            bool said = !str_is(hard.key, "limits.cpu"); /* which no pod says: none can be made */
            if (!said || (one > 0 && there_is(v, quota, hard.key) + one > thousandths(hard.value))) {
                return true;
            }
        }
    }
    return false;
}

bool quotas_settled(struct cluster *c, char why[256])
{
    const struct view *v = c->ledger.model;
    const struct object *rs = c->swarm.quotas ? view_get(v, kind_of(KIND_REPLICASET), STR(HELD), STR("rs")) : NULL;
    struct view_iter it;
    int64_t pods = 0;
    if (rs == NULL || rs->deleting) {
        return true;
    }
    view_iter_owned(&it, v, rs->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        pods += !pod->deleting && !has_ended(pod);
    }
    int64_t wanted = mp_int(mp_get(object_spec(rs), "replicas"), 1);
    snprintf(why, 256, "ReplicaSet %.*s has %lld pods of %lld, and there is room", STR_ARG(rs->name), (long long)pods,
             (long long)wanted);
    return pods == wanted || (pods < wanted && is_full(v));
}
