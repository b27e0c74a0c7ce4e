/* The bound of the whole state: every object is in the memory of every master, so somebody has to say no.
 *
 * Events do not count: they have a bound of their own, at which the oldest fall off and nobody is refused
 * (raft-store/store/event_ring.h). Who floods them takes no room from anything else.
 *
 * The leader decides, on its tip, before evaluation; what is in the log is applied everywhere, whatever another
 * master's bound is. A transaction may pass the bound by its own size. Full is what a disk is that is low
 * (raft/replica_write.c): nothing new is made, and users make nothing larger; what exists goes on (status, leases,
 * bindings), and what takes away is always taken. What members need to be repaired and replaced is taken as well. */
#include <inttypes.h>

#include "raft-store/raft/replica_int.h"

void replica_state(const struct replica *n, struct replica_state *out)
{
    const struct view *v = store_tip(n->store);
    v = v != NULL ? v : store_committed(n->store);
    *out = (struct replica_state){.objects = view_count(v, NULL) - view_count(v, kind_by_id(KIND_EVENT)),
                                  .bytes_max = n->config.state_bytes_max,
                                  .objects_max = n->config.state_objects_max};
    out->bytes = view_bytes(v) - view_events_bytes(v) + out->objects * REPLICA_STATE_OBJECT_BYTES;
    uint64_t parts[2] = {
        out->bytes_max == 0 ? 0 : out->bytes * 100 / out->bytes_max,
        out->objects_max == 0 ? 0 : out->objects * 100 / out->objects_max,
    };
    out->percent = (unsigned)MIN(MAX(parts[0], parts[1]), 1000u);
    out->by_bytes = parts[0] >= parts[1];
}

/* What the transaction adds, in objects and bytes; below 0: it takes away. */
static void growth(const struct replica *n, const struct txn *t, int64_t *objects, int64_t *bytes)
{
    const struct view *tip = store_tip(n->store);
    *objects = *bytes = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->type == TXN_CHECK || op->kind->id == KIND_EVENT ||
            (op->type == TXN_UPDATE && op->part == TXN_PART_STATUS)) {
            continue;
        }
        const struct object *old = op->type == TXN_CREATE ? NULL : view_get(tip, op->kind, op->ns, op->name);
        *bytes -= old == NULL ? 0 : (int64_t)old->body_size;
        *bytes += op->type == TXN_DELETE ? 0 : (int64_t)op->object->body_size;
        *objects += (op->type == TXN_CREATE) - (op->type == TXN_DELETE);
    }
}

bool replica_state_takes(const struct replica *n, const struct txn *t, bool user, struct error *err)
{
    struct replica_state s;
    replica_state(n, &s);
    if (s.percent < 100) {
        return true;
    }
    int64_t objects, bytes;
    growth(n, t, &objects, &bytes);
    if (objects <= 0 && (!user || bytes <= 0)) {
        return true;
    }
    if (s.by_bytes) {
        error_set(
            err, ERR_LIMIT,
            "the cluster's state is full: %" PRIu64 " bytes, at most %" PRIu64 " (stateMegabytes in the masters' "
            "master.yaml); only deletes, status and what gets no larger are accepted; delete what is not needed, or "
            "raise the bound on all masters",
            s.bytes, s.bytes_max);
    } else {
        error_set(
            err, ERR_LIMIT,
            "the cluster's state is full: %" PRIu64 " objects, at most %" PRIu64 " (stateObjects in the masters' "
            "master.yaml); only deletes, status and what gets no larger are accepted; delete what is not needed, or "
            "raise the bound on all masters",
            s.objects, s.objects_max);
    }
    return false;
}
