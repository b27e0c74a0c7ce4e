/* Three masters: joining, forwarding, reading anywhere, losing and regaining a leader, catching up, keeping
 * everything; and what lies on disk. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/unit/kit/master_kit.h"

static const char *const run_args[] = {"--snapshot-entries", "200", NULL};

static int set_up(void **state)
{
    *state = kit_three(run_args);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static int thaw(void **state)
{
    kit_thaw_all(*state);
    return 0;
}

/* ---- Joining ---- */

static void join_refused(struct kit *k, const char *token, const char *text)
{
    char *said;
    int rc = kit_join_with(k, 0, token, &said);
    k->masters_count--; /* it is none */
    if (rc != 1 || strstr(said, text) == NULL) {
        fail_msg("expected exit code 1 and \"%s\", got %d and: %s", text, rc, said);
    }
    free(said);
}

static void test_join_with_a_wrong_token_is_refused_with_the_reason(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    join_refused(k, "nonsense", "malformed token");
    must(c, "token", "{role: master}");
    char token[128];
    snprintf(token, sizeof token, "%s", text_at(c, "token"));
    assert_string_equal(text_at(c, "address"), k->masters[kit_leader(k)].addr);
    char wrong[128];
    snprintf(wrong, sizeof wrong, "%s", token);
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    join_refused(k, wrong, "the token is unknown, expired, or not for role \"master\"");
    snprintf(wrong, sizeof wrong, "%s", token);
    memset(strchr(wrong, '@') + 1, '0', 8);
    join_refused(k, wrong, "fingerprint");
    must(c, "token", "{role: node}");
    snprintf(token, sizeof token, "%s", text_at(c, "token"));
    join_refused(k, token, "not for role \"master\"");
    refused(c, ERR_USAGE, "role", "token", "{role: admin}");
    refused(c, ERR_USAGE, "ttl", "token", "{role: node, ttlSeconds: 0}");
    refused(c, ERR_USAGE, "ttl", "token", "{role: master, ttlSeconds: 900000000}");
    client_close(c);
}

static void test_an_expired_token_is_refused(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    must(c, "token", "{role: master}");
    char token[128];
    snprintf(token, sizeof token, "%s", text_at(c, "token"));
    must(c, "patch",
         "{kind: Secret, namespace: kube-system, name: bootstrap-token-%.6s, type: merge,"
         " patch: {stringData: {expiration: '2020-01-01T00:00:00Z'}}}",
         token);
    join_refused(k, token, "expired");
    client_close(c);
}

static void test_a_master_that_never_came_may_join_again(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *c = client_admin(k, leader);
    char *said = NULL;
    unsigned lost = kit_join(k, leader); /* and its directory is lost before it ever ran */
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 4);
    must(c, "token", "{role: master}");
    strcat(k->masters[lost].dir, "-again");
    const char *args[] = {"join",
                          "--dir",
                          k->masters[lost].dir,
                          "--listen",
                          k->masters[lost].addr,
                          "--election-timeout",
                          "500",
                          "--raft-heartbeat",
                          "50",
                          "--token",
                          text_at(c, "token"),
                          k->masters[leader].addr,
                          NULL};
    if (kit_run(k, &said, args) != 0) {
        fail_msg("join again: %s", said);
    }
    free(said);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 4);
    k->masters_count--;
    /* Somebody else's address is not for the taking. */
    must(c, "token", "{role: master}");
    args[2] = k->dir;
    args[4] = k->masters[(leader + 1) % 3].addr;
    args[10] = text_at(c, "token");
    assert_int_equal(kit_run(k, &said, args), 1);
    assert_non_null(strstr(said, "which votes"));
    free(said);
    client_close(c);
}

