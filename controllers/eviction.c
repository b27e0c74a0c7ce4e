#include "controllers/eviction.h"

#include <assert.h>

#include "controllers/budget.h"
#include "controllers/util.h"
#include "proto/facts/precondition.h"

#define REFUSED "Cannot evict pod as it would violate the pod's disruption budget."

static int refuse(struct error *err, const char *cause, int retry_ms)
{
    error_set(err, ERR_LIMIT, REFUSED " %s", cause);
    error_add_cause(err, ERROR_CAUSE_DISRUPTION_BUDGET, STR_NONE, str_of(cause));
    if (err != NULL) {
        err->retry_after_ms = retry_ms;
    }
    return ERR_LIMIT;
}

/* The first two of its budgets are enough to know. */
struct held {
    const struct object *by[2];
    unsigned count;
};

static bool hold(void *data, const struct object *budget)
{
    struct held *h = data;
    h->by[h->count++] = budget;
    return h->count < ARRAY_SIZE(h->by);
}

/* What the budget has to say; after: what it counts when the pod is gone, if that is not what it counts now. */
static int ask(struct arena *a, const struct view *v, const struct object *budget, const struct object *pod,
               int64_t wall_ms, struct budget_counted *after, enum disruption_verdict *verdict, struct error *err)
{
    struct error why = {0};
    if (budget_count(v, a, budget, wall_ms, after, &why) != 0) {
        return refuse(
            err,
            arena_printf(a, "The disruption budget %.*s cannot be counted: %.300s", STR_ARG(budget->name), why.message),
            EVICTION_UNCOUNTED_MS);
    }
    struct pod_state state = pod_state_of(pod);
    bool counted = value_get_str_key(after->disrupted, pod->name) == NULL;
    *verdict = disruption_judge(budget, &after->count, state.active && state.ready && counted);
    if (*verdict == DISRUPTION_BREAKS) {
        return refuse(err,
                      arena_printf(a, "The disruption budget %.*s needs %lld healthy pods and has %lld currently",
                                   STR_ARG(budget->name), (long long)after->count.desired,
                                   (long long)after->count.healthy),
                      EVICTION_RETRY_MS);
    }
    after->count.healthy -= *verdict == DISRUPTION_COUNTS;
    return 0;
}

static int take_from(struct txn *t, struct arena *a, const struct object *budget, const struct budget_counted *after,
                     int64_t wall_ms, struct error *err)
{
    struct value *doc = object_to_value(a, budget), *status = value_ensure_map(a, doc, "status");
    return budget_status_set(a, status, after, budget->generation, wall_ms)
               ? txn_update_value(t, budget->kind, doc, TXN_PART_STATUS, budget->revision, err)
               : 0;
}

int eviction_request(struct txn *t, struct arena *a, const struct view *v, const struct object *pod,
                     const struct deletion_options *options, int64_t wall_ms, struct error *err)
{
    assert(pod->kind->id == KIND_POD);
    struct deletion_options how = *options;
    struct held held = {0};
    struct budget_counted after = {0};
    enum disruption_verdict verdict = DISRUPTION_FREE;
    how.disruption = "EvictionByEvictionAPI";
    how.disruption_message = "Eviction API: evicting";
    int rv = precondition_check(pod, options->if_uid, options->if_revision, err);
    if (rv == 0 && !disruption_is_free(pod)) {
        budgets_select(v, pod->ns, object_labels(pod), hold, &held);
    }
    if (rv == 0 && held.count > 1) {
        return error_set(err, ERR_INTERNAL,
                         "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
                         "support: \"%.*s\" and \"%.*s\" select it; narrow one of their selectors",
                         STR_ARG(held.by[0]->name), STR_ARG(held.by[1]->name));
    }
    rv = rv == 0 && held.count == 1 ? ask(a, v, held.by[0], pod, wall_ms, &after, &verdict, err) : rv;
    rv = rv == 0 ? deletion_request(t, a, pod, &how, wall_ms, err) : rv;
    return rv == 0 && verdict == DISRUPTION_COUNTS ? take_from(t, a, held.by[0], &after, wall_ms, err) : rv;
}

bool eviction_is_refusal(const struct error *err)
{
    struct error_cause_text cause;
    return err->code == ERR_LIMIT && error_cause(err, 0, &cause) && cause.reason == ERROR_CAUSE_DISRUPTION_BUDGET;
}
