#include "agent/dns/forward.h"

#include <stdlib.h>

#include "agent/dns/cache.h"
#include "base/list.h"

#define PROBE_CHARS 20u

/* One question under way. Its handles close together; it is freed when the last has. */
struct asked {
    struct list link;
    struct dns_forward *forward;
    struct dns_question q;
    uint32_t asker;
    dns_forward_cb *cb; /* NULL: told */
    void *data;
    uv_udp_t udp;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    uv_write_t write;
    struct buf sent;     /* over TCP */
    struct buf received; /* over TCP */
    uint8_t packet[DNS_UDP_MAX + 64];
    uint16_t id;
    unsigned server, tries;
    bool has_udp, has_tcp, closing;
    bool waits; /* for the next try, until the former sockets are closed */
    unsigned open;
    bool probe;
};
struct dns_forward {
    uv_loop_t *loop;
    const struct env *env;
    const struct log *log;
    struct dns_cache *cache;
    struct sockaddr_storage servers[FORWARD_SERVERS_MAX];
    unsigned servers_count, first; /* the one that is asked first */
    unsigned failures;             /* questions without an answer since the last one that had one */
    struct list asked;
    struct dns_forward_stats stats;
    char probe[PROBE_CHARS + 1]; /* the first label of the name that must not come back; "" = none */
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
};

struct dns_forward *dns_forward_new(uv_loop_t *loop, const struct env *env, const struct log *log)
{
    struct dns_forward *f = xcalloc(1, sizeof *f);
    f->loop = loop;
    f->env = env;
    f->log = log;
    f->cache = dns_cache_new(FORWARD_CACHE_BYTES);
    list_init(&f->asked);
    return f;
}

static void free_if_closed(struct dns_forward *f)
{
    if (f->closing && f->stats.under_way == 0) {
        void (*cb)(void *data) = f->closed;
        void *data = f->closed_data;
        dns_cache_free(f->cache);
        free(f);
        cb(data);
    }
}

/* ---- The end of a question ---- */

static void next_try(struct asked *a);

static void on_closed(uv_handle_t *h)
{
    struct asked *a = h->data;
    a->open--;
    if (a->open == 1 && a->waits && !a->closing) {
        next_try(a);
    } else if (a->open == 0) {
        struct dns_forward *f = a->forward;
        buf_close(&a->sent);
        buf_close(&a->received);
        free(a);
        f->stats.under_way--;
        free_if_closed(f);
    }
}

static void close_sockets(struct asked *a)
{
    if (a->has_udp) {
        a->has_udp = false;
        uv_close((uv_handle_t *)&a->udp, on_closed);
    }
    if (a->has_tcp) {
        a->has_tcp = false;
        uv_close((uv_handle_t *)&a->tcp, on_closed);
    }
}

static void end(struct asked *a, struct str answer)
{
    dns_forward_cb *cb = TAKE_PTR(a->cb);
    if (a->closing) {
        return;
    }
    a->closing = true;
    list_remove(&a->link);
    if (cb != NULL) {
        cb(answer, 0, a->data);
    }
    close_sockets(a);
    uv_close((uv_handle_t *)&a->timer, on_closed);
}

static void fail(struct asked *a)
{
    a->forward->stats.failed += !a->probe;
    a->forward->failures++;
    end(a, STR_NONE);
}

/* ---- One try after another ---- */

/* An answer that says that the server cannot is the last resort: another one may. */
static void on_answer(struct asked *a, struct str answer, bool over_tcp);

static void on_alloc_packet(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct asked *a = h->data;
    (void)suggested;
    *out = uv_buf_init((char *)a->packet, sizeof a->packet);
}

static void on_packet(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
    struct asked *a = h->data;
    (void)flags;
    if (a->closing || !a->has_udp) {
        return;
    }
    if (n < 0) { /* nobody listens there */
        next_try(a);
    } else if (from != NULL) {
        on_answer(a, (struct str){b->base, (size_t)n}, false);
    }
}

static void on_late(uv_timer_t *t)
{
    next_try(t->data);
}

static bool send_over_udp(struct asked *a)
{
    const struct sockaddr *to = (const struct sockaddr *)&a->forward->servers[a->server];
    CLEANUP_BUF struct buf b = BUF_INIT;
    env_random(a->forward->env, &a->id, sizeof a->id);
    dns_write_question(&b, &a->q, a->id);
    if (uv_udp_init(a->forward->loop, &a->udp) != 0) {
        return false;
    }
    a->udp.data = a;
    a->open++;
    a->has_udp = true;
    uv_buf_t packet = uv_buf_init((char *)b.data, (unsigned)b.size);
    return uv_udp_connect(&a->udp, to) == 0 && uv_udp_recv_start(&a->udp, on_alloc_packet, on_packet) == 0 &&
           uv_udp_try_send(&a->udp, &packet, 1, NULL) == (int)b.size;
}

