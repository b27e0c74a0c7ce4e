/* A stream's end for the tests of rpc, the same on both sides: it writes what it has as fast as credit lets it, counts
 * what it reads, and ends as it was told. */
#ifndef TESTS_UNIT_PROTO_RPC_SOURCE_H
#define TESTS_UNIT_PROTO_RPC_SOURCE_H

#include "proto/rpc/rpc.h"
#include "proto_net_kit.h"

/* A payload of n zeros. */
static inline void write_zeros(struct buf *b, size_t n)
{
    char *bytes = xcalloc(1, n);
    mp_write_bin(b, bytes, n);
    free(bytes);
}

struct source {
    struct rpc_stream *st;
    unsigned left, size; /* payloads still to be written, and how large each is */
    unsigned sent, opens, datas, ends, writables;
    size_t got_bytes, unconsumed;
    bool consume;                     /* gives credit back at once */
    bool end_at_zero, end_with_error; /* ends when nothing is left, with "too old" */
    bool end_on_end;                  /* ends when the peer has ended */
    bool ended;
    struct error why;
    bool clean;
};

static inline void source_pump(struct source *o)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    write_zeros(&b, o->size);
    while (o->left > 0) {
        int rv = rpc_stream_write(o->st, buf_str(&b));
        if (rv != 0) {
            assert_int_equal(rv, ERR_BUSY);
            return;
        }
        o->left--;
        o->sent++;
    }
    if (o->end_at_zero && !o->ended) {
        struct error err = {0};
        error_set(&err, ERR_EXPIRED, "too old");
        o->ended = true;
        rpc_stream_end(o->st, o->end_with_error ? &err : NULL);
    }
}

static inline void source_on_open(struct rpc_stream *st, struct mp result, void *data)
{
    struct source *o = data;
    (void)st;
    assert_int_equal(mp_type(mp_get(result, "stream")), MP_INT);
    o->opens++;
}

static inline void source_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct source *o = data;
    struct str bytes;
    assert_false(o->ended);
    assert_true(mp_read_bin(&payload, &bytes));
    o->datas++;
    o->got_bytes += n;
    if (o->consume) {
        rpc_stream_consumed(st, n);
    } else {
        o->unconsumed += n;
    }
}

static inline void source_on_writable(struct rpc_stream *st, void *data)
{
    struct source *o = data;
    (void)st;
    o->writables++;
    source_pump(o);
}

static inline void source_on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct source *o = data;
    o->ends++;
    o->clean = err == NULL;
    if (err != NULL) {
        o->why = *err;
    }
    if (!o->ended && o->end_on_end) {
        o->ended = true;
        rpc_stream_end(st, NULL);
    }
}

static const struct rpc_stream_events source_events = {source_on_open, source_on_data, source_on_writable,
                                                       source_on_end};

#endif
