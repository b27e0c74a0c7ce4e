/* Reading through the API of one master: get, list and its pages, watches. */
#include "tests/unit/kit/master_kit.h"

struct state {
    struct kit *kit;
    struct client *c;
};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    s->kit = kit_one(NULL);
    s->c = client_admin(s->kit, 0);
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

static struct client *client_of(void **state)
{
    return ((struct state *)*state)->c;
}

static void make_namespace(struct client *c, const char *ns)
{
    must(c, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: %s}}}", ns);
}

static void make(struct client *c, const char *ns, const char *name, const char *labels)
{
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: %s}}}",
         name, ns, labels);
}

static void label(struct client *c, const char *ns, const char *name, const char *labels)
{
    must(c, "patch", "{kind: ConfigMap, namespace: %s, name: %s, type: merge, patch: {metadata: {labels: %s}}}", ns,
         name, labels);
}

static unsigned items(struct client *c)
{
    return value_count(value_get(c->result, "items"));
}

/* ---- get, list ---- */

static void test_get(void **state)
{
    struct client *c = client_of(state);
    make(c, "default", "g", "{a: b}");
    int64_t revision = int_at(c, "revision");
    must(c, "get", "{kind: ConfigMap, name: g}");
    assert_true(int_at(c, "revision") >= revision);
    assert_string_equal(text_at(c, "object.kind"), "ConfigMap");
    must(c, "get", "{kind: ConfigMap, name: g, stale: true}");
    refused(c, ERR_NOT_FOUND, "configmaps \"h\" not found", "get", "{kind: ConfigMap, name: h}");
    must(c, "get", "{kind: Namespace, name: default, namespace: ignored}");
}

static void test_list_by_namespace_and_selectors(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "sel");
    make(c, "sel", "a", "{app: web, tier: front}");
    make(c, "sel", "b", "{app: web}");
    make(c, "sel", "c", "{app: db}");
    must(c, "list", "{kind: ConfigMap, namespace: sel}");
    assert_int_equal(items(c), 3);
    must(c, "list", "{kind: ConfigMap, namespace: sel, labelSelector: app=web}");
    assert_int_equal(items(c), 2);
    must(c, "list", "{kind: ConfigMap, namespace: sel, labelSelector: 'app in (web,db),!tier'}");
    assert_int_equal(items(c), 2);
    must(c, "list", "{kind: ConfigMap, namespace: sel, fieldSelector: 'metadata.name!=a'}");
    assert_int_equal(items(c), 2);
    must(c, "list", "{kind: ConfigMap, labelSelector: app=web}"); /* all namespaces */
    assert_int_equal(items(c), 2);
    must(c, "list", "{kind: ConfigMap, namespace: empty}");
    assert_int_equal(items(c), 0);
    refused(c, ERR_INVALID, NULL, "list", "{kind: ConfigMap, labelSelector: 'a in (b'}");
    refused(c, ERR_INVALID, NULL, "list", "{kind: ConfigMap, fieldSelector: 'a>b'}");
    refused(c, ERR_USAGE, "limit", "list", "{kind: ConfigMap, limit: 0}");
    refused(c, ERR_USAGE, "limit", "list", "{kind: ConfigMap, limit: -1}");
    refused(c, ERR_USAGE, "malformed continue", "list", "{kind: ConfigMap, continue: '!!!'}");
    refused(c, ERR_USAGE, "malformed continue", "list", "{kind: ConfigMap, continue: 'AAAA'}");
}

