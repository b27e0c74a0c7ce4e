#include "agent/dns/server.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/list.h"

#define BACKLOG     128
#define QUEUE_BYTES (1 << 20) /* questions that wait for the loop: a lost one costs its asker five seconds */

/* One place where it serves: both sockets close together. */
struct place {
    struct dns_server *server;
    uv_udp_t udp;
    uv_tcp_t tcp;
    unsigned open;
    uint16_t port;
};
struct connection {
    struct list link;
    struct dns_server *server;
    uv_tcp_t tcp;
    uv_timer_t idle;
    uint32_t from;
    struct buf in;
    struct list waiting;
    unsigned waiting_count, open;
    bool closing;
};
/* A question that another server is asked on behalf of somebody. */
struct waiting {
    struct list link; /* in its connection's, or in the server's: nobody is there any more, or over UDP */
    struct dns_server *server;
    struct connection *connection; /* NULL: over UDP, or gone */
    struct sockaddr_in peer;
    bool over_udp;
    struct dns_question q;
    struct arena arena;
    struct zone_answer alias; /* records that come before */
};
struct dns_server {
    uv_loop_t *loop;
    const struct env *env;
    const struct log *log;
    struct zone zone;
    char *domain;
    uint32_t node;
    struct place *place; /* NULL: nowhere */
    struct dns_forward *forward;
    struct list connections, waiting;
    struct dns_server_stats stats;
    char packet[DNS_TCP_MAX + 1];
    unsigned open; /* places and connections */
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
};

struct dns_server *dns_server_new(uv_loop_t *loop, const struct env *env, const struct log *log,
                                  const struct known *known)
{
    struct dns_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->env = env;
    s->log = log;
    s->zone.known = known;
    s->zone.services.bits = s->zone.pods.bits = 32;
    s->forward = dns_forward_new(loop, env, log);
    list_init(&s->connections);
    list_init(&s->waiting);
    return s;
}

void dns_server_set_zone(struct dns_server *s, struct str domain, struct cidr services, struct cidr pods)
{
    char *copy = xstrndup(domain.p, domain.n);
    free(s->domain);
    s->domain = copy;
    s->zone.domain = str_of(copy);
    s->zone.services = services;
    s->zone.pods = pods;
}

void dns_server_set_pods(struct dns_server *s, zone_pod_of *pod_of, void *data)
{
    s->zone.pod_of = pod_of;
    s->zone.pod_data = data;
}

void dns_server_set_node(struct dns_server *s, uint32_t ip)
{
    s->node = ip;
}

static void free_if_closed(struct dns_server *s)
{
    if (s->closing && s->open == 0 && s->forward == NULL) {
        void (*cb)(void *data) = s->closed;
        void *data = s->closed_data;
        free(s->domain);
        free(s);
        cb(data);
    }
}

static bool is_served(const struct dns_server *s, uint32_t from)
{
    struct cidr pods = s->zone.pods;
    bool pod = pods.bits < 32 && from >= pods.first && from < cidr_end(pods);
    return pod || from >> 24 == 127 || from == s->zone.server || (s->node != 0 && from == s->node);
}

/* ---- Answers ---- */

static void connection_write(struct connection *c, const struct buf *message);

static void send_udp(struct dns_server *s, const struct sockaddr_in *to, const struct buf *message)
{
    if (s->place != NULL) { /* what does not fit the socket's queue is lost, as UDP is: whoever asked asks again */
        uv_buf_t b = uv_buf_init((char *)message->data, (unsigned)message->size);
        uv_udp_try_send(&s->place->udp, &b, 1, (const struct sockaddr *)to);
    }
}

static void answer(struct waiting *w, const struct buf *message)
{
    if (w->over_udp) {
        send_udp(w->server, &w->peer, message);
    } else if (w->connection != NULL) {
        connection_write(w->connection, message);
    }
}

