#include "controllers/budget.h"

#include "controllers/util.h"

/* ---- What the owners want ---- */

struct scales {
    const struct view *view;
    struct arena *arena;
    struct strmap seen; /* uids of those whose scale is in it */
    int64_t sum;
};

/* "A ReplicaSet of a Deployment counts as the Deployment"; one whose Deployment is gone counts by itself. */
static const struct object *scaled(const struct view *v, const struct object *owner)
{
    struct mp above = owner_controller(owner);
    bool climbs = owner->kind->id == KIND_REPLICASET && str_is(mp_str(mp_get(above, "kind")), "Deployment");
    const struct object *deployment = climbs ? owner_get(v, owner->ns, above) : NULL;
    return deployment != NULL ? deployment : owner;
}

/* One more owner of pods. all_end: none of them counts as a replica any more, so it does not matter if it is gone. */
static int scales_add(struct scales *s, struct str uid, bool all_end, struct error *err)
{
    struct view_iter it;
    view_iter_owned(&it, s->view, uid, kind_of(KIND_POD));
    const struct object *pod = view_next(&it);
    struct mp reference = pod == NULL ? mp_of(NULL, 0) : owner_controller(pod);
    struct str kind = mp_str(mp_get(reference, "kind")), version = mp_str(mp_get(reference, "apiVersion"));
    if (pod == NULL) {
        return 0;
    }
    const struct kind *k = owner_kind(reference);
    if (k == NULL) {
        return error_set(err, ERR_INVALID, "no matches for kind \"%.*s\" in version \"%.*s\", which owns pod \"%.*s\"",
                         STR_ARG(kind), STR_ARG(version), STR_ARG(pod->name));
    }
    if (!k->has_scale) {
        return error_set(err, ERR_INVALID,
                         "%s \"%.*s\" tells no scale (spec.replicas), so a percentage or maxUnavailable means nothing "
                         "for its pods; set spec.minAvailable to a number",
                         k->name, STR_ARG(mp_str(mp_get(reference, "name"))));
    }
    const struct object *owner = owner_get(s->view, pod->ns, reference);
    if (owner == NULL) {
        return all_end ? 0
                       : error_set(err, ERR_INVALID, "found no controllers for pod \"%.*s\": %s \"%.*s\" is gone",
                                   STR_ARG(pod->name), k->name, STR_ARG(mp_str(mp_get(reference, "name"))));
    }
    owner = scaled(s->view, owner);
    if (strmap_get(&s->seen, owner->uid) == NULL) {
        strmap_set(&s->seen, owner->uid, s);
        s->sum += count_bound(mp_int(mp_get(object_spec(owner), "replicas"), 1));
    }
    return 0;
}

/* ---- Counting ---- */

/* Groups of one owner come one after another. */
struct counting {
    const struct view *view;
    const struct object *budget;
    struct selector *selector;
    struct scales scales;
    struct str owner; /* of the last group that was selected */
    bool any, by_scale, all_end;
};

static int owner_ends(struct counting *c, struct error *err)
{
    bool asks = c->any && c->by_scale && !str_empty(c->owner);
    c->any = false;
    return asks ? scales_add(&c->scales, c->owner, c->all_end, err) : 0;
}

static int count_group(struct counting *c, const struct sum *g, struct budget_counted *out, struct error *err)
{
    if (c->any && !str_eq(c->owner, g->group.owner)) {
        int rv = owner_ends(c, err);
        if (rv != 0) {
            return rv;
        }
    }
    if (!c->any) {
        c->any = c->all_end = true;
        c->owner = g->group.owner;
    }
    c->all_end = c->all_end && g->fields[OWNED_ACTIVE] == 0;
    out->pods += g->count;
    out->count.healthy += g->fields[OWNED_READY];
    out->unmanaged += c->by_scale && str_empty(c->owner) ? g->count : 0;
    return 0;
}

static int count_groups(struct counting *c, struct budget_counted *out, struct error *err)
{
    struct sum_iter it;
    struct sum g;
    int rv = 0;
    view_sum_iter(&it, c->view, VIEW_SUM_PODS_OF, c->budget->ns);
    while (rv == 0 && sums_next(&it, &g)) {
        if (++out->visits > BUDGET_GROUPS_MAX) {
            return error_set(err, ERR_INVALID, "the pods of namespace \"%.*s\" have more than %u different labels",
                             STR_ARG(c->budget->ns), BUDGET_GROUPS_MAX);
        }
        if (selector_matches(c->selector, mp_of(g.group.labels.p, g.group.labels.n))) {
            rv = count_group(c, &g, out, err);
        }
    }
    return rv == 0 ? owner_ends(c, err) : rv;
}