static void test_pages_come_from_one_version_while_writes_go_on(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "pages");
    char name[16];
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "p%02d", i);
        make(c, "pages", name, "{v: '1'}");
    }
    must(c, "list", "{kind: ConfigMap, namespace: pages, limit: 10}");
    assert_int_equal(items(c), 10);
    int64_t revision = int_at(c, "revision");
    unsigned seen = 10, pages = 1;
    while (text_at(c, "continue")[0] != '\0') {
        const char *token = text_at(c, "continue");
        snprintf(name, sizeof name, "p%02d", 24 - (int)pages);
        label(c, "pages", name, "{v: '2'}");
        must(c, "delete", "{kind: ConfigMap, namespace: pages, name: p%02u}", 15 + pages);
        snprintf(name, sizeof name, "p07-new%u", pages);
        make(c, "pages", name, "{v: '3'}");
        must(c, "list", "{kind: ConfigMap, namespace: pages, limit: 10, continue: '%s'}", token);
        assert_int_equal(int_at(c, "revision"), revision);
        const struct value *list = value_get(c->result, "items");
        VALUE_FOR(i, list)
        {
            snprintf(name, sizeof name, "p%02u", seen + i);
            assert_string_equal(value_text(c->kit, value_item(list, i), "metadata.name"), name);
            assert_string_equal(value_text(c->kit, value_item(list, i), "metadata.labels.v"), "1");
        }
        seen += items(c);
        pages++;
    }
    assert_int_equal(seen, 25);
    assert_int_equal(pages, 3);
}

static void test_an_old_continue_token_expires(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "old");
    make(c, "old", "a", "{}");
    make(c, "old", "b", "{}");
    must(c, "list", "{kind: ConfigMap, namespace: old, limit: 1}");
    const char *token = text_at(c, "continue");
    assert_true(token[0] != '\0');
    for (int i = 0; i < 40; i++) { /* other lists, each of another version */
        char labels[32];
        snprintf(labels, sizeof labels, "{num: '%d'}", i);
        label(c, "old", "a", labels);
        must(c, "list", "{kind: ConfigMap, namespace: old, limit: 1}");
    }
    refused(c, ERR_EXPIRED, "begin it anew", "list", "{kind: ConfigMap, namespace: old, limit: 1, continue: '%s'}",
            token);
}

static void test_a_page_ends_by_bytes_too(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "fat");
    char *big = malloc(900001);
    memset(big, 'x', 900000);
    big[900000] = '\0';
    for (int i = 0; i < 7; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: f%d, namespace: fat}, data: {k: %s}}}", i,
             big);
    }
    free(big);
    must(c, "list", "{kind: ConfigMap, namespace: fat}");
    assert_int_equal(items(c), 5);
    must(c, "list", "{kind: ConfigMap, namespace: fat, continue: '%s'}", text_at(c, "continue"));
    assert_int_equal(items(c), 2);
    must(c, "deletecollection", "{kind: ConfigMap, namespace: fat}");
}

/* ---- watch ---- */

/* Takes events one by one from a stream's payloads. */
struct follow {
    struct stream *stream;
    const struct value *events;
    unsigned next;
    int64_t revision;
};

static const struct value *next_event(struct follow *f)
{
    while (f->next == value_count(f->events)) {
        const struct value *payload = stream_next(f->stream);
        if (payload == NULL) {
            return NULL;
        }
        f->events = value_get(payload, "events");
        f->revision = value_path_int(payload, "revision", -1);
        f->next = 0;
    }
    return value_item(f->events, f->next++);
}

static void expect(struct follow *f, const char *type, const char *name)
{
    const struct value *e = next_event(f);
    if (e == NULL) {
        fail_msg("the watch ended: %s", f->stream->end.message);
    }
    assert_string_equal(value_text(f->stream->client->kit, e, "type"), type);
    assert_string_equal(value_text(f->stream->client->kit, e, "object.metadata.name"), name);
}

