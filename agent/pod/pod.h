/* A pod on its node: from the order to run it to the report that it is gone. Pure but for what it asks of struct
 * pod_ops.
 *
 *   PENDING -> VOLUMES -> SANDBOX -> NETWORK -> INIT -> RUNNING -> STOPPING -> CLEANING -> FINISHED -> CLEANING -> GONE
 *                 each may fail and is tried again            \________ deletion leads here from everywhere
 *
 *  PENDING   known, not begun (after the agent's restart nothing new is begun before the masters have confirmed it)
 *  VOLUMES   waits for ConfigMaps and Secrets, lays out volumes
 *  SANDBOX   control group and namespaces; NETWORK: its address
 *  INIT      init containers, one after another; RUNNING: all containers
 *  STOPPING  containers first, then sidecars in reverse order
 *  CLEANING  network, sandbox, volumes, control group are given back (and containers and logs, if it was deleted)
 *  FINISHED  its phase is Succeeded or Failed; the object is still there, and so are logs and exit codes
 *  GONE      nothing is left; the owner frees it
 * The table in pod.c is the whole machine: no state changes but through pod_handle.
 *
 * Guarantees: only deletion, the end of its containers, or its active deadline stops a pod; that masters are away never
 * does. GONE is reached only after every container's end was seen and everything was given back. The pod is not freed
 * while answers are outstanding (`pending`).
 * Source: Kubernetes pod lifecycle; reasons and messages as the kubelet's. */
#ifndef AGENT_POD_POD_H
#define AGENT_POD_POD_H

#include "agent/pod/container.h"
#include "base/env.h"

enum pod_state {
    POD_PENDING,
    POD_VOLUMES,
    POD_SANDBOX,
    POD_NETWORK,
    POD_INIT,
    POD_RUNNING,
    POD_STOPPING,
    POD_CLEANING,
    POD_FINISHED,
    POD_GONE,
    POD_STATES,
};
enum pod_event {
    POD_EV_GO,
    POD_EV_OK,     /* the state's work is done */
    POD_EV_FAILED, /* ... failed; tried again later */
    POD_EV_TIMER,
    POD_EV_REFS,
    POD_EV_DELETE,
    POD_EV_ENDED, /* all containers ended for good, or an init container failed, or the deadline */
    POD_EV_GONE,  /* all is given back, and it was deleted */
    /* What a restarted agent finds of it: */
    POD_EV_FOUND_SANDBOX, /* no address yet */
    POD_EV_FOUND_NETWORK, /* no container of its own runs */
    POD_EV_FOUND_RUNNING,
    POD_EV_FOUND_REMAINS,  /* it has finished, and not everything was given back */
    POD_EV_FOUND_FINISHED, /* and nothing is left of it */
    POD_EVENTS,
};

#define POD_CLEAN_TRIES 5u /* of a step; then the next one: a broken plugin must not keep a deleted pod for ever */
/* What has to be given back, in this order. */
enum pod_clean {
    POD_CLEAN_CONTAINERS,
    POD_CLEAN_NETWORK,
    POD_CLEAN_SANDBOX,
    POD_CLEAN_VOLUMES,
    POD_CLEAN_CGROUP,
    POD_CLEAN_LOGS,
    POD_CLEAN_STEPS
};

/* What a pod asks of its node. Unless said otherwise an answer comes later, exactly once, never inside the call. */
struct pod_ops {
    /* Is there the OCI runtime that the pod asks for? As volumes_mount; NULL: of course. */
    int (*handler_find)(struct pod *p, struct error *err);
    void (*sandbox_make)(struct pod *p);               /* pod_on_sandbox */
    void (*network_add)(struct pod *p);                /* pod_on_network */
    void (*clean)(struct pod *p, enum pod_clean step); /* pod_on_clean; what is not there is fine */
    /* At once. Errors as podspec_volume_files; ERR_UNSUPPORTED for kinds of volumes that are not known. */
    int (*volumes_mount)(struct pod *p, struct error *err);
    void (*volumes_update)(struct pod *p);
    /* At once: it is about to be stopped, and gets no new connections through services of this node any more. */
    void (*leave)(struct pod *p);
    void (*image_ensure)(struct container *c); /* container_on_image */
    /* Would it be pulled, and with Secrets that are not here? The stream of them may be behind. NULL: never. */
    bool (*pull_lacks)(const struct container *c);
    /* 0: container_on_started follows. Otherwise nothing was begun: errors as podspec_resolve. */
    int (*start)(struct container *c, struct error *err);
    void (*kill)(struct container *c, bool force);         /* no answer: container_on_exit comes */
    void (*forget)(struct container *c, unsigned attempt); /* no answer; an old attempt that ended */
    void (*hook)(struct container *c, const struct podspec_handler *h,
                 int64_t timeout_ms);              /* container_on_hook, with c->token of now */
    void (*probe)(struct container *c, int which); /* container_on_probe, with c->token of now */
    /* No answer. */
    void (*event)(struct pod *p, const struct container *c, bool warning, const char *reason, const char *message);
    void (*journal)(struct pod *p, const struct container *c, const char *what, const char *why);
    void (*changed)(struct pod *p); /* the status may have changed */
    void (*wake)(struct pod *p);    /* pod_deadline has changed */
    void (*gone)(struct pod *p);    /* GONE was reached: pod_free it later, not inside this call */
};

