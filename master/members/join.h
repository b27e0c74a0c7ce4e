/* Newcomers: masters and nodes with a token. */
#ifndef MASTER_MEMBERS_JOIN_H
#define MASTER_MEMBERS_JOIN_H

#include "master/front/call.h"

/* Wrong tokens of one network: a few are mistakes, many are guesses. Who has none left waits before a token is
 * looked at, a right one too. */
#define JOIN_WRONG_BURST 10
#define JOIN_WRONG_US    6000000
/* Before a join of a connection to this master is looked at. False: its network guesses too much, the call has been
 * failed. */
bool join_may_try(struct call *c);
/* Any call fails: if it showed a wrong token, its network is told so (allowance.h). */
void join_note_failure(struct call *c, const struct error *err);
/* For change.c: the certificate; the answer (id 0: a node's; replaced 0: nobody). */
int join_sign(struct master *m, enum pki_role role, const char *name, const char *csr, const char *sans,
              char **cert_pem, struct error *err);
void join_answer(struct call *c, const char *cert_pem, uint64_t id, uint64_t replaced);

#endif
