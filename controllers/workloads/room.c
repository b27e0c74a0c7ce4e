#include "controllers/workloads/room.h"

#include "raft-store/store/bounds.h"
#include "raft-store/store/event.h"

#define RETRY_MS     15000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define TOLD_MS      10000 /* the same event not more often */
/* Objects looked at: when a bound was changed by somebody, and when something has ended. */
#define LOOKS_MAX     2000u
#define LOOKS_FEW_MAX 200u

unsigned room_for(const struct reconcile_in *in, const struct reconcile_out *out, enum kind_id kind,
                  const struct value *doc, unsigned wanted, struct error *why)
{
    const struct view *v = in->view;
    if (!bounds_any(v, kind_of(kind), value_path_str(doc, "metadata.namespace"))) {
        return wanted;
    }
    CLEANUP_OBJECT struct object *o = NULL;
    struct value *named = value_copy(out->arena, doc), *meta = value_get(named, "metadata");
    if (value_path_str(meta, "name").n == 0) {
        value_set(out->arena, meta, "name", value_str(out->arena, value_path_str(meta, "generateName")));
    }
    return object_from_value(kind_of(kind), named, 0, &o, why) != 0 ? 0 : bounds_room(v, o, wanted, why);
}

/* Was it told within TOLD_MS? */
static bool told_lately(const struct reconcile_in *in, struct reconcile_out *out, const struct value *event)
{
    struct str name = event_name(out->arena, event);
    const struct object *o = view_get(in->view, kind_of(KIND_EVENT), event_namespace(event), name);
    int64_t last_ms = o == NULL ? 0 : time_of_mp(mp_get(object_mp(o), "lastTimestamp"));
    return o != NULL && last_ms <= in->wall_ms && in->wall_ms - last_ms < TOLD_MS;
}

void room_refused(const struct reconcile_in *in, struct reconcile_out *out, const struct object *owner,
                  const char *component, int64_t since_ms, const char *message)
{
    struct event_words w = event_about(owner);
    w.message = str_of(message);
    w.warning = true;
    w.reason = "FailedCreate";
    w.component = component;
    int64_t lasted_ms = MAX(in->wall_ms - since_ms, 0);
    if (!told_lately(in, out, event_document(out->arena, &w))) {
        controller_event(out, in, owner, "Warning", "FailedCreate", component, "%s", message);
    }
    requeue_in(out, since_ms == 0 ? RETRY_MS : MIN(MAX(lasted_ms / 2, RETRY_MIN_MS), RETRY_MAX_MS));
    DECIDED(out, REASON_NO_ROOM, .what = str_of(message));
}

/* ---- Watches ---- */

/* Somebody has set it otherwise. */
static bool is_set(const struct object *old, const struct object *now)
{
    return old != NULL && (now == NULL || !object_same_spec(old, now) ||
                           (now->kind->id == KIND_RESOURCEQUOTA && object_annotation(old, QUOTA_COUNTING).n > 0));
}

static bool less_is_used(const struct object *old, const struct object *now)
{
    struct mp before = mp_get(object_status(old), "used");
    for (struct mp_iter it = mp_iter(mp_get(object_status(now), "used")); mp_next(&it);) {
        if (quantity_cmp(mp_str(it.value), mp_str(mp_get_str_key(before, it.key))) < 0) {
            return true;
        }
    }
    return false;
}

void room_map(const struct controller *c, const struct view *tip, const struct object *old, const struct object *now,
              controller_emit *emit, void *data)
{
    bool set = is_set(old, now), eased = old != NULL && now != NULL && less_is_used(old, now);
    if (!set && !eased) {
        return;
    }
    unsigned looks = set ? LOOKS_MAX : LOOKS_FEW_MAX;
    struct view_iter it;
    view_iter(&it, tip, kind_of(c->watches[0].kind), old->ns);
    VIEW_FOR(o, &it)
    {
        if (looks-- == 0) {
            return;
        }
        if (c->waits(o)) {
            emit(data, o->kind, o->ns, o->name);
        }
    }
}

bool room_wants_replicas(const struct object *o)
{
    return mp_int(mp_get(object_spec(o), "replicas"), 1) > mp_int(mp_get(object_status(o), "replicas"), 0);
}
