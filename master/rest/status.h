/* Errors as Kubernetes' Status: an HTTP status, a reason that programs know, details and causes. Pure.
 *
 * Source: Kubernetes' metav1.Status and api/errors. Clients in Go repeat a request on 429, and on 500 and above, if
 * there is a Retry-After, and only then: so it is sent where nothing was done, and never where the outcome is not
 * known. */
#ifndef MASTER_REST_STATUS_H
#define MASTER_REST_STATUS_H

#include "base/buf.h"
#include "base/err.h"

struct rest_status {
    unsigned code;          /* HTTP */
    const char *reason;     /* "NotFound" */
    unsigned retry_after_s; /* 0: none */
};
struct rest_status rest_status_of(const struct error *err);
/* The document. */
void rest_write_status(struct buf *out, const struct error *err);
/* The same of a list that cannot go on where it was begun; token: with which it can go on in another version. */
void rest_write_expired(struct buf *out, const struct error *err, struct str token);
/* Of an HTTP status that no error of ours stands for (405, 406, 415 ...), or whose reason is another. */
void rest_write_failure(struct buf *out, unsigned code, const char *reason, struct str message);
const char *rest_reason_of(unsigned code); /* "MethodNotAllowed" */

#endif