static void next_try(struct asked *a)
{
    struct dns_forward *f = a->forward;
    close_sockets(a);
    uv_timer_stop(&a->timer);
    a->waits = true;
    while (!a->closing && a->open == 1) { /* the timer alone */
        a->waits = false;
        if (a->tries == FORWARD_TRIES || f->servers_count == 0) {
            fail(a);
            return;
        }
        a->server = (f->first + a->tries++) % f->servers_count;
        if (send_over_udp(a)) {
            uv_timer_start(&a->timer, on_late, FORWARD_TRY_MS, 0);
            return;
        }
        close_sockets(a);
        a->waits = true;
    }
}

/* ---- TCP, for what was cut ---- */

static void on_alloc_stream(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct asked *a = h->data;
    (void)suggested;
    *out = uv_buf_init((char *)a->packet, sizeof a->packet);
}

static void on_stream(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct asked *a = h->data;
    if (a->closing || !a->has_tcp) {
        return;
    }
    if (n < 0) {
        next_try(a);
        return;
    }
    buf_append(&a->received, b->base, (size_t)n);
    const uint8_t *p = (const uint8_t *)a->received.data;
    size_t wanted = a->received.size < 2 ? 0 : 2 + (size_t)(p[0] << 8 | p[1]);
    if (wanted > 0 && a->received.size >= wanted) {
        on_answer(a, (struct str){(const char *)a->received.data + 2, wanted - 2}, true);
    }
}

static void on_written(uv_write_t *w, int status)
{
    struct asked *a = w->data;
    if (status != 0 && !a->closing && a->has_tcp) {
        next_try(a);
    }
}

static void on_connected(uv_connect_t *c, int status)
{
    struct asked *a = c->data;
    if (a->closing || !a->has_tcp) {
        return;
    }
    uv_buf_t b = uv_buf_init((char *)a->sent.data, (unsigned)a->sent.size);
    a->write.data = a;
    if (status != 0 || uv_read_start((uv_stream_t *)&a->tcp, on_alloc_stream, on_stream) != 0 ||
        uv_write(&a->write, (uv_stream_t *)&a->tcp, &b, 1, on_written) != 0) {
        next_try(a);
    }
}

static void ask_over_tcp(struct asked *a)
{
    const struct sockaddr *to = (const struct sockaddr *)&a->forward->servers[a->server];
    CLEANUP_BUF struct buf b = BUF_INIT;
    env_random(a->forward->env, &a->id, sizeof a->id);
    dns_write_question(&b, &a->q, a->id);
    buf_reset(&a->received);
    buf_reset(&a->sent);
    buf_put_u8(&a->sent, (uint8_t)(b.size >> 8));
    buf_put_u8(&a->sent, (uint8_t)b.size);
    buf_append(&a->sent, b.data, b.size);
    if (a->server >= a->forward->servers_count || uv_tcp_init(a->forward->loop, &a->tcp) != 0) {
        next_try(a);
        return;
    }
    a->tcp.data = a;
    a->open++;
    a->has_tcp = true;
    a->connect.data = a;
    uv_timer_start(&a->timer, on_late, FORWARD_TRY_MS, 0);
    if (uv_tcp_connect(&a->connect, &a->tcp, to, on_connected) != 0) {
        next_try(a);
    }
}

static void on_answer(struct asked *a, struct str answer, bool over_tcp)
{
    struct dns_forward *f = a->forward;
    struct dns_seen seen;
    if (!dns_read_answer((const uint8_t *)answer.p, answer.n, &a->q, a->id, &seen)) {
        if (over_tcp) {
            next_try(a);
        }
        return; /* somebody else's guess: the right one may still come */
    }
    f->failures = 0;
    bool cannot = seen.code != DNS_OK && seen.code != DNS_NO_NAME;
    if (cannot && a->tries < FORWARD_TRIES && a->tries < f->servers_count) {
        next_try(a);
        return;
    }
    if (seen.cut && !over_tcp) {
        if (a->has_udp) {
            a->has_udp = false;
            uv_close((uv_handle_t *)&a->udp, on_closed);
        }
        ask_over_tcp(a);
        return;
    }
    f->first = cannot || a->server >= f->servers_count ? f->first : a->server;
    if (seen.ttl_s > 0) {
        uint8_t key[DNS_KEY_MAX];
        size_t n = dns_key(&a->q, key);
        dns_cache_put(f->cache, (struct str){(const char *)key, n}, answer, seen.ttl_s, env_now_ms(f->env));
    }
    end(a, answer);
}

