/* Attacks on a master that no test asserts, so that they can be run beside a program that does not refuse them: what
 * was taken, what was refused, how long another user waited. A copy of this program in another build's BUILD/tests/
 * attacks attacks that build's master. tests/README.md says how its figures came about.
 *
 * usage: COST=1 [TEST=NAME] [STATE_MB=N] build/tests/attacks/masters       (STATE_MB: the bound of the state) */
#include "tests/unit/kit/master_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PATIENCE_MS 5000 /* for an answer that may never come */

static int set_up(void **state)
{
    const char *args[] = {"--state-mb", getenv("STATE_MB"), NULL};
    *state = kit_one(args[1] == NULL ? NULL : args);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* ---- Small words ---- */

struct tally {
    unsigned sent, taken, refused, silent;
};

/* One request, which may be refused and may stay without an answer. */
static void attempt(struct tally *t, struct client *c, const char *method, const struct value *params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct answer a = {0};
    t->sent++;
    if (c->rpc == NULL) {
        t->refused++;
        return;
    }
    msgpack_write_value(&b, params);
    uv_update_time(&c->kit->loop);
    rpc_call(c->rpc, method, buf_str(&b), PATIENCE_MS, take_answer, &a);
    kit_until(c->kit, &a.done, method);
    t->taken += a.err.code == 0;
    t->silent += a.err.code == ERR_TIMEOUT;
    t->refused += a.err.code != 0 && a.err.code != ERR_TIMEOUT;
}

/* What was sent needs no memory any more. */
static void forget(struct kit *k)
{
    arena_close(&k->arena);
    arena_init(&k->arena);
}

/* The longest of three gets of somebody else. */
static int64_t others_wait(struct kit *k)
{
    struct client *c = client_as(k, 0, PKI_ROLE_ADMIN, "alice");
    int64_t longest = 0;
    for (unsigned i = 0; i < 3; i++) {
        int64_t start = kit_now();
        must(c, "get", "{kind: Namespace, name: default}");
        longest = MAX(longest, kit_now() - start);
    }
    client_close(c);
    return longest;
}

static void report(struct kit *k, const char *what, const struct tally *t)
{
    print_message("%s: %u sent, %u taken, %u refused, %u without an answer; another user's get: %lld ms\n", what,
                  t->sent, t->taken, t->refused, t->silent, (long long)others_wait(k));
}

/* ---- The attacks ---- */

/* What a master costs that is attacked by nobody. */
static void nothing(void **state)
{
    report(*state, "nothing", &(struct tally){0});
}

static void watches(void **state)
{
    enum { CONNECTIONS = 5, EACH = 1000 };
    struct kit *k = *state;
    struct client *node[CONNECTIONS];
    static struct stream *all[CONNECTIONS][EACH];
    struct tally t = {0};
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        node[i] = client_as(k, 0, PKI_ROLE_NODE, "n1");
        if (i == 0) {
            must(node[i], "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
        }
        for (unsigned j = 0; j < EACH; j++) {
            all[i][j] = stream_open(node[i], "node.pods", "{name: n1}");
        }
    }
    for (unsigned i = 0; i < CONNECTIONS * EACH; i++) {
        struct stream *s = all[i / EACH][i % EACH];
        t.sent++;
        stream_next(s);
        t.taken += !s->ended;
        t.refused += s->ended;
    }
    report(k, "watches of one node", &t);
    for (unsigned i = 0; i < CONNECTIONS * EACH; i++) {
        stream_close(all[i / EACH][i % EACH]);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        client_close(node[i]);
    }
}

static void small_objects(void **state)
{
    enum { COUNT = 200000, EACH = 1000 };
    struct kit *k = *state;
    struct client *c = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    struct tally t = {0};
    for (unsigned i = 0; i < COUNT;) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        for (unsigned j = 0; j < EACH; j++, i++) {
            buf_printf(&text, "%s{apiVersion: v1, kind: ConfigMap, metadata: {name: o%u}}", j == 0 ? "" : ",", i);
        }
        attempt(&t, c, "apply", kit_doc(k, "{objects: [%s]}", buf_cstr(&text)));
        forget(k);
    }
    report(k, "1,000 small objects each", &t);
    client_close(c);
}