static void test_a_node_joins_through_any_master(void **state)
{
    struct kit *k = *state;
    unsigned follower = (kit_leader(k) + 1) % 3;
    struct client *c = client_admin(k, follower), *stranger = client_as(k, follower, PKI_ROLE_NONE, "");
    char *csr, *key;
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "joined"};
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    must(c, "token", "{role: node}");
    struct value *params = kit_doc(k, "{role: node, name: joined, token: '%.23s'}", text_at(c, "token"));
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    must_value(stranger, "join", params);
    struct pki_identity got;
    int64_t from, to;
    assert_int_equal(pki_cert_info(text_at(stranger, "certificate"), &got, &from, &to, &err), 0);
    assert_int_equal(got.role, PKI_ROLE_NODE);
    assert_string_equal(got.name, "joined");
    assert_int_equal(value_count(value_get(stranger->result, "masters")), 3);
    assert_null(value_get(stranger->result, "caKey"));
    assert_null(value_get(stranger->result, "sealKey"));
    value_set(&k->arena, params, "name", value_cstr(&k->arena, "Bad Name"));
    assert_int_equal(call_value(stranger, "join", params), ERR_INVALID);
    value_set(&k->arena, params, "name", value_cstr(&k->arena, "fine"));
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, "garbage"));
    assert_int_not_equal(call_value(stranger, "join", params), 0);
    must(c, "token", "{role: master}");
    struct value *as_master = kit_doc(
        k, "{role: master, name: x, address: '127.0.0.1:1', csr: garbage, token: '%.23s'}", text_at(c, "token"));
    assert_int_not_equal(call_value(stranger, "join", as_master), 0);
    value_remove(as_master, "address");
    assert_int_equal(call_value(stranger, "join", as_master), ERR_USAGE);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 3);
    value_set(&k->arena, params, "role", value_cstr(&k->arena, "admin"));
    assert_int_equal(call_value(stranger, "join", params), ERR_UNAUTHORIZED);
    free(csr);
    pki_free_key(key);
    client_close(c);
    client_close(stranger);
}

/* ---- Serving ---- */

static void test_writes_through_followers_and_reads_everywhere(void **state)
{
    struct kit *k = *state;
    struct client *c[3];
    for (unsigned i = 0; i < 3; i++) {
        c[i] = client_admin(k, i);
    }
    must(c[0], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: everywhere}, data: {v: '0'}}}");
    for (unsigned i = 0; i < 60; i++) { /* written by one, read at once by another: linearizable */
        char v[16];
        snprintf(v, sizeof v, "%u", i);
        must(c[i % 3], "patch", "{kind: ConfigMap, name: everywhere, type: merge, patch: {data: {v: '%s'}}}", v);
        struct client *reader = c[(i + 1 + i / 3 % 2) % 3];
        must(reader, "get", "{kind: ConfigMap, name: everywhere}");
        assert_string_equal(text_at(reader, "object.data.v"), v);
        must(reader, "list", "{kind: ConfigMap, fieldSelector: metadata.name=everywhere}");
        assert_string_equal(value_text(k, value_item(value_get(reader->result, "items"), 0), "data.v"), v);
    }
    unsigned leader = kit_leader(k);
    for (unsigned i = 0; i < 3; i++) {
        refused(c[i], ERR_EXISTS, "already exists", "create",
                "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: everywhere}}}");
        for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) { /* they reach one another a little later */
            must(c[i], "cluster", "{}");
            if (int_at(c[i], "canLose") == 1) {
                break;
            }
            assert_true(kit_now() < until);
        }
        assert_int_equal(int_at(c[i], "leader"), leader + 1);
        assert_true(i == leader || int_at(c[i], "stats.forwarded") > 0);
    }
    char hash[3][40];
    int64_t revision[3];
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) { /* same revision, same state */
        for (unsigned i = 0; i < 3; i++) {
            must(c[i], "cluster", "{}");
            revision[i] = int_at(c[i], "revision");
            snprintf(hash[i], sizeof hash[i], "%s", text_at(c[i], "stateHash"));
        }
        if (revision[0] == revision[1] && revision[0] == revision[2]) {
            break;
        }
        assert_true(kit_now() < until);
    }
    assert_int_equal(strlen(hash[0]), 32);
    assert_string_equal(hash[0], hash[1]);
    assert_string_equal(hash[0], hash[2]);
    for (unsigned i = 0; i < 3; i++) {
        client_close(c[i]);
    }
}

static void test_a_watch_goes_on_at_another_master(void **state)
{
    struct kit *k = *state;
    struct client *a = client_admin(k, 0), *b = client_admin(k, 1);
    must(a, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: moving}}}");
    struct stream *s = stream_open(a, "watch", "{kind: ConfigMap, namespace: moving}");
    const struct value *p = stream_next(s);
    must(b, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: moving}}}");
    p = stream_next(s);
    int64_t revision = value_path_int(p, "revision", 0);
    assert_int_equal(revision, int_at(b, "revision"));
    stream_close(s);
    must(a, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: two, namespace: moving}}}");
    s = stream_open(b, "watch", "{kind: ConfigMap, namespace: moving, revision: %lld}", (long long)revision);
    p = stream_next(s);
    assert_int_equal(value_count(value_get(p, "events")), 1);
    assert_string_equal(value_text(k, value_item(value_get(p, "events"), 0), "object.metadata.name"), "two");
    stream_close(s);
    client_close(a);
    client_close(b);
}

