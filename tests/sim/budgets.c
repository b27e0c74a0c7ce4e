/* Disruption budgets over the pods of Deployments: clients make them, change them and evict pods, two at a time as
 * well, and some announce in a budget's status what they are about to delete, as Kubernetes' own server does.
 *
 * What must hold: no eviction breaks a budget. Where a pod was evicted that counted as healthy, more were healthy in
 * the state before than had to be; one that did not count went only where enough others did, or by AlwaysAllow.
 * At rest each budget's status says what there is.
 *
 * What is counted is counted anew here, pod by pod: nothing is asked of controllers/budget.h and
 * proto/facts/disruption.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "controllers/eviction.h"
#include "controllers/util.h"
#include "tests/sim/cluster.h"

#define SALT        (UINT64_C(739) << 32) /* such that the seeds that were kept before have none of them */
#define BUDGETS     3u
#define ANNOUNCE_MS 118000 /* what was announced counts at least so long */

void budgets_draw(struct cluster *c)
{
    c->sparing = rng_apart(c->seed, SALT);
    c->swarm.budgets = rng_below(&c->sparing, 6) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool budgets_next(struct cluster *c)
{
    return c->swarm.budgets && rng_below(&c->sparing, 3) == 0;
}

/* ---- What clients ask for ---- */

static const struct kind *budget_kind(void)
{
    return kind_of(KIND_PODDISRUPTIONBUDGET);
}

static const char *bounds_text(struct rng *r, struct arena *a)
{
    static const char *const bounds[] = {"minAvailable: 1",     "minAvailable: 2",   "minAvailable: 0",
                                         "minAvailable: '50%'", "maxUnavailable: 1", "maxUnavailable: '30%'"};
    return arena_printf(a, "%s%s", bounds[rng_below(r, ARRAY_SIZE(bounds))],
                        rng_below(r, 4) == 0 ? ", unhealthyPodEvictionPolicy: AlwaysAllow" : "");
}

/* Two Deployments that are there from the beginning, and one that clients make and delete. */
static const char *const apps[BUDGETS] = {"kept-0", "kept-1", "web-0"};

static const char *budget_text(struct rng *r, struct arena *a, const char *prefix, unsigned n)
{
    return arena_printf(a,
                        "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s-%u, namespace: %s}, "
                        "spec: {%s, selector: {matchLabels: {app: %s}}}}",
                        prefix, n, NAMESPACE, bounds_text(r, a), apps[n]);
}

#define PATIENCE "operator: Exists, effect: NoExecute, tolerationSeconds: 2}"

void budgets_first(struct cluster *c, struct txn *t)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (unsigned i = 0; i < BUDGETS; i++) {
        txn_create(t, yaml_object(budget_text(&c->sparing, &a, "budget", i)));
    }
    for (unsigned i = 0; i < BUDGETS - 1; i++) {
        txn_create(
            t, yaml_object(arena_printf(
                   &a,
                   "{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: %s}, spec: {replicas: %u, "
                   "selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: "
                   "[{name: c, image: v1}], tolerations: [{key: node.kubernetes.io/unreachable, " PATIENCE
                   ", {key: node.kubernetes.io/not-ready, " PATIENCE "]}}}}",
                   apps[i], NAMESPACE, 3 + i, apps[i], apps[i])));
    }
}

static const struct object *a_budget(const struct view *tip, struct rng *r)
{
    const struct object *found = NULL;
    uint64_t n = rng_below(r, BUDGETS);
    struct view_iter it;
    view_iter(&it, tip, budget_kind(), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        found = found == NULL || n-- > 0 ? o : found;
    }
    return found;
}

static bool is_held(const struct object *pod)
{
    bool held = false;
    for (unsigned i = 0; i < BUDGETS; i++) {
        held = held || str_is(object_label(pod, "app"), apps[i]);
    }
    return held;
}

/* Of these Deployments, and mostly one that serves; NULL: there is none. */
static const struct object *a_pod(const struct view *tip, struct rng *r)
{
    const struct object *found = NULL;
    uint64_t n = rng_below(r, 12);
    bool any = rng_below(r, 6) == 0;
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        bool serves = !pod->deleting && condition_is(condition_mp(pod, "Ready"), "True");
        if (is_held(pod) && (any || serves) && (found == NULL || n-- > 0)) {
            found = pod;
        }
    }
    return found;
}

static int evict(struct life *life, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct view *tip = store_tip(replica_store(life->replica));
    const struct object *pod = a_pod(tip, r);
    const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    if (pod == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no pod");
    }
    int rv = eviction_request(t, &a, tip, pod, &options, env_wall_ms(&life->env), err);
    if (rv == 0) {
        strmap_set(&life->c->killed, pod->uid, life->c);
    }
    /* Kept busy by nobody, and no bug: the request is refused for good, as the front would. */
    return rv == ERR_LIMIT || rv == ERR_INTERNAL ? error_set(err, ERR_NOT_FOUND, "refused") : rv;
}