/* Pods that somebody has said to be going, before they are deleted: they are not healthy any more. */
static void count_disrupted(const struct counting *c, struct arena *a, int64_t wall_ms, struct budget_counted *out)
{
    struct mp entries = mp_get(object_status(c->budget), "disruptedPods");
    for (struct mp_iter it = mp_iter(entries); mp_next(&it);) {
        const struct object *pod = view_get(c->view, kind_of(KIND_POD), c->budget->ns, it.key);
        int64_t until_ms = time_of_mp(it.value) + DISRUPTION_EXPECTED_MS;
        if (pod == NULL || pod->deleting || !selector_matches_object(c->selector, pod)) {
            continue;
        }
        if (until_ms <= wall_ms || until_ms > wall_ms + 2 * DISRUPTION_EXPECTED_MS) { /* ... or of a wrong calendar */
            out->overdue = pod;
            continue;
        }
        struct pod_state state = pod_state_of(pod);
        out->count.healthy -= state.active && state.ready;
        out->again_ms = out->again_ms == 0 ? until_ms : MIN(out->again_ms, until_ms);
        out->disrupted = out->disrupted != NULL ? out->disrupted : value_map(a);
        value_set_str_key(a, out->disrupted, it.key, value_str(a, mp_str(it.value)));
    }
}

int budget_count(const struct view *v, struct arena *a, const struct object *budget, int64_t wall_ms,
                 struct budget_counted *out, struct error *err)
{
    struct counting c = {.view = v,
                         .budget = budget,
                         .selector = disruption_selector(a, budget),
                         .scales = {.view = v, .arena = a},
                         .by_scale = disruption_by_scale(budget)};
    *out = (struct budget_counted){0};
    if (c.selector == NULL) {
        disruption_expect(budget, 0, 0, &out->count);
        return 0;
    }
    strmap_init(&c.scales.seen);
    int rv = count_groups(&c, out, err);
    if (rv == 0) {
        count_disrupted(&c, a, wall_ms, out);
        disruption_expect(budget, out->pods, c.scales.sum, &out->count);
    }
    strmap_close(&c.scales.seen);
    return rv;
}

bool budget_status_set(struct arena *a, struct value *status, const struct budget_counted *c, int64_t generation,
                       int64_t wall_ms)
{
    const struct value *former = value_get(status, "disruptedPods");
    bool changed = value_count(former) != value_count(c->disrupted); /* entries only ever fall away */
    if (changed && c->disrupted == NULL) {
        value_remove(status, "disruptedPods");
    } else if (changed) {
        value_set(a, status, "disruptedPods", c->disrupted);
    }
    return disruption_status_set(a, status, &c->count, generation, wall_ms) || changed;
}

/* ---- Whose budget ---- */

static bool select_under(const struct view *v, struct str ns, struct str key, struct mp labels, budget_found *found,
                         void *data)
{
    struct view_iter it;
    bool goes_on = true;
    view_iter_index(&it, v, VIEW_BY_BUDGET, key, kind_of(KIND_PODDISRUPTIONBUDGET), ns);
    for (const struct object *budget; goes_on && (budget = view_next(&it)) != NULL;) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        const struct selector *s = disruption_selector(&a, budget);
        goes_on = s == NULL || !selector_matches(s, labels) || found(data, budget);
    }
    return goes_on;
}

void budgets_select(const struct view *v, struct str ns, struct mp labels, budget_found *found, void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    if (view_count(v, kind_of(KIND_PODDISRUPTIONBUDGET)) == 0) {
        return;
    }
    index_label_key(&key, ns, STR_NONE, STR_NONE);
    bool goes_on = select_under(v, ns, buf_str(&key), labels, found, data);
    for (struct mp_iter it = mp_iter(labels); goes_on && mp_next(&it);) {
        buf_reset(&key);
        index_label_key(&key, ns, it.key, mp_str(it.value));
        goes_on = select_under(v, ns, buf_str(&key), labels, found, data);
    }
}
