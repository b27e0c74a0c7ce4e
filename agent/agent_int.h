/* What the files of the agent proper share: agent.c (life, orders), pods.c (pods on this node: keeping, adopting), pods_admit.c, podops*.c (what pods
 * ask for), node.c (the Node object), serve.c (calls from masters). No other file includes this. */
#ifndef AGENT_AGENT_INT_H
#define AGENT_AGENT_INT_H

#include "agent/agent.h"
#include "agent/image/image.h"
#include "agent/link/report.h"
#include "agent/link/session.h"
#include "agent/network/network.h"
#include "agent/pod/pod.h"
#include "agent/pod/userids.h"
#include "agent/runtime/cgroup.h"
#include "agent/runtime/journal.h"
#include "agent/runtime/logfile.h"
#include "agent/runtime/runtime.h"
#include "agent/runtime/sandbox.h"
#include "agent/volume/volume.h"
#include "base/strmap.h"

#define AGENT_PATH_MAX 768 /* FS_BASE_MAX, a directory of ours, any file name */

struct node_facts { /* what the machine has */
    int64_t cpu_milli, memory_bytes, disk_bytes;
    int64_t reserved_bytes; /* of memory: not for pods */
    unsigned pods;
    char hostname[256], kernel[65], os_image[128], machine_id[64], boot_id[64], arch[16];
};
enum { NODE_MEMORY_PRESSURE, NODE_DISK_PRESSURE, NODE_PID_PRESSURE, NODE_READY, NODE_CONDITIONS };
struct node_condition {
    bool value;
    int64_t since_wall_ms;
};

struct agent {
    uv_loop_t *loop;
    const struct env *env;
    struct log *log;
    char *name, *dir, *images_dir, *logs_dir;
    char *unsafe_sysctls;     /* or NULL */
    char *no_user_namespaces; /* why the node makes none; NULL = it does */
    struct userids *userids;
    int64_t pod_pids; /* processes of one pod; 0 = no limit */
    char node_ip[64];
    char instance[64]; /* instance.h */
    bool hollow, stopping;
    struct pod_node pod_node;
    struct node_facts facts;
    struct node_condition conditions[NODE_CONDITIONS];
    struct refs *refs;
    struct strmap pods;  /* uid -> struct agent_pod */
    bool synced;         /* the leader's list was whole once */
    bool in_list;        /* a list is coming in: what it lacks still holds its room */
    struct object *node; /* our own Node as last read; NULL before */
    struct renew *renew; /* NULL: the certificate is not renewed */
    struct session *session;
    struct report *report;
    struct journal *journal;
    struct runtime *runtime;
    struct image_store *images;
    struct sandbox_store *sandboxes;
    struct network *network;
    struct guard *guard; /* keeps pods from the masters; NULL: does not */
    struct volume_store *volumes;
    struct cgroup *cgroup;
    struct list readers; /* log followers (serve.c) */
    struct list streams; /* that can be resumed (serve/stream.c) */
    unsigned streams_cut;
    uv_timer_t wake, check;
    uv_timer_t measure; /* runs while a pod has limits for the disk, or the disk is nearly full */
    unsigned measuring; /* pods at this moment */
    int64_t evicted_ms; /* the newest */
    int64_t wake_ms;
    int lock_fd;
    unsigned closing; /* modules that are still closing */
    unsigned pending; /* our own operations in flight */
    void (*stop_cb)(void *data);
    void *stop_data;
};

struct agent_pod {
    struct agent *agent;
    struct pod *pod;
    char *ns, *name, *uid;
    struct object *latest; /* as last received, status included */
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
    bool stale_network; /* it was here before a power cut: its old address may still be taken */
};

static inline struct agent_pod *agent_pod_of(const struct pod *p)
{
    return p->data;
}

/* ---- pods.c ---- */
struct agent_pod *pods_find(struct agent *a, struct str ns,
                            struct str name); /* the newest of that name; NULL if none */
void pods_on_object(struct agent *a, enum session_change change, struct object *o);
void pods_list_begin(struct agent *a);
void pods_list_end(struct agent *a);
void pods_refs_changed(struct agent *a, const struct object *ref);
void pods_images_changed(struct agent *a);
/* Everything that was here before this start. */
void pods_adopt(struct agent *a);
void pods_drop(struct agent_pod *ap);   /* frees; removes the file */
void pods_close(struct agent *a);       /* frees all, files stay */
void pods_drop_images(struct agent *a); /* references held for starts that will not come */
bool pods_write_status(struct report_item *i, struct buf *out, void *data);
void pods_on_gone_acked(struct report_item *i, void *data);
void pods_keep(struct agent_pod *ap); /* writes its file */

