/* One TLS connection: libuv's bytes through OpenSSL and back.
 *
 * Writing is put off to the end of the loop's turn: net_conn_send only appends, and an idle handle, which libuv runs
 * before it waits again, encrypts what has gathered into few large records and hands it to the kernel in one write.
 * Encryption runs at most NET_CIPHER_HIGH ahead of the kernel, so what waits for a slow peer waits once, in `plain`.
 * An idle connection holds no buffers.
 *
 * Invariants: OpenSSL is entered from the loop, or from the thread while c is away (net/worker.h), never from inside a
 * callback of ours; nothing is called after CLOSED but on_close, once; c is freed there. */
#include "proto/net/net_int.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_S     15
#define USER_TIMEOUT_MS 30000

struct write_req {
    uv_write_t req;
    struct net_conn *c;
    uint8_t *bytes;
};

static void on_kick(uv_idle_t *h);
static void on_timer(uv_timer_t *h);

struct net_conn *net_conn_new(uv_loop_t *loop, struct net_tls *tls, bool server, enum net_state state,
                              const struct net_conn_side *side)
{
    struct net_conn *c = xcalloc(1, sizeof *c);
    int rv = uv_tcp_init(loop, &c->tcp) | uv_timer_init(loop, &c->timer) | uv_idle_init(loop, &c->kick);
    assert(rv == 0);
    (void)rv;
    c->tcp.data = c->timer.data = c->kick.data = c;
    c->handles = 3;
    c->side = side;
    c->server = server;
    c->state = state;
    c->tls = net_tls_ref(tls);
    net_outgoing_init(&c->plain);
    list_init(&c->link);
    list_init(&c->step_link);
    list_init(&c->read_link);
    list_init(&c->write_link);
    return c;
}

static void kick(struct net_conn *c)
{
    if (c->state != NET_CLOSED) {
        uv_idle_start(&c->kick, on_kick);
    }
}

bool net_conn_prove(struct net_conn *c, const struct pki_identity *who)
{
    return net_gate_prove(&c->place, who);
}

/* ---- The end ---- */

static void release(struct net_conn *c)
{
    assert(c->state == NET_CLOSED && c->handles > 0);
    if (--c->handles > 0) {
        return;
    }
    assert(!c->writing && c->resolve == NULL);
    net_gate_leave(&c->place);
    if (c->side->gone != NULL) {
        c->side->gone(c);
    }
    if (c->events.on_close != NULL) {
        c->events.on_close(c, c->failed ? c->why : NULL, c->data);
    }
    SSL_free(c->ssl);
    net_known_give(c->tls, c->shown);
    net_known_give(c->tls, c->peer);
    net_tls_unref(c->tls);
    net_outgoing_close(&c->plain);
    buf_close(&c->cipher);
    buf_close(&c->stash);
    buf_close(&c->step_bytes);
    free(c->alpn);
    free(c->addr);
    free(c->why);
    free(c->found);
    free(c);
}

void net_conn_on_handle_closed(uv_handle_t *h)
{
    release(h->data);
}

static void close_handle(uv_handle_t *h)
{
    if (!uv_is_closing(h)) { /* a socket may be between two addresses: then its callback goes on for us */
        uv_close(h, net_conn_on_handle_closed);
    }
}

static void enter_closed(struct net_conn *c)
{
    if (c->state == NET_CLOSED) {
        return;
    }
    c->state = NET_CLOSED;
    if (c->listener != NULL && c->listener->config.worker != NULL && !c->away) {
        net_worker_forget(c->listener->config.worker, c);
    }
    list_remove(&c->read_link);
    list_remove(&c->write_link);
    if (c->side->closes != NULL) {
        c->side->closes(c);
    }
    close_handle((uv_handle_t *)&c->tcp);
    close_handle((uv_handle_t *)&c->timer);
    close_handle((uv_handle_t *)&c->kick);
}

