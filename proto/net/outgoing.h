/* What a connection has to send and has not encrypted yet, in its order. Little things are copied behind each other;
 * large buffers that are given stay as they are, so a piece of an answer is not copied on its way to TLS.
 *
 * Memory: what has not been taken, and of a buffer that was taken in part the whole of it; none when it is empty.
 * Inside of the net files. */
#ifndef PROTO_NET_OUTGOING_H
#define PROTO_NET_OUTGOING_H

#include "base/buf.h"
#include "base/list.h"

#define NET_GIVEN_MIN (16u << 10) /* a smaller buffer is copied: a record of its own would cost more */

struct net_outgoing {
    struct buf first; /* from `at` */
    size_t at;
    struct list behind; /* struct outgoing_part: what comes behind it */
    size_t behind_bytes;
};

void net_outgoing_init(struct net_outgoing *q);
void net_outgoing_close(struct net_outgoing *q); /* drops all of it */
static inline size_t net_outgoing_size(const struct net_outgoing *q)
{
    return q->first.size - q->at + q->behind_bytes;
}
/* Copies. more: how much is likely to follow at once, for which there is room then. */
void net_outgoing_append(struct net_outgoing *q, const void *p, size_t n, size_t more);
/* The bytes of b from `at` on; b is empty afterwards. */
void net_outgoing_give(struct net_outgoing *q, struct buf *b, size_t at);
/* What stands at its beginning in one place, valid until the next call; empty if there is nothing. */
struct str net_outgoing_next(const struct net_outgoing *q);
void net_outgoing_took(struct net_outgoing *q, size_t n); /* so many of them */

#endif