/* A follower that keeps up serves agents, but only those that have registered over it (master_served). */
static void test_an_agent_that_is_registered_nowhere_is_sent_to_the_leader(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *a = client_as(k, (leader + 1) % 3, PKI_ROLE_NODE, "follows");
    refused(a, ERR_NOT_LEADER, NULL, "node.pods", "{name: follows}");
    if (strstr(a->err.message, "is not registered over this master") == NULL) { /* it does not serve agents yet */
        assert_string_equal(a->err.field, k->masters[leader].addr);
        assert_true(a->err.retry_after_ms > 0);
    }
    must(a, "hello", "{}");
    assert_string_equal(text_at(a, "leaderAddress"), k->masters[leader].addr);
    client_close(a);
}

/* ---- Losing masters ---- */

/* Writers that each create numbered objects, one after another, at a master of their own; what was acknowledged is
 * counted. */
struct writer {
    struct client *c;
    unsigned id, next, acknowledged, busy;
    bool stop;
};

static void write_next(struct writer *w);

static void written(const struct rpc_result *r, void *data)
{
    struct writer *w = data;
    w->busy--;
    if (r->error == NULL) {
        assert_int_equal(w->acknowledged, w->next - 1);
        w->acknowledged = w->next;
        w->next++;
    } else {
        w->stop = true; /* the others show that the cluster goes on */
    }
    if (!w->stop) {
        write_next(w);
    }
}

static void write_next(struct writer *w)
{
    struct buf b = BUF_INIT;
    msgpack_write_value(&b, kit_doc(w->c->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: w%u-%u}}}",
                                    w->id, w->next));
    w->busy++;
    rpc_call(w->c->rpc, "create", buf_str(&b), 15000, written, w);
    buf_close(&b);
}

static unsigned acknowledged_by(const struct writer *w, unsigned count)
{
    unsigned total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += w[i].acknowledged;
    }
    return total;
}

static void test_a_killed_leader_under_load_loses_no_acknowledged_write(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct writer w[6];
    for (unsigned i = 0; i < 6; i++) {
        w[i] = (struct writer){.c = client_admin(k, i % 3), .id = i, .next = 1};
        must(w[i].c, "hello", "{}");
        write_next(&w[i]);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS; acknowledged_by(w, 6) < 60 && kit_now() < until;) {
        kit_turn(k, 50);
    }
    kit_stop(k, leader, SIGKILL);
    int64_t killed = kit_now();
    struct client *c = client_admin(k, (leader + 1) % 3);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: after-the-kill}}}");
    print_message("next write %lld ms after the kill\n", (long long)(kit_now() - killed));
    unsigned busy = 1;
    for (int64_t until = kit_now() + KIT_WAIT_MS; busy > 0;) {
        assert_true(kit_now() < until);
        kit_turn(k, 50);
        busy = 0;
        for (unsigned i = 0; i < 6; i++) {
            w[i].stop = w[i].stop || kit_now() > killed + 1500;
            busy += w[i].busy;
        }
    }
    unsigned total = 0;
    for (unsigned i = 0; i < 6; i++) {
        total += w[i].acknowledged;
        for (unsigned n = 1; n <= w[i].acknowledged; n++) {
            if (call(c, "get", "{kind: ConfigMap, name: w%u-%u, stale: true}", i, n) != 0) {
                fail_msg("w%u-%u was acknowledged and is gone: %s", i, n, c->err.message);
            }
        }
        client_close(w[i].c);
    }
    print_message("%u writes acknowledged\n", total);
    assert_true(total > 50);
    kit_start(k, leader);
    struct client *old = client_admin(k, leader);
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(old, "get", "{kind: ConfigMap, name: after-the-kill}") != 0;) {
        assert_true(kit_now() < until);
        if (old->rpc == NULL) { /* not up yet */
            client_close(old);
            old = client_admin(k, leader);
        }
        kit_turn(k, 20);
    }
    must(c, "deletecollection", "{kind: ConfigMap, namespace: default}");
    client_close(old);
    client_close(c);
}

