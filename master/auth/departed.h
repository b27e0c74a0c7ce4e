/* Which pods were on which node in the last minutes, and are deleted: what a node may still tell events about. A
 * bounded table, of this master's own memory: filled as transactions are committed, so a master that becomes the leader
 * knows what the former one knew, and one that was just started does not. When very many pods are deleted at once
 * the oldest are forgotten first. */
#ifndef MASTER_AUTH_DEPARTED_H
#define MASTER_AUTH_DEPARTED_H

#include "raft-store/store/store.h"

#define DEPARTED_MS (5 * 60 * 1000)

struct departed;
struct departed *departed_new(void);
void departed_free(struct departed *d);
/* Notes the pods that the transaction deleted. now_ms: of a clock that only goes on. */
void departed_advance(struct departed *d, const struct history_txn *txn, int64_t now_ms);
bool departed_was_on(const struct departed *d, struct str node, struct str ns, struct str name, int64_t now_ms);

#endif
