#include "proto/facts/disruption.h"

#include "proto/facts/condition.h"
#include "proto/facts/pod_state.h"

#define COUNT_MAX ((int64_t)INT32_MAX)

/* ---- How many ---- */

/* What somebody wrote, such that sums of it cannot overflow. */
static int64_t bounded(int64_t n)
{
    return MAX(0, MIN(n, COUNT_MAX));
}

int64_t disruption_allowed(const struct disruption_count *c)
{
    return c->expected <= 0 ? 0 : MAX(c->healthy - c->desired, 0);
}

struct disruption_count disruption_count_of(const struct object *budget)
{
    struct mp status = object_status(budget);
    return (struct disruption_count){
        .healthy = bounded(mp_int(mp_get(status, "currentHealthy"), 0)),
        .desired = bounded(mp_int(mp_get(status, "desiredHealthy"), 0)),
        .expected = bounded(mp_int(mp_get(status, "expectedPods"), 0)),
    };
}

static bool is_given(struct mp bound)
{
    return mp_type(bound) != MP_NONE && mp_type(bound) != MP_NIL;
}

/* What is no number counts as all of them: as if nothing might go. */
static int64_t bound_of(struct mp bound, int64_t total)
{
    struct str s = mp_str(bound);
    int64_t percent = 0;
    if (mp_type(bound) != MP_STR) {
        return bounded(mp_int(bound, total));
    }
    for (size_t i = 0; i + 1 < s.n && percent <= 100; i++) {
        percent = s.p[i] >= '0' && s.p[i] <= '9' ? percent * 10 + (s.p[i] - '0') : 101;
    }
    return s.n < 2 || s.p[s.n - 1] != '%' || percent > 100 ? total : (total * percent + 99) / 100;
}

bool disruption_by_scale(const struct object *budget)
{
    struct mp spec = object_spec(budget);
    return is_given(mp_get(spec, "maxUnavailable")) || mp_type(mp_get(spec, "minAvailable")) == MP_STR;
}

void disruption_expect(const struct object *budget, int64_t pods, int64_t scale, struct disruption_count *c)
{
    struct mp spec = object_spec(budget), most = mp_get(spec, "maxUnavailable"), least = mp_get(spec, "minAvailable");
    c->expected = c->desired = 0;
    if (is_given(most)) {
        c->expected = scale;
        c->desired = MAX(scale - bound_of(most, scale), 0);
    } else if (is_given(least)) {
        c->expected = disruption_by_scale(budget) ? scale : pods;
        c->desired = bound_of(least, c->expected);
    }
}

/* ---- Who may go ---- */

bool disruption_is_free(const struct object *pod)
{
    return pod->deleting || pod_finished(pod) || str_is(pod_phase(pod), "Pending");
}

enum disruption_verdict disruption_judge(const struct object *budget, const struct disruption_count *c, bool healthy)
{
    struct str policy = mp_str(mp_get(object_spec(budget), "unhealthyPodEvictionPolicy"));
    if (healthy) {
        return disruption_allowed(c) > 0 ? DISRUPTION_COUNTS : DISRUPTION_BREAKS;
    }
    /* "IfHealthyBudget: running pods that are not healthy can be evicted only if the guarded application is not
     * disrupted (currentHealthy is at least equal to desiredHealthy)." */
    bool undisturbed = c->expected > 0 && c->healthy >= c->desired;
    return str_is(policy, "AlwaysAllow") || undisturbed ? DISRUPTION_FREE : DISRUPTION_BREAKS;
}

/* ---- Status ---- */

static bool set_int(struct arena *a, struct value *status, const char *key, int64_t n)
{
    const struct value *former = value_get(status, key);
    if (former != NULL && former->type == VALUE_INT && former->integer == n) {
        return false;
    }
    value_set(a, status, key, value_int(a, n));
    return true;
}

static bool set_condition(struct arena *a, struct value *status, bool allowed, const char *reason, const char *message,
                          int64_t generation, int64_t wall_ms)
{
    bool changed =
        condition_set(a, status, DISRUPTION_CONDITION, allowed ? "True" : "False", reason, message, wall_ms, false);
    struct value *c = condition_get(status, DISRUPTION_CONDITION);
    return (generation > 0 && set_int(a, c, "observedGeneration", generation)) || changed;
}

