/* Events are forgotten an hour after they were last seen. Source: the API server's --event-ttl. One key, looked at
 * once a minute.
 *
 * The events of a namespace stand in the order in which they were written (view_iter_events), so the look begins at the
 * oldest and ends at the first that was seen within the hour: then comes the next namespace. Times are what somebody
 * wrote into them: one that is seen in the future is passed over and does not end the look, or who writes such a time
 * would keep all behind it; it goes an hour after it was made. A step looks at RECONCILE_VISITS_MAX events at most. */
#include "controllers/registry.h"
#include "controllers/util.h"

#define EVENT_TTL_MS (3600 * 1000)
#define LOOK_MS      (60 * 1000)

enum age { EXPIRED, FRESH, FUTURE };

static enum age age_of(const struct object *event, int64_t wall_ms)
{
    int64_t last_ms = time_of_mp(mp_get(object_mp(event), "lastTimestamp"));
    int64_t seen_ms = last_ms != 0 && last_ms <= wall_ms ? last_ms : object_created_ms(event);
    return seen_ms + EVENT_TTL_MS <= wall_ms ? EXPIRED : MAX(seen_ms, last_ms) > wall_ms ? FUTURE : FRESH;
}

/* Behind where the last step was left. What it stood at is gone if it had expired, and all of its namespace before it:
 * then the namespace is begun anew. */
static void go_on(struct view_iter *it, const struct reconcile_in *in)
{
    const struct reconcile_place *from = in->from;
    const struct object *left = from == NULL ? NULL : view_get(in->view, kind_of(KIND_EVENT), from->ns, from->name);
    if (left != NULL) {
        view_iter_events(it, in->view, left->ns, left->revision, left->name);
    } else {
        view_iter_events(it, in->view, from == NULL ? STR_NONE : from->ns, 0, STR_NONE);
    }
}

static int ttl_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    (void)err;
    struct view_iter it;
    unsigned visits = 0;
    go_on(&it, in);
    VIEW_FOR(event, &it)
    {
        enum age age = age_of(event, in->wall_ms);
        if (age == EXPIRED) {
            txn_delete(out->txn, event);
        } else if (age == FRESH) {
            view_iter_events(&it, in->view, event->ns, UINT64_MAX, STR_NONE);
        }
        if (++visits == RECONCILE_VISITS_MAX || out->txn->count == CONTROLLER_BATCH_MAX) {
            out->left_at = event;
            return 0;
        }
    }
    requeue_in(out, LOOK_MS);
    return 0;
}

static void ttl_begin(controller_emit *emit, void *data)
{
    emit(data, kind_of(KIND_EVENT), STR_NONE, STR_NONE);
}

static const struct controller_watch watches[] = {{0, NULL}};
const struct controller controller_event_ttl = {
    .name = "event-ttl", .watches = watches, .reconcile = ttl_reconcile, .begin = ttl_begin};
