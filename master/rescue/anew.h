/* A state that goes on in another course of history: under one new master, after a backup or after the loss of a
 * majority. */
#ifndef MASTER_RESCUE_ANEW_H
#define MASTER_RESCUE_ANEW_H

#include "raft-store/store/store.h"

/* Puts the store, which no node has, into the state that the new cluster of master `id` alone begins with: revisions go
 * on above `revision`, the ids below `id` are removed masters', the former masters' addresses and what was under way
 * with them are gone. Not while a tip is open. ERR_CORRUPT if the state is none of a cluster's. */
int anew_begin(struct store *s, uint64_t id, uint64_t term, uint64_t revision, struct error *err);

#endif