static void large_objects(void **state)
{
    enum { COUNT = 200, BYTES = 900 << 10 };
    struct kit *k = *state;
    struct client *c = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    struct tally t = {0};
    CLEANUP_FREE char *text = xcalloc(1, BYTES + 1);
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned at = 0; at + 8 < BYTES; at += 8) { /* nothing that can be made small */
            snprintf(text + at, 9, "%08x", (at * 2654435761u) ^ (i * 40503u));
        }
        attempt(
            &t, c, "create",
            kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: l%u}, data: {x: a%s}}}", i, text));
        forget(k);
    }
    report(k, "objects of 900 KiB", &t);
    client_close(c);
}

static struct value *newcomer(struct kit *k, const char *name, const char *token)
{
    char *csr, *key;
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    struct value *params = kit_doc(k, "{role: node, name: %s, token: '%.23s'}", name, token);
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    free(csr);
    pki_free_key(key);
    return params;
}

static void invented_nodes(void **state)
{
    enum { COUNT = 300 };
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    struct tally t = {0};
    must(c, "token", "{role: node}");
    const char *token = text_at(c, "token");
    for (unsigned i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        if (stranger->rpc == NULL) { /* it may stay for some seconds only */
            client_close(stranger);
            stranger = client_as(k, 0, PKI_ROLE_NONE, "");
        }
        attempt(&t, stranger, "join", newcomer(k, name, token));
    }
    report(k, "invented nodes with one token", &t);
    client_close(stranger);
    client_close(c);
}

static void guesses(void **state)
{
    enum { COUNT = 2000 };
    struct kit *k = *state;
    struct client *stranger = client_as(k, 0, PKI_ROLE_NONE, "");
    struct value *wrong = kit_doc(k, "{role: node, name: x, token: aaaaaa.bbbbbbbbbbbbbbbb}");
    struct tally t = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        if (stranger->rpc == NULL) {
            client_close(stranger);
            stranger = client_as(k, 0, PKI_ROLE_NONE, "");
        }
        attempt(&t, stranger, "join", wrong);
    }
    report(k, "guessed tokens", &t);
    client_close(stranger);
}

static void strange_events(void **state)
{
    enum { CALLS = 8, EACH = 400 };
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = client_as(k, 0, PKI_ROLE_NODE, "n1");
    struct tally t = {0};
    must(a, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    for (unsigned i = 0; i < CALLS; i++) {
        CLEANUP_BUF struct buf many = BUF_INIT;
        for (unsigned j = 0; j < EACH; j++) {
            buf_printf(&many,
                       "%s{involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: p%u-%u}, reason: R, "
                       "message: m}",
                       j > 0 ? ", " : "", i, j);
        }
        attempt(&t, a, "node.events", kit_doc(k, "{name: n1, events: [%s]}", buf_cstr(&many)));
    }
    must(c, "list", "{kind: Event, limit: 100000}");
    print_message("%u events are there\n", value_count(value_get(c->result, "items")));
    report(k, "400 events each about pods that nobody ever had", &t);
    client_close(a);
    client_close(c);
}

struct dialed {
    struct net_conn *conn;
};

static void dial_opened(struct net_conn *c, void *data)
{
    (void)c, (void)data;
}

static void dial_closed(struct net_conn *c, const struct error *why, void *data)
{
    (void)c, (void)why;
    ((struct dialed *)data)->conn = NULL;
}

static void knocks(void **state)
{
    enum { COUNT = 5000 };
    struct kit *k = *state;
    static struct dialed dialed[20];
    static const struct net_conn_events events = {.on_open = dial_opened, .on_close = dial_closed};
    struct net_tls *tls = NULL;
    struct error err = {0};
    assert_int_equal(net_tls_new(k->ca, NULL, NULL, NULL, &tls, &err), 0);
    unsigned open = 0, sent = 0;
    for (int64_t until = kit_now() + 2 * KIT_WAIT_MS; sent < COUNT || open > 0; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
        open = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(dialed); i++) {
            if (dialed[i].conn == NULL && sent < COUNT) {
                dialed[i].conn = net_connect(&k->loop, tls, k->masters[0].addr, ALPN_RAFT, 5000, &events, &dialed[i]);
                sent++;
            }
            open += dialed[i].conn != NULL;
        }
    }
    net_tls_unref(tls);
    CLEANUP_FREE char *said = kit_log(k, 0);
    unsigned lines = 0;
    for (const char *at = said; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    print_message("%u handshakes without a certificate: %u lines, %zu bytes of log\n", sent, lines, strlen(said));
    report(k, "and then", &(struct tally){0});
}

/* ---- A disk that is full ---- */

static void fill(struct kit *k, const char *name)
{
    char path[300];
    struct statvfs fs;
    snprintf(path, sizeof path, "%s/%s", k->masters[0].dir, name);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(statvfs(k->masters[0].dir, &fs), 0);
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    int rv = ENOSPC;
    for (uint64_t n = room; rv == ENOSPC && n > 4096; n -= 4096) {
        rv = posix_fallocate(fd, 0, (off_t)n);
    }
}

static void nodes_flood(struct tally *t, struct client *a)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < 600 && t->silent == 0; i++) { /* before the end, all segments of the log are full */
        buf_reset(&text);
        for (unsigned j = 0; j < 7500; j++) { /* nothing that can be made small */
            buf_printf(&text, "%08x", (j * 2654435761u) ^ (i * 40503u));
        }
        attempt(t, a, "node.events",
                kit_doc(a->kit,
                        "{name: n1, events: [{involvedObject: {kind: Node, name: n1}, reason: R%u, message: a%s}]}", i,
                        buf_cstr(&text)));
        attempt(t, a, "node.status",
                kit_doc(a->kit,
                        "{name: n1, pods: [], node: {conditions: [{type: Ready, status: 'True', message: a%s}]}}",
                        buf_cstr(&text)));
    }
}