/* The reason is known; whoever waits for the handshake's outcome is told. */
static void mark_failed(struct net_conn *c)
{
    assert(c->why != NULL);
    if (!c->failed) {
        c->failed = true;
        if (c->state == NET_HANDSHAKE && c->side->failed != NULL) {
            c->side->failed(c);
        }
    }
}

void net_conn_fail(struct net_conn *c)
{
    if (c->state == NET_CLOSED) {
        return;
    }
    /* After net_conn_close the owner knows why it ends. */
    if (c->state != NET_FLUSHING) {
        mark_failed(c);
    }
    enter_closed(c);
}

/* What is there goes out at once: its time runs, so it does not wait for others. */
static void begin_flush(struct net_conn *c)
{
    c->state = NET_FLUSHING;
    list_remove(&c->write_link);
    uv_timer_start(&c->timer, on_timer, NET_FLUSH_MS, 0);
    kick(c);
}

/* OpenSSL has put an alert into `cipher` that tells the peer why: let it out first. */
static void fail_with_alert(struct net_conn *c)
{
    if (c->state >= NET_FLUSHING) {
        return;
    }
    net_conn_blame_found(c);
    mark_failed(c);
    c->await_eof = c->server && c->state == NET_HANDSHAKE;
    c->notify_sent = true;
    begin_flush(c);
}

void net_conn_close(struct net_conn *c)
{
    switch (c->state) {
    case NET_RESOLVING:
    case NET_CONNECTING:
    case NET_HANDSHAKE:
        enter_closed(c);
        break;
    case NET_OPEN:
        begin_flush(c);
        break;
    case NET_FLUSHING:
        c->patience_ms = 0;
        break;
    case NET_CLOSED:
        break;
    }
}

void net_conn_abort(struct net_conn *c)
{
    net_conn_close(c);
    if (c->state == NET_FLUSHING) {
        enter_closed(c);
    }
}

static void on_timer(uv_timer_t *h)
{
    struct net_conn *c = h->data;
    if (c->state == NET_FLUSHING && net_conn_may_take_more(c)) {
        uv_timer_start(&c->timer, on_timer, NET_FLUSH_MS, 0);
        return;
    }
    if (c->state == NET_FLUSHING) {
        enter_closed(c);
        return;
    }
    if (c->state == NET_OPEN) { /* refused, and told so; it had its time to read it */
        net_conn_close(c);
        return;
    }
    const char *what = c->state == NET_RESOLVING    ? "the name was not resolved"
                       : c->state == NET_CONNECTING ? "no answer"
                                                    : "no TLS handshake";
    net_conn_blame(c, ERR_TIMEOUT, "%s within %lld ms", what, (long long)c->timeout_ms);
    net_conn_fail(c);
}

void net_conn_start_timer(struct net_conn *c)
{
    uv_timer_start(&c->timer, on_timer, (uint64_t)c->timeout_ms, 0);
}

/* ---- Out ---- */

bool net_conn_waits(const struct net_conn *c)
{
    return !list_empty(&c->write_link) && c->flying == 0;
}

size_t net_conn_pending(const struct net_conn *c)
{
    return net_outgoing_size(&c->plain) + c->cipher.size + c->flying;
}

static void sent(struct net_conn *c)
{
    c->above_low = c->above_low || net_conn_pending(c) >= NET_LOW_WATER;
    if (c->state == NET_OPEN && !c->writing) {
        kick(c);
    }
}

void net_conn_send(struct net_conn *c, const void *p, size_t n)
{
    if (c->state < NET_FLUSHING && n > 0) {
        /* Behind much more follows, as a rule: it does not grow step by step. */
        net_outgoing_append(&c->plain, p, n, n >= NET_WRITE_MUCH ? NET_LOW_WATER : 0);
        sent(c);
    }
}

void net_conn_give(struct net_conn *c, struct buf *b, size_t at)
{
    if (c->state >= NET_FLUSHING || b->size == at) {
        buf_close(b);
        return;
    }
    net_outgoing_give(&c->plain, b, at);
    sent(c);
}

