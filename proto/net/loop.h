/* Loops for programs that may have no descriptors left: libuv ends the process, or leaves a handle that ends it later,
 * where it gets none for a loop and its signals. */
#ifndef PROTO_NET_LOOP_H
#define PROTO_NET_LOOP_H

#include <uv.h>

#include "base/err.h"

#define NET_LOOP_DESCRIPTORS 16u /* for a loop with signals and one connection */

/* Are there as many descriptors at the moment? ERR_LIMIT, with what to do about it. In a program with threads another
 * one may take them before they are used. */
int net_loop_room(struct error *err);
/* uv_loop_init, if there is room. The loop is to be closed only if this succeeded. */
int net_loop_init(uv_loop_t *loop, struct error *err);

#endif