static void on_forwarded(struct str answered, uint32_t age_s, void *data)
{
    struct waiting *w = data;
    CLEANUP_BUF struct buf b = BUF_INIT;
    size_t room = w->over_udp ? w->q.room : DNS_TCP_MAX;
    const struct zone_answer *alias = w->alias.count > 0 ? &w->alias : NULL;
    if (answered.n == 0 || !dns_write_relayed(&b, &w->q, alias, (const uint8_t *)answered.p, answered.n, age_s, room)) {
        buf_reset(&b);
        dns_write_code(&b, &w->q, DNS_FAILED);
    }
    list_remove(&w->link);
    w->server->stats.waiting--;
    if (w->connection != NULL) {
        w->connection->waiting_count--;
    }
    answer(w, &b);
    arena_close(&w->arena);
    free(w);
}

/* The answer comes later: out stays empty. */
static void ask_elsewhere(struct dns_server *s, struct connection *c, const struct sockaddr_in *peer,
                          const struct dns_question *q, struct arena *take, const struct zone_answer *a,
                          struct buf *out)
{
    const struct dns_question *asked = q;
    struct dns_question chased;
    if (a->result == ZONE_ALIAS) {
        if (!dns_question_for(&chased, q, a->elsewhere)) {
            dns_write_code(out, q, DNS_FAILED);
            return;
        }
        asked = &chased;
    }
    if (c != NULL && c->waiting_count >= DNS_PIPELINE_MAX) {
        dns_write_code(out, q, DNS_FAILED);
        return;
    }
    struct waiting *w = xcalloc(1, sizeof *w);
    w->server = s;
    w->connection = c;
    w->over_udp = c == NULL;
    w->peer = *peer;
    w->alias = *a;
    w->arena = *take;
    arena_init(take);
    dns_copy_question(&w->q, q);
    list_push_back(c == NULL ? &s->waiting : &c->waiting, &w->link);
    s->stats.waiting++;
    if (c != NULL) {
        c->waiting_count++;
    }
    dns_forward_ask(s->forward, asked, ntohl(peer->sin_addr.s_addr), on_forwarded, w);
}

/* What is to be sent now is appended to out; nothing: it comes later, or never. */
static void handle(struct dns_server *s, struct connection *c, const struct sockaddr_in *peer, const uint8_t *p,
                   size_t n, struct buf *out)
{
    struct dns_question q;
    struct zone_answer a;
    enum dns_code code;
    uint64_t dice;
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    s->stats.questions++;
    if (!dns_read_question(p, n, &q, &code)) {
        s->stats.malformed++;
        return;
    }
    if (!is_served(s, ntohl(peer->sin_addr.s_addr))) {
        s->stats.refused++;
        code = DNS_REFUSED;
    }
    if (code != DNS_OK) {
        s->stats.malformed += code == DNS_MALFORMED;
        dns_write_code(out, &q, code);
        return;
    }
    env_random(s->env, &dice, sizeof dice);
    zone_ask(&s->zone, q.labels, q.count, q.type, dice, &arena, &a);
    if (a.result != ZONE_ELSEWHERE && a.result != ZONE_ALIAS) {
        uint32_t serial = (uint32_t)(env_wall_ms(s->env) / 1000);
        dns_write_zone(out, &q, &a, s->zone.domain, serial, c == NULL ? q.room : DNS_TCP_MAX);
    } else if (dns_forward_is_probe(s->forward, &q)) {
        dns_write_code(out, &q, DNS_FAILED);
    } else {
        ask_elsewhere(s, c, peer, &q, &arena, &a, out);
    }
}

/* ---- UDP ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct place *place = h->data;
    (void)suggested;
    *out = uv_buf_init(place->server->packet, sizeof place->server->packet);
}

static void on_packet(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
    struct place *place = h->data;
    CLEANUP_BUF struct buf out = BUF_INIT;
    (void)flags;
    if (n <= 0 || from == NULL || from->sa_family != AF_INET) {
        return;
    }
    struct sockaddr_in peer;
    memcpy(&peer, from, sizeof peer);
    handle(place->server, NULL, &peer, (const uint8_t *)b->base, (size_t)n, &out);
    if (out.size > 0) {
        send_udp(place->server, &peer, &out);
    }
}

/* ---- TCP ---- */

