/* How many pods in which ReplicaSet: scaling in proportion, the rolling update's steps, Recreate. */
#include <assert.h>
#include <stdlib.h>

#include "controllers/workloads/deployment.h"

/* ---- Counting ---- */

void deployment_count_available(struct deployment *d)
{
    if (d->counted) {
        return;
    }
    for (unsigned i = 0; i < d->count; i++) {
        struct deployment_rs *rs = d->all[i];
        rs->available = 0;
        if (rs->obj == NULL || (rs->replicas == 0 && rs->status_replicas == 0)) {
            continue;
        }
        int64_t ready = view_sum_owned(d->in->view, rs->obj).fields[OWNED_READY];
        if (d->min_ready_s == 0 || ready == 0) { /* the time plays no part */
            rs->available = ready;
            continue;
        }
        struct view_iter it;
        view_iter_owned(&it, d->in->view, rs->obj->uid, kind_of(KIND_POD));
        VIEW_FOR(pod, &it)
        {
            rs->available += pod_active(pod) && pod_available(pod, d->min_ready_s, d->in->wall_ms, NULL);
        }
    }
    d->counted = true;
}

/* Pods that serve and that nothing decided so far takes away: a ReplicaSet keeps at most its spec.replicas. */
static int64_t staying_available(const struct deployment_rs *rs)
{
    return MIN(rs->available, rs->replicas);
}

static int64_t available_sum(struct deployment *d)
{
    int64_t sum = 0;
    deployment_count_available(d);
    for (unsigned i = 0; i < d->count; i++) {
        sum += staying_available(d->all[i]);
    }
    return sum;
}

/* ---- A change of spec.replicas ---- */

bool deployment_scaling(const struct deployment *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct deployment_rs *rs = d->all[i];
        if (deployment_active(rs) && deployment_rs_annotation(rs, DEPLOYMENT_DESIRED, d->replicas) != d->replicas) {
            return true;
        }
    }
    return false;
}

/* The one that alone has replicas, or, if none has, the latest; NULL if several have. */
static struct deployment_rs *active_or_latest(const struct deployment *d)
{
    struct deployment_rs *active = NULL;
    for (unsigned i = 0; i < d->count; i++) {
        if (deployment_active(d->all[i])) {
            if (active != NULL) {
                return NULL;
            }
            active = d->all[i];
        }
    }
    return active != NULL ? active : d->latest != NULL ? d->latest : d->count > 0 ? d->all[d->count - 1] : NULL;
}

static bool latest_saturated(struct deployment *d)
{
    const struct deployment_rs *rs = d->latest;
    if (rs == NULL) {
        return false;
    }
    deployment_count_available(d);
    return rs->replicas == d->replicas && deployment_rs_annotation(rs, DEPLOYMENT_DESIRED, -1) == d->replicas &&
           rs->available == d->replicas;
}

static int compare_size_newer(const void *pa, const void *pb)
{
    const struct deployment_rs *a = *(struct deployment_rs *const *)pa, *b = *(struct deployment_rs *const *)pb;
    int64_t by_age = a->created_ms - b->created_ms;
    return a->replicas != b->replicas ? (a->replicas > b->replicas ? -1 : 1)
           : by_age != 0              ? (by_age > 0 ? -1 : 1)
                                      : str_cmp(a->name, b->name);
}

static int compare_size_older(const void *pa, const void *pb)
{
    const struct deployment_rs *a = *(struct deployment_rs *const *)pa, *b = *(struct deployment_rs *const *)pb;
    int64_t by_age = a->created_ms - b->created_ms;
    return a->replicas != b->replicas ? (a->replicas > b->replicas ? -1 : 1)
           : by_age != 0              ? (by_age < 0 ? -1 : 1)
                                      : str_cmp(a->name, b->name);
}

/* What this ReplicaSet should gain or lose to keep its part of the whole, rounded to the nearest. */
static int64_t fair_change(const struct deployment *d, const struct deployment_rs *rs)
{
    if (d->replicas == 0) {
        return -rs->replicas;
    }
    int64_t max_before = deployment_rs_annotation(rs, DEPLOYMENT_MAX, value_path_int(d->status, "replicas", 0));
    if (max_before <= 0) {
        return 0;
    }
    int64_t max_now = d->replicas + d->max_surge;
    __int128 size = ((__int128)2 * rs->replicas * max_now + max_before) / ((__int128)2 * max_before);
    return (int64_t)MIN(size, (__int128)INT32_MAX) - rs->replicas;
}