static void test_watch_tells_first_what_is_there(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w1");
    make(c, "w1", "a", "{}");
    make(c, "w1", "b", "{}");
    int64_t revision = int_at(c, "revision");
    struct follow f = {.stream = stream_open(c, "watch", "{kind: ConfigMap, namespace: w1}")};
    expect(&f, "ADDED", "a");
    expect(&f, "ADDED", "b");
    expect(&f, "BOOKMARK", "");
    assert_true(f.revision >= revision);
    make(c, "w1", "c", "{}");
    expect(&f, "ADDED", "c");
    assert_int_equal(f.revision, int_at(c, "revision"));
    label(c, "w1", "c", "{x: z}");
    expect(&f, "MODIFIED", "c");
    must(c, "delete", "{kind: ConfigMap, namespace: w1, name: b}");
    expect(&f, "DELETED", "b");
    make(c, "default", "elsewhere", "{}");
    assert_true(stream_quiet(f.stream, 50));
    stream_close(f.stream);
}

/* 600 pods elsewhere and seven on the node, of two namespaces. */
static void make_pods(struct client *c, unsigned from, unsigned count, const char *ns, const char *node)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "{objects: [");
    for (unsigned i = from; i < from + count; i++) {
        buf_printf(&text,
                   "%s{apiVersion: v1, kind: Pod, metadata: {name: q%03u, namespace: %s}, spec: {nodeName: %s, "
                   "containers: [{name: c, image: busybox}]}}",
                   i == from ? "" : ",", i, ns, node);
    }
    buf_printf(&text, "]}");
    must(c, "apply", "%s", buf_cstr(&text));
    buf_close(&text);
}

static int64_t pieces(struct client *c)
{
    must(c, "cluster", "{}");
    return int_at(c, "stats.listPieces");
}

static void test_a_selector_that_an_index_answers_visits_what_it_selects(void **state)
{
    static const struct {
        const char *request;
        int count;
    } rows[] = {
        {"{kind: Pod, namespace: marked, labelSelector: 'app=few'}", 3},
        {"{kind: Pod, namespace: marked, labelSelector: 'app=few,app!=web'}", 3},
        {"{kind: Pod, namespace: marked, labelSelector: 'app in (few)', fieldSelector: 'metadata.name!=m0'}", 2},
        {"{kind: Pod, namespace: marked, labelSelector: 'app=nothing'}", 0},
        {"{kind: Event, fieldSelector: 'involvedObject.kind=Pod,involvedObject.name=m1,reason=R1'}", 1},
        {"{kind: Event, namespace: marked, fieldSelector: 'involvedObject.name=m1,reason=R2'}", 0},
        {"{kind: Event, namespace: default, fieldSelector: 'involvedObject.name=m1'}", 0},
        {"{kind: Event, fieldSelector: 'involvedObject.uid=u1'}", 1},
    };
    struct client *c = client_of(state);
    struct buf pods = BUF_INIT, events = BUF_INIT;
    make_namespace(c, "marked");
    for (unsigned i = 0; i < 600; i++) {
        buf_printf(&pods,
                   "%s{apiVersion: v1, kind: Pod, metadata: {name: m%u, namespace: marked, labels: {app: %s}}, "
                   "spec: {containers: [{name: c, image: busybox}]}}",
                   i == 0 ? "" : ",", i, i < 3 ? "few" : "many");
        buf_printf(&events,
                   "%s{apiVersion: v1, kind: Event, metadata: {name: e%u, namespace: marked}, involvedObject: "
                   "{apiVersion: v1, kind: Pod, namespace: marked, name: m%u, uid: u%u}, reason: R%u, message: M, "
                   "source: {component: c}}",
                   i == 0 ? "" : ",", i, i, i, i);
    }
    must(c, "apply", "{objects: [%s]}", buf_cstr(&pods));
    must(c, "apply", "{objects: [%s]}", buf_cstr(&events));
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t before = pieces(c);
        must(c, "list", "%s", rows[i].request);
        assert_int_equal(items(c), rows[i].count);
        assert_int_equal(pieces(c) - before, 1);
        struct follow f = {.stream = stream_open(c, "watch", rows[i].request)};
        for (int n = 0; n <= rows[i].count; n++) {
            const struct value *e = next_event(&f);
            assert_non_null(e);
            assert_string_equal(value_text(c->kit, e, "type"), n < rows[i].count ? "ADDED" : "BOOKMARK");
        }
        stream_close(f.stream);
    }
    buf_close(&pods);
    buf_close(&events);
}

