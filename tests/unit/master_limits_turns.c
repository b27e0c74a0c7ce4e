/* One identity with thousands of requests: others are answered before its backlog is, whatever the requests are.
 * OBJECTS=n and PODS=n measure with more. */
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define WAIT_MS (6 * KIT_WAIT_MS) /* of the attacker: it has patience */

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static unsigned objects(void)
{
    const char *n = getenv("OBJECTS");
    return n == NULL ? 20000 : (unsigned)atoi(n);
}

/* ConfigMaps in namespace default, 1,000 a transaction. */
static void fill(struct client *c, unsigned count)
{
    for (unsigned i = 0; i < count;) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "{objects: [");
        for (unsigned j = 0; j < 1000 && i < count; j++, i++) {
            buf_printf(&text, "%s{apiVersion: v1, kind: ConfigMap, metadata: {name: o%u}}", j == 0 ? "" : ",", i);
        }
        buf_printf(&text, "]}");
        must(c, "apply", "%s", buf_cstr(&text));
        buf_close(&text);
    }
}

/* User and system time of a master, in ms. */
static int64_t cpu_ms(struct kit *k, unsigned master)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)k->masters[master].pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    fclose(f);
    return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

struct flood {
    unsigned sent, answered, refused;
    bool done;
    struct error first;
};

static void answered(const struct rpc_result *r, void *data)
{
    struct flood *f = data;
    if (r->error != NULL && f->refused++ == 0) {
        f->first = *r->error;
    }
    f->done = ++f->answered == f->sent;
}

static void pipeline(struct flood *f, struct client *c, const char *method, const struct value *params, unsigned count)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, params);
    for (unsigned i = 0; i < count; i++) {
        f->sent++;
        f->done = false;
        rpc_call(c->rpc, method, buf_str(&b), WAIT_MS, answered, f);
    }
}

/* A modest user beside the flood: `count` requests one after the other. Returns the longest wait in ms. */
static int64_t modest(struct client *c, unsigned count, bool writes)
{
    static unsigned n;
    int64_t longest = 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t start = kit_now();
        if (writes) {
            must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: modest%u}}}", n++);
        } else {
            must(c, "get", "{kind: Namespace, name: default}");
        }
        longest = MAX(longest, kit_now() - start);
    }
    return longest;
}

static void lists_without_a_match_are_paid_by_whoever_asks_for_them(void **state)
{
    enum { LISTS = 500 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory"),
                  *alice = client_as(k, 0, PKI_ROLE_ADMIN, "alice"), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    fill(admin, objects());
    int64_t cpu = cpu_ms(k, 0), start = kit_now();
    struct flood f = {0};
    pipeline(&f, mallory, "list", kit_doc(k, "{kind: ConfigMap, labelSelector: none=such}"), LISTS);
    int64_t longest = modest(alice, 5, false);
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    unsigned before = f.answered;
    kit_until(k, &f.done, "the lists are answered");
    must(admin, "cluster", "{}");
    print_message(
        "%u lists of %u objects: %lld ms, %lld ms of CPU; the longest wait of another user %lld ms, %u lists had "
        "been answered then\n",
        LISTS, objects(), (long long)(kit_now() - start), (long long)(cpu_ms(k, 0) - cpu), (long long)longest, before);
    assert_int_equal(f.refused, 0);
    if (int_at(admin, "stats.listPieces") != -1) { /* a master of before this has none */
        assert_true(before < LISTS);
        assert_true(int_at(admin, "stats.listPieces") >= (int64_t)LISTS * objects() / TURNS_PIECE_VISITS);
        assert_true(int_at(admin, "stats.requestsWaited") > 0);
    }
    client_close(admin);
    client_close(mallory);
    client_close(alice);
    client_close(node);
}

static void a_list_of_many_pieces_is_one_version(void **state)
{
    enum { COUNT = 5000 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    fill(admin, COUNT);
    struct flood f = {0};
    pipeline(&f, mallory, "list", kit_doc(k, "{kind: ConfigMap, labelSelector: none=such}"), 50);
    for (unsigned i = 0; i < 5; i++) {
        must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: more%u}}}", i);
        int64_t revision = int_at(admin, "revision");
        must(admin, "list", "{kind: ConfigMap, namespace: default, limit: 100000}");
        unsigned more = 0, count = value_count(value_get(admin->result, "items"));
        for (unsigned j = 0; j < count; j++) {
            struct str name = value_path_str(value_item(value_get(admin->result, "items"), j), "metadata.name");
            more += name.n > 4 && memcmp(name.p, "more", 4) == 0;
        }
        assert_int_equal(count, COUNT + i + 1);
        assert_int_equal(more, i + 1);
        assert_true(int_at(admin, "revision") >= revision);
    }
    kit_until(k, &f.done, "the lists are answered");
    client_close(admin);
    client_close(mallory);
}

