/* The name server on loopback: its own names, others', connections, and who asks too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/dns/server.h"
#include "tests/unit/agent_known_kit.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <unistd.h>

#define DEADLINE_MS 60000
#define LOCALHOST   0x7f000001u

/* Another name server, which the test plays. */
struct upstream {
    uv_udp_t udp;
    uv_tcp_t tcp, accepted;
    char packet[2048], stream[2048];
    size_t streamed;
    unsigned asked, asked_over_tcp;
    bool cuts, refuses, mute, lies;
    char name[256];    /* that was asked for last */
    uint16_t id, from; /* of that question: its id, and the port that it came from */
};
struct fixture {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    struct known *known;
    struct dns_server *server;
    struct upstream up[2];
    bool closed;
    struct buf got; /* by the client */
    int fd;
};

static void on_put(const struct service_port *p, void *data)
{
    (void)p;
    (void)data;
}

static void on_remove(const char *key, void *data)
{
    (void)key;
    (void)data;
}

static void tell(struct fixture *f, const char *message)
{
    tell_known(f->known, message);
}

/* ---- The other server ---- */

static void up_answer(struct upstream *u, const uint8_t *p, size_t n, bool tcp, uint8_t **wire, size_t *size)
{
    ldns_pkt *m = NULL;
    ldns_rr *rr = NULL;
    assert_int_equal(ldns_wire2pkt(&m, p, n), LDNS_STATUS_OK);
    CLEANUP_FREE char *name = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(m), 0)));
    CLEANUP_FREE char *text = xasprintf("%s 60 IN A %s", name, tcp ? "9.9.9.9" : "1.2.3.4");
    ldns_pkt_set_qr(m, true);
    if (u->refuses) {
        ldns_pkt_set_rcode(m, LDNS_RCODE_SERVFAIL);
    } else if (u->cuts && !tcp && strstr(name, ".loop.test") == NULL) {
        ldns_pkt_set_tc(m, true);
    } else {
        assert_int_equal(ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(m, LDNS_SECTION_ANSWER, rr);
    }
    if (strstr(name, ".loop.test") == NULL) {
        u->asked++;
        u->asked_over_tcp += tcp;
        snprintf(u->name, sizeof u->name, "%s", name);
    }
    assert_int_equal(ldns_pkt2wire(wire, m, size), LDNS_STATUS_OK);
    ldns_pkt_free(m);
}

static void up_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct upstream *u = h->data;
    (void)suggested;
    *out = uv_buf_init(u->packet, sizeof u->packet);
}

static void up_packet(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
    struct upstream *u = h->data;
    uint8_t *wire = NULL;
    size_t size;
    (void)flags;
    if (n <= 0 || from == NULL) {
        return;
    }
    up_answer(u, (const uint8_t *)b->base, (size_t)n, false, &wire, &size);
    u->id = (uint16_t)((uint8_t)b->base[0] << 8 | (uint8_t)b->base[1]);
    u->from = ntohs(((const struct sockaddr_in *)(const void *)from)->sin_port);
    if (u->lies) { /* an answer under another id comes first */
        wire[0] ^= 1;
        uv_buf_t lie = uv_buf_init((char *)wire, (unsigned)size);
        assert_int_equal(uv_udp_try_send(&u->udp, &lie, 1, from), (int)size);
        wire[0] ^= 1;
    }
    if (!u->mute) {
        uv_buf_t out = uv_buf_init((char *)wire, (unsigned)size);
        assert_int_equal(uv_udp_try_send(&u->udp, &out, 1, from), (int)size);
    }
    free(wire);
}

static void up_stream_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct upstream *u = h->data;
    (void)suggested;
    *out = uv_buf_init(u->stream + u->streamed, (unsigned)(sizeof u->stream - u->streamed));
}

static void up_bytes(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct upstream *u = h->data;
    uint8_t *wire = NULL, head[2];
    size_t size;
    (void)b;
    if (n < 0) {
        uv_close((uv_handle_t *)h, NULL);
        return;
    }
    u->streamed += (size_t)n;
    size_t wanted = (size_t)((uint8_t)u->stream[0] << 8 | (uint8_t)u->stream[1]);
    if (u->streamed >= 2 && u->streamed >= wanted + 2) {
        up_answer(u, (const uint8_t *)u->stream + 2, wanted, true, &wire, &size);
        head[0] = (uint8_t)(size >> 8);
        head[1] = (uint8_t)size;
        uv_buf_t out[] = {uv_buf_init((char *)head, 2), uv_buf_init((char *)wire, (unsigned)size)};
        assert_int_equal(uv_try_write(h, out, 2), (int)size + 2);
        free(wire);
        u->streamed = 0;
    }
}