/* Without set_up: it has a file system of its own. The program may be one that cannot be talked to any more, so this
 * kills it itself; its cost comes before. */
static void full_disk(void **state)
{
    char path[256];
    struct kit *k = kit_new();
    *state = k;
    snprintf(path, sizeof path, "%s/m0", k->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=300m,mode=0700"), 0);
    kit_init(k, NULL);
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0), *a = client_as(k, 0, PKI_ROLE_NODE, "n1");
    struct tally flood = {0}, deletes = {0}, after = {0};
    must(a, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    for (unsigned i = 0; i < 40; i++) {
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u}}}", i);
    }
    fill(k, "filler");
    for (int64_t until = kit_now() + 5000; kit_now() < until;) { /* until the master has seen it */
        kit_turn(k, 100);
    }
    nodes_flood(&flood, a);
    for (unsigned i = 0; i < 20 && deletes.silent == 0; i++) {
        attempt(&deletes, c, "delete", kit_doc(k, "{kind: ConfigMap, name: c%u}", i));
    }
    print_message("events and reports: %u sent, %u taken, %u refused, %u without an answer\n", flood.sent, flood.taken,
                  flood.refused, flood.silent);
    print_message("deletes: %u sent, %u taken, %u refused, %u without an answer\n", deletes.sent, deletes.taken,
                  deletes.refused, deletes.silent);
    print_message("%lld ms of CPU, %zu KiB\n", (long long)kit_cpu_ms(k, 0), kit_memory_kb(k, 0));
    client_close(c);
    client_close(a);
    kit_stop(k, 0, SIGKILL);
    fill(k, "filler2");
    kit_start(k, 0);
    c = client_admin(k, 0);
    for (int64_t until = kit_now() + 20000; after.taken == 0 && kit_now() < until; kit_turn(k, 100)) {
        if (c->rpc == NULL) {
            client_close(c);
            c = client_admin(k, 0);
        }
        after = (struct tally){0};
        attempt(&after, c, "delete", kit_doc(k, "{kind: ConfigMap, name: c39}"));
    }
    print_message("started on the full disk: %s\n", after.taken > 0 ? "takes deletes" : "takes nothing");
    client_close(c);
    umount2(path, MNT_DETACH);
    kit_stop(k, 0, SIGKILL);
}

int main(void)
{
#define ATTACK(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ATTACK(nothing),       ATTACK(watches),        ATTACK(small_objects),
        ATTACK(large_objects), ATTACK(knocks),         ATTACK(invented_nodes),
        ATTACK(guesses),       ATTACK(strange_events), cmocka_unit_test_teardown(full_disk, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
