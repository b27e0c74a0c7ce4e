/* What administrators ask of a long replacement, of the CA (rotate.h) or of the key that seals (reseal.h):
 * begin one, hasten the one that is under way, or tell how far it is. Both are answered alike:
 *   {MEMBER: what counts now, begun: is this request's doing, ?what is under way}
 * With `replaces` a repetition does not replace what the first request has brought. */
#ifndef MASTER_AUTH_REPLACE_H
#define MASTER_AUTH_REPLACE_H

#include "master/front/call.h"

#define REPLACE_ID_SIZE 40u

struct replace_request {
    struct str replaces; /* what is meant; empty: what counts now */
    bool finish, hold;
};
struct replacement {
    const char *request, *member; /* "cert.rotate", "ca" */
    const char *what;             /* "the rotation of the CA" */
    const char *log, *done;       /* as whom and as what it is logged: "rotate", "the cluster's CA" */
    void (*current)(struct master *m, char out[REPLACE_ID_SIZE]); /* what counts now */
    bool (*under_way)(const struct master *m);
    bool (*write)(struct master *m, struct buf *b); /* one more member, if it is under way */
    /* A step is on its way to the record, or another leader's has not been seen yet. */
    bool (*busy)(struct master *m);
    /* Is there nothing to be done: before it is known whether a step is taken just now, and after? */
    bool (*repeated)(struct master *m, const struct replace_request *q, const char *current);
    bool (*settled)(struct master *m, const struct replace_request *q, const char *current);
    /* The step, into the transaction. */
    int (*plan)(struct master *m, const struct replace_request *q, struct txn *t, struct error *err);
};
/* Has the tip a record of another revision than the one that was taken in (0: none was)? Leader only. */
bool replace_unseen(const struct master *m, const struct object *(*record_in)(const struct view *v), uint64_t revision);
void replace_tell(struct call *c, const struct replacement *r); /* how far it is */
void replace_ask(struct call *c, const struct replacement *r);

#endif
