/* What a target's pods use, added up: those that count, those whose usage is not known, those that are not ready yet.
 *
 * The pods are those that the target owns, through its ReplicaSets if it is a Deployment. Whose labels merely match is
 * not asked: a pod of somebody else's moves nothing. */
#include <assert.h>
#include <stdio.h>

#include "controllers/workloads/autoscaler.h"
#include "proto/model/quantity.h"

#define VISITS 500u /* pods of one step: each is read for every metric */

static int64_t plus(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* ---- Requests ---- */

static bool counts_requests(struct mp container, bool init)
{
    return !init || str_is(mp_str(mp_get(container, "restartPolicy")), "Always");
}

/* Of the containers in a list. False: one requests nothing of it; its name is put down. */
static bool add_requests(const struct autoscaler_metric *m, struct mp containers, bool init, int64_t *sum, bool *found,
                         struct str *lacking)
{
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name"));
        if (!counts_requests(it.value, init) || (m->container.n > 0 && !str_eq(name, m->container))) {
            continue;
        }
        struct str text = mp_str(mp_path(it.value, m->cpu ? "resources.requests.cpu" : "resources.requests.memory"));
        int64_t amount;
        if (text.n == 0 || !(m->cpu ? quantity_milli(text, &amount) : quantity_units(text, &amount)) || amount < 0) {
            *lacking = name;
            return false;
        }
        *sum = plus(*sum, amount);
        *found = true;
    }
    return true;
}

/* In thousandths of a core, or bytes. */
static int64_t requests_of(struct autoscaler_metric *m, const struct object *pod)
{
    struct mp spec = object_spec(pod);
    struct str lacking = m->container;
    int64_t sum = 0;
    bool found = false;
    if (m->amount || m->sum.lacks_request) {
        return 0;
    }
    struct str whole = mp_str(mp_path(spec, m->cpu ? "resources.requests.cpu" : "resources.requests.memory"));
    if (m->container.n == 0 && whole.n > 0 && (m->cpu ? quantity_milli(whole, &sum) : quantity_units(whole, &sum)) &&
        sum > 0) {
        return sum;
    }
    sum = 0;
    if (!add_requests(m, mp_get(spec, "containers"), false, &sum, &found, &lacking) ||
        !add_requests(m, mp_get(spec, "initContainers"), true, &sum, &found, &lacking) || !found || sum == 0) {
        m->sum.lacks_request = true;
        snprintf(m->sum.pod, sizeof m->sum.pod, "%.*s", STR_ARG(pod->name));
        snprintf(m->sum.container, sizeof m->sum.container, "%.*s", STR_ARG(lacking));
    }
    return sum;
}

/* ---- One pod ---- */

/* Thousandths of a core, rounded up; bytes. False: not known. */
static bool used_by(const struct autoscaler_metric *m, const struct usage_pod *u, int64_t *used)
{
    if (m->container.n == 0) {
        *used = m->cpu ? usage_pod_cpu_nano(u) : usage_pod_memory_bytes(u);
        *used = m->cpu ? *used / 1000000 + (*used % 1000000 != 0) : *used;
        return true;
    }
    for (unsigned i = 0; i < u->count; i++) {
        const struct usage_container *c = &u->containers[i];
        if (str_eq(c->name, m->container)) {
            *used = m->cpu ? c->cpu_nano / 1000000 + (c->cpu_nano % 1000000 != 0) : c->memory_bytes;
            return true;
        }
    }
    return false;
}

/* What a pod does while it starts says nothing about what it will do: cpu counts of ready pods alone. In its first
 * minutes "ready" means: and measured since then; later "not ready" counts only if it never was. */
static bool still_starting(const struct object *pod, const struct usage_pod *u, int64_t now_ms)
{
    struct mp ready = condition_mp(pod, "Ready");
    int64_t started_ms = time_of_mp(mp_get(object_status(pod), "startTime")),
            since_ms = time_of_mp(mp_get(ready, "lastTransitionTime"));
    bool is_ready = condition_is(ready, "True");
    if (mp_type(ready) != MP_MAP || started_ms == 0) {
        return true;
    }
    if (now_ms < started_ms + AUTOSCALER_YOUNG_MS) {
        return !is_ready || u->at_ms < since_ms + u->window_ms;
    }
    return !is_ready && since_ms < started_ms + AUTOSCALER_FIRST_READY_MS;
}