/* Somebody else's eviction, in flight at the same moment. */
static void evict_beside(struct life *life, struct rng *r)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "api");
    if (evict(life, r, &t, &err) == 0 && t.count > 0) {
        replica_submit(life->replica, &t, NULL, NULL, &err);
    }
    txn_close(&t);
}

static int announce(struct life *life, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct view *tip = store_tip(replica_store(life->replica));
    const struct object *budget = a_budget(tip, r), *pod = a_pod(tip, r);
    char now[TIMEFMT_SIZE];
    if (budget == NULL || pod == NULL) {
        return error_set(err, ERR_NOT_FOUND, "nothing to announce");
    }
    struct value *doc = object_to_value(&a, budget), *status = value_ensure_map(&a, doc, "status");
    timefmt_rfc3339(env_wall_ms(&life->env), now);
    value_set_str_key(&a, value_ensure_map(&a, status, "disruptedPods"), pod->name, value_cstr(&a, now));
    return txn_update_value(t, budget->kind, doc, TXN_PART_STATUS, budget->revision, err);
}

static int change(struct life *life, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct view *tip = store_tip(replica_store(life->replica));
    const struct object *budget = a_budget(tip, r);
    if (budget == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no budget");
    }
    if (rng_below(r, 4) == 0) {
        txn_delete(t, budget);
        return 0;
    }
    struct value *doc = object_to_value(&a, budget), *spec = value_get(doc, "spec");
    value_remove(spec, "maxUnavailable");
    value_set(&a, spec, "minAvailable", value_int(&a, (int64_t)rng_below(r, 4)));
    return txn_update_value(t, budget->kind, doc, TXN_PART_SPEC, budget->revision, err);
}

int budgets_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 23)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    unsigned what = (unsigned)rng_below(&r, 16);
    if (what < 2) { /* now and then a second one for the same pods */
        const char *prefix = rng_below(&r, 12) == 0 ? "other" : "budget";
        return op_make(store_tip(replica_store(life->replica)),
                       budget_text(&r, &a, prefix, (unsigned)rng_below(&r, BUDGETS)), t, err);
    }
    if (what < 4) {
        return what == 2 ? change(life, &r, t, err) : announce(life, &r, t, err);
    }
    if (what < 12) {
        evict_beside(life, &r);
    }
    return evict(life, &r, t, err);
}

/* ---- Counted anew ---- */

struct count {
    int64_t healthy, desired, expected;
    bool known; /* each owner tells its scale */
};

static bool selects(const struct object *budget, const struct object *pod)
{
    struct str app = mp_str(mp_path(object_mp(budget), "spec.selector.matchLabels.app"));
    return pod->ns.n > 0 && str_eq(pod->ns, budget->ns) && app.n > 0 && str_eq(object_label(pod, "app"), app);
}

static int64_t announced_ms(const struct object *budget, const struct object *pod)
{
    return time_of_mp(mp_get_str_key(mp_path(object_mp(budget), "status.disruptedPods"), pod->name));
}

static bool counts(const struct object *budget, const struct object *pod, int64_t wall_ms)
{
    int64_t since_ms = announced_ms(budget, pod);
    bool finished = str_is(pod_phase(pod), "Succeeded") || str_is(pod_phase(pod), "Failed");
    return !pod->deleting && !finished && condition_is(condition_mp(pod, "Ready"), "True") &&
           (since_ms == 0 || since_ms + ANNOUNCE_MS <= wall_ms);
}

/* The scale of a ReplicaSet's pods: its Deployment's, once. */
static void add_scale(const struct view *v, const struct object *pod, struct str seen[16], unsigned *seen_count,
                      struct count *n)
{
    const struct object *rs = owner_get(v, pod->ns, owner_controller(pod));
    const struct object *above = rs == NULL ? NULL : owner_get(v, rs->ns, owner_controller(rs));
    const struct object *owner = above != NULL ? above : rs;
    if (owner == NULL) {
        n->known = n->known && (pod->deleting || pod_finished(pod));
        return;
    }
    for (unsigned i = 0; i < *seen_count; i++) {
        if (str_eq(seen[i], owner->uid)) {
            return;
        }
    }
    assert(*seen_count < 16);
    seen[(*seen_count)++] = owner->uid;
    n->expected += mp_int(mp_path(object_mp(owner), "spec.replicas"), 1);
}

static int64_t part_of(struct mp bound, int64_t all)
{
    char text[16];
    struct str s = mp_str(bound);
    snprintf(text, sizeof text, "%.*s", STR_ARG(s));
    return mp_type(bound) == MP_STR ? (all * atoll(text) + 99) / 100 : mp_int(bound, 0);
}

