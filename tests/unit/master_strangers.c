/* Bad input from strangers, and from friends who behave badly: they are closed or refused and counted, others are
 * served, memory stays bounded. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tests/unit/kit/master_kit.h"

#define HALF_OPEN 30

struct state {
    struct kit *kit;
    struct client *c;
    int half_open[HALF_OPEN]; /* from the start of the program: handshakes that never go on */
};

static int tcp(struct kit *k)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(strchr(k->masters[0].addr, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval t = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* The first bytes of a ClientHello that is longer than what comes. */
static const uint8_t half_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    s->kit = kit_one(NULL);
    s->c = client_admin(s->kit, 0);
    for (int i = 0; i < HALF_OPEN; i++) {
        s->half_open[i] = tcp(s->kit);
        assert_int_equal(write(s->half_open[i], half_hello, i == 0 ? 0 : sizeof half_hello),
                         i == 0 ? 0 : sizeof half_hello);
    }
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

static int64_t stat_of(struct state *s, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "stats.%s", name);
    must(s->c, "cluster", "{}");
    int64_t n = int_at(s->c, path);
    assert_true(n >= 0);
    return n;
}

/* Does the peer hang up (regularly or not)? What it said before is read away. */
static bool hung_up(int fd)
{
    char part[4096];
    ssize_t n;
    do {
        n = read(fd, part, sizeof part);
    } while (n > 0);
    return n == 0 || errno == ECONNRESET || errno == EPIPE;
}

/* ---- TLS by hand ---- */

struct tls {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

/* Connects; false: refused in the handshake. alpn: a name, or NULL for none. */
static bool tls_open(struct state *s, struct tls *t, const char *alpn, const struct pki_identity *who, int version)
{
    t->fd = tcp(s->kit);
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (who != NULL) {
        char *cert, *key, path[200];
        struct error err = {0};
        assert_int_equal(pki_issue(s->kit->ca, s->kit->ca_key, who, NULL, 600, &cert, &key, &err), 0);
        snprintf(path, sizeof path, "%s/stranger.pem", s->kit->dir);
        FILE *f = fopen(path, "w");
        fprintf(f, "%s%s", cert, key);
        fclose(f);
        assert_int_equal(SSL_CTX_use_certificate_file(t->ctx, path, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(t->ctx, path, SSL_FILETYPE_PEM), 1);
        free(cert);
        pki_free_key(key);
    }
    SSL_CTX_set_max_proto_version(t->ctx, version);
    t->ssl = SSL_new(t->ctx);
    if (alpn != NULL) {
        uint8_t wire[64];
        wire[0] = (uint8_t)strlen(alpn);
        memcpy(wire + 1, alpn, wire[0]);
        SSL_set_alpn_protos(t->ssl, wire, wire[0] + 1u);
    }
    SSL_set_fd(t->ssl, t->fd);
    return SSL_connect(t->ssl) == 1;
}

static void tls_close(struct tls *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    close(t->fd);
}

static bool tls_hung_up(struct tls *t)
{
    char part[4096];
    int n;
    do {
        n = SSL_read(t->ssl, part, sizeof part);
    } while (n > 0);
    int why = SSL_get_error(t->ssl, n);
    return why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_SSL || (why == SSL_ERROR_SYSCALL && errno != EAGAIN);
}

static const struct pki_identity admin = {.role = PKI_ROLE_ADMIN, .name = "a"};

/* Over TLS with our protocol; the master must hang up, and count it. */
static void closes_for(struct state *s, const struct pki_identity *who, const void *p, size_t n)
{
    struct tls t;
    int64_t before = stat_of(s, "badMessages");
    assert_true(tls_open(s, &t, ALPN_RPC, who, 0));
    int sent = 0;
    for (size_t at = 0; at < n; at += (size_t)sent) {
        sent = SSL_write(t.ssl, (const char *)p + at, (int)MIN(n - at, (size_t)65536));
        if (sent <= 0) {
            break; /* it hung up before all was sent */
        }
    }
    assert_true(sent <= 0 || tls_hung_up(&t));
    tls_close(&t);
    assert_true(stat_of(s, "badMessages") > before);
}

/* ---- Before and in the handshake ---- */

static void test_garbage_instead_of_tls_is_closed_and_counted(void **state)
{
    struct state *s = *state;
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x93\x02\xa1x\x90",
                                          "\x16\x03\x01\xff\xff\xff\xff\xff\xff"};
    int64_t before = stat_of(s, "handshakesFailed");
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        int fd = tcp(s->kit);
        assert_true(write(fd, garbage[i], strlen(garbage[i])) > 0);
        assert_true(hung_up(fd));
        close(fd);
    }
    int fd = tcp(s->kit); /* and one that says nothing and goes */
    close(fd);
    assert_true(stat_of(s, "handshakesFailed") >= before + 3);
}

static void test_a_client_of_another_protocol_is_refused(void **state)
{
    struct state *s = *state;
    static const char *const alpns[] = {"h2", "reeve-rpc/2"};
    for (size_t i = 0; i < ARRAY_SIZE(alpns); i++) {
        struct tls t;
        assert_true(!tls_open(s, &t, alpns[i], &admin, 0) || tls_hung_up(&t));
        tls_close(&t);
    }
    struct tls t;
    assert_false(tls_open(s, &t, ALPN_RPC, &admin, TLS1_2_VERSION));
    tls_close(&t);
}

/* [0 no-alpn] [10 http-1] */
static void test_http_is_spoken_to_who_offers_it_or_nothing(void **state)
{
    struct state *s = *state;
    static const char *const alpns[] = {NULL, ALPN_HTTP};
    for (size_t i = 0; i < ARRAY_SIZE(alpns); i++) {
        struct tls t;
        char answer[512] = "";
        assert_true(tls_open(s, &t, alpns[i], NULL, 0));
        assert_true(SSL_write(t.ssl, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", 32) > 0);
        assert_true(SSL_read(t.ssl, answer, sizeof answer - 1) > 0);
        assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
        tls_close(&t);
    }
}

static void test_certificates_of_others_are_refused(void **state)
{
    struct state *s = *state;
    struct kit *k = s->kit;
    char *ca = k->ca, *ca_key = k->ca_key;
    struct error err = {0};
    struct tls t;
    assert_int_equal(pki_make_ca("another", &k->ca, &k->ca_key, &err), 0);
    assert_true(!tls_open(s, &t, ALPN_RPC, &admin, 0) || tls_hung_up(&t));
    tls_close(&t);
    free(k->ca);
    pki_free_key(k->ca_key);
    k->ca = ca;
    k->ca_key = ca_key;
    static const struct pki_identity node = {.role = PKI_ROLE_NODE, .name = "n"};
    assert_true(!tls_open(s, &t, ALPN_RAFT, &node, 0) || tls_hung_up(&t)); /* the masters' protocol is for masters */
    tls_close(&t);
    assert_true(!tls_open(s, &t, ALPN_RAFT, NULL, 0) || tls_hung_up(&t));
    tls_close(&t);
}

/* ---- Messages ---- */

static void test_malformed_messages_are_closed_and_counted(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *p;
        size_t n;
    } rows[] = {
        {"\xc1\xc1\xc1", 3},                                 /* no msgpack */
        {"\x90", 1},                                         /* empty */
        {"\x94\x07\x01\xa1x\x91\x80", 7},                    /* no such type of message */
        {"\x94\x00\x01\x05\x91\x80", 6},                     /* method is no string */
        {"\x80", 1},                                         /* no array */
        {"\xdd\xff\xff\xff\xff", 5},                         /* an array of 4 Gi elements */
        {"\x94\x00\x01\xdb\xff\xff\xff\xff", 8},             /* a name of 4 GiB */
        {"\x94\x00\x01\xa3get\x91\xc6\xff\xff\xff\xff", 13}, /* params of 4 GiB */
        {"\x93\x02\xabstream.data\x93\xce\xff\xff\xff\xff\x00",
         20}, /* cut short by the end of the row, then hung up below */
    };
    for (size_t i = 0; i + 1 < ARRAY_SIZE(rows); i++) {
        closes_for(s, &admin, rows[i].p, rows[i].n);
        closes_for(s, NULL, rows[i].p, rows[i].n);
    }
    struct tls t; /* half a message, and gone */
    assert_true(tls_open(s, &t, ALPN_RPC, &admin, 0));
    assert_true(SSL_write(t.ssl, rows[8].p, 15) > 0);
    tls_close(&t);
    must(s->c, "hello", "{}");
}

static void test_deep_nesting_is_refused(void **state)
{
    struct state *s = *state;
    struct buf b = BUF_INIT;
    buf_append(&b, "\x94\x00\x01\xa3get\x91\x81\xa1x", 11);
    for (int i = 0; i < 100000; i++) {
        buf_putc(&b, '\x91');
    }
    buf_putc(&b, '\xc0');
    closes_for(s, &admin, b.data, b.size);
    buf_close(&b);
}

static void test_a_stranger_cannot_send_much(void **state)
{
    struct state *s = *state;
    struct buf b = BUF_INIT;
    buf_append(&b, "\x94\x00\x01\xa4join\x91\x81\xa5token\xdb\x00\x02\x00\x00", 21);
    closes_for(s, NULL, b.data, b.size);
    buf_close(&b);
}

/* ---- Too much of what is good ---- */

struct flood {
    unsigned done, limited, busy, fine, other;
};

static void flood_answered(const struct rpc_result *r, void *data)
{
    struct flood *f = data;
    f->done++;
    f->fine += r->error == NULL;
    f->limited += r->error != NULL && r->error->code == ERR_LIMIT;
    f->busy += r->error != NULL && r->error->code == ERR_BUSY;
}

static void test_ten_thousand_requests_at_once_are_answered_or_refused(void **state)
{
    struct state *s = *state;
    struct client *c = client_admin(s->kit, 0);
    must(c, "hello", "{}");
    int64_t before = stat_of(s, "refusedInflight");
    struct flood f = {0};
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < 10000; i++) {
        buf_reset(&b);
        msgpack_write_value(&b,
                            kit_doc(s->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: f%u}}}", i));
        rpc_call(c->rpc, "create", buf_str(&b), KIT_WAIT_MS, flood_answered, &f);
    }
    buf_close(&b);
    for (int64_t until = kit_now() + KIT_WAIT_MS; f.done < 10000;) {
        assert_true(kit_now() < until);
        kit_turn(s->kit, 100);
    }
    print_message("%u done, %u beyond the limit\n", f.fine, f.limited);
    assert_int_equal(f.fine + f.limited, 10000);
    assert_true(f.fine >= RPC_INFLIGHT_MAX);
    assert_int_equal(stat_of(s, "refusedInflight") - before, f.limited);
    client_close(c);
    must(s->c, "deletecollection", "{kind: ConfigMap, namespace: default}");
}

