/* The state of the agent proper, which the rooms pod, link and serve work on: agent.c has its life and its orders. */
#ifndef AGENT_AGENT_INT_H
#define AGENT_AGENT_INT_H

#include "agent/agent.h"
#include "agent/image/gc.h"
#include "agent/image/image.h"
#include "agent/link/report.h"
#include "agent/link/session.h"
#include "agent/network/neighbours.h"
#include "agent/network/network.h"
#include "agent/pod/pod.h"
#include "agent/pod/threshold.h"
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
    int64_t pids;           /* that the kernel numbers; 0 = not known */
    unsigned pods;
    char hostname[256], kernel[65], os_image[128], machine_id[64], boot_id[64], arch[16];
};
enum { NODE_MEMORY_PRESSURE, NODE_DISK_PRESSURE, NODE_PID_PRESSURE, NODE_READY, NODE_CONDITIONS };
struct node_condition {
    bool value; /* as told */
    int64_t since_wall_ms;
    bool is_short; /* a pressure: as it was when last looked at */
    int64_t short_ms;
};
struct node_room { /* what was left when last looked at; INT64_MAX = not known */
    int64_t memory_bytes, pids;
};

struct agent_pod;
struct claims;
struct locals;
struct meter;
struct tokens;

struct agent {
    /* Somebody may be reading its log (serve/logs.c). */
    void (*container_ended)(struct agent *a, const char *uid, const char *container, unsigned attempt);
    uv_loop_t *loop;
    const struct env *env;
    struct log *log;
    char *name, *dir, *images_dir, *logs_dir;
    char *unsafe_sysctls;             /* or NULL */
    struct runtime_handler *handlers; /* beside crun; names and paths are its own */
    unsigned handlers_count;
    char *no_user_namespaces; /* why the node makes none; NULL = it does */
    struct userids *userids;
    int64_t cut_ms;    /* see agent_config */
    int64_t pod_pids;  /* processes of one pod; 0 = no limit */
    dev_t disk;        /* where the directory lies */
    char node_ip[64];  /* address.h */
    bool own_address;  /* found by ourselves: it may change */
    char instance[64]; /* instance.h */
    bool hollow, stopping;
    struct pod_node pod_node;
    bool own_cluster_cidr; /* given at the start: what masters say is passed over */
    struct node_facts facts;
    struct node_condition conditions[NODE_CONDITIONS];
    struct thresholds evict_at;
    struct node_room room;
    struct refs *refs;
    struct refs_kept *refs_kept; /* NULL: nothing is kept */
    bool refs_whole;             /* what was kept was all that the pods named */
    struct strmap pods;          /* uid -> struct agent_pod */
    bool synced;                 /* the leader's list was whole once */
    bool in_list;                /* a list is coming in: what it lacks still holds its room */
    bool alone;                  /* no list came in time: what was kept counts */
    int64_t asked_ms;            /* since when masters are sought; 0 = not yet */
    struct object *node;         /* our own Node as last read; NULL before */
    struct renew *renew;         /* NULL: the certificate is not renewed */
    struct session *session;
    struct report *report;
    struct journal *journal;
    struct runtime *runtime;
    struct image_store *images;
    struct registries *registries; /* registries.h; NULL: hollow */
    struct image_gc_policy image_gc;
    int64_t gc_told_ms; /* when an event said that it is not enough; 0 = never */
    uint64_t gc_freed;  /* bytes of images, since the disk is fuller than it should be */
    struct sandbox_store *sandboxes;
    struct network *network;
    unsigned checks;       /* how often on_check has run; it does some things only every so many times */
    unsigned pods_dropped; /* since memory was last given back */
    struct neighbours neighbours;
    struct dataplane *dataplane; /* dataplane.h; NULL: the kernel cannot */
    struct isolation *isolation; /* isolation.h */
    struct names *names;         /* names.h; NULL: the node answers none */
    struct kept *kept;           /* kept.h; NULL: nothing is */
    struct guard *guard;         /* keeps pods from the masters, as a rule; NULL: never */
    struct volume_store *volumes;
    struct claims *claims; /* claims.h */
    struct locals *locals; /* locals.h */
    struct meter *meter;   /* meter.h */
    struct tokens *tokens; /* tokens.h; NULL: nobody reads them (hollow) */
    struct cgroup *cgroup;
    struct list readers; /* log followers (serve/logs.c) */
    struct list streams; /* that can be resumed (serve/stream.c) */
    unsigned streams_cut;
    bool room_came; /* a pod that was preempted has ended: those that wait to be admitted are looked at */
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

#endif