static void on_connection_closed(uv_handle_t *h)
{
    struct connection *c = h->data;
    struct dns_server *s = c->server;
    if (--c->open == 0) {
        buf_close(&c->in);
        free(c);
        s->open--;
        free_if_closed(s);
    }
}

static void connection_close(struct connection *c)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    while (!list_empty(&c->waiting)) { /* the answers have nowhere to go */
        struct waiting *w = LIST_ENTRY(c->waiting.next, struct waiting, link);
        list_remove(&w->link);
        list_push_back(&c->server->waiting, &w->link);
        w->connection = NULL;
    }
    list_remove(&c->link);
    c->server->stats.connections--;
    uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&c->idle, on_connection_closed);
}

static void on_idle(uv_timer_t *t)
{
    struct connection *c = t->data;
    if (c->waiting_count == 0) {
        connection_close(c);
    } else {
        uv_timer_start(&c->idle, on_idle, DNS_IDLE_MS, 0);
    }
}

struct sending {
    uv_write_t write;
    struct connection *connection;
    struct buf bytes;
};

static void on_written(uv_write_t *w, int status)
{
    struct sending *s = CONTAINER_OF(w, struct sending, write);
    if (status != 0) {
        connection_close(s->connection);
    }
    buf_close(&s->bytes);
    free(s);
}

static void connection_write(struct connection *c, const struct buf *message)
{
    if (c->closing) {
        return;
    }
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) + message->size > DNS_UNREAD_MAX) {
        connection_close(c);
        return;
    }
    struct sending *s = xcalloc(1, sizeof *s);
    s->connection = c;
    buf_put_u8(&s->bytes, (uint8_t)(message->size >> 8));
    buf_put_u8(&s->bytes, (uint8_t)message->size);
    buf_append(&s->bytes, message->data, message->size);
    uv_buf_t b = uv_buf_init((char *)s->bytes.data, (unsigned)s->bytes.size);
    uv_timer_start(&c->idle, on_idle, DNS_IDLE_MS, 0);
    if (uv_write(&s->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        buf_close(&s->bytes);
        free(s);
        connection_close(c);
    }
}

static void on_bytes(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct connection *c = h->data;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(c->from)};
    if (n < 0) {
        connection_close(c);
        return;
    }
    buf_append(&c->in, b->base, (size_t)n);
    while (!c->closing && c->in.size >= 2) {
        const uint8_t *p = (const uint8_t *)c->in.data;
        size_t size = (size_t)(p[0] << 8 | p[1]);
        CLEANUP_BUF struct buf out = BUF_INIT;
        if (size > DNS_QUESTION_MAX) { /* no question is so long */
            c->server->stats.malformed++;
            connection_close(c);
            return;
        }
        if (c->in.size < 2 + size) {
            return;
        }
        handle(c->server, c, &peer, p + 2, size, &out);
        buf_consume(&c->in, 2 + size);
        if (out.size > 0) {
            connection_write(c, &out);
        }
    }
}

static void on_alloc_connection(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct connection *c = h->data;
    (void)suggested;
    *out = uv_buf_init(c->server->packet, 4096);
}

static unsigned connections_of(const struct dns_server *s, uint32_t from)
{
    unsigned n = 0;
    LIST_FOR(it, &s->connections)
    {
        n += LIST_ENTRY(it, struct connection, link)->from == from;
    }
    return n;
}