static void test_many_bytes_of_requests_are_answered_or_refused(void **state)
{
    struct state *s = *state;
    struct client *c = client_admin(s->kit, 0);
    must(c, "hello", "{}");
    size_t before = kit_memory_kb(s->kit, 0);
    struct flood f = {0};
    char *big = malloc(1000001);
    memset(big, 'x', 1000000);
    big[1000000] = '\0';
    struct buf b = BUF_INIT;
    unsigned sent = 0;
    msgpack_write_value(
        &b,
        kit_doc(s->kit,
                "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: b1}, data: {k: %s}}, dryRun: true}", big));
    free(big);
    for (; sent < 60; sent++) { /* as much as our own side queues */
        rpc_call(c->rpc, "create", buf_str(&b), KIT_WAIT_MS, flood_answered, &f);
    }
    buf_close(&b);
    for (int64_t until = kit_now() + KIT_WAIT_MS; f.done < sent;) {
        assert_true(kit_now() < until);
        kit_turn(s->kit, 100);
    }
    assert_int_equal(f.fine + f.busy, sent);
    print_message("%u done, %u refused; memory %zu -> %zu KB\n", f.fine, f.busy, before, kit_memory_kb(s->kit, 0));
    client_close(c);
}

static void test_a_client_that_never_reads_does_not_fill_the_memory(void **state)
{
    struct state *s = *state;
    char *big = malloc(900001);
    memset(big, 'x', 900000);
    big[900000] = '\0';
    for (int i = 0; i < 4; i++) {
        must(s->c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big%d}, data: {k: %s}}}", i,
             big);
    }
    free(big);
    struct tls t;
    assert_true(tls_open(s, &t, ALPN_RPC, &admin, 0));
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < 2000; i++) { /* 7 GB of answers, had it its way */
        mp_write_array(&b, 4);
        mp_write_uint(&b, 0);
        mp_write_uint(&b, i);
        mp_write_cstr(&b, i % 2 == 0 ? "list" : "get");
        mp_write_array(&b, 1);
        msgpack_write_value(&b, i % 2 == 0 ? kit_doc(s->kit, "{kind: ConfigMap}")
                                           : kit_doc(s->kit, "{kind: ConfigMap, name: big1}"));
    }
    int64_t before = stat_of(s, "refusedBytes");
    assert_true(SSL_write(t.ssl, b.data, (int)b.size) > 0);
    buf_close(&b);
    int64_t slowest = 0;
    /* Others are served all the while, until the first answer finds no room. */
    for (int64_t until = kit_now() + KIT_WAIT_MS; stat_of(s, "refusedBytes") == before;) {
        int64_t start = kit_now();
        assert_true(start < until);
        must(s->c, "get", "{kind: Namespace, name: default}");
        slowest = MAX(slowest, kit_now() - start);
    }
    size_t memory = kit_memory_kb(s->kit, 0);
    print_message("memory %zu MB, slowest read of others %lld ms\n", memory >> 10, (long long)slowest);
    assert_true(memory < (600u << 10));
    tls_close(&t);
    must(s->c, "deletecollection", "{kind: ConfigMap, namespace: default}");
}