/* OpenSSL has a buffer of 17 KB for a record, which an idle connection is not to have: it gives it back, and that is
 * wiped (pki_wipe_what_is_freed). Of many records in a row, behind the last one. */
static void keep_buffer(struct net_conn *c, bool keep)
{
    if (keep != c->keeps_buffer) {
        c->keeps_buffer = keep;
        (void)(keep ? SSL_clear_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS)
                    : SSL_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS));
    }
}

/* Move bytes from plain to cipher. false if OpenSSL failed. */
static bool encrypt(struct net_conn *c)
{
    size_t left = net_outgoing_size(&c->plain), most = MIN(left, (size_t)NET_CIPHER_HIGH);
    if (most > NET_RECORD_BYTES && c->cipher.cap == 0) {
        buf_reserve(&c->cipher, most + (most / NET_RECORD_BYTES + 2) * NET_RECORD_MORE + NET_RECORD_BYTES);
    }
    while (left > 0 && c->cipher.size < NET_CIPHER_HIGH) {
        struct str next = net_outgoing_next(&c->plain);
        size_t n = MIN(next.n, (size_t)NET_RECORD_BYTES);
        bool last = n == left || c->cipher.size + n + NET_RECORD_MORE >= NET_CIPHER_HIGH;
        keep_buffer(c, !last);
        ERR_clear_error();
        int rv = SSL_write(c->ssl, next.p, (int)n);
        if (rv <= 0) {
            net_tls_explain(c);
            net_conn_blame_found(c);
            return false;
        }
        net_outgoing_took(&c->plain, (size_t)rv);
        left -= (size_t)rv;
    }
    return true;
}

static void pump_out(struct net_conn *c);

static void on_written(uv_write_t *req, int status)
{
    struct write_req *w = CONTAINER_OF(req, struct write_req, req);
    struct net_conn *c = w->c;
    free(w->bytes);
    free(w);
    c->writing = false;
    c->flying = 0;
    if (c->state == NET_CLOSED) {
        return;
    }
    if (status < 0) {
        net_conn_blame(c, err_from_errno(status), "write: %s", uv_strerror(status));
        net_conn_fail(c);
        return;
    }
    if (c->state == NET_FLUSHING) {
        uv_timer_start(&c->timer, on_timer, NET_FLUSH_MS, 0); /* the peer takes it, so it may go on */
    }
    if (net_writer_has_much(c)) {
        kick(c); /* when it is its turn */
    } else if (!c->away) {
        pump_out(c);
    }
}

/* Give the kernel what it takes now and the rest to libuv. */
static bool write_cipher(struct net_conn *c)
{
    uv_buf_t b = uv_buf_init((char *)c->cipher.data, (unsigned)c->cipher.size);
    int rv = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    if (rv < 0 && rv != UV_EAGAIN) {
        net_conn_blame(c, err_from_errno(rv), "write: %s", uv_strerror(rv));
        return false;
    }
    size_t done = rv < 0 ? 0 : (size_t)rv;
    if (c->listener != NULL) {
        c->listener->stats.bytes_out += c->cipher.size;
    }
    if (done == c->cipher.size) {
        buf_close(&c->cipher);
        return true;
    }
    struct write_req *w = xcalloc(1, sizeof *w);
    size_t size;
    w->c = c;
    w->bytes = buf_take(&c->cipher, &size);
    b = uv_buf_init((char *)w->bytes + done, (unsigned)(size - done));
    rv = uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written);
    if (rv < 0) {
        free(w->bytes);
        free(w);
        net_conn_blame(c, err_from_errno(rv), "write: %s", uv_strerror(rv));
        return false;
    }
    c->writing = true;
    c->flying = size - done;
    return true;
}

