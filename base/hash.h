/* The seed of hash tables whose keys a peer may choose. Without a secret seed a peer could choose keys that all have
 * one hash, and make a table slow.
 *
 * Each process has one seed, drawn at the start of a daemon. It is 0 in the simulator, in tests and in tools, whose
 * runs must be repeatable. A table keeps the seed it was made with. Nothing that is stored, sent or decided may depend
 * on the seed; hashes for such purposes are made without it. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/env.h"

void hash_seed_draw(const struct env *env); /* in main, before there are threads and tables */
uint64_t hash_seed(void);

#endif