/* What pods know about their node. */
struct pod_node {
    const struct pod_ops *ops;
    const struct env *env;
    const struct log *log;
    struct podspec_facts facts; /* pod_ip is not used here */
    const char *runtime_name;   /* "crun" */
    bool stopping;              /* the agent ends: answers still come (cancelled), and move nothing any more */
    void *data;
};

struct pod {
    const struct pod_node *node;
    struct podspec *spec;
    const struct object
        *latest; /* the newest object for its status; borrowed from the owner; NULL = that of the spec */
    enum pod_state state;
    struct container **containers; /* as in spec; ephemeral ones come while it runs, none moves or goes */
    unsigned pending;              /* answers outstanding */
    bool deleting;                 /* deletion was ordered; never taken back */
    bool removed;                  /* the object is gone from the store */
    bool failed;                   /* phase Failed whatever the containers say: see fail_reason */
    bool status_frozen;            /* finished before this agent knew it: the store's status stands */
    bool in_settle, again;
    bool evicted;              /* ... because it took more than it may */
    bool preempted;            /* ... because a pod of the system needs its room */
    bool relieves;             /* evicted because the node had too little left, not for what it was allowed itself */
    int64_t disrupted_wall_ms; /* preempted, or relieves: since when */
    bool rejected;             /* ... because the node did not take it: no container ever was */
    char fail_reason[40], fail_message[256];
    char ip[64];
    int64_t start_wall_ms;   /* status.startTime */
    int64_t seen_ms;         /* when it came to us */
    int64_t deadline_ms;     /* of the state's timer */
    int64_t active_until_ms; /* activeDeadlineSeconds; INT64_MAX = none */
    int64_t wake_ms;         /* as last told by ops->wake */
    int64_t grace_until_ms;  /* STOPPING: containers are killed then */
    struct backoff retry;
    unsigned clean_step, clean_tries;
    char clean_error[256];       /* why the step is tried again; "" = it is not */
    int64_t clean_since_wall_ms; /* since when */
    bool clean_all;              /* containers and logs too */
    bool has_sandbox;            /* adopted */
    struct {                     /* of the conditions Initialized, ContainersReady, Ready: last transition */
        bool known, value;
        int64_t since_wall_ms;
    } conditions[3];
    struct { /* condition reeve.io/PidsLimit: processes that were refused to it; 0 = never */
        uint64_t refused;
        int64_t since_wall_ms;
    } pids;
    void (*settle)(struct pod *p); /* pod_settle, for container.c */
    void *data;                    /* of the owner */
};

/* Takes the spec. Begins in PENDING. */
struct pod *pod_new(const struct pod_node *node, struct podspec *give_spec);
void pod_free(struct pod *p); /* pending must be 0 */

/* Orders. */
void pod_go(struct pod *p);                                /* the masters want it, or it was adopted */
void pod_update(struct pod *p, struct podspec *give_spec); /* a newer object of the same uid */
void pod_delete(struct pod *p, bool removed);              /* removed: the object itself has vanished */
/* It has taken what it may not, or (for_node) its node has too little left: it fails, and its containers get hardly any
 * time. In INIT and RUNNING. */
void pod_evict(struct pod *p, const char *message, bool for_node);
/* A pod of the system takes its room: it fails, and its containers get the time that they are to have. In INIT and
 * RUNNING. */
void pod_preempt(struct pod *p);
void pod_reject(struct pod *p, const char *reason, const char *message); /* in PENDING: it fails, nothing of it runs */
/* The kernel has refused it so many processes by now, because it had as many as it may. True if that is more than
 * before: its status changes. */
bool pod_forks_refused(struct pod *p, uint64_t refused, int64_t wall_ms);
void pod_refs_changed(struct pod *p);
void pod_images_changed(struct pod *p);
void pod_tick(struct pod *p, int64_t now_ms);
static inline int64_t pod_deadline(const struct pod *p)
{
    return p->wake_ms;
}
/* Before pod_go, after container_adopt: the sandbox is there, with this address ("" = not yet). */
void pod_adopt_sandbox(struct pod *p, const char *ip);
/* The store says it has finished: nothing of it runs here. After pod_adopt_sandbox what is left is given back. */
void pod_adopt_finished(struct pod *p);

/* Answers. */
void pod_on_sandbox(struct pod *p, const struct error *error);
void pod_on_network(struct pod *p, const char *ip, const struct error *error);
void pod_on_clean(struct pod *p, const struct error *error);

void pod_settle(struct pod *p); /* after every outside event: move on, tell status and timer */
/* ---- pod_tell.c ---- */
void pod_event(struct pod *p, const struct container *c, bool warning, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int64_t pod_full_grace_ms(const struct pod *p);                  /* from the beginning of its stop */
int64_t pod_grace_ms(const struct pod *p);                       /* what a container stopped now is given */
struct container *pod_find(struct pod *p, struct str container); /* NULL if none */
const char *pod_state_name(enum pod_state s);
#endif