static void count_pod(struct autoscaler *s, const struct object *pod)
{
    struct usage_pod u;
    const struct controller_soft *soft = s->in->soft;
    struct str phase = pod_phase(pod);
    bool pending = phase.n == 0 || str_is(phase, "Pending"),
         known = !pending && soft->usage != NULL && soft->usage(soft->data, pod, &u);
    if (!pod_active(pod)) {
        return;
    }
    for (unsigned i = 0; i < s->metrics_count; i++) {
        struct autoscaler_metric *m = &s->metrics[i];
        int64_t requested = requests_of(m, pod), used = 0;
        if (pending || (known && m->cpu && still_starting(pod, &u, s->in->wall_ms))) {
            m->sum.unready++;
            m->sum.unready_requested = plus(m->sum.unready_requested, requested);
        } else if (!known || !used_by(m, &u, &used)) {
            m->sum.missing++;
            m->sum.missing_requested = plus(m->sum.missing_requested, requested);
        } else {
            m->sum.counted++;
            m->sum.requested = plus(m->sum.requested, requested);
            m->sum.used = plus(m->sum.used, used);
        }
    }
}

/* ---- All of them ---- */

static void walk_begin(struct autoscaler *s)
{
    struct autoscaler_walk *w = &s->memory.walk;
    const struct reconcile_place *from = s->in->from;
    char uid[AUTOSCALER_UID_MAX];
    snprintf(uid, sizeof uid, "%.*s", STR_ARG(s->target->uid));
    if (!s->memory.walking || from == NULL || w->generation != s->obj->generation || w->metrics != s->metrics_count ||
        strcmp(uid, w->target) != 0) {
        *w = (struct autoscaler_walk){.generation = s->obj->generation, .metrics = s->metrics_count};
        memcpy(w->target, uid, sizeof uid);
        s->memory.walking = false;
    }
    for (unsigned i = 0; i < s->metrics_count; i++) {
        s->metrics[i].sum = w->sums[i];
    }
}

static void walk_leave(struct autoscaler *s, const struct object *set, const struct object *pod)
{
    struct autoscaler_walk *w = &s->memory.walk;
    for (unsigned i = 0; i < s->metrics_count; i++) {
        w->sums[i] = s->metrics[i].sum;
    }
    snprintf(w->set, sizeof w->set, "%.*s", STR_ARG(set->name));
    s->memory.walking = true;
    s->out->left_at = pod;
}

/* The pods of one set, from where the last step was left. False: left again. */
static bool count_set(struct autoscaler *s, const struct object *set, const struct reconcile_place *from,
                      unsigned *visits)
{
    struct view_iter it;
    if (from != NULL) {
        view_iter_index_after(&it, s->in->view, VIEW_BY_OWNER, set->uid, kind_of(KIND_POD), set->ns, from->ns,
                              from->name);
    } else {
        view_iter_index(&it, s->in->view, VIEW_BY_OWNER, set->uid, kind_of(KIND_POD), set->ns);
    }
    VIEW_FOR(pod, &it)
    {
        if (str_eq(pod->owner_uid, set->uid)) {
            count_pod(s, pod);
        }
        if (++*visits >= VISITS) {
            walk_leave(s, set, pod);
            return false;
        }
    }
    return true;
}

bool autoscaler_count_pods(struct autoscaler *s)
{
    unsigned visits = 0;
    walk_begin(s);
    bool resumes = s->memory.walking;
    s->memory.walking = false;
    if (s->target->kind->id != KIND_DEPLOYMENT) {
        return count_set(s, s->target, resumes ? s->in->from : NULL, &visits);
    }
    struct view_iter sets; /* by name */
    struct str at = str_of(s->memory.walk.set);
    view_iter_index(&sets, s->in->view, VIEW_BY_OWNER, s->target->uid, kind_of(KIND_REPLICASET), s->target->ns);
    VIEW_FOR(set, &sets)
    {
        int order = resumes ? str_cmp(set->name, at) : 1;
        if (str_eq(set->owner_uid, s->target->uid) && order >= 0 &&
            !count_set(s, set, order == 0 ? s->in->from : NULL, &visits)) {
            return false;
        }
    }
    return true;
}