static void up_connection(uv_stream_t *h, int status)
{
    struct upstream *u = h->data;
    assert_int_equal(status, 0);
    uv_tcp_init(h->loop, &u->accepted);
    u->accepted.data = u;
    assert_int_equal(uv_accept(h, (uv_stream_t *)&u->accepted), 0);
    uv_read_start((uv_stream_t *)&u->accepted, up_stream_alloc, up_bytes);
}

static void up_listen(struct fixture *f, struct upstream *u, const struct sockaddr_storage *at)
{
    uv_udp_init(&f->loop, &u->udp);
    u->udp.data = u;
    assert_int_equal(uv_udp_bind(&u->udp, (const struct sockaddr *)at, 0), 0);
    uv_udp_recv_start(&u->udp, up_alloc, up_packet);
}

static void close_now(struct fixture *f, void *h)
{
    uv_close(h, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* The port that UDP was given may be somebody's for TCP: another one then. */
static struct sockaddr_storage up_open(struct fixture *f, struct upstream *u)
{
    for (;;) {
        struct sockaddr_storage at = {0};
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCALHOST)};
        int size = sizeof any;
        memcpy(&at, &any, sizeof any);
        up_listen(f, u, &at);
        uv_udp_getsockname(&u->udp, (struct sockaddr *)&any, &size);
        memcpy(&at, &any, sizeof any);
        uv_tcp_init(&f->loop, &u->tcp);
        u->tcp.data = u;
        if (uv_tcp_bind(&u->tcp, (struct sockaddr *)&at, 0) == 0 &&
            uv_listen((uv_stream_t *)&u->tcp, 8, up_connection) == 0) {
            return at;
        }
        close_now(f, &u->tcp);
        close_now(f, &u->udp);
    }
}

/* ---- The client: a socket of its own, so that it asks as a resolver does ---- */

static void on_deadline(uv_timer_t *t)
{
    ((struct fixture *)t->data)->late = true;
}

static void turn(struct fixture *f)
{
    assert_false(f->late);
    uv_run(&f->loop, UV_RUN_ONCE);
}