/* ---- Asking ---- */

static unsigned asked_by(const struct dns_forward *f, uint32_t asker)
{
    unsigned n = 0;
    LIST_FOR(it, &f->asked)
    {
        n += LIST_ENTRY(it, struct asked, link)->asker == asker;
    }
    return n;
}

static void begin(struct dns_forward *f, const struct dns_question *q, uint32_t asker, dns_forward_cb *cb, void *data)
{
    struct asked *a = xcalloc(1, sizeof *a);
    a->forward = f;
    dns_copy_question(&a->q, q);
    a->asker = asker;
    a->cb = cb;
    a->data = data;
    a->probe = cb == NULL;
    uv_timer_init(f->loop, &a->timer);
    a->timer.data = a;
    a->open = 1;
    f->stats.under_way++;
    f->stats.asked += !a->probe;
    list_push_back(&f->asked, &a->link);
    next_try(a);
}

void dns_forward_ask(struct dns_forward *f, const struct dns_question *q, uint32_t asker, dns_forward_cb *cb,
                     void *data)
{
    uint8_t key[DNS_KEY_MAX];
    struct str answer;
    uint32_t age_s;
    if (dns_cache_get(f->cache, (struct str){(const char *)key, dns_key(q, key)}, env_now_ms(f->env), &answer,
                      &age_s)) {
        f->stats.kept++;
        cb(answer, age_s, data);
        return;
    }
    bool cut_off = f->failures >= FORWARD_FAILURES && f->stats.under_way > 0;
    if (f->closing || cut_off || f->servers_count == 0 || f->stats.under_way >= FORWARD_ASKED_MAX ||
        asked_by(f, asker) >= FORWARD_ASKER_MAX) {
        f->stats.refused++;
        cb(STR_NONE, 0, data);
        return;
    }
    begin(f, q, asker, cb, data);
}

/* ---- Servers ---- */

/* HINFO of a name that nobody has, as others look for loops, too. */
static void send_probe(struct dns_forward *f)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct dns_question like = {.recursion = true, .type = 13, .room = DNS_UDP_PLAIN}, q;
    uint8_t drawn[PROBE_CHARS];
    char name[PROBE_CHARS + 16];
    env_random(f->env, drawn, sizeof drawn);
    for (unsigned i = 0; i < PROBE_CHARS; i++) {
        f->probe[i] = letters[drawn[i] % (sizeof letters - 1)];
    }
    f->probe[PROBE_CHARS] = '\0';
    int n = snprintf(name, sizeof name, "%s.loop.test", f->probe);
    if (n > 0 && dns_question_for(&q, &like, (struct str){name, (size_t)n})) {
        begin(f, &q, 0, NULL, NULL);
    }
}

void dns_forward_set_servers(struct dns_forward *f, const struct sockaddr_storage *servers, unsigned count)
{
    f->servers_count = MIN(count, FORWARD_SERVERS_MAX);
    f->first = f->failures = 0;
    memcpy(f->servers, servers, f->servers_count * sizeof *servers);
    f->probe[0] = '\0';
    if (f->servers_count > 0) {
        send_probe(f);
    }
}

unsigned dns_forward_servers(const struct dns_forward *f)
{
    return f->servers_count;
}

bool dns_forward_is_probe(struct dns_forward *f, const struct dns_question *q)
{
    if (f->probe[0] == '\0' || q->count == 0 || !str_is(q->labels[0], f->probe)) {
        return false;
    }
    log_error(f->log, "dns",
              "the node's name servers lead back to this node: names outside of the cluster are not found until its "
              "resolv.conf names others");
    f->servers_count = 0;
    f->probe[0] = '\0';
    return true;
}

void dns_forward_get_stats(const struct dns_forward *f, struct dns_forward_stats *out)
{
    *out = f->stats;
    out->cache_bytes = dns_cache_bytes(f->cache);
}

void dns_forward_close(struct dns_forward *f, void (*cb)(void *data), void *data)
{
    f->closing = true;
    f->closed = cb;
    f->closed_data = data;
    f->stats.under_way++; /* it stays until all have been told */
    LIST_FOR_SAFE(it, &f->asked)
    {
        fail(LIST_ENTRY(it, struct asked, link));
    }
    f->stats.under_way--;
    free_if_closed(f);
}
