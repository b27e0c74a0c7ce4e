/* Channels: two of them over a world of streams that are cut at every point, and peers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/env.h"
#include "base/mem.h"
#include "proto/rpc/channel.h"

#define QUEUE_MAX 64u

/* One direction of one stream: payloads on their way. */
struct pipe {
    struct buf payloads[QUEUE_MAX];
    unsigned count, room;
};
struct end {
    struct channel c;
    uint64_t written, got, dealt; /* bytes of the stream of numbers */
    bool over, heard_over;
    struct error why;
};
struct world {
    struct rng rng;
    struct end client, node;
    struct pipe to_node, to_client;
    bool connected;
    unsigned cuts, refused;
};

static uint8_t number_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

static void payload_of(struct buf *b, uint64_t from, size_t n)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        buf_putc(&bytes, (char)number_at(from + i));
    }
    mp_write_bin(b, bytes.data, bytes.size);
}

static void pipe_clear(struct pipe *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        buf_close(&p->payloads[i]);
    }
    p->count = 0;
}

static void send_all(struct end *e, struct pipe *p)
{
    struct str payload;
    while (p->count < p->room && channel_next(&e->c, &payload)) {
        buf_append_str(&p->payloads[p->count++], payload);
        channel_took(&e->c);
    }
}

static void receive_one(struct world *w, struct end *e, struct pipe *p)
{
    struct buf b = p->payloads[0];
    memmove(p->payloads, p->payloads + 1, --p->count * sizeof *p->payloads);
    p->payloads[p->count] = BUF_INIT;
    struct mp m = mp_of(b.data, b.size);
    struct error err = {0};
    struct str bytes;
    switch (channel_in(&e->c, m, &err)) {
    case CHANNEL_DATA:
        assert_true(mp_read_bin(&m, &bytes));
        for (size_t i = 0; i < bytes.n; i++) {
            assert_int_equal((uint8_t)bytes.p[i], number_at(e->got + i));
        }
        e->got += bytes.n;
        e->dealt += b.size;
        if (rng_below(&w->rng, 2) == 0) {
            channel_consumed(&e->c, (size_t)e->dealt);
            e->dealt = 0;
        }
        break;
    case CHANNEL_OWN:
        break;
    case CHANNEL_ENDED:
        assert_false(e->heard_over);
        e->heard_over = true;
        e->why = err;
        break;
    case CHANNEL_BAD:
        fail_msg("%s", err.message);
    }
    assert_true(e->c.out.kept.size <=
                2 * (CHANNEL_WINDOW + 300000)); /* short payloads have their lengths beside them */
    buf_close(&b);
}

static void write_some(struct world *w, struct end *e, uint64_t total, size_t most)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint64_t some = 1 + rng_below(&w->rng, most);
    size_t n = (size_t)MIN(some, total - e->written);
    if (n == 0) {
        if (!e->over) {
            struct error why = {0};
            error_set(&why, ERR_NOT_FOUND, "the end of it");
            channel_end(&e->c, e == &w->node ? &why : NULL);
            e->over = true;
        }
        return;
    }
    payload_of(&b, e->written, n);
    int rc = channel_write(&e->c, buf_str(&b));
    assert_true(rc == 0 || rc == ERR_BUSY);
    w->refused += rc != 0;
    e->written += rc == 0 ? n : 0;
}

static void cut(struct world *w)
{
    pipe_clear(&w->to_node);
    pipe_clear(&w->to_client);
    channel_cut(&w->client.c);
    w->connected = false;
    w->cuts++;
}

/* The client asks; the node may find that out before or after it has lost the old stream. */
static void reconnect(struct world *w)
{
    struct error err = {0};
    if (rng_below(&w->rng, 2) == 0) {
        channel_cut(&w->node.c);
    }
    if (channel_resume(&w->node.c, channel_received(&w->client.c), &err) != 0) {
        fail_msg("%s", err.message);
    }
    w->connected = true;
}

