/* One run of `rctl up`: from what was asked for to a cluster that is ready. */
#ifndef CLIENT_CMD_UPPING_H
#define CLIENT_CMD_UPPING_H

#include "base/env.h"
#include "client/cmd/rctl.h"
#include "client/up/up.h"

struct upping {
    struct rctl *r;
    struct up u;
    struct api *api;
    unsigned want_masters, want_nodes, started;
    uint16_t first_port;
    const char *master, *agent; /* programs */
    int64_t deadline_ms;        /* monotonic */
    struct error err;
};

static inline int64_t upping_now(void)
{
    return env_now_ms(env_real());
}
/* A line to stdout, at once. */
void upping_say(struct upping *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* In the arena of the command. */
const char *upping_format(struct upping *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Starts masters that are not up, makes those that are wanted besides, and waits until all of them vote and answer.
 * The state is saved after each, so that a further `up` goes on. 0, or p->err. */
int upping_masters(struct upping *p);
/* The same with nodes, until they are Ready. After upping_masters. */
int upping_nodes(struct upping *p);

#endif
