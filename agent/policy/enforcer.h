/* Keeps the kernel's table of network policies as the core (core.h) says. Loop thread only.
 *
 * Changes of one turn of the loop leave together in its next, as one transaction of at most SERVICE_KERNEL_CHANGES_MAX
 * elements; more of them follow in the turns after it, in an order that denies rather than allows (cells.h). Where the
 * kernel can do so the table is the agent's own while that runs, and others' flushes pass it by; elsewhere somebody
 * else's flush or reload is heard of, and the table made anew with all of its elements in one transaction; after
 * ENFORCER_MENDS_AT_ONCE of them, once a second. Beside that the elements are compared in small parts with what should
 * be there, all of them within ENFORCER_VERIFY_MS.
 *
 * Guarantee: until enforcer_begin the kernel's table stays as a former agent has left it, and so it does at the end,
 * unless it is to be removed. It is taken over by a transaction that replaces it: no packet finds none. */
#ifndef AGENT_POLICY_ENFORCER_H
#define AGENT_POLICY_ENFORCER_H

#include "agent/policy/core.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <uv.h>

#define ENFORCER_RETRY_MS      1000
#define ENFORCER_MENDS_AT_ONCE 20u
#define ENFORCER_VERIFY_MS     600000
#define ENFORCER_VERIFY        400u /* elements at a time */

struct enforcer;
struct enforcer_events {
    void (*on_settled)(void *data); /* the kernel has all that the core says; comes again after each change */
    void *data;
};
/* ERR_UNSUPPORTED names what the kernel lacks. log is borrowed. own: as service_kernel_open. */
int enforcer_new(uv_loop_t *loop, const struct log *log, bool own, const struct enforcer_events *events,
                 struct enforcer **out, struct error *err);
/* No kernel: what the core says counts as done. */
struct enforcer *enforcer_hollow_new(uv_loop_t *loop, const struct enforcer_events *events);
/* cb from the loop, then it is freed. remove: the kernel's table goes. */
void enforcer_close(struct enforcer *e, bool remove, void (*cb)(void *data), void *data);

struct policy_core *enforcer_core(struct enforcer *e); /* borrowed; enforcer_changed is to follow a change */
void enforcer_changed(struct enforcer *e);
void enforcer_begin(struct enforcer *e); /* enough has been told: the kernel follows from now on. Again: nothing */
bool enforcer_settled(const struct enforcer *e);
const char *enforcer_trouble(const struct enforcer *e); /* why it is not; "" if nothing is wrong */
/* Others of this agent write much: the kernel is not asked to tell of it meanwhile. */
void enforcer_pause_watch(struct enforcer *e, bool pause);
void enforcer_verify(struct enforcer *e); /* the next part of it, at once; the timer does so by itself */

struct enforcer_stats {
    size_t elements, waiting, refused;
    unsigned long transactions, mends, verified;
    uint64_t longest_us; /* of a transaction, in time on a core */
};
void enforcer_get_stats(const struct enforcer *e, struct enforcer_stats *out);

#endif
