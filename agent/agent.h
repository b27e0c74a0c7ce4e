/* One node's agent: it joins the pods' machines (pod.h) with the runtime, the network, the volumes and the masters.
 *
 * What it keeps in its directory:
 *   pods/UID.pod      the last object of each pod that is here (msgpack): after a restart, with or without masters,
 *                     pods are adopted from them
 *   journal.jsonl     what was started and stopped (journal.h)
 *   masters           addresses that the leader has told
 *   registries.yaml   written by who runs the node: which registries may be asked
 *   services          what masters told of services, names and routes (kept.h)
 *   policies          what masters told of network policies (kept.h)
 *   refs/             ConfigMaps, Secrets and other objects that its pods name, sealed (refs_kept.h)
 *   instance          which agent this is, and how often it was started (instance.h)
 *   local-volumes/    directories of the local provisioner, if they are not elsewhere; local-notes/ what is noted of
 *                     each (agent/volume/local.h)
 *   containers/, images/, volumes/, logs/, network/: of the modules below
 * Guarantees: G11, a healthy pod is never stopped because masters are away; after a restart what runs goes on, and is
 * restarted by its policy; pods that do not run (the machine was started anew) begin when a master has confirmed the
 * list of pods, or has said nothing for AGENT_ALONE_MS; pods that were never here are begun by masters alone; what runs
 * and is not in the list is stopped. Several agents can live in one process (hollow nodes). Loop thread only. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/pod/threshold.h"
#include "base/env.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/net/net.h"

/* after a start: so long pods that do not run wait for masters to confirm them; looked at every AGENT_CHECK_MS */
#define AGENT_ALONE_MS        10000
#define AGENT_PODS_MAX        110
#define AGENT_HOLLOW_PODS_MAX 250
#define AGENT_CUT_MS          30000 /* of time in which the agent ran (agent/util/attend.h) */
#define AGENT_CHECK_MS        10000 /* how often disk and memory pressure are looked at; as the kubelet */
/* how often pods with limits for the disk, or all if it is nearly full, are measured */
#define AGENT_MEASURE_MS   10000
#define AGENT_POD_PIDS     1024
#define AGENT_CLUSTER_CIDR "10.244.0.0/16"

struct image_gc_policy;
struct runtime_handler;
struct agent_config {
    uv_loop_t *loop;
    const struct env *env;
    struct log *log;
    struct net_tls *tls; /* borrowed; references are taken */
    const char
        *certs_dir;   /* where the certificate of tls is from: ca.pem, agent.pem, agent.key. NULL: it is not renewed */
    const char *name; /* of the node */
    const char *dir;  /* state; absolute */
    const char *run_dir;        /* below /run: sandboxes, runtime state; absolute */
    const char *const *masters; /* NULL-terminated */
    const char *node_ip;        /* NULL: that of the default route's interface, else 127.0.0.1 */
    const char *images_dir;     /* loaded at start, or NULL */
    const char *registries;     /* file of registries that may be asked (registry.h); NULL = DIR/registries.yaml */
    const struct image_gc_policy *image_gc; /* gc.h; NULL = IMAGE_GC_DEFAULT */
    const char *cluster_cidr;               /* NULL = what masters say, and AGENT_CLUSTER_CIDR until they do */
    const char *cgroup_parent;              /* NULL = "reeve" */
    int64_t pod_pids;                       /* processes of one pod; 0 = AGENT_POD_PIDS, -1 = no limit */
    int64_t pod_connections;                /* as in network.h */
    int64_t reserved_bytes;                 /* of memory, for what is no pod; -1 = node_reserve_memory's choice */
    const struct thresholds *evict_at;      /* NULL = thresholds_default; copied */
    bool pods_reach_masters;                /* false: their connections to the masters are refused */
    const char *local_volumes; /* directory of the local provisioner; NULL = DIR/local-volumes (agent/pod/locals.h) */
    int64_t local_bytes;       /* that it may promise; 0 = nine tenths of the file system */
    const char *seccomp_dir;   /* profiles for type Localhost; NULL = DIR/seccomp */
    const char
        *unsafe_sysctls; /* that pods may set beside the safe ones: "kernel.msg*,net.core.somaxconn"; NULL = none */
    const struct runtime_handler *handlers; /* OCI runtimes beside crun, for RuntimeClasses (runtime.h) */
    unsigned handlers_count;                /* at most RUNTIME_HANDLERS_MAX */
    uint32_t user_ids_first;                /* of pods with hostUsers false, see userids.h; 0 = USERIDS_FIRST */
    unsigned user_ids_pods;                 /* for how many; 0 = USERIDS_PODS */
    bool no_user_namespaces;                /* none are made */
    int64_t cut_ms;                         /* how long a stream is kept whose client is cut off; 0 = AGENT_CUT_MS */
    bool hollow;                            /* no processes, no kernel objects, no files but the directory itself */
    bool hollow_tokens;    /* hollow pods get tokens of their accounts all the same, which nobody reads */
    unsigned hollow_index; /* for addresses of hollow pods */
};
struct agent;
/* Blocking, short: opens everything, adopts what runs. ERR_* with what could not be opened. Strings are copied. */
int agent_new(const struct agent_config *c, struct agent **out, struct error *err);
void agent_start(struct agent *a); /* connects */
/* Stops the agent, not the pods. cb from the loop; then a is freed. */
void agent_stop(struct agent *a, void (*cb)(void *data), void *data);

struct agent_stats {
    unsigned pods, running;
    bool connected;
};
void agent_get_stats(const struct agent *a, struct agent_stats *out);

#endif
