/* Documents of users on their way in. */
#ifndef MASTER_API_ADMISSION_H
#define MASTER_API_ADMISSION_H

#include "base/env.h"
#include "controllers/services/allocate.h"
#include "master/auth/principal.h"
#include "proto/schema/kind.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct managed;

#define WRITE_WARNINGS_MAX 64u /* of one request */
/* A document of a user on its way in as a new object: kind, namespace, system fields, defaults, checks, namespace's
 * state. `fresh_ns`: namespaces made by the same transaction (may be NULL). */
struct admission {
    struct arena *arena;
    const struct view *tip;
    const struct env *env;
    unsigned level; /* the cluster's feature level */
    bool lenient;
    const struct principal *who; /* NULL: the system itself */
    const struct txn *same_txn;
    const struct txn
        *names_from;  /* its id, if it has one, decides generated names, so that a repetition generates the same */
    bool repeats;     /* the transaction has been done before: a generated name is the one it got then */
    unsigned ordinal; /* of the document among those of the request */
    struct value *
        *warnings; /* a list that what is kept but not carried out is added to, made if needed; NULL: nobody asks */
    bool many;     /* objects in the request: warnings name theirs */
    struct claims *claims; /* of same_txn; NULL: the request writes one object */
    struct zones *zones;   /* of this machine; NULL: nobody asks whether a zone is there */
    /* Who manages the fields that are written, and in which part of the object (managed.h). Empty: nobody. */
    struct str manager, subresource;
    const struct managed *applied; /* by server-side apply, which has decided it; NULL: it is an update */
    bool applied_same;             /* ... and it is what it was */
};
int admit_document_kind(const struct admission *ad, struct value *doc, const struct kind **k, struct str *ns,
                        struct str *name, struct error *err);
/* metadata.resourceVersion as a precondition: 0 if absent. ERR_INVALID if it is no decimal number in a string. */
int admit_version(struct value *doc, const struct kind *k, uint64_t *revision, struct error *err);
int admit_create(const struct admission *ad, const struct kind *k, struct value *doc, struct object **out,
                 struct error *err);
/* What is kept but not carried out in a document, and what its namespace warns of (pod_security.c), go to ad->warnings;
 * both functions here do it. */
void admit_warnings(const struct admission *ad, const struct kind *k, const struct value *doc);
/* doc becomes the new version of old; status is kept for kinds with a status part. before: old as a document, which is
 * changed; NULL: it is made here. They may share nothing. */
int admit_update(const struct admission *ad, struct value *doc, const struct object *old, struct value *before,
                 enum txn_part part, struct object **out, struct error *err);
void kind_resource_name(const struct kind *k, char *out, size_t size); /* "deployments.apps" */

/* What the state gives a new version of an object, before it is one: a Service its address and ports (service.c).
 * before: what it was; NULL: it is new. */
int admit_service(const struct admission *ad, const struct value *before, struct value *doc, struct error *err);

/* How pods that a document makes, or is, go against the level that their namespace warns of; for a Namespace, how its
 * pods go against the level that it begins to enforce (pod_security.c). before: what it was, or NULL. */
void admit_pod_security(const struct admission *ad, const struct kind *k, const struct value *doc,
                        const struct value *before);
/* Text for ad->warnings, unless there are too many, or nobody asks. */
void admit_warn(const struct admission *ad, const struct value *text);

/* The class of a claim that says none: the newest default class (storage.c). */
int admit_claim(const struct admission *ad, const struct value *before, struct value *doc, struct error *err);
/* A claim may ask for more if its class lets it; ERR_FORBIDDEN. */
int admit_claim_size(const struct admission *ad, const struct object *old, const struct object *now, struct error *err);

/* A new pod's priority, as its class has it (priority.c); ERR_FORBIDDEN: there is no such class, or the pod says
 * another priority. */
int admit_priority(const struct admission *ad, const struct value *before, struct value *doc, struct error *err);
/* A new pod's token, and what else its account gives it (account.c). */
int admit_account(const struct admission *ad, const struct value *before, struct value *doc, struct error *err);
/* One class at most is the default; ERR_FORBIDDEN. */
int admit_priority_class(const struct admission *ad, const struct object *old, const struct object *now,
                         struct error *err);
/* One of the two classes that are always there: it cannot be deleted. */
bool priority_is_builtin(const struct object *o);

/* Nobody gives more by a role or a binding than he has (auth/access.h); ERR_FORBIDDEN. */
int admit_grant(const struct admission *ad, const struct object *old, const struct object *now, struct error *err);

/* The time zone that a CronJob names is one of this machine's (cronjob.c); ERR_INVALID. */
int admit_time_zone(const struct admission *ad, const struct object *old, const struct object *now, struct error *err);

/* What masters keep of the cluster (kube-system/reeve-...: its CA, what is revoked, who its masters are) is written
 * and deleted by them and by administrators alone, whatever roles say: who writes it owns the cluster (roles.c).
 * ERR_FORBIDDEN. */
int admit_record(const struct admission *ad, const struct object *old, const struct object *now, struct error *err);
bool admit_is_record(const struct object *o);
int admit_record_of_masters(const struct object *o, struct error *err); /* ERR_FORBIDDEN, in words */

/* The policy of the audit (auth/audit_policy.h) can be read; ERR_INVALID. */
int admit_audit_policy(const struct admission *ad, const struct object *old, const struct object *now,
                       struct error *err);

/* The cluster's configuration (cluster.c): ERR_FORBIDDEN for what cannot change while nodes hold ranges of pods'
 * addresses. */
int admit_cluster_config(const struct admission *ad, const struct object *old, const struct object *now,
                         struct error *err);
/* May it be deleted? With the same error. */
int admit_cluster_config_delete(const struct view *tip, const struct object *o, struct error *err);

#endif