/* Watches that begin are lists as well. */
static void watches_that_begin_are_paid_by_whoever_asks_for_them(void **state)
{
    enum { WATCHES = 300 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory"),
                  *alice = client_as(k, 0, PKI_ROLE_ADMIN, "alice");
    fill(admin, objects());
    struct stream *all[WATCHES];
    for (unsigned i = 0; i < WATCHES; i++) {
        all[i] = stream_open(mallory, "watch", "{kind: ConfigMap, labelSelector: none=such}");
    }
    int64_t longest = modest(alice, 5, false);
    unsigned begun = 0;
    for (unsigned i = 0; i < WATCHES; i++) {
        begun += all[i]->count > 0;
    }
    print_message("%u watches: the longest wait of another user %lld ms, %u had begun then\n", WATCHES,
                  (long long)longest, begun);
    assert_true(begun < WATCHES);
    for (unsigned i = 0; i < WATCHES; i++) {
        struct value *first = stream_next(all[i]);
        assert_non_null(first);
        assert_string_equal(value_text(k, value_item(value_get(first, "events"), 0), "type"), "BOOKMARK");
    }
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {none: such}}}}");
    for (unsigned i = 0; i < WATCHES; i++) {
        struct value *event = stream_next(all[i]);
        assert_string_equal(value_text(k, value_item(value_get(event, "events"), 0), "type"), "ADDED");
        stream_close(all[i]);
    }
    client_close(admin);
    client_close(mallory);
    client_close(alice);
}

/* More than the open batch has room for: they wait, nobody is refused, and whoever writes little does not stand
 * behind them. */
static void writes_wait_for_room_and_others_go_before_them(void **state)
{
    enum { WRITES = 3000, BYTES = 20000 };
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *alice = client_as(k, 0, PKI_ROLE_ADMIN, "alice"),
                  *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory"), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    CLEANUP_FREE char *text = xcalloc(1, BYTES + 1);
    memset(text, 'x', BYTES);
    must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: old}}}");
    struct flood f = {0};
    pipeline(
        &f, mallory, "create",
        kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {generateName: big}, data: {x: %s}}}", text),
        WRITES);
    int64_t longest = modest(alice, 4, true);
    must(alice, "delete", "{kind: ConfigMap, name: old}");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    unsigned before = f.answered;
    kit_until(k, &f.done, "the writes are answered");
    print_message(
        "%u writes of %u bytes, %u refused; the longest wait of another user %lld ms, %u had been answered then\n",
        WRITES, BYTES, f.refused, (long long)longest, before);
    if (f.refused > 0) {
        fail_msg("refused: %s", f.first.message);
    }
    assert_true(before < WRITES);
    client_close(admin);
    client_close(alice);
    client_close(mallory);
    client_close(node);
}

static void a_connection_that_goes_takes_its_backlog_with_it(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *mallory = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    fill(admin, objects());
    static struct flood f; /* outlives a test that fails */
    pipeline(&f, mallory, "list", kit_doc(k, "{kind: ConfigMap, labelSelector: none=such}"), 2000);
    modest(admin, 3, false);
    client_close(mallory);
    kit_until(k, &f.done, "all have heard that the connection is gone");
    for (int64_t until = kit_now() + KIT_WAIT_MS;; assert_true(kit_now() < until)) {
        must(admin, "cluster", "{}");
        /* of mallory nothing is left */
        if (int_at(admin, "stats.requestsWaiting") == 0 && int_at(admin, "stats.subjects") == 1) {
            break;
        }
    }
    assert_true(int_at(admin, "stats.listPieces") < 2000 * (int64_t)objects() / TURNS_PIECE_VISITS);
    client_close(admin);
}

