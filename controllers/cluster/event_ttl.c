/* Events are forgotten an hour after they were last seen. Source: the API server's --event-ttl. One key, looked at
 * once a minute. */
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
    struct view_iter it;
    view_iter(&it, in->view, kind_of(KIND_EVENT), STR_NONE);
    requeue_in(out, LOOK_MS);
    VIEW_FOR(event, &it)
    {
        if (last_seen_ms(event) + EVENT_TTL_MS > in->wall_ms) {
            continue;
        }
        if (out->txn->count == CONTROLLER_BATCH_MAX) {
            requeue_in(out, 1);
            break;
        }
        txn_delete(out->txn, event);
    }
    return 0;
}

static void ttl_resync(const struct view *tip, controller_emit *emit, void *data)
{
    (void)tip;
    emit(data, kind_of(KIND_EVENT), STR_NONE, STR_NONE);
}

static const struct controller_watch watches[] = {{0, NULL}};
const struct controller controller_event_ttl = {"event-ttl", watches, ttl_reconcile, ttl_resync};
