/* What the parts of the Job controller share: the Job as one reconcile sees it. Source: Kubernetes batch/v1 Job.
 * Pure. */
#ifndef CONTROLLERS_WORKLOADS_JOB_H
#define CONTROLLERS_WORKLOADS_JOB_H

#include "controllers/util.h"
#include "proto/facts/indexes.h"

#define JOB_COMPONENT "job-controller"
/* On pods that are not counted yet. */
#define JOB_FINALIZER     "batch.kubernetes.io/job-tracking"
#define JOB_INDEX         "batch.kubernetes.io/job-completion-index" /* annotation and label */
#define JOB_INDEX_FAILS   "batch.kubernetes.io/job-index-failure-count"
#define JOB_INDEX_IGNORED "batch.kubernetes.io/job-index-ignored-failure-count"
#define JOB_CREATE_MAX    64u /* pods made by one reconcile */
#define JOB_BACKOFF_MS    10000
#define JOB_BACKOFF_MAX   360000 /* ms */

struct job_index {
    int64_t index, failures, ignored; /* of its pods, in a row; ignored: by podFailurePolicy, and not in failures */
    int64_t known;                    /* of failures and ignored, what its newest pod was made with */
    int64_t failed_ms;                /* when the last of them ended */
    bool busy;                        /* a pod of it is there that has not ended */
};
struct job {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct arena *a;
    const struct object *obj;
    struct value *doc, *spec, *status;
    bool indexed, suspended, on_failure, replace_ended;
    int64_t parallelism, completions;                     /* completions -1: as soon as one has succeeded */
    int64_t backoff_limit, per_index, failed_indexes_max; /* the last two -1: none */
    /* What is counted for good. */
    int64_t succeeded, failed;
    struct indexes done, failed_indexes;
    /* What there is. */
    struct object_list active, given_up, held; /* held: counted, and not released yet */
    int64_t ready, terminating, restarts;
    unsigned pods;             /* all that are there */
    struct job_index *indexes; /* of pods that are there; merged by job_release_held */
    unsigned indexes_count, indexes_cap;
    /* What this reconcile counts. */
    /* ignored: failures that podFailurePolicy does not count; what follows waits all the same. uncounted: left for the
     * next one. */
    unsigned newly_succeeded, newly_failed, newly_ignored, uncounted;
    unsigned outside; /* pods of indexes that are not wanted any more */
    int64_t last_failure_ms;
    const char *fails; /* podFailurePolicy has said that the Job fails: the message */
    unsigned created;
    const char *refused; /* why no more pods can be made; NULL: nothing keeps it from that */
    bool dirty;          /* doc has something to write */
};

/* Looks at the pods: counts those that have ended, in the transaction that takes their finalizer. */
int job_count_pods(struct job *j, struct error *err);
/* Pods of ours that nobody counts any more: their finalizer goes. All of them, or those that have ended or are being
 * deleted. True in *left: there are more. */
int job_release_pods(struct job *j, bool all, bool *left, struct error *err);
/* After job_count_pods: counted pods that failed lose their finalizer when nothing of their index hangs on them. */
int job_release_held(struct job *j, struct error *err);
/* Takes away `surplus` active pods: not as failures. */
int job_give_up(struct job *j, unsigned surplus, struct error *err);
int job_create_pods(struct job *j, int64_t wanted, struct error *err);
/* "Pods are made again with an exponential back-off delay (10 s, 20 s, 40 s ...) capped at six minutes": how long after
 * so many failures in a row. */
static inline int64_t job_backoff_ms(int64_t failures)
{
    return failures <= 0 ? 0 : MIN((int64_t)JOB_BACKOFF_MAX, (int64_t)JOB_BACKOFF_MS << MIN(failures - 1, 10));
}
/* Index of a pod; -1 if it has none. */
int64_t job_index_of(const struct object *pod);
static inline bool job_has_finalizer(const struct object *pod)
{
    return object_has_finalizer(pod, JOB_FINALIZER);
}
int job_strip(struct reconcile_out *out, const struct object *pod, struct error *err);

#endif