/* ---- Anything at all ---- */

static struct value *random_value(struct kit *k, struct rng *r, unsigned depth)
{
    static const char *const words[] = {
        "",       "default", "Pod",  "ConfigMap", "Secret",     "Node",          "Namespace", "a",
        "b",      "merge",   "json", "strategic", "status",     "scale",         "create",    "update",
        "delete", "check",   "v1",   "apps/v1",   "Deployment", "x=y",           "a in (b)",  "ignore",
        "Orphan", "1",       "node", "master",    "\xff\xfe",   "/metadata/name"};
    static const char *const keys[] = {"apiVersion",   "kind",      "metadata", "name",       "namespace",
                                       "labels",       "spec",      "status",   "data",       "op",
                                       "object",       "path",      "value",    "containers", "uid",
                                       "finalizers",   "template",  "phase",    "selector",   "resourceVersion",
                                       "generateName", "conditions"};
    struct arena *a = &k->arena;
    struct value *v;
    switch (rng_below(r, depth > 3 ? 7 : 11)) {
    case 0:
        return value_null(a);
    case 1:
        return value_bool(a, rng_below(r, 2) != 0);
    case 2:
        return value_int(a, (int64_t)rng_next(r));
    case 3:
        return value_int(a, (int64_t)rng_below(r, 3) - 1);
    case 4:
        return value_bin(a, "0123456789abcdef", rng_below(r, 2) * 16);
    case 5:
    case 6:
        return value_cstr(a, words[rng_below(r, ARRAY_SIZE(words))]);
    case 7:
        v = value_list(a);
        for (uint64_t n = rng_below(r, 4); n > 0; n--) {
            value_append(a, v, random_value(k, r, depth + 1));
        }
        return v;
    case 8: /* nearly an object */
        v = kit_doc(k, "{apiVersion: v1, kind: %s, metadata: {name: %s}}", words[2 + rng_below(r, 5)],
                    words[7 + rng_below(r, 2)]);
        value_set(a, rng_below(r, 2) == 0 ? v : value_get(v, "metadata"), keys[rng_below(r, ARRAY_SIZE(keys))],
                  random_value(k, r, depth + 1));
        return v;
    default:
        v = value_map(a);
        for (uint64_t n = rng_below(r, 5); n > 0; n--) {
            value_set(a, v, keys[rng_below(r, ARRAY_SIZE(keys))], random_value(k, r, depth + 1));
        }
        return v;
    }
}