static int client(struct fixture *f, int type)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(dns_server_port(f->server)), .sin_addr.s_addr = htonl(LOCALHOST)};
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void write_question(struct buf *out, const char *name, unsigned type, uint16_t id, bool tcp)
{
    ldns_pkt *m = ldns_pkt_query_new(ldns_dname_new_frm_str(name), (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
    uint8_t *wire;
    size_t n;
    ldns_pkt_set_id(m, id);
    assert_int_equal(ldns_pkt2wire(&wire, m, &n), LDNS_STATUS_OK);
    if (tcp) {
        buf_put_u8(out, (uint8_t)(n >> 8));
        buf_put_u8(out, (uint8_t)n);
    }
    buf_append(out, wire, n);
    free(wire);
    ldns_pkt_free(m);
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

/* Turns until the socket has something; a tick keeps the loop from sleeping for long. */
static size_t receive(struct fixture *f, int fd, uint8_t *p, size_t room)
{
    uv_timer_t tick;
    ssize_t n;
    uv_timer_init(&f->loop, &tick);
    uv_timer_start(&tick, on_tick, 1, 1);
    while ((n = recv(fd, p, room, MSG_DONTWAIT)) < 0) {
        assert_int_equal(errno, EAGAIN);
        turn(f);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    return (size_t)n;
}

static ldns_pkt *ask(struct fixture *f, const char *name, unsigned type)
{
    CLEANUP_BUF struct buf q = BUF_INIT;
    uint8_t p[4096];
    ldns_pkt *m = NULL;
    int fd = client(f, SOCK_DGRAM);
    write_question(&q, name, type, 77, false);
    assert_int_equal(send(fd, q.data, q.size, 0), (ssize_t)q.size);
    size_t n = receive(f, fd, p, sizeof p);
    close(fd);
    assert_int_equal(ldns_wire2pkt(&m, p, n), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_id(m), 77);
    return m;
}

/* "CODE" and its answers. */
static void expect_answer(struct fixture *f, const char *name, unsigned type, const char *wanted)
{
    ldns_pkt *m = ask(f, name, type);
    CLEANUP_FREE char *records = ldns_rr_list2str(ldns_pkt_answer(m));
    CLEANUP_FREE char *text = xasprintf("%u %s", (unsigned)ldns_pkt_get_rcode(m), records);
    assert_string_equal(text, wanted);
    ldns_pkt_free(m);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct cidr services, pods;
    assert_true(cidr_parse(STR("10.96.0.0/12"), &services) && cidr_parse(STR("10.244.0.0/16"), &pods));
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->deadline);
    f->deadline.data = f;
    uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
    f->known = known_new("n1", &(struct known_ops){on_put, on_remove, NULL, NULL, f});
    f->server = dns_server_new(&f->loop, env_real(), NULL, f->known);
    dns_server_set_zone(f->server, STR("cluster.local"), services, pods);
    while (dns_server_listen(f->server, LOCALHOST, 0, NULL) != 0) { /* as up_open */
    }
    tell(f, "{'whole':true,'complete':true,'changed':[{'apiVersion':'v1','kind':'Service','metadata':{'name':'web',"
            "'namespace':'default'},'spec':{'clusterIP':'10.96.0.7'}},{'apiVersion':'v1','kind':'Service','metadata':{"
            "'name':'out','namespace':'default'},'spec':{'type':'ExternalName','externalName':'www.example.com'}}]}");
    *state = f;
    return 0;
}

static void on_closed(void *data)
{
    ((struct fixture *)data)->closed = true;
}

static void close_all(uv_handle_t *h, void *data)
{
    (void)data;
    if (!uv_is_closing(h)) {
        uv_close(h, NULL);
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dns_server_close(f->server, on_closed, f);
    while (!f->closed) {
        turn(f);
    }
    uv_walk(&f->loop, close_all, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    known_free(f->known);
    buf_close(&f->got);
    free(f);
    return 0;
}

static void two_servers(struct fixture *f)
{
    struct sockaddr_storage at[] = {up_open(f, &f->up[0]), up_open(f, &f->up[1])};
    dns_forward_set_servers(dns_server_forward(f->server), at, 2);
}

#define WEB "web.default.svc.cluster.local."
#define OUT "out.default.svc.cluster.local."

static void its_own_names_are_answered(void **state)
{
    expect_answer(*state, WEB, ZONE_A, "0 " WEB "\t5\tIN\tA\t10.96.0.7\n");
    expect_answer(*state, "nobody.default.svc.cluster.local.", ZONE_A, "3 ");
    expect_answer(*state, WEB, 28, "0 ");
    expect_answer(*state, "www.example.com.", ZONE_A, "2 "); /* there is nobody to ask */
}

static void other_names_are_asked_of_others_once(void **state)
{
    struct fixture *f = *state;
    struct dns_forward_stats stats;
    two_servers(f);
    for (int i = 0; i < 3; i++) {
        expect_answer(f, "www.example.com.", ZONE_A, "0 www.example.com.\t60\tIN\tA\t1.2.3.4\n");
    }
    assert_int_equal(f->up[0].asked, 1);
    assert_int_equal(f->up[1].asked, 0);
    dns_forward_get_stats(dns_server_forward(f->server), &stats);
    assert_int_equal(stats.kept, 2);
    assert_int_equal(stats.asked, 1);
}

static void an_alias_is_followed(void **state)
{
    struct fixture *f = *state;
    two_servers(f);
    expect_answer(f, OUT, ZONE_A, "0 " OUT "\t5\tIN\tCNAME\twww.example.com.\nwww.example.com.\t60\tIN\tA\t1.2.3.4\n");
    assert_string_equal(f->up[0].name, "www.example.com.");
}

static void a_server_that_cannot_or_is_silent_is_passed_over(void **state)
{
    struct fixture *f = *state;
    two_servers(f);
    f->up[0].refuses = true;
    expect_answer(f, "a.example.com.", ZONE_A, "0 a.example.com.\t60\tIN\tA\t1.2.3.4\n");
    assert_int_equal(f->up[0].asked, 1);
    expect_answer(f, "b.example.com.", ZONE_A, "0 b.example.com.\t60\tIN\tA\t1.2.3.4\n");
    assert_int_equal(f->up[0].asked, 1); /* the one that answered last is asked first */
    f->up[0].refuses = false;
    f->up[1].mute = true;
    expect_answer(f, "c.example.com.", ZONE_A, "0 c.example.com.\t60\tIN\tA\t1.2.3.4\n");
    f->up[1].mute = false;
    f->up[0].refuses = f->up[1].refuses = true;
    expect_answer(f, "d.example.com.", ZONE_A, "2 "); /* as they say */
}

static void what_is_cut_is_asked_again_over_tcp(void **state)
{
    struct fixture *f = *state;
    two_servers(f);
    f->up[0].cuts = true;
    expect_answer(f, "www.example.com.", ZONE_A, "0 www.example.com.\t60\tIN\tA\t9.9.9.9\n");
    assert_int_equal(f->up[0].asked_over_tcp, 1);
}

static void a_guessed_answer_is_passed_over(void **state)
{
    struct fixture *f = *state;
    two_servers(f);
    f->up[0].lies = true;
    expect_answer(f, "www.example.com.", ZONE_A, "0 www.example.com.\t60\tIN\tA\t1.2.3.4\n");
    assert_int_equal(f->up[0].asked, 1);
}

/* RFC 5452: of 32 questions one or two have a port, or an id, within 1024 of the one before, and not most of them. */
static void nobody_guesses_where_the_next_question_comes_from(void **state)
{
    struct fixture *f = *state;
    unsigned near_ports = 0, near_ids = 0;
    uint16_t id = 0, from = 0;
    two_servers(f);
    for (unsigned i = 0; i < 32; i++) {
        CLEANUP_FREE char *name = xasprintf("n%u.example.com.", i);
        CLEANUP_FREE char *want = xasprintf("0 %s\t60\tIN\tA\t1.2.3.4\n", name);
        expect_answer(f, name, ZONE_A, want);
        near_ports += abs(f->up[0].from - from) < 1024;
        near_ids += abs(f->up[0].id - id) < 1024;
        from = f->up[0].from;
        id = f->up[0].id;
    }
    assert_in_range(near_ports, 0, 20);
    assert_in_range(near_ids, 0, 20);
}

/* The node's resolv.conf names this server: the first question that comes back ends it. */
static void servers_that_lead_back_are_asked_no_more(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_storage at = {0};
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_port = htons(dns_server_port(f->server)), .sin_addr.s_addr = htonl(LOCALHOST)};
    memcpy(&at, &own, sizeof own);
    dns_forward_set_servers(dns_server_forward(f->server), &at, 1);
    while (dns_forward_servers(dns_server_forward(f->server)) > 0) {
        turn(f);
    }
    expect_answer(f, "www.example.com.", ZONE_A, "2 ");
}

static void questions_of_a_connection_follow_one_another(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf q = BUF_INIT, got = BUF_INIT;
    uint8_t p[4096];
    unsigned answers = 0;
    int fd = client(f, SOCK_STREAM);
    two_servers(f);
    write_question(&q, WEB, ZONE_A, 1, true);
    write_question(&q, "www.example.com.", ZONE_A, 2, true);
    write_question(&q, WEB, 28, 3, true);
    for (size_t i = 0; i < q.size; i++) { /* in pieces */
        assert_int_equal(send(fd, q.data + i, 1, 0), 1);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    while (answers < 3) {
        size_t n = receive(f, fd, p, sizeof p);
        assert_true(n > 0);
        buf_append(&got, p, n);
        for (const uint8_t *at = (const uint8_t *)got.data;
             got.size >= 2 && got.size >= 2 + (size_t)(at[0] << 8 | at[1]); answers++) {
            ldns_pkt *m = NULL;
            size_t size = (size_t)(at[0] << 8 | at[1]);
            assert_int_equal(ldns_wire2pkt(&m, at + 2, size), LDNS_STATUS_OK);
            assert_in_range(ldns_pkt_id(m), 1, 3);
            assert_int_equal(ldns_pkt_ancount(m), ldns_pkt_id(m) != 3);
            ldns_pkt_free(m);
            buf_consume(&got, 2 + size);
        }
    }
    close(fd);
}

static void a_connection_that_writes_nonsense_is_closed(void **state)
{
    struct fixture *f = *state;
    static const uint8_t nonsense[] = {0xff, 0xff, 1, 2, 3};
    uint8_t p[16];
    int fd = client(f, SOCK_STREAM);
    assert_int_equal(send(fd, nonsense, sizeof nonsense, 0), sizeof nonsense);
    assert_int_equal(receive(f, fd, p, sizeof p), 0);
    close(fd);
}

static void connections_of_one_address_are_bounded(void **state)
{
    struct fixture *f = *state;
    int fds[DNS_CONNECTIONS_EACH + 8];
    struct dns_server_stats stats;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = client(f, SOCK_STREAM);
    }
    do {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        dns_server_get_stats(f->server, &stats);
    } while (stats.refused < 8);
    assert_int_equal(stats.connections, DNS_CONNECTIONS_EACH);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
    do {
        turn(f);
        dns_server_get_stats(f->server, &stats);
    } while (stats.connections > 0);
}

/* Servers that do not answer: an asker has its share of the questions under way, and hears at once that it is over. */
static void questions_under_way_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct dns_forward_stats stats;
    int fd = client(f, SOCK_DGRAM);
    two_servers(f);
    f->up[0].mute = f->up[1].mute = true;
    for (unsigned i = 0; i < FORWARD_ASKER_MAX + 20; i++) {
        CLEANUP_BUF struct buf q = BUF_INIT;
        CLEANUP_FREE char *name = xasprintf("n%u.example.com.", i);
        write_question(&q, name, ZONE_A, (uint16_t)i, false);
        assert_int_equal(send(fd, q.data, q.size, 0), (ssize_t)q.size);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    do {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        dns_forward_get_stats(dns_server_forward(f->server), &stats);
        assert_false(f->late);
    } while (stats.refused < 20);
    assert_true(stats.under_way <= FORWARD_ASKER_MAX + 1); /* and the probe */
    expect_answer(f, WEB, ZONE_A, "0 " WEB "\t5\tIN\tA\t10.96.0.7\n");
    close(fd);
}

/* The node is cut off: names outside of the cluster fail at once after some have failed, and are found again when there
 * is an answer. */
static void who_is_cut_off_is_not_kept_waiting(void **state)
{
    struct fixture *f = *state;
    struct dns_forward_stats stats;
    CLEANUP_BUF struct buf q = BUF_INIT;
    struct sockaddr_storage at = up_open(f, &f->up[0]);
    uint8_t p[512];
    ldns_pkt *m = NULL;
    int fd = client(f, SOCK_DGRAM);
    uv_close((uv_handle_t *)&f->up[0].udp, NULL); /* nobody listens there: each try fails at once */
    uv_run(&f->loop, UV_RUN_NOWAIT);
    dns_forward_set_servers(dns_server_forward(f->server), &at, 1);
    for (unsigned i = 0; i < FORWARD_FAILURES; i++) {
        CLEANUP_FREE char *name = xasprintf("n%u.example.com.", i);
        expect_answer(f, name, ZONE_A, "2 ");
    }
    f->up[1].mute = true;
    up_listen(f, &f->up[1], &at);
    write_question(&q, "www.example.com.", ZONE_A, 5, false);
    assert_int_equal(send(fd, q.data, q.size, 0), (ssize_t)q.size);
    while (f->up[1].asked == 0) {
        turn(f);
    }
    expect_answer(f, "a.example.com.", ZONE_A, "2 "); /* meanwhile */
    dns_forward_get_stats(dns_server_forward(f->server), &stats);
    assert_int_equal(stats.refused, 1);
    f->up[1].mute = false;
    size_t n = receive(f, fd, p, sizeof p);
    assert_int_equal(ldns_wire2pkt(&m, p, n), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_ancount(m), 1);
    ldns_pkt_free(m);
    expect_answer(f, "a.example.com.", ZONE_A, "0 a.example.com.\t60\tIN\tA\t1.2.3.4\n");
    close(fd);
}

/* Closed while others are asked: whoever waits is told, nothing is left. */
static void it_closes_with_questions_under_way(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf q = BUF_INIT;
    struct dns_server_stats stats;
    int fd = client(f, SOCK_STREAM);
    two_servers(f);
    f->up[0].mute = f->up[1].mute = true;
    write_question(&q, "www.example.com.", ZONE_A, 1, true);
    write_question(&q, OUT, ZONE_A, 2, true);
    assert_int_equal(send(fd, q.data, q.size, 0), (ssize_t)q.size);
    do {
        turn(f);
        dns_server_get_stats(f->server, &stats);
    } while (stats.waiting < 2);
    close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(its_own_names_are_answered),
        T(other_names_are_asked_of_others_once),
        T(an_alias_is_followed),
        T(a_server_that_cannot_or_is_silent_is_passed_over),
        T(what_is_cut_is_asked_again_over_tcp),
        T(a_guessed_answer_is_passed_over),
        T(nobody_guesses_where_the_next_question_comes_from),
        T(servers_that_lead_back_are_asked_no_more),
        T(questions_of_a_connection_follow_one_another),
        T(a_connection_that_writes_nonsense_is_closed),
        T(connections_of_one_address_are_bounded),
        T(questions_under_way_are_bounded),
        T(who_is_cut_off_is_not_kept_waiting),
        T(it_closes_with_questions_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
