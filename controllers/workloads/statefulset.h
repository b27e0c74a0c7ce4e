/* What the parts of the StatefulSet controller share: the set as one reconcile sees it. Source: Kubernetes apps/v1
 * StatefulSet. Pure. */
#ifndef CONTROLLERS_WORKLOADS_STATEFULSET_H
#define CONTROLLERS_WORKLOADS_STATEFULSET_H

#include "controllers/claim.h"
#include "controllers/util.h"
#include "controllers/workloads/revisions.h"

#define STATEFULSET_COMPONENT  "statefulset-controller"
#define STATEFULSET_POD_LABEL  "statefulset.kubernetes.io/pod-name"
#define STATEFULSET_INDEX      "apps.kubernetes.io/pod-index"
#define STATEFULSET_CREATE_MAX 64u /* pods made by one reconcile */

struct sts_pod {
    int64_t ordinal;
    const struct object *pod;
    bool ready, available; /* and not being deleted */
    bool updated;          /* of the newest revision */
};
struct sts {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct arena *a;
    const struct object *obj;
    struct value *doc;
    struct claim_pods mine;
    struct revisions revisions;
    struct str current, update; /* names of revisions */
    int64_t start, replicas, partition, min_ready_s;
    bool ordered, rolling;
    bool when_deleted, when_scaled; /* claims go with the set, with the pod */
    struct sts_pod *slots;          /* those of the wanted ordinals, by ordinal */
    struct sts_pod *condemned;      /* the others, the highest first */
    unsigned slots_count, condemned_count;
    int64_t unplaced; /* pods of ours that fit nowhere */
    unsigned created, deleted;
    bool refused; /* no more can be made for now */
};

/* "web-3" of the set "web" is 3; -1: no name of a pod of the set. */
int64_t sts_ordinal(const struct object *set, struct str pod_name);
/* False: the pod of an ordinal can have no name, nor can that of any higher one (an event says why). */
bool sts_may_name_pod(struct sts *s, int64_t ordinal);
/* The pod of an ordinal with its claims, in the transaction. False: it cannot be made yet (an event says why); nor can
 * any other if s->refused. */
bool sts_create_pod(struct sts *s, int64_t ordinal, int *rv, struct error *err);
/* The claims of a pod that is there: those that are missing are made, and owned as the set's policy has it. condemned:
 * the set has become smaller. */
int sts_keep_claims(struct sts *s, const struct object *pod, bool condemned, struct error *err);
/* Could this be a claim of a pod of the set, by its name? */
bool sts_may_own_claim(const struct object *set, struct str claim_name);

#endif
