/* Who asked for what, when, and what became of it: a line of JSON for each request that the policy wants recorded, with
 * the names of audit.k8s.io/v1, in DIR/audit.log of the master that was asked (audit_file.h).
 *
 * The policy is the cluster's, so all masters record alike: key policy.yaml of ConfigMap kube-system/reeve-audit, which
 * administrators alone write, and which is refused where it cannot be read. Without it nothing is recorded, and nothing
 * is paid but a look at a pointer. Requests of all fronts are recorded here, as errands are (front/errand.h): one line
 * when a request is over, stage ResponseComplete; of one that is about several objects (apply, txn) a line for each,
 * with one auditID, which an answer over HTTP has as its header Audit-Id; one that a client sends counts for nothing.
 * Above AUDIT_REQUEST_BYTES_MAX and AUDIT_LOOKS_MAX the objects of one request share lines that name them
 * (audit_line.h): none is left out, and a request of many short operations is not many times as long in the record.
 * Streams have theirs when they end, over msgpack-RPC when they have begun. What masters do by themselves is no
 * request.
 *
 * Levels: Request adds the document that came, RequestResponse the objects that were answered (of writes and get; not
 * of lists and streams, nor of what over msgpack-RPC another master has done); above AUDIT_BODY_MAX, or
 * AUDIT_REQUEST_BYTES_MAX of a request, neither, and the line says so. Of Secrets, tokens and the masters' own records
 * nothing but metadata, whatever the policy says, and no text of an error, which may quote them. */
#ifndef MASTER_FRONT_AUDIT_H
#define MASTER_FRONT_AUDIT_H

#include "master/front/errand.h"

#define AUDIT_BODY_MAX          (64u << 10) /* of a document */
#define AUDIT_REQUEST_BYTES_MAX (1u << 20)  /* of a request: of its documents, and of lines of its objects */
#define AUDIT_LOOKS_MAX         64u         /* objects of a request that it only looks at (checks of a txn) */
#define AUDIT_TEXT_MAX          2048u       /* of an address, or of what a client says that it is */

struct audit;
struct audit *audit_new(struct master *m, const char *path, uint64_t max_bytes);
void audit_free(struct audit *a);          /* when the loop is over; NULL is fine */
bool audit_is_idle(const struct audit *a); /* what was recorded is in the file */
/* Is anything recorded at all? */
bool audit_is_on(struct master *m);

/* The request has been let in, and begins. Nothing that is made for it stays in e->arena. */
void audit_begin(struct errand *e);
/* It has failed; before it is answered. One that never began is recorded by its address alone. */
void audit_failed(struct errand *e, const struct error *err);
/* It has an answer; from errand_end. Frees e->audit. */
void audit_end(struct errand *e);
/* Its auditID, for the answer; NULL: it is not recorded. */
const char *audit_id(const struct errand *e);
/* What the leader's admission found out about the objects (api_call.notes), as its answer has it; may be anything. */
void audit_take_notes(struct errand *e, struct mp notes);

#endif
