/* The pods of this node: which are here, whether they may begin, what they take. */
#ifndef AGENT_POD_PODS_H
#define AGENT_POD_PODS_H

#include "agent/agent_int.h"

struct agent_pod {
    struct agent *agent;
    struct pod *pod;
    char *ns, *name, *uid;
    struct object *latest;   /* as last received, with the status that we said since */
    struct buf saying, said; /* our status, msgpack: in the report that is under way; as the leader has it */
    uint64_t said_revision;  /* from this one on the store has it; 0 = we have said none since the last list */
    struct report_item report;
    struct sandbox *sandbox; /* NULL until made or found */
    bool seen;               /* in the list that is coming in */
    bool gone;               /* waits for the leader to know */
    bool admitted;           /* it has its room on this node; a pod that was here before has */
    bool asking;             /* for the Node */
    bool measuring;          /* its use of the disk */
    bool measure_due;        /* in this round */
    bool measured;           /* once: disk_bytes */
    uint64_t disk_bytes;
    unsigned measurements;
    uint64_t ordered_revision; /* of its object when we first saw it: it was bound to us by then */
    bool handler_known;        /* handler.h */
    char handler[64];          /* OCI runtime of its containers; "" = crun */
    bool stale_network;        /* it was here before a power cut: its old address may still be taken */
    char wish[16];             /* that address, as masters know it: it gets it again if it can; "" = none */
};

static inline struct agent_pod *agent_pod_of(const struct pod *p)
{
    return p->data;
}

struct agent_pod *pods_find(struct agent *a, struct str ns,
                            struct str name); /* the newest of that name; NULL if none */
/* The leader's stream of pods (agent/link/session.h): a list from begin to end, then changes. The object is borrowed.
 * Pods that the list lacks are deleted at its end. */
void pods_on_object(struct agent *a, enum session_change change, struct object *o);
void pods_list_begin(struct agent *a);
void pods_list_end(struct agent *a);
/* ref has changed in the cache (agent/pod/refs.h): pods whose content names it are told. */
void pods_refs_changed(struct agent *a, const struct object *ref);
/* Events of the volumes (struct volume_events). data: the agent. */
void pods_on_attached(const char *uid, void *data);
void pods_on_removed(const char *uid, void *data);
/* Events of the tokens (struct tokens_config). data: the agent. */
void pods_on_token(const char *uid, void *data);
void pods_on_token_lacking(const char *uid, const char *volume, const char *why, void *data);
void pods_drop_tokens(struct agent_pod *ap); /* it has no containers any more */
void pods_images_changed(struct agent *a);   /* images came: pods that wait for one try again */
/* At the start: takes over every pod of which the former agent left a file. */
void pods_adopt(struct agent *a);
/* Masters are away: those that were here and do not run (the machine was started anew) begin again. */
void pods_begin_alone(struct agent *a);
void pods_drop(struct agent_pod *ap);   /* frees; removes the file */
void pods_close(struct agent *a);       /* frees all, files stay */
void pods_drop_images(struct agent *a); /* references held for starts that will not come */
/* Events of the report (struct report_events). data: the agent. */
bool pods_write_status(struct report_item *i, struct buf *out, void *data);
void pods_on_status_acked(struct report_item *i, uint64_t revision, void *data);
void pods_on_gone_acked(struct report_item *i, void *data);

/* ---- pods_files.c ---- */
/* Writes its file, so that a restart of the agent finds the pod; and takes it away. */
void pods_keep(struct agent_pod *ap);
void pods_forget(const struct agent_pod *ap);
/* The pod in a file; NULL: damaged, which is logged. The caller's reference. */
struct object *pods_read_file(struct agent *a, const char *path);

/* ---- pods_admit.c ---- */
/* Lets the pod begin, or refuses it. Until the leader's list is whole nothing is decided. */
void pods_admit(struct agent_pod *ap);
/* Our Node is read anew; a pod that is not decided yet is decided then. */
void pods_ask_for_node(struct agent_pod *ap);
void pods_admit_waiting(struct agent *a);              /* all that are not decided yet, the oldest first */
void pods_set_node(struct agent *a, struct mp object); /* our Node as the leader has it; no pod is decided yet */

/* ---- pods_evict.c ---- */
void pods_watch_disk(struct agent_pod *ap); /* measures it from now on, if it has limits for the disk */
void pods_on_pressure(struct agent *a);     /* DiskPressure may have begun: all pods are measured while it lasts */
void pods_on_measure(uv_timer_t *t);        /* of agent->measure: begins a round */

/* for_node: for what the node has left, not for what the pod may use itself; it gets the condition DisruptionTarget. */
void pods_evict(struct agent_pod *ap, const char *message, bool for_node);
/* Evicted, and not all of it is gone: for a minute at most. */
bool pods_is_giving_back(const struct agent_pod *ap);

/* ---- pods_short.c ---- */
void pods_check_short(struct agent *a); /* evicts a pod if the node runs short of memory or process ids */

/* ---- pods_full.c ---- */
/* Tells of pods that want more processes than they may have: a condition and an event. */
void pods_check_pids(struct agent *a);
/* Of those that want more connections: an event. */
void pods_check_flows(struct agent *a);

#endif