static void run(uint64_t seed, uint64_t total, size_t most, unsigned cut_one_in)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->rng.state = seed;
    w->connected = true;
    channel_init(&w->client.c, false);
    channel_init(&w->node.c, true);
    for (uint64_t steps = 0; !w->client.heard_over || !w->node.heard_over; steps++) {
        if (steps == 100 * (total + 10000)) {
            fail_msg("seed %d stands still after %u cuts: %d and %d bytes of %d", (int)seed, w->cuts,
                     (int)w->client.got, (int)w->node.got, (int)total);
        }
        w->to_node.room = w->to_client.room = 1 + (unsigned)rng_below(&w->rng, QUEUE_MAX - 1);
        switch (rng_below(&w->rng, 6)) {
        case 0:
            write_some(w, &w->client, total, most);
            break;
        case 1:
            write_some(w, &w->node, total, most);
            break;
        case 2:
            for (uint64_t i = rng_below(&w->rng, 8); i > 0 && w->to_node.count > 0 && w->connected; i--) {
                receive_one(w, &w->node, &w->to_node);
            }
            break;
        case 3:
            for (uint64_t i = rng_below(&w->rng, 8); i > 0 && w->to_client.count > 0 && w->connected; i--) {
                receive_one(w, &w->client, &w->to_client);
            }
            break;
        case 4:
            for (unsigned i = 0; i < 2; i++) { /* who has dealt with all of it says so at last */
                struct end *e = i == 0 ? &w->client : &w->node;
                channel_consumed(&e->c, (size_t)e->dealt);
                e->dealt = 0;
            }
            break;
        case 5:
            if (!w->connected) {
                reconnect(w);
            } else if (w->client.c.known && rng_below(&w->rng, cut_one_in) == 0) {
                cut(w);
            }
            break;
        }
        if (w->connected) {
            send_all(&w->client, &w->to_node);
            send_all(&w->node, &w->to_client);
        }
    }
    assert_true(w->client.got == total && w->node.got == total);
    assert_int_equal(w->client.why.code, ERR_NOT_FOUND);
    assert_string_equal(w->client.why.message, "the end of it");
    assert_int_equal(w->node.why.code, 0);
    if (cut_one_in < 100) {
        assert_true(w->cuts > 0);
    }
    pipe_clear(&w->to_node);
    pipe_clear(&w->to_client);
    channel_close(&w->client.c);
    channel_close(&w->node.c);
    free(w);
}

static void whatever_is_cut_arrives_once_and_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        run(seed, 3000, 40, 1 + (unsigned)(seed % 12));
    }
    for (uint64_t seed = 1; seed <= 12; seed++) {
        run(seed, 4000000, seed % 2 == 0 ? 300000 : 40000, 3 + (unsigned)seed); /* the window fills */
    }
}

/* ---- The window ---- */

static int write_n(struct channel *c, size_t n)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    payload_of(&b, 0, n);
    return channel_write(c, buf_str(&b));
}

static void sender_stops_at_the_window_and_goes_on_with_the_acknowledgement(void **state)
{
    (void)state;
    struct channel c;
    struct str p;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    channel_init(&c, true);
    unsigned n = 0;
    while (write_n(&c, 100000) == 0) {
        n++;
    }
    assert_int_equal(n, 11); /* one may pass the border */
    assert_false(channel_room(&c));
    while (channel_next(&c, &p)) {
        channel_took(&c);
    }
    mp_write_array(&b, 2);
    mp_write_uint(&b, 0);
    mp_write_uint(&b, 200010);
    assert_int_equal(channel_in(&c, mp_of(b.data, b.size), &err), CHANNEL_OWN);
    assert_true(channel_room(&c));
    assert_false(channel_room(&c)); /* told once */
    assert_int_equal(write_n(&c, 100000), 0);
    channel_end(&c, NULL);
    assert_int_equal(write_n(&c, 1), ERR_CLOSED);
    channel_close(&c);
}

static void idle_channel_keeps_no_more_than_a_step(void **state)
{
    (void)state;
    struct channel from, to;
    struct str p;
    struct error err = {0};
    channel_init(&from, true);
    channel_init(&to, false);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(write_n(&from, 5000), 0);
        while (channel_next(&from, &p)) {
            if (channel_in(&to, mp_of(p.p, p.n), &err) == CHANNEL_DATA) {
                channel_consumed(&to, p.n);
            }
            channel_took(&from);
        }
        while (channel_next(&to, &p)) {
            assert_int_equal(channel_in(&from, mp_of(p.p, p.n), &err), CHANNEL_OWN);
            channel_took(&to);
        }
        assert_true(from.out.kept.size < CHANNEL_ACK_STEP + 6000);
    }
    channel_close(&from);
    channel_close(&to);
}

static void plain_channel_keeps_nothing_of_what_went_out(void **state)
{
    (void)state;
    struct channel c;
    struct str p;
    channel_init(&c, false);
    while (write_n(&c, 100000) == 0) {
    }
    while (channel_next(&c, &p)) {
        channel_took(&c);
    }
    assert_false(channel_room(&c));
    channel_set_plain(&c);
    assert_true(channel_room(&c));
    assert_int_equal(c.out.kept.size, 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(write_n(&c, 100000), 0);
        assert_true(channel_next(&c, &p));
        channel_took(&c);
        assert_int_equal(c.out.kept.size, 0);
    }
    channel_close(&c);
}

/* ---- Peers that break the rules ---- */

static int got(struct channel *c, unsigned words, uint64_t kind, uint64_t n)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    mp_write_array(&b, words);
    mp_write_uint(&b, kind);
    for (unsigned i = 1; i < words; i++) {
        mp_write_uint(&b, n);
    }
    return channel_in(c, mp_of(b.data, b.size), &err);
}

static void channel_sent(struct channel *c, size_t n)
{
    struct str p;
    channel_init(c, true);
    assert_int_equal(write_n(c, n), 0);
    while (channel_next(c, &p)) {
        channel_took(c);
    }
}

