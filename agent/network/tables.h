/* Who else changes this agent's own tables of nftables: heard of when the kernel tells, without asking it.
 *
 * A transaction of the agent replaces a table, so it tells that there is a new one; a transaction that deletes without
 * that is somebody else's. Of a table that is only ever added to nothing is told
 * but that it, or a chain or set of it, is gone. */
#ifndef AGENT_NETWORK_TABLES_H
#define AGENT_NETWORK_TABLES_H

#include "agent/network/netlink.h"
#include "base/err.h"

#define TABLES_MAX 4u
struct tables_watched {
    const char *name;
    bool grows;      /* it is only ever added to */
    bool unwanted;   /* it is not to be there */
    bool less, anew; /* in the transaction that is being told of */
    bool broken;     /* since the last look */
};
struct tables {
    struct netlink watch; /* watch.fd: readable when something has changed; not blocking */
    struct tables_watched list[TABLES_MAX];
    unsigned count;
    bool paused;
};
/* Of the network namespace of the calling thread. */
int tables_open(struct tables *t, struct error *err);
void tables_close(struct tables *t);
void tables_add(struct tables *t, const char *name, bool grows); /* name: literal */
/* Before the transaction that makes it so. Without this all are. */
void tables_want(struct tables *t, const char *name, bool wanted);
/* True: one of them is broken; they count as mended from then on. */
bool tables_touched(struct tables *t);
/* While much is written into other tables nothing is told: telling costs the kernel a third of that work. Twice the
 * same: nothing. */
void tables_pause(struct tables *t, bool pause);

/* Pure: what one message of the kernel says. */
void tables_hear(struct tables *t, const struct nlmsghdr *h);

#endif