static void test_a_deposed_leader_answers_no_current_read_from_the_past(void **state)
{
    struct kit *k = *state;
    unsigned old = kit_leader(k);
    struct client *at_old = client_admin(k, old), *c = client_admin(k, (old + 1) % 3);
    must(at_old, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: era}, data: {v: old}}}");
    struct stream *pods = stream_open(at_old, "node.pods", "{name: x}");
    stream_next(pods);
    kit_freeze(k, old);
    int64_t stopped = kit_now();
    int rc;
    /* the first attempt goes to the leader that sleeps: it must not wait for longer than the others need to elect
     * one */
    do {
        rc = call(c, "patch", "{kind: ConfigMap, name: era, type: merge, patch: {data: {v: new}}}");
        assert_true(rc == 0 || rc == ERR_UNKNOWN_OUTCOME || rc == ERR_NO_QUORUM || rc == ERR_NOT_LEADER);
        kit_turn(k, 20);
    } while (rc != 0);
    print_message("next write %lld ms after the leader froze\n", (long long)(kit_now() - stopped));
    assert_true(kit_now() < stopped + 10000);
    /* Sent while it sleeps: read as soon as it wakes, before it hears of the other leader. */
    struct stream *refusal =
        stream_open(at_old, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: era}}}");
    kit_thaw(k, old);
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        rc = call(at_old, "get", "{kind: ConfigMap, name: era}");
        if (rc == 0) {
            assert_string_equal(text_at(at_old, "object.data.v"), "new");
            break;
        }
        assert_true(rc == ERR_NO_QUORUM || rc == ERR_NOT_LEADER || rc == ERR_TIMEOUT);
        assert_true(kit_now() < until);
        kit_turn(k, 20);
    }
    stream_wait_end(refusal);
    assert_true(refusal->end.code != 0 && refusal->end.code != ERR_PROTOCOL);
    stream_close(refusal);
    stream_close(pods);
    client_close(at_old);
    client_close(c);
}

static void test_without_a_majority_writes_and_current_reads_are_refused(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), last = (leader + 1) % 3;
    struct client *c = client_admin(k, last);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: lonely}}}");
    must(c, "get", "{kind: ConfigMap, name: lonely}"); /* so it has got there as well */
    kit_stop(k, leader, SIGKILL);
    kit_stop(k, (leader + 2) % 3, SIGKILL);
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        int rc = call(c, "get", "{kind: ConfigMap, name: lonely, timeoutMs: 200}");
        assert_int_not_equal(rc, 0);
        if (rc == ERR_NO_QUORUM && strstr(c->err.message, "no leader is known") != NULL) {
            break;
        }
        assert_true(kit_now() < until);
        kit_turn(k, 50);
    }
    refused(c, ERR_NO_QUORUM, "nothing was done", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}, timeoutMs: 200}");
    must(c, "get", "{kind: ConfigMap, name: lonely, stale: true}");
    must(c, "list", "{kind: ConfigMap, stale: true}");
    kit_start(k, leader);
    kit_start(k, (leader + 2) % 3);
    kit_leader(k);
    must(c, "get", "{kind: ConfigMap, name: lonely}");
    client_close(c);
}

static void test_a_follower_that_missed_snapshots_gets_one(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), away = (leader + 1) % 3;
    kit_stop(k, away, SIGTERM);
    struct client *c = client_admin(k, leader);
    must(c, "cluster", "{}");
    int64_t snapshots = int_at(c, "stats.snapshots");
    unsigned i = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; int_at(c, "stats.snapshots") < snapshots + 3;) {
        assert_true(kit_now() < until);
        for (unsigned j = 0; j < 100; j++, i++) {
            must(c, "apply",
                 "{objects: [{apiVersion: v1, kind: Secret, metadata: {name: moving%u}, stringData: {v: '%u'}}]}",
                 i % 50, i);
        }
        must(c, "cluster", "{}");
    }
    int64_t index = int_at(c, "appliedIndex");
    kit_start(k, away);
    kit_turn(k, 100);
    struct client *back = client_admin(k, away);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
        if (back->rpc == NULL) {
            client_close(back);
            back = client_admin(k, away);
        }
        if (call(back, "cluster", "{}") == 0 && int_at(back, "appliedIndex") >= index) {
            break;
        }
    }
    assert_true(int_at(back, "stats.restores") > 0);
    must(back, "get", "{kind: Secret, name: moving%u, stale: true}", (i - 1) % 50);
    assert_int_equal(value_count(value_path(back->result, "object.data")), 1);
    struct stream *s = stream_open(back, "watch", "{kind: Secret, namespace: default}");
    const struct value *events = value_get(stream_next(s), "events");
    assert_int_equal(value_count(events), 50);
    stream_close(s);
    client_close(back);
    client_close(c);
}

