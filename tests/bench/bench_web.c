#include "tests/bench/bench_web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc/api.h"

#define TRIES_MAX 1000u /* of connections that are cut before they are open, in all */

void web_die(const char *what, const char *detail)
{
    fprintf(stderr, "bench: %s: %.300s\n", what, detail);
    exit(1);
}

void web_send(struct web *w, const char *head, struct str body)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "%s\r\nHost: master\r\nContent-Length: %zu\r\n\r\n", head, body.n);
    buf_append_str(&b, body);
    w->busy = true;
    w->sent_us = kit_now_us();
    net_conn_send(w->conn, b.data, b.size);
}

/* The answer's size, if it is whole; 0: not yet. */
static size_t whole(const struct buf *in)
{
    const char *text = (const char *)in->data, *end = in->size == 0 ? NULL : memmem(text, in->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - text) + 4;
    const char *length = memmem(text, head, "Content-Length: ", 16);
    if (length != NULL) {
        size_t n = head + strtoul(length + 16, NULL, 10);
        return in->size >= n ? n : 0;
    }
    return in->size > head + 5 && memcmp(text + in->size - 5, "0\r\n\r\n", 5) == 0 ? in->size : 0;
}

static void go_on(struct web *w)
{
    struct web_run *r = w->run;
    bool more = r->until_us == 0 ? r->next < r->most : kit_now_us() < r->until_us;
    if (r->ask != NULL && more) {
        r->next++;
        r->ask(w);
    } else if (r->ask != NULL) {
        r->done = r->answered == r->next;
    } else {
        r->done = true;
    }
}

static void on_told(struct web *w)
{
    struct web_run *r = w->run;
    if (r->mark != NULL && memmem(w->in.data, w->in.size, r->mark, strlen(r->mark)) != NULL) {
        samples_add(&r->took, kit_now_us() - w->sent_us);
        r->done = ++r->told == r->count;
        buf_reset(&w->in);
    }
}

static void on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    (void)c;
    struct web *w = data;
    buf_append(&w->in, p, n);
    if (!w->open && whole(&w->in) > 0 && memcmp(w->in.data, "HTTP/1.1 20", 11) != 0) {
        if (!w->run->tolerant) {
            web_die("an answer", buf_cstr(&w->in));
        }
        w->run->refused++; /* and closed, in a moment */
        buf_reset(&w->in);
        return;
    }
    if (!w->open) {
        w->open = whole(&w->in) > 0;
        w->run->open += w->open;
        w->run->all_open = w->run->open == w->run->count;
        w->busy = !w->open;
        if (w->open) {
            buf_reset(&w->in);
        }
        return;
    }
    if (w->run->watches) {
        on_told(w);
        return;
    }
    if (w->busy && whole(&w->in) > 0) {
        bool good = memcmp(w->in.data, "HTTP/1.1 20", 11) == 0;
        if (!good && !w->run->tolerant) {
            web_die("an answer", buf_cstr(&w->in));
        }
        w->run->refused += !good;
        w->busy = false;
        w->run->answered++;
        samples_add(&w->run->took, kit_now_us() - w->sent_us);
        if (w->run->ask != NULL) {
            buf_reset(&w->in);
        }
        go_on(w);
    }
}

static void on_open(struct net_conn *c, void *data)
{
    (void)c;
    web_send(data, "GET /version HTTP/1.1", STR_NONE); /* it is open when the master has looked at the certificate */
}

static void on_close(struct net_conn *c, const struct error *why, void *data)
{
    (void)c;
    struct web *w = data;
    w->conn = NULL;
    buf_reset(&w->in);
    if (!w->open && !w->run->tolerant && w->run->lost++ < TRIES_MAX) {
        return; /* a busy master cuts handshakes that take long */
    }
    if (why != NULL && !w->run->tolerant) {
        web_die("a connection", why->message);
    }
    w->run->all_closed = ++w->run->closed == w->run->count;
}

static const struct net_conn_events events = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

static void dial(struct web *w, struct kit *k, const char *address)
{
    const struct web_run *r = w->run;
    struct net_tls *tls = r->as_count == 0 ? k->tls : r->as[(unsigned)(w - r->webs) % r->as_count];
    w->conn = net_connect(&k->loop, tls, address, ALPN_HTTP, 10000, &events, w);
}

static void connect_again(struct web_run *r, struct kit *k, const char *address, unsigned count)
{
    for (unsigned i = 0; i < count && !r->tolerant; i++) {
        struct web *w = &r->webs[i];
        if (w->conn == NULL && !w->open) {
            dial(w, k, address);
        }
    }
}

static void open_all(struct web_run *r, struct kit *k, const char *address)
{
    unsigned count = r->count;
    r->k = k;
    r->webs = xcalloc(count, sizeof *r->webs);
    for (unsigned i = 0; i < count; i++) {
        struct web *w = &r->webs[i];
        bool last = i + 1 == count;
        w->run = r;
        dial(w, k, address);
        if (i % 20 == 19 || last) { /* not more handshakes at a time than a master takes */
            uint64_t end = kit_now_us() + 30000000;
            while (r->open + r->closed < i + 1 && kit_now_us() < end) {
                uv_run(&k->loop, UV_RUN_ONCE);
                connect_again(r, k, address, i + 1);
            }
        }
    }
}

void web_run_open(struct web_run *r, struct kit *k, const char *address, unsigned count)
{
    web_run_open_as(r, k, address, count, NULL, 0);
}

void web_run_open_as(struct web_run *r, struct kit *k, const char *address, unsigned count, struct net_tls *const *as,
                     unsigned as_count)
{
    *r = (struct web_run){.count = count, .as = as, .as_count = as_count};
    open_all(r, k, address);
    if (!r->all_open) {
        web_die("connections", "not all were opened");
    }
}

void web_run_open_some(struct web_run *r, struct kit *k, const char *address, unsigned count)
{
    *r = (struct web_run){.count = count, .tolerant = true};
    open_all(r, k, address);
}

void web_run_close(struct web_run *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        net_conn_close(r->webs[i].conn);
    }
    kit_run(r->k, &r->all_closed, 30000);
    for (unsigned i = 0; i < r->count; i++) {
        buf_close(&r->webs[i].in);
    }
    samples_close(&r->took);
    free(r->webs);
}

uint64_t web_run_all(struct web_run *r, void (*ask)(struct web *w), double seconds, unsigned most)
{
    uint64_t start = kit_now_us();
    r->ask = ask;
    r->next = r->answered = 0;
    r->most = most;
    r->until_us = seconds > 0 ? start + (uint64_t)(seconds * 1e6) : 0;
    r->done = false;
    r->took.count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        go_on(&r->webs[i]);
    }
    kit_run(r->k, &r->done, 120000);
    r->ask = NULL;
    return kit_now_us() - start;
}

void web_one(struct web *w, const char *head, struct str body)
{
    buf_reset(&w->in);
    w->run->done = false;
    web_send(w, head, body);
    kit_run(w->run->k, &w->run->done, 60000);
}
