/* Changes of the membership that somebody asked for; how each goes: change.c. Leader only, but for changes_close. */
#ifndef MASTER_MEMBERS_CHANGE_H
#define MASTER_MEMBERS_CHANGE_H

#include "master/front/call.h"

enum change_kind_asked { CHANGE_ASK_JOIN, CHANGE_ASK_REMOVE, CHANGE_ASK_TRANSFER };
struct change_request {
    uint64_t
        old_id; /* JOIN: who is replaced, or who comes back (0: nobody); REMOVE: who goes; TRANSFER: who leads now */
    uint64_t new_id;            /* TRANSFER: who is to lead; 0: the best */
    bool rejoin;                /* JOIN: old_id itself asks */
    bool even_reachable;        /* JOIN: old_id may still answer */
    bool force;                 /* REMOVE: even if the cluster can lose no other master then */
    char address[NET_ADDR_MAX]; /* JOIN */
    char token_id[16];          /* JOIN: to be noted as used by `who`; "" if no token was shown */
    char who[48];               /* JOIN with a token: what tells this newcomer from others (its key) */
    char reason[160];           /* rejoin: for the log */
    const char *csr, *sans;     /* JOIN: PEM; names for the certificate (NULL: none). Copied */
};
/* Takes the call over (NULL: nobody asks) and answers it at the end: JOIN as join does, REMOVE {id}, TRANSFER
 * {leader}. */
void changes_start(struct master *m, struct call *call, enum change_kind_asked kind,
                   const struct change_request *request);
/* At the end of a turn: the next step, if the node is free. */
void changes_turn(struct master *m);
/* Now and then: what an earlier leader left undone (record.h), replacements whose newcomer votes, changes that
 * waited too long. */
void changes_settle(struct master *m);
void changes_on_leading(struct master *m, bool leading);
void changes_close(struct master *m); /* before the node closes */

#endif