static void a_node_has_few_places_for_watches(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0), *a[2];
    struct stream *all[2][MASTER_WATCHES_NODE_MAX];
    must((a[0] = client_as(k, 0, PKI_ROLE_NODE, "n1")), "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    a[1] = client_as(k, 0, PKI_ROLE_NODE, "n1"); /* places are the identity's, not the connection's */
    for (unsigned i = 0; i < MASTER_WATCHES_NODE_MAX; i++) {
        all[0][i] = stream_open(a[i % 2], "node.pods", "{name: n1}");
        assert_non_null(stream_next(all[0][i]));
    }
    struct stream *more = stream_open(a[1], "node.pods", "{name: n1}");
    assert_null(stream_next(more));
    assert_int_equal(more->end.code, ERR_LIMIT);
    assert_non_null(strstr(more->end.message, "node \"n1\" has 16 watches here, which is the most that one may have"));
    stream_close(more);
    must(admin, "cluster", "{}");
    assert_int_equal(int_at(admin, "stats.watches"), MASTER_WATCHES_NODE_MAX);
    assert_int_equal(int_at(admin, "stats.refusedWatches"), 1);
    stream_close(all[0][0]);
    more = stream_open(a[1], "node.pods", "{name: n1}"); /* a place that is free again */
    assert_non_null(stream_next(more));
    stream_close(more);
    for (unsigned i = 1; i < MASTER_WATCHES_NODE_MAX; i++) {
        stream_close(all[0][i]);
    }
    client_close(a[0]);
    client_close(a[1]);
    client_close(admin);
}

/* A selective list or watch over many pods goes on from turn to turn, and one that an index answers does not visit
 * them at all. */
static void no_piece_visits_more_than_the_bound(void **state)
{
    unsigned pods = getenv("PODS") != NULL ? (unsigned)atoi(getenv("PODS")) : 10000; /* in thousands */
    static const char *const without_match[] = {"{kind: Pod, labelSelector: none=such}",
                                                "{kind: Pod, namespace: default, labelSelector: '!app'}",
                                                "{kind: Pod, fieldSelector: 'spec.nodeName!='}"};
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    for (unsigned i = 0; i < pods;) {
        struct buf text = BUF_INIT;
        for (unsigned n = 0; n < 1000; n++, i++) {
            buf_printf(&text,
                       "%s{apiVersion: v1, kind: Pod, metadata: {name: p%u, labels: {app: web}}, spec: {containers: "
                       "[{name: c, image: i}]}}",
                       n == 0 ? "" : ",", i);
        }
        must(admin, "apply", "{objects: [%s]}", buf_cstr(&text));
        buf_close(&text);
    }
    must(admin, "cluster", "{}");
    int64_t before = int_at(admin, "stats.listPieces");
    for (unsigned i = 0; i < ARRAY_SIZE(without_match); i++) {
        must(admin, "list", "%s", without_match[i]);
        assert_int_equal(value_count(value_get(admin->result, "items")), 0);
        struct stream *s = stream_open(admin, "watch", without_match[i]);
        assert_non_null(stream_next(s)); /* the bookmark */
        stream_close(s);
    }
    must(admin, "cluster", "{}");
    assert_true(int_at(admin, "stats.listPieces") - before >=
                (int64_t)ARRAY_SIZE(without_match) * pods / TURNS_PIECE_VISITS);
    assert_int_equal(int_at(admin, "stats.pieceVisitsMost"), TURNS_PIECE_VISITS);
    before = int_at(admin, "stats.listPieces");
    must(admin, "list", "{kind: Pod, namespace: default, labelSelector: 'none=such,app=web'}");
    must(admin, "list", "{kind: Pod, fieldSelector: spec.nodeName=none}");
    must(admin, "cluster", "{}");
    assert_int_equal(int_at(admin, "stats.listPieces") - before, 2);
    client_close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_without_a_match_are_paid_by_whoever_asks_for_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_of_many_pieces_is_one_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watches_that_begin_are_paid_by_whoever_asks_for_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_wait_for_room_and_others_go_before_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_that_goes_takes_its_backlog_with_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_has_few_places_for_watches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_piece_visits_more_than_the_bound, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