/* Everything is with the kernel and the connection is FLUSHING. */
static void flushed(struct net_conn *c)
{
    if (!c->await_eof) {
        enter_closed(c);
        return;
    }
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        shutdown(fd, SHUT_WR);
    }
}

static void pump_counted(struct net_conn *c)
{
    if (!net_writer_has_much(c)) {
        pump_out(c);
        return;
    }
    struct net_listener *l = c->listener; /* lives as long as c, which goes in a later turn of the loop */
    uint64_t start = uv_hrtime();
    pump_out(c);
    l->writes.used_ns += uv_hrtime() - start;
}

static void pump_out(struct net_conn *c)
{
    bool ok = true;
    while (ok && !c->writing) {
        if (c->state == NET_OPEN || (c->state == NET_FLUSHING && !c->failed)) {
            ok = encrypt(c);
        }
        if (ok && c->state == NET_FLUSHING && !c->notify_sent && net_outgoing_size(&c->plain) == 0) {
            c->notify_sent = true;
            ERR_clear_error();
            SSL_shutdown(c->ssl); /* only our half; the answer is not waited for */
            ERR_clear_error();
        }
        if (c->cipher.size == 0) {
            break;
        }
        ok = ok && write_cipher(c);
    }
    if (!ok) {
        net_conn_fail(c);
    } else if (c->state == NET_FLUSHING && !c->writing) {
        flushed(c);
    } else if (c->above_low && net_conn_pending(c) < NET_LOW_WATER) {
        c->above_low = false;
        if (c->state == NET_OPEN && c->events.on_drain != NULL) {
            c->events.on_drain(c, c->data);
        }
    }
}

/* ---- In ---- */

static void take_step(struct net_conn *c, enum net_step step)
{
    switch (step) {
    case NET_STEP_MORE:
        break;
    case NET_STEP_FAILED:
        fail_with_alert(c);
        break;
    case NET_STEP_DONE:
        uv_timer_stop(&c->timer);
        c->state = NET_OPEN;
        c->side->opened(c);
        break;
    }
}

/* OpenSSL takes a buffer of 17 KB for each record that it is asked for, and wipes it (pki_wipe_what_is_freed). So it is
 * not asked for one when there is not a byte of it. */
static bool has_input(const struct net_conn *c)
{
    return c->in_size > 0 || SSL_has_pending(c->ssl) == 1;
}

static void decrypt(struct net_conn *c)
{
    uint8_t record[NET_RECORD_BYTES];
    while (c->state == NET_OPEN && !c->paused && has_input(c)) {
        ERR_clear_error();
        int rv = SSL_read(c->ssl, record, sizeof record);
        if (rv > 0) {
            if (c->events.on_data != NULL) {
                c->events.on_data(c, record, (size_t)rv, c->data);
            }
            continue;
        }
        switch (SSL_get_error(c->ssl, rv)) {
        case SSL_ERROR_WANT_READ:
            return;
        case SSL_ERROR_ZERO_RETURN:
            net_conn_blame(c, ERR_CLOSED, "closed by the peer");
            net_conn_fail(c);
            return;
        default:
            net_tls_explain(c);
            fail_with_alert(c);
            return;
        }
    }
}

static void read_stop(struct net_conn *c)
{
    if (c->reading) {
        uv_read_stop((uv_stream_t *)&c->tcp);
        c->reading = false;
    }
}

/* Behind the handshake, or its step. */
static void process_rest(struct net_conn *c)
{
    if (c->state == NET_OPEN) {
        decrypt(c);
    }
    if (c->paused && c->state == NET_OPEN) {
        read_stop(c); /* before more comes: what is kept stays below one read */
        buf_append(&c->stash, c->in, c->in_size);
    }
    c->in = NULL;
    c->in_size = 0;
    c->in_process = false;
    if (net_conn_pending(c) > c->flying) {
        kick(c);
    }
}

