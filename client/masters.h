/* Asking masters about themselves, for those commands that show them. */
#ifndef CLIENT_MASTERS_H
#define CLIENT_MASTERS_H

#include "client/rctl.h"

#define MASTERS_ASK_MS 1500 /* a master that does not answer for so long is shown as down */

/* "up" or "down", asked at the address itself and nowhere else; *applied: how far it has applied the log, -1 if down. */
const char *masters_ask(struct rctl *r, const char *address, int64_t *applied);

#endif
