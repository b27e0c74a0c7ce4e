/* The client's own certificate: renewed at two thirds of its life, as everybody does (proto/pki/pki.h), by the way: at
 * the end of a command that has talked to the cluster. The new one is written into the configuration it came from, if
 * that is a file of ours with the certificate in it; a note on stderr says so. What cannot be renewed is told from
 * 30 days before the end on. */
#ifndef CLIENT_CMD_RENEW_H
#define CLIENT_CMD_RENEW_H

#include "client/cmd/rctl.h"

/* After a command that succeeded. Never fails, never changes what was printed to out. */
void renew_by_the_way(struct rctl *r);
/* Now, whatever its age; requires rctl_connect. until_s: when the new one ends. */
int renew_now(struct rctl *r, int64_t *until_s, struct error *err);
/* The masters sign otherwise than the certificate in use was signed, or trust others than it does: the cluster's CA is
 * being replaced. False also while that is not known. */
bool renew_is_other(const struct rctl *r);

#endif
