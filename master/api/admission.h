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

#define WRITE_WARNINGS_MAX 64u   /* of one request */
#define WRITE_NOTES_MAX    4096u /* likewise */
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
    struct value **notes;  /* the same for the audit (api_call.notes); NULL: nothing is recorded */
    bool many;             /* objects in the request: warnings name theirs */
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
/* What is kept but not carried out in a document goes to ad->warnings; both functions here do it. */
void admit_warnings(const struct admission *ad, const struct kind *k, const struct value *doc);
/* doc becomes the new version of old; status is kept for kinds with a status part. before: old as a document, which is
 * changed; NULL: it is made here. They may share nothing. */
int admit_update(const struct admission *ad, struct value *doc, const struct object *old, struct value *before,
                 enum txn_part part, struct object **out, struct error *err);
void kind_resource_name(const struct kind *k, char *out, size_t size); /* "deployments.apps" */

/* Text for ad->warnings, unless there are too many, or nobody asks. */
void admit_warn(const struct admission *ad, const struct value *text);
/* What admission found out about the object of doc, for the record of the request (front/audit.h), unless there is
 * none, or there are too many. */
void admit_note(const struct admission *ad, const struct kind *k, const struct value *doc, const char *key,
                const char *text);

#endif
