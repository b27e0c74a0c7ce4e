/* "Later on this loop": runs a function once, from the loop, not from inside the caller. For callbacks whose answer
 * is known at once. */
#ifndef AGENT_UTIL_DEFER_H
#define AGENT_UTIL_DEFER_H

#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <uv.h>

void defer_call(uv_loop_t *loop, void (*fn)(void *data), void *data);

#endif
