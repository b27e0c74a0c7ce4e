/* Control groups of pods: one directory per pod, containers below it (made by the runtime), on hierarchies of version 1
 * or 2.
 *
 *   v1: /sys/fs/cgroup/{memory,cpu,cpuacct,pids,...}/PARENT/podUID/ID
 *   v2: /sys/fs/cgroup/PARENT/podUID/ID
 * The version is found at run time: cgroup2 mounted at the root itself means 2, otherwise 1 with whichever controllers
 * are mounted. All but removal is blocking and short (files of a virtual file system). */
#ifndef AGENT_RUNTIME_CGROUP_H
#define AGENT_RUNTIME_CGROUP_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define CGROUP_PATH_MAX 512

struct cgroup; /* the node's cgroup tree */

/* root NULL = "/sys/fs/cgroup"; parent: below it, e.g. "reeve" ("" = pods lie in the root). Makes the parent and, on
 * version 2, enables the controllers on the way down (processes in the way are moved to a leaf "agent"). */
int cgroup_new(uv_loop_t *loop, const char *root, const char *parent, const struct log *log, struct cgroup **out,
               struct error *err);
/* The same at a root that is known to be of this version, 1 or 2: a tree that only looks like one, for tests. */
int cgroup_new_of(uv_loop_t *loop, int version, const char *root, const char *parent, const struct log *log,
                  struct cgroup **out, struct error *err);
struct cgroup *cgroup_hollow_new(uv_loop_t *loop); /* nothing is measured or made */
void cgroup_close(struct cgroup *c, void (*cb)(void *data), void *data);
int cgroup_version(const struct cgroup *c); /* 1, 2; 0 = hollow */

/* Limits; 0 = none. */
struct cgroup_limits {
    uint64_t memory_bytes;
    uint64_t cpu_shares; /* v1 scale, 2..262144; converted for v2 */
    int64_t cpu_quota_us, cpu_period_us;
    int64_t pids_max;
};
/* What all pods together may have, so that the machine keeps the rest for itself: on the parent. 0 = no limit. It is
 * not set, with an error, where memory in use is above it already. Without a parent of their own the pods share the
 * root, which has no limits: ERR_UNSUPPORTED. */
int cgroup_limit_all(struct cgroup *c, uint64_t memory_bytes, int64_t pids_max, struct error *err);
/* The pod's group. path receives what the runtime is given as parent ("/reeve/podUID"). Idempotent; limits are set
 * anew. */
int cgroup_pod_make(struct cgroup *c, const char *uid, const struct cgroup_limits *limits, char path[CGROUP_PATH_MAX],
                    struct error *err);

/* The path alone, as cgroup_pod_make has it. */
void cgroup_pod_path(const struct cgroup *c, const char *uid, char path[CGROUP_PATH_MAX]);

/* Moves a process into a leaf group of its own in the pod's, which exists. Idempotent. */
int cgroup_pod_place(struct cgroup *c, const char *uid, const char *leaf, int pid, struct error *err);
/* The time on the processors that a process takes is from now on that of a pod, whose container has the group at path
 * (pod's + "/ID"): it moves into the pod's leaf "log". On version 1 its memory and its place among the processes stay
 * where they were. Idempotent; nothing where the pod has no group. */
int cgroup_charge_pod(const char *path, int pid, struct error *err);
/* The file that lists the processes of the group at path (as given by cgroup_pod_make, or that + "/ID"); "" = there
 * is none. */
void cgroup_procs_file(const struct cgroup *c, const char *path, char out[CGROUP_PATH_MAX * 2]);
/* Kills what is in the group of a container (path: pod's + "/ID") that has ended and left processes behind; with
 * cgroup.kill (cgroup v2, Linux 5.14) also what is in the groups that it made below. */
void cgroup_kill(const char *path);
/* Removes the groups of such a container, and those that it made in them, with what still runs there. Blocking: the
 * kernel takes a moment to see that processes are gone. False: some have not gone within CGROUP_ENDED_MS; they stay for
 * cgroup_pod_remove. */
#define CGROUP_ENDED_MS 2000u
bool cgroup_remove_ended(const char *path);

struct cgroup_usage {
    uint64_t memory_bytes;      /* in use */
    uint64_t working_set_bytes; /* without inactive file pages: what eviction and `top` go by */
    uint64_t cpu_ns;            /* since the group was made */
    uint64_t pids;
    uint64_t oom_kills;
};
/* path as given by cgroup_pod_make, or that + "/ID". ERR_NOT_FOUND if it is gone. */
int cgroup_usage(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err);
/* The same for whoever looks often: cpu_ns and working_set_bytes alone. path "" = all that the node can see. */
int cgroup_usage_brief(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err);
/* The whole tree of pods. */
int cgroup_usage_all(struct cgroup *c, struct cgroup_usage *out, struct error *err);

/* How often the kernel has refused a process to this pod because it had as many as it may, as far as groups that are
 * still there know it; 0 if it is not known. */
uint64_t cgroup_pod_forks_refused(struct cgroup *c, const char *uid);

/* uids of pods that have a group, one per call from *cursor = 0. */
bool cgroup_pod_next(struct cgroup *c, unsigned *cursor, char uid[64]);
/* Kill all processes in it and below, then remove. Repeats for up to CGROUP_REMOVE_MS. Gone already is fine. */
#define CGROUP_REMOVE_MS 10000
typedef void cgroup_done_cb(const struct error *error, void *data);
void cgroup_pod_remove(struct cgroup *c, const char *uid, cgroup_done_cb *cb, void *data);

#endif
