/* Status, finished deletions and events on their way to the leader: coalesced, and repeated until acknowledged.
 *
 * A pod's entry is "dirty" or not; what is sent is written at the moment of sending, so only the last state of a pod
 * ever travels, and a status equal to the last acknowledged one does not travel at all. One node.status call is in
 * flight at a time; what gets dirty meanwhile goes with the next one. Without a leader everything waits (it costs
 * nothing but a flag), events up to REPORT_EVENTS_MAX. Answers: done or not found (the pod is no more, or another one
 * has its name) settle the entry; anything else leaves it dirty, and it is sent again after a pause. Loop thread
 * only. */
#ifndef AGENT_LINK_REPORT_H
#define AGENT_LINK_REPORT_H

#include "agent/link/session.h"
#include "base/list.h"

#define REPORT_COALESCE_MS 20
#define REPORT_PODS_MAX    256u         /* in one call */
#define REPORT_BYTES_MAX   (512u << 10) /* ... and then no further pod is put in */
#define REPORT_EVENTS_MAX  512u         /* waiting; the oldest are dropped */
#define REPORT_EVENTS_CALL 64u

/* One pod; embedded in the owner's structure. */
struct report_item {
    struct list link;            /* in the dirty list, or alone */
    const char *ns, *name, *uid; /* borrowed from the owner, valid until report_forget */
    bool is_gone;
    bool sending, again; /* in the call in flight; changed since */
    uint64_t sent_hash, acked_hash;
};
void report_item_init(struct report_item *i, const char *ns, const char *name, const char *uid);

struct report_events {
    /* The status as one msgpack document; false = nothing to say. Not called for gone items. */
    bool (*write_status)(struct report_item *i, struct buf *out, void *data);
    bool (*write_node_status)(struct buf *out, void *data);
    /* The leader has what write_status wrote last, in the state of this revision or one before. */
    void (*on_status_acked)(struct report_item *i, uint64_t revision, void *data);
    /* The leader knows that it is gone: the owner may free it (the item is not used any more). */
    void (*on_gone_acked)(struct report_item *i, void *data);
};
struct report;
/* component: for event.source; name: the node. */
struct report *report_new(uv_loop_t *loop, const struct env *env, const struct log *log, const char *name,
                          const struct report_events *events, void *data);
void report_set_session(struct report *r, struct session *s); /* borrowed; once */
/* The session must be stopped before. */
void report_close(struct report *r, void (*cb)(void *data), void *data);

void report_dirty(struct report *r, struct report_item *i);
void report_gone(struct report *r, struct report_item *i);
void report_node_dirty(struct report *r);
/* The owner is about to free the item. */
void report_forget(struct report *r, struct report_item *i);
/* The store's copy differs from what was acknowledged: send it whatever the hash says. */
void report_force(struct report *r, struct report_item *i);

/* field_path: "spec.containers{web}" or NULL. About a pod, a Service, or with neither the node itself. */
struct report_event {
    const char *ns, *pod, *service, *uid, *field_path;
    bool warning;
    const char *reason, *message;
};
void report_event(struct report *r, const struct report_event *e);

/* From session events. */
void report_on_ready(struct report *r);
void report_on_lost(struct report *r);

#endif
