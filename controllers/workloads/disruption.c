/* Disruption budgets: their status is what is counted (controllers/budget.h). Evictions count by themselves, so that a
 * status that is a moment old lets nobody break a budget; it is for people, and for preemption.
 * Source: Kubernetes' disruption controller.
 *
 * Counting costs the different labels among the pods of the namespace: where there are many, a budget rests between two
 * counts. What would be an event at every count is one where the status changes. */
#include "controllers/budget.h"
#include "controllers/registry.h"
#include "controllers/util.h"

#define COMPONENT      "controllermanager"
#define VISITS_FREE    1000u /* so many are counted at any time */
#define VISITS_A_MS    50u   /* beyond, a budget rests a millisecond for so many */
#define OWN_GROUPS_MAX 100u  /* of an owner's pods: labels that budgets are asked for when its scale changes */

static void tell(const struct reconcile_in *in, struct reconcile_out *out, const struct object *budget,
                 const struct budget_counted *c)
{
    if (c->pods == 0) {
        controller_event(out, in, budget, "Normal", "NoPods", COMPONENT, "No matching pods found");
    }
    if (c->unmanaged > 0) {
        controller_event(out, in, budget, "Warning", "UnmanagedPods", COMPONENT,
                         "%lld of the pods that it selects have no owner whose scale would tell how many are expected: "
                         "they count as healthy, not as expected. Set spec.minAvailable to a number if they are to "
                         "count",
                         (long long)c->unmanaged);
    }
}

static int status_write(const struct reconcile_in *in, struct reconcile_out *out, const struct object *budget,
                        const struct budget_counted *c, struct error *err)
{
    struct value *doc = object_to_value(out->arena, budget), *status = value_ensure_map(out->arena, doc, "status");
    if (!budget_status_set(out->arena, status, c, budget->generation, in->wall_ms)) {
        return 0;
    }
    DECIDED(out, REASON_BUDGET_COUNTED, .count = disruption_allowed(&c->count), .other = c->count.expected);
    tell(in, out, budget, c);
    if (c->overdue != NULL) {
        controller_event(out, in, c->overdue, "Warning", "NotDeleted", COMPONENT,
                         "Pod was expected by PDB %.*s/%.*s to be deleted but it wasn't", STR_ARG(budget->ns),
                         STR_ARG(budget->name));
    }
    return txn_update_value(out->txn, budget->kind, doc, TXN_PART_STATUS, budget->revision, err);
}

static int failure_write(const struct reconcile_in *in, struct reconcile_out *out, const struct object *budget,
                         const struct error *why, struct error *err)
{
    struct value *doc = object_to_value(out->arena, budget), *status = value_ensure_map(out->arena, doc, "status");
    if (!disruption_status_fail(out->arena, status, why->message, in->wall_ms)) {
        return 0;
    }
    DECIDED(out, REASON_BUDGET_UNCOUNTED, .what = str_of(why->message));
    controller_event(out, in, budget, "Warning", "CalculateExpectedPodCountFailed", COMPONENT,
                     "Failed to calculate the number of expected pods: %s", why->message);
    return txn_update_value(out->txn, budget->kind, doc, TXN_PART_STATUS, budget->revision, err);
}

static int disruption_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *budget = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    struct budget_counted counted;
    struct error why = {0};
    if (budget == NULL) {
        return 0;
    }
    int rv = budget_count(in->view, out->arena, budget, in->wall_ms, &counted, &why);
    if (counted.visits > VISITS_FREE) {
        out->rest_ms = counted.visits / VISITS_A_MS;
    }
    if (counted.again_ms > 0) {
        requeue_in(out, counted.again_ms - in->wall_ms);
    }
    return rv == 0 ? status_write(in, out, budget, &counted, err) : failure_write(in, out, budget, &why, err);
}

/* ---- Who is asked anew ---- */

struct emitting {
    controller_emit *emit;
    void *data;
};

static bool emit_budget(void *data, const struct object *budget)
{
    const struct emitting *e = data;
    e->emit(e->data, budget->kind, budget->ns, budget->name);
    return true;
}

static bool counts_as_before(const struct object *old, const struct object *now)
{
    struct pod_state a = pod_state_of(old), b = pod_state_of(now);
    return a.active == b.active && a.ready == b.ready && str_eq(old->owner_uid, now->owner_uid);
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, struct emitting *e)
{
    bool same = old != NULL && now != NULL && mp_equal(object_labels(old), object_labels(now));
    if (same && counts_as_before(old, now)) {
        return;
    }
    if (now != NULL) {
        budgets_select(tip, now->ns, object_labels(now), emit_budget, e);
    }
    if (old != NULL && !same) {
        budgets_select(tip, old->ns, object_labels(old), emit_budget, e);
    }
}

static bool scales_as_before(const struct object *old, const struct object *now)
{
    return old != NULL && now != NULL &&
           (object_same_spec(old, now) ||
            mp_int(mp_get(object_spec(old), "replicas"), 1) == mp_int(mp_get(object_spec(now), "replicas"), 1));
}

/* By the labels that its pods have, and by those that they are to have: a Deployment owns none itself. */
static void map_owner_of(const struct view *tip, const struct object *old, const struct object *now, struct emitting *e)
{
    const struct object *o = now != NULL ? now : old;
    struct sum_iter it;
    struct sum group;
    if (scales_as_before(old, now)) {
        return;
    }
    budgets_select(tip, o->ns, mp_path(object_mp(o), "spec.template.metadata.labels"), emit_budget, e);
    view_sum_iter_owner(&it, tip, VIEW_SUM_PODS_OF, o->ns, o->uid);
    for (unsigned i = 0; i < OWN_GROUPS_MAX && sums_next(&it, &group); i++) {
        budgets_select(tip, o->ns, mp_of(group.group.labels.p, group.group.labels.n), emit_budget, e);
    }
}

static void map_any(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    const struct kind *k = (now != NULL ? now : old)->kind;
    struct emitting e = {emit, data};
    if ((k->id != KIND_POD && !k->has_scale) || view_count(tip, kind_of(KIND_PODDISRUPTIONBUDGET)) == 0) {
        return;
    }
    if (k->id == KIND_POD) {
        map_pod(tip, old, now, &e);
    } else {
        map_owner_of(tip, old, now, &e);
    }
}

static const struct controller_watch watches[] = {
    {KIND_PODDISRUPTIONBUDGET, map_self}, {WATCH_ANY_KIND, map_any}, {0, NULL}};
const struct controller controller_disruption = {
    .name = "disruption", .watches = watches, .reconcile = disruption_reconcile};