static void test_pods_of_a_node_are_found_without_looking_at_others(void **state)
{
    struct client *c = client_of(state);
    static const char *const expected[] = {"q300", "q301", "q302", "q303", "q304", "q100", "q101"};
    make_namespace(c, "onnode");
    make_namespace(c, "ponnode");
    make_pods(c, 300, 5, "onnode", "here");
    make_pods(c, 305, 600, "onnode", "elsewhere");
    make_pods(c, 100, 2, "ponnode", "here");
    int64_t before = pieces(c);
    must(c, "list", "{kind: Pod, fieldSelector: 'spec.nodeName=here,metadata.name!=none'}");
    assert_int_equal(items(c), 7);
    assert_int_equal(pieces(c) - before, 1);
    must(c, "list", "{kind: Pod, namespace: ponnode, fieldSelector: 'spec.nodeName=here'}");
    assert_int_equal(items(c), 2);
    must(c, "list", "{kind: Pod, fieldSelector: 'spec.nodeName=here', limit: 3}");
    unsigned seen = 0;
    for (;;) {
        const struct value *list = value_get(c->result, "items");
        VALUE_FOR(i, list)
        {
            assert_true(seen < ARRAY_SIZE(expected));
            assert_string_equal(value_text(c->kit, value_item(list, i), "metadata.name"), expected[seen++]);
        }
        const char *token = text_at(c, "continue");
        if (token[0] == '\0') {
            break;
        }
        must(c, "list", "{kind: Pod, fieldSelector: 'spec.nodeName=here', limit: 3, continue: '%s'}", token);
    }
    assert_int_equal(seen, ARRAY_SIZE(expected));
    struct follow f = {.stream = stream_open(c, "watch", "{kind: Pod, fieldSelector: 'spec.nodeName=here'}")};
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        expect(&f, "ADDED", expected[i]);
    }
    expect(&f, "BOOKMARK", "");
    make_pods(c, 905, 1, "onnode", "here");
    const struct value *e;
    do { /* there is no such node: the others may get a condition that says so meanwhile */
        e = next_event(&f);
        assert_non_null(e);
    } while (str_is(value_path_str(e, "type"), "MODIFIED"));
    assert_string_equal(value_text(c->kit, e, "type"), "ADDED");
    assert_string_equal(value_text(c->kit, e, "object.metadata.name"), "q905");
    stream_close(f.stream);
}

static void test_watch_by_selector_sees_transitions(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w2");
    make(c, "w2", "a", "{flag: 'no'}");
    struct follow f = {.stream =
                           stream_open(c, "watch", "{kind: ConfigMap, namespace: w2, labelSelector: 'flag=yes'}")};
    expect(&f, "BOOKMARK", "");
    label(c, "w2", "a", "{flag: 'yes'}");
    expect(&f, "ADDED", "a");
    label(c, "w2", "a", "{other: '1'}");
    expect(&f, "MODIFIED", "a");
    label(c, "w2", "a", "{flag: 'no'}");
    expect(&f, "DELETED", "a");
    label(c, "w2", "a", "{other: '2'}");
    make(c, "w2", "b", "{flag: 'yes'}");
    expect(&f, "ADDED", "b");
    must(c, "delete", "{kind: ConfigMap, namespace: w2, name: b}");
    expect(&f, "DELETED", "b");
    stream_close(f.stream);
}

static void test_watch_by_field(void **state)
{
    struct client *c = client_of(state);
    struct follow f = {.stream = stream_open(c, "watch", "{kind: ConfigMap, fieldSelector: 'metadata.name=wf'}")};
    expect(&f, "BOOKMARK", "");
    make(c, "default", "wg", "{}");
    make(c, "default", "wf", "{}");
    expect(&f, "ADDED", "wf");
    stream_close(f.stream);
}

