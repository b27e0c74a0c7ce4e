#include "proto/net/outgoing.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/net/net_int.h"

/* Invariant: where there are parts behind, there is something in `first`. */
struct outgoing_part {
    struct list link;
    struct buf bytes;
    size_t at;
};

void net_outgoing_init(struct net_outgoing *q)
{
    *q = (struct net_outgoing){.first = BUF_INIT};
    list_init(&q->behind);
}

static struct buf take_part(struct net_outgoing *q, struct outgoing_part *p, size_t *at)
{
    struct buf bytes = p->bytes;
    *at = p->at;
    q->behind_bytes -= bytes.size - p->at;
    list_remove(&p->link);
    free(p);
    return bytes;
}

void net_outgoing_close(struct net_outgoing *q)
{
    while (!list_empty(&q->behind)) {
        size_t at;
        struct buf bytes = take_part(q, LIST_ENTRY(q->behind.next, struct outgoing_part, link), &at);
        buf_close(&bytes);
    }
    buf_close(&q->first);
    q->at = 0;
}

static struct outgoing_part *add_part(struct net_outgoing *q, struct buf bytes, size_t at)
{
    struct outgoing_part *p = xcalloc(1, sizeof *p);
    p->bytes = bytes;
    p->at = at;
    q->behind_bytes += bytes.size - at;
    list_push_back(&q->behind, &p->link);
    return p;
}

/* Where n more bytes go: a large buffer does not grow for them. */
static struct buf *place_for(struct net_outgoing *q, size_t n, size_t more)
{
    bool alone = list_empty(&q->behind);
    struct outgoing_part *last = alone ? NULL : LIST_ENTRY(q->behind.prev, struct outgoing_part, link);
    struct buf *b = alone ? &q->first : &last->bytes;
    bool room = b->cap - b->size >= n;
    if (!room && b->size - (alone ? q->at : last->at) >= NET_GIVEN_MIN) {
        b = &add_part(q, BUF_INIT, 0)->bytes;
    } else if (!room && alone && q->at > b->size / 2) {
        buf_consume(b, q->at); /* moves less than was taken since the last time */
        q->at = 0;
    }
    if (b->size == 0) {
        buf_reserve(b, n + more);
    }
    return b;
}

void net_outgoing_append(struct net_outgoing *q, const void *p, size_t n, size_t more)
{
    buf_append(place_for(q, n, more), p, n);
    q->behind_bytes += list_empty(&q->behind) ? 0 : n;
}

void net_outgoing_give(struct net_outgoing *q, struct buf *b, size_t at)
{
    assert(at <= b->size);
    if (b->size - at < NET_GIVEN_MIN) {
        net_outgoing_append(q, b->data + at, b->size - at, 0);
        buf_close(b);
    } else if (net_outgoing_size(q) > 0) {
        add_part(q, *b, at);
    } else {
        buf_close(&q->first);
        q->first = *b;
        q->at = at;
    }
    *b = BUF_INIT;
}

struct str net_outgoing_next(const struct net_outgoing *q)
{
    size_t n = q->first.size - q->at;
    return n == 0 ? STR_NONE : (struct str){(const char *)q->first.data + q->at, n};
}

void net_outgoing_took(struct net_outgoing *q, size_t n)
{
    assert(n <= q->first.size - q->at);
    q->at += n;
    if (q->at < q->first.size) {
        return;
    }
    q->at = 0;
    buf_close(&q->first);
    if (!list_empty(&q->behind)) {
        q->first = take_part(q, LIST_ENTRY(q->behind.next, struct outgoing_part, link), &q->at);
    }
}