static void ignore_request(struct client *c, struct rpc_request *r, struct str method, struct mp params)
{
    (void)c;
    (void)method;
    (void)params;
    rpc_reply_error(r, &(struct error){.code = ERR_BUSY, .message = "not now"});
}

/* A registered agent and an administrator say anything to every method: each call is answered, and the master lives. */
static void test_random_parameters_do_no_harm(void **state)
{
    static const struct {
        const char *method, *params;
    } rows[] = {
        {"hello", "version name"},
        {"get", "kind namespace name stale"},
        {"list", "kind namespace labelSelector fieldSelector limit continue stale"},
        {"watch", "kind namespace labelSelector fieldSelector revision"},
        {"create", "object validate id dryRun"},
        {"update", "object part validate id dryRun"},
        {"patch", "kind namespace name type patch part revision validate id dryRun"},
        {"apply", "objects validate id dryRun"},
        {"delete", "kind namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"},
        {"deletecollection", "kind namespace labelSelector fieldSelector gracePeriodSeconds propagationPolicy dryRun"},
        {"evict", "namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"},
        {"txn", "ops id dryRun"},
        {"logs", "namespace name container follow"},
        {"exec", "namespace name command stdin"},
        {"imageload", "node name"},
        {"imagepull", "node name"},
        {"images", "node"},
        {"imageremove", "node name"},
        {"token", "role ttlSeconds"},
        {"join", "token role name csr sans address"},
        {"node.register", "node"},
        {"node.pods", "name revision"},
        {"node.refs", "name revision"},
        {"node.routes", "name"},
        {"node.services", "name"},
        {"node.status", "name pods node gone"},
        {"node.events", "name events"},
    };
    struct state *s = *state;
    struct rng r = {.state = getenv("SEED") == NULL ? 1 : strtoull(getenv("SEED"), NULL, 10)};
    struct flood f = {0};
    struct buf b = BUF_INIT;
    must(s->c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: a, containers: [{name: c, image: "
         "i}]}}}");
    unsigned sent = 0;
    for (unsigned round = 0; round < 20; round++) {
        struct client *c = client_as(s->kit, 0, round % 4 == 3 ? PKI_ROLE_NODE : PKI_ROLE_ADMIN, "a");
        c->on_request = ignore_request;
        must(c, "hello", "{}");
        for (unsigned i = 0; i < 200; i++, sent++) {
            size_t row = rng_below(&r, ARRAY_SIZE(rows));
            struct value *params = value_map(&s->kit->arena);
            char words[200], *save = NULL;
            snprintf(words, sizeof words, "%s", rows[row].params);
            for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
                if (rng_below(&r, 4) != 0) {
                    value_set(&s->kit->arena, params, w, random_value(s->kit, &r, 0));
                }
            }
            buf_reset(&b);
            msgpack_write_value(&b, params);
            rpc_call(c->rpc, rows[row].method, buf_str(&b), KIT_WAIT_MS, flood_answered, &f);
        }
        for (int64_t until = kit_now() + KIT_WAIT_MS; f.done < sent && c->rpc != NULL;) {
            assert_true(kit_now() < until);
            kit_turn(s->kit, 50);
        }
        client_close(c);
    }
    buf_close(&b);
    print_message("%u calls, %u of them fine\n", f.done, f.fine);
    assert_int_equal(f.done, sent);
    must(s->c, "get", "{kind: Namespace, name: default}");
}

static void test_many_short_connections_leave_nothing_behind(void **state)
{
    struct state *s = *state;
    int64_t before = stat_of(s, "connections"), accepted = stat_of(s, "connectionsAccepted");
    for (int i = 0; i < 100; i++) {
        struct tls t;
        if (i % 2 == 0) {
            assert_true(tls_open(s, &t, ALPN_RPC, i % 4 == 0 ? &admin : NULL, 0));
            tls_close(&t);
        } else {
            close(tcp(s->kit));
        }
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; stat_of(s, "connections") > before;) {
        assert_true(kit_now() < until);
    }
    assert_true(stat_of(s, "connectionsAccepted") >= accepted + 100);
}

static void test_handshakes_that_stop_half_way_are_cut(void **state)
{
    struct state *s = *state;
    for (int i = 0; i < HALF_OPEN; i++) {
        assert_true(hung_up(s->half_open[i]));
        close(s->half_open[i]);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; stat_of(s, "connections") > 1;) {
        assert_true(kit_now() < until);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garbage_instead_of_tls_is_closed_and_counted),
        cmocka_unit_test(test_a_client_of_another_protocol_is_refused),
        cmocka_unit_test(test_http_is_spoken_to_who_offers_it_or_nothing),
        cmocka_unit_test(test_certificates_of_others_are_refused),
        cmocka_unit_test(test_malformed_messages_are_closed_and_counted),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_a_stranger_cannot_send_much),
        cmocka_unit_test(test_ten_thousand_requests_at_once_are_answered_or_refused),
        cmocka_unit_test(test_many_bytes_of_requests_are_answered_or_refused),
        cmocka_unit_test(test_a_client_that_never_reads_does_not_fill_the_memory),
        cmocka_unit_test(test_random_parameters_do_no_harm),
        cmocka_unit_test(test_many_short_connections_leave_nothing_behind),
        cmocka_unit_test(test_handshakes_that_stop_half_way_are_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