static void test_watch_tells_a_transaction_whole(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w3");
    struct follow f = {.stream = stream_open(c, "watch", "{kind: ConfigMap, namespace: w3}")};
    expect(&f, "BOOKMARK", "");
    must(c, "apply",
         "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: w3}},"
         " {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: w3}}]}");
    expect(&f, "ADDED", "a");
    assert_int_equal(value_count(f.events), 2);
    expect(&f, "ADDED", "b");
    stream_close(f.stream);
}

static void test_watch_goes_on_from_a_revision(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w4");
    make(c, "w4", "a", "{}");
    int64_t revision = int_at(c, "revision");
    make(c, "w4", "b", "{}");
    make(c, "w4", "c", "{}");
    struct follow f = {
        .stream = stream_open(c, "watch", "{kind: ConfigMap, namespace: w4, revision: %lld}", (long long)revision)};
    expect(&f, "ADDED", "b");
    expect(&f, "ADDED", "c");
    stream_close(f.stream);
    refused(c, ERR_USAGE, "revision", "watch", "{kind: ConfigMap, revision: -5}");
    refused(c, ERR_USAGE, "revision", "watch", "{kind: ConfigMap, revision: 'x'}");
    refused(c, ERR_INVALID, NULL, "watch", "{kind: ConfigMap, labelSelector: 'a in ('}");
    refused(c, ERR_NOT_FOUND, NULL, "watch", "{kind: Nothing}");
}

/* [0 version-each] [10 versions] One transaction of three objects and a deletion: a watcher that was cut behind any of them is told the rest, and
 * nothing twice. */
static void test_watch_goes_on_between_two_objects_of_a_transaction(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w4b");
    make(c, "w4b", "z", "{}");
    must(c, "txn",
         "{ops: [{op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: w4b}}},"
         " {op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: w4b}}},"
         " {op: delete, kind: ConfigMap, namespace: w4b, name: z},"
         " {op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: w4b}}}]}");
    int64_t last = int_at(c, "revision");
    must(c, "get", "{kind: ConfigMap, namespace: w4b, name: a}");
    if (strtoll(text_at(c, "object.metadata.resourceVersion"), NULL, 10) == last) {
        skip(); /* below feature level 1 */
    }
    static const char *const names[] = {"a", "b", "z", "c"};
    for (int64_t cut = 0; cut < 4; cut++) {
        struct follow f = {.stream = stream_open(c, "watch", "{kind: ConfigMap, namespace: w4b, revision: %lld}",
                                                 (long long)(last - 4 + cut))};
        for (int64_t i = cut; i < 4; i++) {
            expect(&f, i == 2 ? "DELETED" : "ADDED", names[i]);
            assert_int_equal(value_count(f.events), 4 - cut);
            const struct value *e = value_item(f.events, (unsigned)(i - cut));
            assert_int_equal(strtoll(value_text(c->kit, e, "object.metadata.resourceVersion"), NULL, 10), last - 3 + i);
        }
        assert_int_equal(f.revision, last);
        stream_close(f.stream);
    }
}

static void test_a_slow_watcher_is_told_everything_and_costs_no_queue(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w5");
    char *big = malloc(200001);
    memset(big, 'x', 200000);
    big[200000] = '\0';
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big, namespace: w5}, data: {k: %s, num: '-1'}}}",
         big);
    free(big);
    struct client *slow = client_admin(c->kit, 0);
    struct stream *s = stream_open(slow, "watch", "{kind: ConfigMap, namespace: w5}");
    s->hold = true;
    stream_next(s);
    for (int i = 0; i < 60; i++) { /* 12 MB: far above a stream's window */
        must(c, "patch", "{kind: ConfigMap, namespace: w5, name: big, type: merge, patch: {data: {num: '%d'}}}", i);
    }
    assert_true(s->bytes < RPC_STREAM_WINDOW + (512u << 10));
    stream_release(s);
    struct follow f = {.stream = s};
    expect(&f, "BOOKMARK", "");
    for (int i = 0; i < 60; i++) {
        const struct value *e = next_event(&f);
        assert_int_equal(atoi(value_text(c->kit, e, "object.data.num")), i);
    }
    stream_close(s);
    client_close(slow);
    must(c, "delete", "{kind: ConfigMap, namespace: w5, name: big}");
}