static void what_was_not_sent_is_neither_acknowledged_nor_sent_again(void **state)
{
    (void)state;
    static const uint64_t absurd[] = {1, 101, 103, 5000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(absurd); i++) {
        struct channel c;
        struct error err = {0};
        struct str p;
        channel_sent(&c, 100); /* a payload of 102 bytes */
        if (absurd[i] > 102) {
            assert_int_equal(got(&c, 2, 0, absurd[i]), CHANNEL_BAD);
        }
        assert_int_equal(channel_resume(&c, absurd[i], &err), ERR_USAGE);
        assert_false(channel_next(&c, &p)); /* as it was */
        assert_int_equal(channel_resume(&c, 0, &err), 0);
        assert_true(channel_next(&c, &p)); /* the greeting */
        channel_took(&c);
        assert_true(channel_next(&c, &p));
        assert_int_equal(p.n, 102);
        channel_took(&c);
        assert_int_equal(got(&c, 2, 0, 102), CHANNEL_OWN);
        assert_int_equal(channel_resume(&c, 0, &err), ERR_USAGE); /* that is not kept any more */
        assert_int_equal(channel_resume(&c, 102, &err), 0);
        channel_close(&c);
    }
    struct channel c; /* written, but never sent */
    struct error err = {0};
    channel_init(&c, true);
    assert_int_equal(write_n(&c, 100), 0);
    assert_int_equal(channel_resume(&c, 102, &err), ERR_USAGE);
    assert_int_equal(got(&c, 2, 0, 102), CHANNEL_BAD);
    channel_close(&c);
}

static void arrays_that_say_nothing_are_refused(void **state)
{
    (void)state;
    struct channel c;
    channel_sent(&c, 100);
    assert_int_equal(got(&c, 1, 0, 0), CHANNEL_BAD);
    assert_int_equal(got(&c, 3, 0, 0), CHANNEL_BAD);
    assert_int_equal(got(&c, 2, 7, 0), CHANNEL_BAD);
    assert_int_equal(got(&c, 2, UINT64_MAX, 0), CHANNEL_BAD);
    assert_int_equal(got(&c, 2, 2, 0), CHANNEL_BAD); /* a client does not greet */
    channel_close(&c);
    channel_init(&c, false);
    assert_int_equal(got(&c, 2, 2, 5), CHANNEL_BAD); /* nothing was sent yet */
    channel_close(&c);
    channel_init(&c, false);
    assert_int_equal(got(&c, 2, 2, 0), CHANNEL_OWN);
    assert_int_equal(got(&c, 2, 2, 0), CHANNEL_BAD); /* twice */
    channel_close(&c);
}

static void who_sends_more_than_the_window_is_refused_over_however_many_streams(void **state)
{
    (void)state;
    struct channel c;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    channel_init(&c, true);
    payload_of(&b, 0, 100000);
    enum channel_got got_ = CHANNEL_DATA;
    unsigned n = 0;
    for (; got_ == CHANNEL_DATA && n < 100; n++) {
        assert_int_equal(channel_resume(&c, 0, &err), 0);
        got_ = channel_in(&c, mp_of(b.data, b.size), &err);
    }
    assert_int_equal(got_, CHANNEL_BAD);
    assert_int_equal(n, 12);
    channel_close(&c);
}

static void nothing_comes_after_the_end_or_before_the_greeting(void **state)
{
    (void)state;
    struct channel c;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT, end = BUF_INIT;
    payload_of(&b, 0, 10);
    mp_write_array(&end, 2);
    mp_write_uint(&end, 1);
    mp_write_nil(&end);
    channel_init(&c, false);
    assert_int_equal(got(&c, 2, 2, 0), CHANNEL_OWN);
    channel_cut(&c);
    assert_int_equal(channel_in(&c, mp_of(b.data, b.size), &err), CHANNEL_BAD);
    assert_int_equal(got(&c, 2, 2, 0), CHANNEL_OWN);
    assert_int_equal(channel_in(&c, mp_of(b.data, b.size), &err), CHANNEL_DATA);
    assert_int_equal(channel_in(&c, mp_of(end.data, end.size), &err), CHANNEL_ENDED);
    assert_int_equal(channel_in(&c, mp_of(b.data, b.size), &err), CHANNEL_BAD);
    assert_int_equal(channel_in(&c, mp_of(end.data, end.size), &err), CHANNEL_OWN); /* said again after a cut */
    buf_close(&end);
    channel_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_cut_arrives_once_and_in_order),
        cmocka_unit_test(sender_stops_at_the_window_and_goes_on_with_the_acknowledgement),
        cmocka_unit_test(idle_channel_keeps_no_more_than_a_step),
        cmocka_unit_test(plain_channel_keeps_nothing_of_what_went_out),
        cmocka_unit_test(what_was_not_sent_is_neither_acknowledged_nor_sent_again),
        cmocka_unit_test(arrays_that_say_nothing_are_refused),
        cmocka_unit_test(who_sends_more_than_the_window_is_refused_over_however_many_streams),
        cmocka_unit_test(nothing_comes_after_the_end_or_before_the_greeting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
