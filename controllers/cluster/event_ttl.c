/* Events are forgotten an hour after they were last seen. Source: the API server's --event-ttl. One key, looked at
 * once a minute, a step of RECONCILE_VISITS_MAX events after another. */
#include "controllers/registry.h"
#include "controllers/util.h"

#define EVENT_TTL_MS (3600 * 1000)
#define LOOK_MS      (60 * 1000)

static int64_t last_seen_ms(const struct object *event)
{
    int64_t ms = time_of_mp(mp_get(object_mp(event), "lastTimestamp"));
    return ms != 0 ? ms : object_created_ms(event);
}

static int ttl_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    (void)err;
    const struct kind *k = kind_of(KIND_EVENT);
    struct view_iter it;
    unsigned visits = 0;
    if (in->from == NULL) {
        view_iter(&it, in->view, k, STR_NONE);
    } else {
        view_iter_after(&it, in->view, k, STR_NONE, in->from->ns, in->from->name);
    }
    VIEW_FOR(event, &it)
    {
        if (last_seen_ms(event) + EVENT_TTL_MS <= in->wall_ms) {
            txn_delete(out->txn, event);
        }
        if (++visits == RECONCILE_VISITS_MAX || out->txn->count == CONTROLLER_BATCH_MAX) {
            out->left_at = event;
            return 0;
        }
    }
    requeue_in(out, LOOK_MS);
    return 0;
}

static void ttl_resync(const struct view *tip, controller_emit *emit, void *data)
{
    (void)tip;
    emit(data, kind_of(KIND_EVENT), STR_NONE, STR_NONE);
}

static const struct controller_watch watches[] = {{0, NULL}};
const struct controller controller_event_ttl = {"event-ttl", watches, ttl_reconcile, ttl_resync};