/* ---- pods_admit.c ---- */
/* Lets the pod begin, or refuses it. Until the leader's list is whole nothing is decided. */
void pods_admit(struct agent_pod *ap);
void pods_admit_waiting(struct agent *a); /* all that are not decided yet, the oldest first */
void pods_set_node(struct agent *a, struct mp object);

/* ---- pods_evict.c ---- */
void pods_watch_disk(struct agent_pod *ap); /* if it has limits for the disk */
void pods_on_pressure(struct agent *a);     /* the disk may be nearly full */
void pods_on_measure(uv_timer_t *t);

/* ---- pods_pids.c ---- */
/* Tells of pods that want more processes than they may have: a condition and an event. */
void pods_check_pids(struct agent *a);

/* ---- podops.c, podops_start.c, podops_check.c ---- */
static inline struct agent *podops_agent(const struct pod *p)
{
    return p->node->data;
}
static inline void podops_container_id(const struct container *c, unsigned attempt, char out[RUNTIME_ID_MAX])
{
    runtime_container_id(out, c->pod->spec->uid, c->spec->name, attempt);
}
static inline struct podspec_facts podops_facts(const struct pod *p)
{
    struct podspec_facts f = p->node->facts;
    f.pod_ip = p->ip;
    return f;
}
static inline struct cgroup_limits podops_limits(const struct pod *p)
{
    struct cgroup_limits limits;
    podspec_pod_limits(p->spec, &limits);
    limits.pids_max = podops_agent(p)->pod_pids;
    return limits;
}
int podops_volumes_mount(struct pod *p, struct error *err);
void podops_volumes_update(struct pod *p);
void podops_image_ensure(struct container *c);
int podops_start(struct container *c, struct error *err);
void podops_hook(struct container *c, const struct podspec_handler *h, int64_t timeout_ms);
void podops_probe(struct container *c, int which);
extern const struct pod_ops podops;
/* Looks at the timers of all pods when one of them may be due. */
void podops_on_wake(uv_timer_t *t);
void podops_on_exit(const struct runtime_status *st, void *data);
void podops_place_holder(struct agent_pod *ap);
void podops_keep_userids(struct agent *a);       /* those of sandboxes from before */
void podops_sandbox_paths(struct agent_pod *ap); /* find what is there */

/* ---- node.c ---- */
/* reserved_bytes: as in agent.h */
void node_read_facts(struct agent *a, int64_t reserved_bytes);
/* Of a machine with so much memory, what pods are not given unless somebody says otherwise: a twentieth, at least 256 MiB and at most 2 GiB, but never
 * more than a quarter. */
int64_t node_reserve_memory(int64_t memory_bytes);
int64_t node_memory_for_pods(const struct agent *a);
void node_write(struct buf *out, void *data);
bool node_write_status(struct buf *out, void *data);
/* Looks at memory and disk; true if a condition changed. */
bool node_check(struct agent *a);

/* ---- serve.c ---- */
void serve_request(struct rpc_request *r, struct str method, struct mp params, void *data);
/* A container's end: its log followers finish. */
void serve_container_ended(struct agent *a, const char *uid, const char *container, unsigned attempt);
/* The pod and container that a call's parameters mean; NULL with the error for the caller. Without a name: the pod's default, or its
 * first container. */
struct agent_pod *serve_find_pod(struct agent *a, struct mp params, struct error *err);
struct container *serve_find_container(struct agent_pod *ap, struct mp params, struct error *err);
void serve_exec(struct agent *a, struct rpc_request *r, struct mp params);        /* serve/exec.c */
void serve_attach(struct agent *a, struct rpc_request *r, struct mp params);      /* serve/attach.c */
void serve_portforward(struct agent *a, struct rpc_request *r, struct mp params); /* serve/port.c */
void serve_image_load(struct agent *a, struct rpc_request *r, struct mp params);  /* serve/image.c */
void serve_image_list(struct agent *a, struct rpc_request *r, struct mp params);

#endif
