/* Asking masters about themselves, for those commands that show them. */
#ifndef CLIENT_CMD_MASTERS_H
#define CLIENT_CMD_MASTERS_H

#include "client/cmd/rctl.h"

#define MASTERS_ASK_MS 1500 /* a master that does not answer for so long is shown as down */

/* Who leads, as those say that were asked: the word of the latest term counts. */
struct masters_view {
    int64_t term, leader; /* leader 0: none is known in that term */
};
void masters_hear(struct masters_view *v, struct mp answer); /* to `cluster` */
/* "up" or "down", asked at the address itself and nowhere else; *applied: how far it has applied the log, -1 if down.
 * warnings (may be NULL): what it says is added by masters_collect_warnings. view (may be NULL): what it says is
 * heard. */
const char *masters_ask(struct rctl *r, const char *address, int64_t *applied, struct buf *warnings,
                        struct masters_view *view);
/* How it stands, as a sentence without its full stop: "2 of 3 voters are up: it can lose 0 more"; that a leader is
 * being elected; or that there is no quorum. leader_up: one is known, and it answers. */
const char *masters_verdict(struct arena *a, unsigned voters, unsigned up, bool leader_up);
/* What an answer to `cluster` says about certificates that nobody renews in time, a line each: masters speak for
 * themselves, the leader for nodes. */
void masters_collect_warnings(struct mp answer, struct buf *warnings);

#endif