static void test_a_long_list_is_told_in_chunks_to_a_slow_watcher(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w6");
    char *big = malloc(50001);
    memset(big, 'x', 50000);
    big[50000] = '\0';
    for (int i = 0; i < 60; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%02d, namespace: w6}, data: {k: %s}}}", i,
             big);
    }
    free(big);
    struct stream *s = stream_open(c, "watch", "{kind: ConfigMap, namespace: w6}");
    s->hold = true;
    stream_next(s);
    s->taken = 0;
    must(c, "delete",
         "{kind: ConfigMap, namespace: w6, name: c50}"); /* while the list is under way: still told, then gone */
    assert_true(s->bytes < RPC_STREAM_WINDOW + (512u << 10));
    stream_release(s);
    struct follow f = {.stream = s};
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%02d", i);
        expect(&f, "ADDED", name);
    }
    expect(&f, "BOOKMARK", "");
    expect(&f, "DELETED", "c50");
    stream_close(s);
    must(c, "deletecollection", "{kind: ConfigMap, namespace: w6}");
}

static void test_a_watch_behind_the_window_expires(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w7");
    char *big = malloc(1000001);
    memset(big, 'x', 1000000);
    big[1000000] = '\0';
    make(c, "w7", "a", "{}");
    int64_t revision = int_at(c, "revision");
    for (int i = 0; i < 70; i++) { /* more than the history holds */
        must(c, "update",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: w7}, data: {k: '%d%s'}}}", i,
             big);
    }
    free(big);
    struct stream *s = stream_open(c, "watch", "{kind: ConfigMap, namespace: w7, revision: %lld}", (long long)revision);
    assert_null(stream_next(s));
    assert_int_equal(s->end.code, ERR_EXPIRED);
    assert_non_null(strstr(s->end.message, "list again"));
    stream_close(s);
    must(c, "delete", "{kind: ConfigMap, namespace: w7, name: a}");
}

static void test_a_deletion_of_much_at_once_is_told_whole(void **state)
{
    struct client *c = client_of(state);
    make_namespace(c, "w8");
    char *big = malloc(900001);
    memset(big, 'x', 900000);
    big[900000] = '\0';
    for (int i = 0; i < 14; i++) { /* more than one message holds */
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%02d, namespace: w8}, data: {k: %s}}}", i,
             big);
    }
    free(big);
    must(c, "list", "{kind: ConfigMap, namespace: w8, limit: 1}");
    struct follow f = {.stream = stream_open(c, "watch", "{kind: ConfigMap, namespace: w8, revision: %lld}",
                                             (long long)int_at(c, "revision"))};
    must(c, "deletecollection", "{kind: ConfigMap, namespace: w8}");
    for (int i = 0; i < 14; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%02d", i);
        expect(&f, "DELETED", name);
        assert_int_equal(value_count(f.events), 14);
    }
    make(c, "w8", "after", "{}");
    expect(&f, "ADDED", "after");
    stream_close(f.stream);
}