static struct count count_of(const struct view *v, const struct object *budget, int64_t wall_ms)
{
    struct count n = {.known = true};
    struct mp least = mp_path(object_mp(budget), "spec.minAvailable"),
              most = mp_path(object_mp(budget), "spec.maxUnavailable");
    struct str seen[16];
    unsigned seen_count = 0;
    int64_t pods = 0;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_POD), budget->ns);
    VIEW_FOR(pod, &it)
    {
        if (selects(budget, pod)) {
            pods++;
            n.healthy += counts(budget, pod, wall_ms);
            add_scale(v, pod, seen, &seen_count, &n);
        }
    }
    if (mp_type(most) != MP_NONE) {
        n.desired = MAX(n.expected - part_of(most, n.expected), 0);
    } else if (mp_type(least) == MP_STR) {
        n.desired = part_of(least, n.expected);
    } else {
        n.desired = mp_int(least, 0);
        n.expected = pods;
        n.known = true;
    }
    return n;
}

/* ---- What must hold ---- */

static bool is_evicted(const struct object *old, const struct object *now)
{
    struct mp c = now == NULL ? mp_of(NULL, 0) : condition_mp(now, "DisruptionTarget");
    return old != NULL && !old->deleting && now != NULL && now->deleting &&
           str_is(mp_str(mp_get(c, "reason")), "EvictionByEvictionAPI");
}

static void judge_eviction(struct cluster *c, const struct view *before, const struct history_txn *t,
                           const struct object *budget, const struct object *pod, int64_t wall_ms)
{
    struct count n = count_of(before, budget, wall_ms);
    bool counted = counts(budget, pod, wall_ms),
         always = str_is(mp_str(mp_path(object_mp(budget), "spec.unhealthyPodEvictionPolicy")), "AlwaysAllow");
    if (!n.known || (counted ? n.healthy <= n.desired : n.healthy < n.desired && !always)) {
        cluster_violate(c,
                        "budget %.*s was broken at revision %llu: pod %.*s was evicted (%s), %lld of %lld were healthy "
                        "and %lld had to be%s",
                        STR_ARG(budget->name), (unsigned long long)t->revision, STR_ARG(pod->name),
                        counted ? "healthy" : "not healthy", (long long)n.healthy, (long long)n.expected,
                        (long long)n.desired, n.known ? "" : ", as far as is known");
    }
}

void budgets_judge(struct cluster *c, const struct view *before, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.budgets; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        if ((old != NULL ? old : now)->kind->id != KIND_POD || !is_evicted(old, now)) {
            continue;
        }
        int64_t grace_s = mp_int(mp_path(object_mp(now), "metadata.deletionGracePeriodSeconds"), 0);
        int64_t wall_ms = time_of_mp(mp_path(object_mp(now), "metadata.deletionTimestamp")) - grace_s * 1000;
        unsigned held = 0;
        struct view_iter it;
        c->evicted++;
        view_iter(&it, before, budget_kind(), old->ns);
        VIEW_FOR(budget, &it)
        {
            if (selects(budget, old) && !str_is(pod_phase(old), "Pending") && !pod_finished(old)) {
                judge_eviction(c, before, t, budget, old, wall_ms);
                held++;
            }
        }
        c->spared += held > 0;
        if (held > 1) {
            cluster_violate(c, "pod %.*s was evicted while %u budgets select it", STR_ARG(old->name), held);
        }
    }
}

/* ---- The end ---- */

bool budgets_settled(struct cluster *c, char why[256])
{
    struct view_iter it;
    if (!c->swarm.budgets) {
        return true;
    }
    view_iter(&it, c->ledger.model, budget_kind(), STR(NAMESPACE));
    VIEW_FOR(budget, &it)
    {
        struct count n = count_of(c->ledger.model, budget, 0); /* entries that are there count */
        struct mp status = object_status(budget);
        int64_t healthy = mp_int(mp_get(status, "currentHealthy"), -1),
                desired = mp_int(mp_get(status, "desiredHealthy"), -1),
                allowed = mp_int(mp_get(status, "disruptionsAllowed"), -1);
        int64_t may = n.expected > 0 && n.healthy > n.desired ? n.healthy - n.desired : 0;
        if (!n.known ? allowed != 0
                     : healthy != n.healthy || desired != n.desired || allowed != may ||
                           mp_int(mp_get(status, "observedGeneration"), -1) != budget->generation) {
            snprintf(why, 256, "budget %.*s says %lld healthy of %lld, %lld may go; %lld are of %lld, %lld may go",
                     STR_ARG(budget->name), (long long)healthy, (long long)desired, (long long)allowed,
                     (long long)n.healthy, (long long)n.desired, (long long)may);
            return false;
        }
    }
    return true;
}