static void on_connection(uv_stream_t *h, int status)
{
    struct place *place = h->data;
    struct dns_server *s = place->server;
    struct sockaddr_in peer = {0};
    int size = sizeof peer;
    if (status != 0) {
        return;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    c->server = s;
    c->open = 2;
    uv_tcp_init(s->loop, &c->tcp);
    uv_timer_init(s->loop, &c->idle);
    c->tcp.data = c->idle.data = c;
    list_init(&c->waiting);
    list_push_back(&s->connections, &c->link);
    s->stats.connections++;
    s->open++;
    bool ok =
        uv_accept(h, (uv_stream_t *)&c->tcp) == 0 && uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &size) == 0;
    c->from = ntohl(peer.sin_addr.s_addr);
    if (!ok || !is_served(s, c->from) || s->stats.connections > DNS_CONNECTIONS_MAX ||
        connections_of(s, c->from) > DNS_CONNECTIONS_EACH) {
        s->stats.refused++;
        connection_close(c);
        return;
    }
    uv_timer_start(&c->idle, on_idle, DNS_IDLE_MS, 0);
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc_connection, on_bytes) != 0) {
        connection_close(c);
    }
}

/* ---- Places ---- */

static void on_place_closed(uv_handle_t *h)
{
    struct place *place = h->data;
    struct dns_server *s = place->server;
    if (--place->open == 0) {
        free(place);
        s->open--;
        free_if_closed(s);
    }
}

static void place_close(struct place *place)
{
    uv_close((uv_handle_t *)&place->udp, on_place_closed);
    uv_close((uv_handle_t *)&place->tcp, on_place_closed);
}

static void widen_queue(uv_udp_t *udp)
{
    int bytes = QUEUE_BYTES;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)udp, &fd) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) { /* without the right to: what it may */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
}

/* TCP takes the port that UDP has got. */
static int place_bind(struct place *place, uint32_t ip, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
    int size = sizeof at;
    int rc = uv_udp_bind(&place->udp, (const struct sockaddr *)&at, 0);
    widen_queue(&place->udp);
    rc = rc != 0 ? rc : uv_udp_getsockname(&place->udp, (struct sockaddr *)&at, &size);
    rc = rc != 0 ? rc : uv_tcp_bind(&place->tcp, (const struct sockaddr *)&at, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&place->tcp, BACKLOG, on_connection);
    rc = rc != 0 ? rc : uv_udp_recv_start(&place->udp, on_alloc, on_packet);
    place->port = ntohs(at.sin_port);
    return rc;
}

int dns_server_listen(struct dns_server *s, uint32_t ip, uint16_t port, struct error *err)
{
    struct place *place = xcalloc(1, sizeof *place), *former = s->place;
    char text[INET_ADDRSTRLEN];
    struct in_addr at = {htonl(ip)};
    place->server = s;
    place->open = 2;
    s->open++;
    uv_udp_init(s->loop, &place->udp);
    uv_tcp_init(s->loop, &place->tcp);
    place->udp.data = place->tcp.data = place;
    int rc = place_bind(place, ip, port);
    if (rc != 0) {
        place_close(place);
        inet_ntop(AF_INET, &at, text, sizeof text);
        return error_set(err, ERR_SYSTEM, "cannot answer names at %s:%u: %s", text, port, uv_strerror(rc));
    }
    s->place = place;
    s->zone.server = ip;
    if (former != NULL) {
        place_close(former);
    }
    return 0;
}

uint16_t dns_server_port(const struct dns_server *s)
{
    return s->place == NULL ? 0 : s->place->port;
}

struct dns_forward *dns_server_forward(struct dns_server *s)
{
    return s->forward;
}

void dns_server_get_stats(const struct dns_server *s, struct dns_server_stats *out)
{
    *out = s->stats;
}

static void on_forward_closed(void *data)
{
    struct dns_server *s = data;
    s->forward = NULL;
    free_if_closed(s);
}

void dns_server_close(struct dns_server *s, void (*cb)(void *data), void *data)
{
    struct place *place = TAKE_PTR(s->place);
    s->closing = true;
    s->closed = cb;
    s->closed_data = data;
    s->open++;
    while (!list_empty(&s->connections)) {
        connection_close(LIST_ENTRY(s->connections.next, struct connection, link));
    }
    if (place != NULL) {
        place_close(place);
    }
    dns_forward_close(s->forward, on_forward_closed, s);
    s->open--;
    free_if_closed(s);
}