static void test_watches_have_a_limit_per_connection(void **state)
{
    struct kit *k = client_of(state)->kit;
    struct client *c = client_admin(k, 0);
    enum { LIMIT = 1000 };
    struct stream **all = xcalloc(LIMIT + 1, sizeof *all);
    for (unsigned i = 0; i <= LIMIT; i++) {
        all[i] = stream_open(c, "watch", "{kind: Node}");
    }
    stream_wait_end(all[LIMIT]);
    assert_int_equal(all[LIMIT]->end.code, ERR_LIMIT);
    assert_non_null(strstr(all[LIMIT]->end.message, "which is the most that one may have"));
    for (unsigned i = 0; i <= LIMIT; i++) {
        stream_close(all[i]);
    }
    struct stream *again = stream_open(c, "watch", "{kind: Node}");
    assert_non_null(stream_next(again));
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "stats.watches"), 1);
    client_close(c);
    stream_wait_end(again);
    stream_close(again);
    free(all);
    struct client *other = client_of(state);
    for (int64_t until = kit_now() + 5000;;) {
        must(other, "cluster", "{}");
        if (int_at(other, "stats.watches") == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
}

static void test_what_admins_nodes_and_strangers_may(void **state)
{
    struct kit *k = client_of(state)->kit;
    struct client *stranger = client_as(k, 0, PKI_ROLE_NONE, ""), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    must(stranger, "hello", "{version: x}");
    assert_string_equal(text_at(stranger, "cluster"), "reeve");
    refused(stranger, ERR_UNAUTHORIZED, "needs a client certificate", "get", "{kind: Pod, name: x}");
    refused(stranger, ERR_UNAUTHORIZED, NULL, "token", "{role: node}");
    refused(stranger, ERR_UNAUTHORIZED, NULL, "cluster", "{}");
    refused(node, ERR_FORBIDDEN, "node \"n1\" may not call list", "list", "{kind: Secret}");
    refused(node, ERR_FORBIDDEN, NULL, "watch", "{kind: Secret}");
    refused(node, ERR_FORBIDDEN, NULL, "create", "{object: {}}");
    refused(node, ERR_FORBIDDEN, NULL, "token", "{role: node}");
    refused(node, ERR_FORBIDDEN, "secrets \"x\" is forbidden: User \"system:node:n1\" cannot get resource \"secrets\"",
            "get", "{kind: Secret, name: x}");
    refused(node, ERR_FORBIDDEN, "nodes \"n2\" is forbidden", "get", "{kind: Node, name: n2}");
    refused(node, ERR_NOT_FOUND, NULL, "get", "{kind: Node, name: n1}");
    client_close(stranger);
    client_close(node);
}

static void test_cluster_tells_members_and_counters(void **state)
{
    struct client *c = client_of(state);
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "id"), 1);
    assert_int_equal(int_at(c, "leader"), 1);
    assert_int_equal(int_at(c, "canLose"), 0);
    assert_int_equal(value_count(value_get(c->result, "members")), 1);
    assert_true(int_at(c, "stats.requests") > 0);
    assert_true(int_at(c, "stats.refused") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_list_by_namespace_and_selectors),
        cmocka_unit_test(test_pods_of_a_node_are_found_without_looking_at_others),
        cmocka_unit_test(test_a_selector_that_an_index_answers_visits_what_it_selects),
        cmocka_unit_test(test_pages_come_from_one_version_while_writes_go_on),
        cmocka_unit_test(test_an_old_continue_token_expires),
        cmocka_unit_test(test_a_page_ends_by_bytes_too),
        cmocka_unit_test(test_watch_tells_first_what_is_there),
        cmocka_unit_test(test_watch_by_selector_sees_transitions),
        cmocka_unit_test(test_watch_by_field),
        cmocka_unit_test(test_watch_tells_a_transaction_whole),
        cmocka_unit_test(test_watch_goes_on_from_a_revision),
        cmocka_unit_test(test_watch_goes_on_between_two_objects_of_a_transaction),
        cmocka_unit_test(test_a_slow_watcher_is_told_everything_and_costs_no_queue),
        cmocka_unit_test(test_a_long_list_is_told_in_chunks_to_a_slow_watcher),
        cmocka_unit_test(test_a_watch_behind_the_window_expires),
        cmocka_unit_test(test_a_deletion_of_much_at_once_is_told_whole),
        cmocka_unit_test(test_watches_have_a_limit_per_connection),
        cmocka_unit_test(test_what_admins_nodes_and_strangers_may),
        cmocka_unit_test(test_cluster_tells_members_and_counters),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
