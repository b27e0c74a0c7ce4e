/* Deployment, inside: the working state of one reconcile and its steps. Source: Kubernetes apps/v1 Deployment.
 *
 * A reconcile reads all ReplicaSets into documents, edits the documents, and writes each that changed once at the end,
 * together with the Deployment itself: one transaction, so a rollout's step is seen whole or not at all.
 *
 * What keeps maxUnavailable (G9): before anything is scaled down, available pods are counted on the tip itself, not
 * taken from statuses, and each ReplicaSet counts with at most its spec.replicas, since pods above that are on their
 * way out. */
#ifndef CONTROLLERS_WORKLOADS_DEPLOYMENT_H
#define CONTROLLERS_WORKLOADS_DEPLOYMENT_H

#include "controllers/util.h"

#define DEPLOYMENT_COMPONENT    "deployment-controller"
#define DEPLOYMENT_CREATE_ERROR "ReplicaSetCreateError" /* reason: no ReplicaSet can be made */
#define DEPLOYMENT_DEADLINE_EXCEEDED                                                                                   \
    "ProgressDeadlineExceeded" /* reason: spec.progressDeadlineSeconds without progress */
#define DEPLOYMENT_REVISION        "deployment.kubernetes.io/revision"
#define DEPLOYMENT_REVISION_PAST   "deployment.kubernetes.io/revision-history"
#define DEPLOYMENT_DESIRED         "deployment.kubernetes.io/desired-replicas"
#define DEPLOYMENT_MAX             "deployment.kubernetes.io/max-replicas"
#define DEPLOYMENT_HASH_LABEL      "pod-template-hash"
#define DEPLOYMENT_HISTORY_DEFAULT 10

struct deployment_rs {
    const struct object *obj; /* NULL: made by this transaction */
    struct value *doc;
    struct str name;
    int64_t replicas;                                        /* spec.replicas, as edited */
    int64_t status_replicas, status_ready, status_available; /* as its controller last said */
    int64_t available;                                       /* counted on the tip; deployment_count_available */
    int64_t created_ms, revision;
    bool deleting, dirty, drop;
};
struct deployment {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct arena *a;
    const struct object *obj;
    struct value *doc, *status; /* status of doc */
    bool dirty;
    int64_t replicas, min_ready_s, max_surge, max_unavailable;
    bool recreate, paused, counted;
    struct deployment_rs **all; /* by age: the oldest first */
    unsigned count, cap;
    struct deployment_rs *latest; /* the one of the present template; NULL if there is none yet */
};

/* ---- deployment_sets.c: ReplicaSets of a Deployment ---- */
int deployment_sets_read(struct deployment *d, struct error *err); /* adopts, releases, finds the latest */
/* Make the present template's ReplicaSet if it is missing (create), keep its revision and annotations, and the
 * Deployment's. */
void deployment_latest_ensure(struct deployment *d, bool create);
void deployment_scale_to(struct deployment *d, struct deployment_rs *rs, int64_t replicas);
void deployment_history_trim(struct deployment *d); /* revisionHistoryLimit */
int deployment_sets_write(struct deployment *d, struct error *err);
bool deployment_active(const struct deployment_rs *rs);      /* has replicas */
int64_t deployment_replicas_sum(const struct deployment *d); /* spec.replicas of all its ReplicaSets, as edited */
int64_t deployment_rs_annotation(const struct deployment_rs *rs, const char *key, int64_t fallback);

/* ---- deployment_rollout.c: how many where ---- */
void deployment_scale(struct deployment *d);         /* a change of spec.replicas, in proportion */
bool deployment_scaling(const struct deployment *d); /* such a change is not yet spread */
void deployment_roll(struct deployment *d);          /* RollingUpdate or Recreate: one step */
void deployment_count_available(struct deployment *d);

/* ---- deployment_status.c ---- */
void deployment_condition(struct deployment *d, const char *type, const char *status, const char *reason,
                          const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void deployment_pause_condition(struct deployment *d);
void deployment_status_count(struct deployment *d);    /* the counters and Available */
void deployment_status_progress(struct deployment *d); /* the same, and Progressing with its deadline */
bool deployment_complete(const struct deployment *d);
bool deployment_has_deadline(const struct deployment *d);

#endif
