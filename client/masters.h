/* Asking masters about themselves, for those commands that show them. */
#ifndef CLIENT_MASTERS_H
#define CLIENT_MASTERS_H

#include "client/rctl.h"

#define MASTERS_ASK_MS 1500 /* a master that does not answer for so long is shown as down */

/* "up" or "down", asked at the address itself and nowhere else; *applied: how far it has applied the log, -1 if down. warnings (may be NULL):
 * what it says is added by masters_collect_warnings. */
const char *masters_ask(struct rctl *r, const char *address, int64_t *applied, struct buf *warnings);
/* What an answer to `cluster` says about certificates that nobody renews in time, a line each: masters speak for themselves, the leader for nodes. */
void masters_collect_warnings(struct mp answer, struct buf *warnings);

#endif