/* Ciphertext p goes through OpenSSL, as far as it may now. */
static void process(struct net_conn *c, const uint8_t *p, size_t n)
{
    assert(!c->in_process && !c->away && c->in_size == 0);
    c->in_process = true;
    c->in = p;
    c->in_size = n;
    if (c->state == NET_HANDSHAKE) {
        take_step(c, net_conn_step(c));
    }
    process_rest(c);
}

/* When thousands of peers speak at once, libuv reads from all of them in one turn of the loop. So that the loop gets to
 * its other work in between, what has been read for long enough is followed by the reads of a later turn. */
static bool reads_enough(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    if (l == NULL || !l->reads.bounded || c->state != NET_OPEN) {
        return false;
    }
    l->reads.since_ns = uv_hrtime();
    return l->reads.used_ns >= l->reads.share_ns && !c->read_granted;
}

static void read_took(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    c->read_granted = false;
    if (l != NULL && l->reads.since_ns != 0) {
        l->reads.used_ns += uv_hrtime() - l->reads.since_ns;
        l->reads.since_ns = 0;
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct net_conn *c = h->data;
    (void)suggested;
    if (reads_enough(c)) {
        *out = uv_buf_init(NULL, 0); /* nothing is read: UV_ENOBUFS */
        return;
    }
    char *kept = TAKE_PTR(c->tls->read_bytes);
    *out = uv_buf_init(kept == NULL ? xmalloc(NET_READ_BYTES) : kept, NET_READ_BYTES);
}

/* What was read is with OpenSSL: the next connection reads into the same place. */
static void read_done(struct net_conn *c, char *bytes)
{
    if (bytes != NULL && c->tls->read_bytes == NULL) {
        c->tls->read_bytes = bytes;
    } else {
        free(bytes);
    }
}

/* What a peer has said first is worth a step: its first record is whole, or none that TLS would wait for. So who sends
 * it byte by byte costs one step, and has no more here than a record and a read. */
static bool is_step(const struct buf *b)
{
    const uint8_t *head = b->data;
    if (b->size < SSL3_RT_HEADER_LENGTH) {
        return false;
    }
    size_t n = (size_t)head[3] << 8 | head[4];
    return head[0] != SSL3_RT_HANDSHAKE || head[1] != SSL3_VERSION_MAJOR || n > NET_RECORD_BYTES ||
           b->size >= SSL3_RT_HEADER_LENGTH + n;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct net_conn *c = stream->data;
    if (n == UV_ENOBUFS && b->base == NULL) {
        assert(c->listener != NULL && list_empty(&c->read_link));
        c->listener->reads.since_ns = 0;
        read_stop(c);
        list_push_back(&c->listener->reads.waiting, &c->read_link);
        return;
    }
    if (n > 0 && c->state < NET_FLUSHING) {
        if (c->listener != NULL) {
            c->listener->stats.bytes_in += (uint64_t)n;
        }
        if (c->state == NET_HANDSHAKE && c->listener != NULL && c->listener->config.worker != NULL) {
            buf_append(&c->stash, b->base, (size_t)n);
            if (c->ssl != NULL || is_step(&c->stash)) {
                read_stop(c);
                net_worker_take(c->listener->config.worker, c);
            }
        } else {
            process(c, (const uint8_t *)b->base, (size_t)n);
        }
    }
    read_done(c, b->base);
    read_took(c);
    if (n >= 0 || c->state == NET_CLOSED) {
        return;
    }
    if (n == UV_EOF && c->state == NET_HANDSHAKE) {
        net_conn_blame(c, ERR_CLOSED, "closed by the peer during the TLS handshake%s",
                       c->server ? "" : "; does a master listen there, and has it room for another connection?");
    } else if (n == UV_EOF) {
        net_conn_blame(c, ERR_CLOSED, "closed by the peer");
    } else {
        net_conn_blame(c, err_from_errno((int)n), "read: %s", uv_strerror((int)n));
    }
    net_conn_fail(c);
}

static void read_go_on(struct net_conn *c)
{
    if (!c->reading && c->state >= NET_HANDSHAKE && c->state != NET_CLOSED && list_empty(&c->read_link)) {
        c->reading = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0;
    }
}

bool net_conn_read_again(struct net_conn *c)
{
    list_remove(&c->read_link);
    if (c->state == NET_OPEN && c->paused) {
        return false; /* it goes on when it is no more */
    }
    read_go_on(c);
    c->read_granted = c->reading;
    return c->reading;
}

void net_conn_pause(struct net_conn *c, bool paused)
{
    if (c->state >= NET_FLUSHING || c->paused == paused) {
        return;
    }
    c->paused = paused;
    if (!paused) {
        kick(c);
    } else if (c->state == NET_OPEN) {
        read_stop(c);
    }
}

/* With what has been kept, and then with what comes. */
static void go_on(struct net_conn *c)
{
    struct buf kept = c->stash;
    c->stash = BUF_INIT;
    process(c, kept.data, kept.size);
    buf_close(&kept);
    if (c->state == NET_HANDSHAKE || (c->state == NET_OPEN && !c->paused)) {
        read_go_on(c);
    }
}

/* ---- While a step is with the thread ---- */

void net_conn_step_begins(struct net_conn *c)
{
    assert(c->state == NET_HANDSHAKE && !c->away && !c->reading && c->in_size == 0 && c->stash.size > 0);
    c->step_bytes = c->stash;
    c->stash = BUF_INIT;
    c->in = c->step_bytes.data;
    c->in_size = c->step_bytes.size;
    c->away = true;
    c->handles++;
}

void net_conn_step_ended(struct net_conn *c)
{
    assert(c->away && !c->in_process);
    c->away = false;
    if (c->state == NET_CLOSED) {
        release(c);
        return;
    }
    assert(c->state == NET_HANDSHAKE);
    c->handles--;
    c->in_process = true;
    take_step(c, c->stepped);
    process_rest(c);
    buf_close(&c->step_bytes);
    if (c->state == NET_HANDSHAKE || (c->state == NET_OPEN && !c->paused)) {
        read_go_on(c);
    }
}

/* ---- The end of the turn: what was kept back while paused, then what is to be sent ---- */

static void do_kicked(struct net_conn *c);

/* c waits to send, and so the loop does not sleep: it is the turn of the one that has waited longest. */
static void serve_writer(struct net_conn *c)
{
    struct net_conn *first = net_writer_next(c->listener);
    if (first != NULL) {
        do_kicked(first);
    }
}

static void on_kick(uv_idle_t *h)
{
    struct net_conn *c = h->data;
    if (!list_empty(&c->write_link)) {
        serve_writer(c);
    } else if (!net_writer_waits(c)) {
        do_kicked(c);
    }
}

static void do_kicked(struct net_conn *c)
{
    uv_idle_t *h = &c->kick;
    uv_idle_stop(h);
    if (c->away) {
        return; /* it is kicked again when it is back */
    }
    if (c->state == NET_OPEN && !c->paused && !c->reading) {
        go_on(c);
    }
    if (c->state == NET_FLUSHING) {
        read_go_on(c); /* to see the peer's end */
    }
    if (c->state != NET_CLOSED && c->ssl != NULL) {
        uv_idle_stop(h);
        pump_counted(c);
    }
}

void net_conn_start_tls(struct net_conn *c)
{
    uv_os_fd_t fd;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        unsigned ms = USER_TIMEOUT_MS;
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    }
    c->state = NET_HANDSHAKE;
    c->accepted = true;
    read_go_on(c);
    if (c->server) {
        c->timeout_ms = c->listener->config.handshake_ms;
        net_conn_start_timer(c);
    } else {
        process(c, NULL, 0); /* it speaks first */
    }
}

/* ---- Small things ---- */

void net_conn_set_events(struct net_conn *c, const struct net_conn_events *events, void *data)
{
    assert(events != NULL);
    c->events = *events;
    c->data = data;
}
