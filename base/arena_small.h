/* Arenas (base/mem.h) of what holds little for long: an idle watch, say, which has no use for a KiB. */
#ifndef BASE_ARENA_SMALL_H
#define BASE_ARENA_SMALL_H

#include "base/mem.h"

/* As arena_init, but its first block, which is taken at once, has first_bytes of room: below 1 KiB. Further ones are as
 * large as others'. */
void arena_init_small(struct arena *a, size_t first_bytes);

#endif
