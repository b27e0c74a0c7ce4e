/* The seed of hash tables whose keys a peer may choose: without it anybody could choose keys that all fall onto one
 * another.
 *
 * One seed a process, drawn at the start of a daemon; 0 in the simulator, in tests and in tools, whose courses are
 * repeated. A table keeps the seed it was made with. Nothing that is stored, sent or decided may depend on it: what
 * is hashed for that has no seed. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/env.h"

void hash_seed_draw(const struct env *env); /* in main, before there are threads and tables */
uint64_t hash_seed(void);

#endif