bool disruption_status_set(struct arena *a, struct value *status, const struct disruption_count *c, int64_t generation,
                           int64_t wall_ms)
{
    int64_t allowed = disruption_allowed(c);
    bool changed = set_int(a, status, "currentHealthy", bounded(c->healthy));
    changed |= set_int(a, status, "desiredHealthy", MIN(c->desired, COUNT_MAX));
    changed |= set_int(a, status, "expectedPods", MIN(c->expected, COUNT_MAX));
    changed |= set_int(a, status, "disruptionsAllowed", MIN(allowed, COUNT_MAX));
    changed |= set_int(a, status, "observedGeneration", generation);
    changed |= set_condition(a, status, allowed > 0, allowed > 0 ? "SufficientPods" : "InsufficientPods", "",
                             generation, wall_ms);
    return changed;
}

bool disruption_status_fail(struct arena *a, struct value *status, const char *why, int64_t wall_ms)
{
    int64_t generation = value_to_int(value_get(status, "observedGeneration"), 0);
    bool changed = set_int(a, status, "disruptionsAllowed", 0);
    return set_condition(a, status, false, "SyncFailed", why, generation, wall_ms) || changed;
}

struct selector *disruption_selector(struct arena *a, const struct object *budget)
{
    struct mp selector = mp_get(object_spec(budget), "selector");
    struct selector *s = NULL;
    return mp_type(selector) == MP_MAP && selector_from_mp(a, selector, &s, NULL) == 0 ? s : NULL;
}

/* ---- Pods that are taken one after another ---- */

struct budget {
    const struct object *object;
    const struct selector *selector;
    struct disruption_count count;
    int64_t taken;
    unsigned round;      /* in which they were taken */
    struct budget *next; /* of the namespace */
};
struct disruption_budgets {
    struct arena *arena;
    struct { /* a namespace's */
        struct str ns;
        struct budget *first;
    } * of;
    unsigned of_count, of_cap;
    unsigned count, round;
};

struct disruption_budgets *disruption_budgets_new(struct arena *a)
{
    struct disruption_budgets *b = arena_alloc(a, sizeof *b);
    *b = (struct disruption_budgets){.arena = a, .round = 1};
    return b;
}

/* Where the namespace is, or would be. */
static unsigned place_of(const struct disruption_budgets *b, struct str ns, bool *there)
{
    unsigned low = 0, high = b->of_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (str_cmp(b->of[middle].ns, ns) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *there = low < b->of_count && str_eq(b->of[low].ns, ns);
    return low;
}

void disruption_budgets_add(struct disruption_budgets *b, const struct object *budget)
{
    const struct selector *selector = disruption_selector(b->arena, budget);
    if (selector == NULL) {
        return;
    }
    bool there;
    unsigned at = place_of(b, budget->ns, &there);
    if (!there) {
        b->of = arena_grow(b->arena, b->of, b->of_count, &b->of_cap, sizeof *b->of, 8);
        memmove(b->of + at + 1, b->of + at, (b->of_count - at) * sizeof *b->of);
        b->of[at].ns = budget->ns;
        b->of[at].first = NULL;
        b->of_count++;
    }
    struct budget *one = arena_alloc(b->arena, sizeof *one);
    *one = (struct budget){
        .object = budget, .selector = selector, .count = disruption_count_of(budget), .next = b->of[at].first};
    b->of[at].first = one;
    b->count++;
}

unsigned disruption_budgets_count(const struct disruption_budgets *b)
{
    return b->count;
}

void disruption_budgets_restart(struct disruption_budgets *b)
{
    b->round++;
}

/* Whoever has an entry was counted as gone by whoever made it. */
static bool is_expected_to_go(const struct object *budget, const struct object *pod)
{
    struct mp pods = mp_get(object_status(budget), "disruptedPods");
    return mp_type(mp_get_str_key(pods, pod->name)) == MP_STR;
}

bool disruption_take(struct disruption_budgets *b, const struct object *pod)
{
    bool there, breaks = false;
    unsigned at = place_of(b, pod->ns, &there);
    if (!there || disruption_is_free(pod)) {
        return false;
    }
    for (struct budget *one = b->of[at].first; one != NULL; one = one->next) {
        if (!selector_matches_object(one->selector, pod) || is_expected_to_go(one->object, pod)) {
            continue;
        }
        if (one->round != b->round) {
            one->round = b->round;
            one->taken = 0;
        }
        struct disruption_count left = one->count;
        bool healthy = pod_ready(pod, NULL);
        left.healthy -= one->taken;
        breaks |= disruption_judge(one->object, &left, healthy) == DISRUPTION_BREAKS;
        one->taken += healthy;
    }
    return breaks;
}
