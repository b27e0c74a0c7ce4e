/* A transaction is all or nothing, so one element that the kernel refuses keeps all others of it out. Pure.
 *
 * Here it is halved again and again, in the order of the changes, until what is refused stands alone: with one of 2,048
 * that takes 23 transactions. */
#ifndef AGENT_SERVICE_ISOLATE_H
#define AGENT_SERVICE_ISOLATE_H

#include "agent/service/table.h"
#include "base/err.h"

#define ISOLATE_REFUSED_MAX 64u /* in one go: the kernel that refuses more has another trouble */

struct isolate_ops {
    int (*apply)(const struct nft_change *list, unsigned count, struct error *err, void *data); /* all or none */
    void (*done)(unsigned count, void *data); /* so many more, from the first on, are in */
    void (*refused)(const struct nft_change *c, const struct error *err, void *data); /* the next one is not */
    void *data;
};
/* 0: each is done or refused. Otherwise ISOLATE_REFUSED_MAX were refused, err is that of the last, and the rest is as
 * it was. */
int isolate_apply(const struct isolate_ops *ops, const struct nft_change *list, unsigned count, struct error *err);

#endif