static void scale_in_proportion(struct deployment *d)
{
    struct deployment_rs **active = arena_alloc(d->a, (d->count + 1) * sizeof *active);
    unsigned count = 0;
    for (unsigned i = 0; i < d->count; i++) {
        if (deployment_active(d->all[i])) {
            active[count++] = d->all[i];
        }
    }
    int64_t allowed = d->replicas > 0 ? d->replicas + d->max_surge : 0;
    int64_t to_add = allowed - deployment_replicas_sum(d), added = 0;
    qsort(active, count, sizeof *active, to_add >= 0 ? compare_size_newer : compare_size_older);
    int64_t *sizes = arena_alloc(d->a, (count + 1) * sizeof *sizes);
    for (unsigned i = 0; i < count; i++) {
        int64_t change = 0;
        if (to_add != 0) {
            int64_t fair = fair_change(d, active[i]), left = to_add - added;
            change = to_add > 0 ? MIN(fair, left) : MAX(fair, left);
        }
        sizes[i] = active[i]->replicas + change;
        added += change;
    }
    /* "Leftovers go to the largest." */
    if (count > 0 && to_add != 0) {
        sizes[0] = MAX(0, sizes[0] + to_add - added);
    }
    for (unsigned i = 0; i < count; i++) {
        deployment_scale_to(d, active[i], MAX(0, sizes[i]));
    }
}

void deployment_scale(struct deployment *d)
{
    struct deployment_rs *alone = active_or_latest(d);
    if (alone != NULL) {
        deployment_scale_to(d, alone, d->replicas);
        return;
    }
    if (latest_saturated(d)) {
        for (unsigned i = 0; i < d->count; i++) {
            if (d->all[i] != d->latest && deployment_active(d->all[i])) {
                deployment_scale_to(d, d->all[i], 0);
            }
        }
        return;
    }
    if (!d->recreate) {
        scale_in_proportion(d);
    }
}

/* ---- RollingUpdate ---- */

/* True if the latest changed its size: then nothing else is done in this step. */
static bool latest_scale(struct deployment *d)
{
    struct deployment_rs *rs = d->latest;
    if (rs->replicas >= d->replicas) {
        bool shrinks = rs->replicas > d->replicas;
        if (shrinks) {
            deployment_scale_to(d, rs, d->replicas);
        }
        return shrinks;
    }
    /* "The total of pods is never above replicas + maxSurge." */
    int64_t room = d->replicas + d->max_surge - deployment_replicas_sum(d);
    int64_t up = MIN(room, d->replicas - rs->replicas);
    if (up <= 0) {
        return false;
    }
    deployment_scale_to(d, rs, rs->replicas + up);
    return true;
}

/* Pods of old ReplicaSets that do not serve can go first: they are not missed. */
static void old_drop_unhealthy(struct deployment *d, int64_t max)
{
    for (unsigned i = 0; i < d->count && max > 0; i++) {
        struct deployment_rs *rs = d->all[i];
        int64_t unhealthy = rs->replicas - staying_available(rs);
        if (rs == d->latest || unhealthy <= 0) {
            continue;
        }
        int64_t down = MIN(max, unhealthy);
        deployment_scale_to(d, rs, rs->replicas - down);
        max -= down;
    }
}

static void old_scale_down(struct deployment *d)
{
    int64_t min_available = d->replicas - d->max_unavailable;
    int64_t old_replicas = deployment_replicas_sum(d) - d->latest->replicas;
    if (old_replicas == 0) {
        return;
    }
    int64_t serving = available_sum(d);
    int64_t latest_missing = d->latest->replicas - staying_available(d->latest);
    int64_t max_down = deployment_replicas_sum(d) - min_available - latest_missing;
    if (max_down <= 0) {
        return;
    }
    old_drop_unhealthy(d, max_down);
    CONTROLLER_CHECK(d->out, available_sum(d) == serving);
    int64_t spare = serving - min_available;
    for (unsigned i = 0; i < d->count && spare > 0; i++) {
        struct deployment_rs *rs = d->all[i];
        if (rs == d->latest || rs->replicas == 0) {
            continue;
        }
        /* A ReplicaSet deletes what does not serve before what does, but what starts to serve meanwhile may be hit:
         * count all as serving. */
        int64_t down = MIN(spare, rs->replicas);
        deployment_scale_to(d, rs, rs->replicas - down);
        spare -= down;
    }
    CONTROLLER_CHECK(d->out, available_sum(d) >= MIN(serving, min_available));
}

static void roll_update(struct deployment *d)
{
    deployment_latest_ensure(d, true);
    if (d->latest != NULL && d->latest->obj != NULL && !latest_scale(d)) {
        old_scale_down(d);
    }
}

/* ---- Recreate ---- */

/* "All old pods are gone before the first new one is made." */
static bool old_pods_present(const struct deployment *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct deployment_rs *rs = d->all[i];
        if (rs == d->latest || rs->obj == NULL) {
            continue;
        }
        if (view_sum_owned(d->in->view, rs->obj).fields[OWNED_UNFINISHED] > 0) {
            return true;
        }
    }
    return false;
}

static void roll_recreate(struct deployment *d)
{
    bool scaled = false;
    deployment_latest_ensure(d, false);
    for (unsigned i = 0; i < d->count; i++) {
        if (d->all[i] != d->latest && deployment_active(d->all[i])) {
            deployment_scale_to(d, d->all[i], 0);
            scaled = true;
        }
    }
    if (scaled || old_pods_present(d)) {
        return;
    }
    if (d->latest == NULL) {
        deployment_latest_ensure(d, true);
    } else {
        deployment_scale_to(d, d->latest, d->replicas);
    }
}

void deployment_roll(struct deployment *d)
{
    if (d->recreate) {
        roll_recreate(d);
    } else {
        roll_update(d);
    }
}
