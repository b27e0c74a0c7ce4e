/* The node's dataplane: keeps the kernel's table of services as it is told. Loop thread only.
 *
 * Changes of one turn of the loop leave together in its next, in transactions of at most SERVICE_CHANGES_MAX elements,
 * one a turn: the loop and the kernel's other users go on in between. What is in the kernel is remembered, not asked
 * for. Where the kernel can do so the table is the agent's own while that runs, and others' flushes pass it by;
 * elsewhere somebody else's flush or reload is heard of and mended at once (after SERVICES_MENDS_AT_ONCE of them, once
 * a second).
 *
 * Beside that, all that should be in the kernel is asked for in small parts, once each SERVICES_VERIFY_MS; what is not
 * there, or another, is told in the log and mended. Each time when all has been compared, and there are not more than
 * SERVICES_AUDIT_MAX, all that is there is listed on a thread, and what should not be is taken away.
 *
 * An element that the kernel refuses keeps no other out: it is found, told in the log with its Service, and left out.
 *
 * Guarantee: until services_begin the kernel's table stays as a former agent has left it, so that connections go on
 * while nobody has told what services there are. At the end it stays as well, unless it is to be removed. UDP's
 * connections to endpoints that do not serve any more are ended after each change, and every SERVICES_SWEEP_MS. */
#ifndef AGENT_SERVICE_SERVICES_H
#define AGENT_SERVICE_SERVICES_H

#include "agent/service/port.h"
#include "agent/service/skeleton.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <uv.h>

#define SERVICES_SWEEP_MS      60000
#define SERVICES_RETRY_MS      1000
#define SERVICES_MENDS_AT_ONCE 20u
#define SERVICES_VERIFY_MS     600000 /* all elements are compared within this time */
#define SERVICES_VERIFY        400u   /* so many at a time */
#define SERVICES_AUDIT_MAX     60000u /* elements; the kernel's work with a list grows faster than the list */

struct services;
/* ERR_UNSUPPORTED names what the kernel lacks. log is borrowed. own: as service_kernel_open. */
int services_new(uv_loop_t *loop, const struct log *log, bool own, struct services **out, struct error *err);
/* The pure part only: no kernel. */
struct services *services_hollow_new(uv_loop_t *loop);
/* cb when much is about to be written, and when that is over. NULL: nobody wants to know. */
void services_on_bulk(struct services *s, void (*cb)(bool begins, void *data), void *data);
/* cb from the loop, then it is freed. remove: the kernel's table goes. */
void services_close(struct services *s, bool remove, void (*cb)(void *data), void *data);

/* Told of each element that the kernel refuses: whose it is ("default/web:http", or "" if nobody's any more), which
 * one, and why. Borrowed for the call. */
typedef void services_refused_cb(const char *key, const char *element, const char *why, void *data);
void services_on_refused(struct services *s, services_refused_cb *cb, void *data);

void services_set_ranges(struct services *s, const struct skeleton_ranges *ranges);
void services_set_addresses(struct services *s, const uint32_t *ips, unsigned count); /* as in table.h */
void services_put(struct services *s, const struct service_port *p);
void services_remove(struct services *s, const char *key);
/* All that there is has been told: from now on the kernel follows. Again: nothing. */
void services_begin(struct services *s);
/* What waits, up to a transaction of it, is in the kernel when this returns; after an error, or while the table is
 * looked at, it waits for its turn as ever. */
void services_write_now(struct services *s);

/* The next part of it, at once; the timer does so by itself. */
void services_verify(struct services *s);
/* Connections of UDP to who does not serve are ended, and what the kernel has refused is tried again, at once; the
 * timer does so by itself. */
void services_sweep(struct services *s);

struct services_stats {
    size_t ports, elements;
    unsigned long transactions, mends, flows_ended;
    unsigned long verified; /* elements */
    unsigned long foreign;  /* elements that were not ours */
    size_t refused;         /* elements that the kernel does not take: left out, tried again each SERVICES_SWEEP_MS */
    size_t waiting;         /* changes that are not in the kernel yet */
    uint64_t longest_us;    /* of a transaction, in time on a core */
    bool works;             /* there is a kernel, all has been told, and the last transaction went well */
    bool settled;           /* the kernel has all of it; never before services_begin */
};
void services_get_stats(const struct services *s, struct services_stats *out);

#endif