static void test_a_restart_of_all_keeps_everything(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: kept}, stringData: {v: precious}}}");
    const char *uid = text_at(c, "object.metadata.uid"), *version = text_at(c, "object.metadata.resourceVersion");
    must(c, "list", "{kind: Secret, limit: 1000}");
    unsigned count = value_count(value_get(c->result, "items"));
    client_close(c);
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, i == 1 ? SIGTERM : SIGKILL);
    }
    for (unsigned i = 0; i < 3; i++) {
        kit_start(k, i);
    }
    kit_leader(k);
    for (unsigned i = 0; i < 3; i++) {
        c = client_admin(k, i);
        must(c, "get", "{kind: Secret, name: kept}");
        assert_string_equal(text_at(c, "object.metadata.uid"), uid);
        assert_string_equal(text_at(c, "object.metadata.resourceVersion"), version);
        must(c, "list", "{kind: Secret, limit: 1000}");
        assert_int_equal(value_count(value_get(c->result, "items")), count);
        client_close(c);
    }
}

/* ---- Secrets ---- */

static bool file_contains(const char *path, const char *what)
{
    struct buf b = BUF_INIT;
    FILE *f = fopen(path, "r");
    char part[65536];
    size_t n;
    while (f != NULL && (n = fread(part, 1, sizeof part, f)) > 0) {
        buf_append(&b, part, n);
    }
    if (f != NULL) {
        fclose(f);
    }
    bool found = b.size > 0 && memmem(b.data, b.size, what, strlen(what)) != NULL;
    buf_close(&b);
    return found;
}

static bool tree_contains(const char *dir, const char *what)
{
    DIR *d = opendir(dir);
    bool found = false;
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.') {
            found |= e->d_type == DT_DIR ? tree_contains(path, what) : file_contains(path, what);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

static void test_no_secret_lies_on_disk_or_in_a_log_in_clear(void **state)
{
    static const char plain[] = "Xq7-very-secret-words-Xq7", open_word[] = "Xq8-open-words-in-a-map-Xq8";
    struct kit *k = *state;
    struct client *c = client_admin(k, (kit_leader(k) + 1) % 3);
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: hidden}, stringData: {v: %s}}}", plain);
    must(c, "patch", "{kind: Secret, name: hidden, type: merge, patch: {stringData: {w: %s2}}}", plain);
    must(c, "apply", "{objects: [{apiVersion: v1, kind: Secret, metadata: {name: hidden2}, stringData: {v: %s}}]}",
         plain);
    refused(c, ERR_INVALID, NULL, "create",
            "{object: {apiVersion: v1, kind: Secret, metadata: {name: BAD}, stringData: {v: %s}}}", plain);
    assert_null(strstr(c->err.message, plain));
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: shown}, data: {v: %s}}}", open_word);
    must(c, "cluster", "{}");
    int64_t snapshots = int_at(c, "stats.snapshots");
    for (unsigned i = 0; int_at(c, "stats.snapshots") <= snapshots; i++) {
        assert_true(i < 5000);
        must(c, "patch", "{kind: ConfigMap, name: shown, type: merge, patch: {data: {i: '%u'}}}", i);
        must(c, "cluster", "{}");
    }
    assert_true(tree_contains(k->dir, open_word)); /* so the search works */
    assert_false(tree_contains(k->dir, plain));
    assert_false(tree_contains(k->dir, "WHE3LXZlcnktc2VjcmV0LXdvcmRzLVhxN")); /* nor as base64 */
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_with_a_wrong_token_is_refused_with_the_reason),
        cmocka_unit_test(test_an_expired_token_is_refused),
        cmocka_unit_test(test_a_node_joins_through_any_master),
        cmocka_unit_test(test_writes_through_followers_and_reads_everywhere),
        cmocka_unit_test(test_a_watch_goes_on_at_another_master),
        cmocka_unit_test(test_an_agent_that_is_registered_nowhere_is_sent_to_the_leader),
        cmocka_unit_test(test_a_killed_leader_under_load_loses_no_acknowledged_write),
        cmocka_unit_test_teardown(test_a_deposed_leader_answers_no_current_read_from_the_past, thaw),
        cmocka_unit_test(test_without_a_majority_writes_and_current_reads_are_refused),
        cmocka_unit_test(test_a_follower_that_missed_snapshots_gets_one),
        cmocka_unit_test(test_a_restart_of_all_keeps_everything),
        cmocka_unit_test(test_no_secret_lies_on_disk_or_in_a_log_in_clear),
        cmocka_unit_test(test_a_master_that_never_came_may_join_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
