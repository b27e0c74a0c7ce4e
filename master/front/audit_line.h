/* A record as it is written: a line of JSON with the names of audit.k8s.io/v1. Inside of the audit (audit.h). */
#ifndef MASTER_FRONT_AUDIT_LINE_H
#define MASTER_FRONT_AUDIT_LINE_H

#include "base/buf.h"
#include "master/auth/audit_policy.h"
#include "master/front/errand.h"

#define AUDIT_MORE_BYTES (64u << 10) /* of names in one line */

struct audit_item {
    struct audit_what what;
    enum audit_level level;
    struct str request, response; /* JSON; empty: none */
    bool cut;                     /* one of them is too large */
    bool told;                    /* it has a line */
};
/* What is kept of a request until it is over. */
struct audit_entry {
    struct arena arena;
    char id[ENV_UUID_SIZE];
    int64_t received_ms;
    struct audit_item *items;
    unsigned count, cap;
    size_t kept_bytes; /* of documents */
    int code;          /* enum err; 0: it was done */
    char *message;     /* in the arena; NULL: none, or it might quote a secret */
};

/* The line of one object, or path, of e->audit. */
void audit_line_write(struct buf *b, const struct errand *e, const struct audit_item *item);
/* A line that names those from `from` on that have none of their own, as many as AUDIT_MORE_BYTES hold, in the
 * annotation reeve.io/more-objects: "get pods/log shop/web-1, create configmaps shop/a". Returns where to go on. */
unsigned audit_line_write_more(struct buf *b, const struct errand *e, unsigned from);

#endif
