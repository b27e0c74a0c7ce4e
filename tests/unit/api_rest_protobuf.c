/* Answers in protobuf: objects, lists of one walk and of two, pages, events, metadata alone and Status, each held
 * against what the same request is answered in JSON. What a message says is read by the reader of requests. */
#include "tests/unit/api_rest_world.h"

#include "proto/protobuf/protobuf.h"
#include "proto/protobuf/wire.h"
#include "tests/unit/proto_protobuf_kit.h"

#define PROTOBUF "application/vnd.kubernetes.protobuf"

struct test {
    struct world w;
    struct arena arena;
    struct wire *wire; /* of the request that is answered */
    struct buf body;
    char head[2048];
};

static int setup(void **state)
{
    struct test *t = xcalloc(1, sizeof *t);
    world_open(&t->w, 1);
    arena_init(&t->arena);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    world_close(&t->w);
    arena_close(&t->arena);
    buf_close(&t->body);
    free(t);
    return 0;
}

/* ---- Requests ---- */

/* The body of what has come, out of its chunks. */
static void take_body(struct test *t)
{
    struct str all = buf_str(&t->wire->out);
    const char *end = memmem(all.p, all.n, "\r\n\r\n", 4);
    assert_non_null(end);
    snprintf(t->head, sizeof t->head, "%.*s", (int)(end - all.p), all.p);
    struct str rest = {end + 4, all.n - (size_t)(end + 4 - all.p)};
    buf_reset(&t->body);
    if (strstr(t->head, "Transfer-Encoding: chunked") == NULL) {
        buf_append_str(&t->body, rest);
        return;
    }
    for (size_t n = 1; n > 0 && rest.n > 0;) {
        const char *line = memchr(rest.p, '\n', rest.n);
        n = strtoul(rest.p, NULL, 16);
        assert_true(line != NULL && (size_t)(line + 1 - rest.p) + n + 2 <= rest.n);
        buf_append(&t->body, line + 1, n);
        rest = (struct str){line + 1 + n + 2, rest.n - (size_t)(line + 1 - rest.p) - n - 2};
    }
}

static void begin(struct test *t, const char *what, const char *accept, const char *body)
{
    CLEANUP_FREE char *text = xasprintf("%s HTTP/1.1\r\nHost: reeve\r\nAccept: %s\r\nContent-Length: %zu\r\n\r\n%s",
                                        what, accept, strlen(body), body);
    t->wire = wire_named(&t->w, NULL, NULL);
    feed(t->wire, str_of(text), NULL);
    wait_for_answer(&t->w, t->wire, strstr(what, "watch") != NULL);
}

static void ask_with(struct test *t, const char *what, const char *accept, const char *body)
{
    begin(t, what, accept, body);
    take_body(t);
    wire_hang_up(t->wire);
}

static struct value *ask_json(struct test *t, const char *what)
{
    struct value *doc = NULL;
    ask_with(t, what, "application/json", "");
    assert_int_equal(json_read(&t->arena, buf_str(&t->body), &doc, NULL), 0);
    return doc;
}

static struct value *read_envelope(struct test *t, struct str bytes)
{
    struct value *doc = NULL;
    struct error err = {0};
    if (protobuf_read(&t->arena, bytes.p, bytes.n, STR_NONE, STR_NONE, &doc, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return doc;
}

static void is_protobuf(const struct test *t, const char *status)
{
    assert_true(strncmp(t->head, "HTTP/1.1 ", 9) == 0 && strncmp(t->head + 9, status, strlen(status)) == 0);
    assert_non_null(strstr(t->head, "Content-Type: " PROTOBUF));
}

/* Two documents, with their keys in one order. What a message says of nothing is nothing in JSON. */
static void same(const struct value *a, const struct value *b)
{
    CLEANUP_BUF struct buf one = BUF_INIT, two = BUF_INIT;
    json_write_canonical(&one, a);
    json_write_canonical(&two, b);
    assert_string_equal(buf_cstr(&one), buf_cstr(&two));
}

/* ---- Lists ---- */

struct items {
    char api_version[64], kind[64];
    struct str version, token;
    int64_t remaining;
    struct value *items;
};

static void read_small(struct str bytes, struct str out[8], uint64_t numbers[8])
{
    struct pb_field f;
    int more;
    while ((more = pb_next(&bytes, &f)) > 0) {
        assert_true(f.number < 8);
        out[f.number] = f.bytes;
        numbers[f.number] = f.integer;
    }
    assert_int_equal(more, 0);
}

/* {1 ListMeta, 2 items}; each item as if it stood alone. */
static void read_items(struct test *t, struct str raw, struct items *l, const char *kind)
{
    struct pb_field f;
    int more;
    while ((more = pb_next(&raw, &f)) > 0) {
        struct str meta[8] = {{0}};
        uint64_t numbers[8] = {0};
        if (f.number == 1) {
            read_small(f.bytes, meta, numbers);
            l->version = meta[2];
            l->token = meta[3];
            l->remaining = (int64_t)numbers[4];
            continue;
        }
        assert_int_equal(f.number, 2);
        CLEANUP_BUF struct buf one = BUF_INIT;
        pbkit_envelope(&one, l->api_version, kind, f.bytes);
        value_append(&t->arena, l->items, read_envelope(t, buf_str(&one)));
    }
    assert_int_equal(more, 0);
}

static struct items read_list(struct test *t, const char *kind)
{
    struct items l = {.items = value_list(&t->arena)};
    struct str all = buf_str(&t->body), unknown[8] = {{0}}, meta[8] = {{0}};
    uint64_t numbers[8] = {0};
    assert_true(all.n > 4 && memcmp(all.p, "k8s", 4) == 0);
    read_small((struct str){all.p + 4, all.n - 4}, unknown, numbers);
    read_small(unknown[1], meta, numbers);
    snprintf(l.api_version, sizeof l.api_version, "%.*s", STR_ARG(meta[1]));
    snprintf(l.kind, sizeof l.kind, "%.*s", STR_ARG(meta[2]));
    read_items(t, unknown[2], &l, kind);
    return l;
}

/* Items of lists say their kind in JSON as well, here. */
static void same_lists(struct test *t, const char *what, const char *kind)
{
    ask_with(t, what, PROTOBUF ",application/json", "");
    is_protobuf(t, "200");
    struct items l = read_list(t, kind);
    l.version = (struct str){arena_strndup(&t->arena, l.version.p, l.version.n), l.version.n};
    struct value *doc = ask_json(t, what);
    CLEANUP_FREE char *name = xasprintf("%sList", kind);
    assert_string_equal(l.kind, name);
    assert_true(str_eq(l.version, value_path_str(doc, "metadata.resourceVersion")));
    same(l.items, value_get(doc, "items"));
}

static void many(struct test *t, unsigned count, unsigned bytes)
{
    CLEANUP_FREE char *text = xcalloc(1, bytes + 1);
    memset(text, 'x', bytes);
    for (unsigned i = 0; i < count;) {
        struct txn txn;
        struct error err = {0};
        txn_init(&txn, "test");
        for (unsigned n = 0; n < 100 && i < count; n++, i++) {
            txn_create(&txn, yaml_object("{apiVersion: v1, kind: ConfigMap, metadata: {name: many-%04u, namespace: "
                                         "default}, data: {k: %s}}",
                                         i, text));
        }
        must(replica_submit(t->w.m->replica, &txn, NULL, NULL, &err), &err);
        txn_close(&txn);
        run_ms(&t->w, 100);
    }
}

static const char some[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: p}, annotations: {a: b}}\n"
    "spec: {nodeName: n1, containers: [{name: c, image: i, command: [a, ''], env: [{name: A, value: b}], resources: "
    "{limits: {cpu: 100m}}, livenessProbe: {httpGet: {port: http, path: /}}}], volumes: [{name: v, emptyDir: {}}, "
    "{name: s, secret: {secretName: s}}]}\n"
    "status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True', lastTransitionTime: "
    "'2026-01-02T03:04:05Z'}]}\n"
    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: dg==}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: None, ports: [{port: 80, targetPort: "
    "web}]}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {selector: {matchLabels: {app: d}}, "
    "template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: i}]}}}\n"
    "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {maxReplicas: 3, "
    "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, metrics: [{type: Resource, resource: {name: "
    "cpu, "
    "target: {type: Utilization, averageUtilization: 50}}}]}\n";

/* ---- Tests ---- */

/* [1 accept-protobuf] */
static void an_object_says_what_its_json_says(void **state)
{
    static const char *const asked[] = {
        "GET /api/v1/namespaces/default/pods/p",
        "GET /api/v1/namespaces/default/pods/p/status",
        "GET /api/v1/namespaces/default/secrets/s",
        "GET /api/v1/namespaces/default/services/s",
        "GET /apis/apps/v1/namespaces/default/deployments/d",
        "GET /apis/apps/v1/namespaces/default/deployments/d/scale",
        "GET /apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h",
        "GET /apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h",
        "GET /api/v1/namespaces/default",
    };
    struct test *t = *state;
    world_apply(&t->w, some);
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
        ask_with(t, asked[i], PROTOBUF, "");
        is_protobuf(t, "200");
        struct value *doc = read_envelope(t, buf_str(&t->body)), *like = ask_json(t, asked[i]);
        value_remove(value_get(like, "status"), "replicas"); /* 0, which a message does not tell from nothing */
        value_remove(value_get(doc, "status"), "replicas");
        same(doc, like);
    }
}

/* [1 accept-protobuf] */
static void what_is_written_is_answered_in_it(void **state)
{
    struct test *t = *state;
    ask_with(t, "POST /api/v1/namespaces/default/configmaps?fieldManager=m", PROTOBUF ",application/json",
             "{\"metadata\":{\"name\":\"c\"},\"data\":{\"k\":\"v\"}}");
    is_protobuf(t, "201");
    struct value *doc = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(doc, "data.k").p, "v");
    same(doc, ask_json(t, "GET /api/v1/namespaces/default/configmaps/c"));
    assert_int_equal(value_count(value_path(doc, "metadata.managedFields")), 1);
    ask_with(t, "DELETE /api/v1/namespaces/default/configmaps/c", PROTOBUF, "");
    is_protobuf(t, "200");
    doc = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(doc, "kind").p, "Status");
    assert_string_equal(value_path_str(doc, "details.name").p, "c");
    ask_with(t, "GET /api/v1/namespaces/default/configmaps/c", PROTOBUF, "");
    is_protobuf(t, "404");
    doc = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(doc, "reason").p, "NotFound");
    assert_int_equal(value_to_int(value_get(doc, "code"), 0), 404);
}

/* Reviews, which are answered and never kept, and tokens. */
static void reviews_and_tokens_are_answered_in_it(void **state)
{
#define RIGHTS "POST /apis/authorization.k8s.io/v1/"
#define WHO    "POST /apis/authentication.k8s.io/v1/"
    static const struct {
        const char *what, *body, *kind;
    } asked[] = {
        {RIGHTS "selfsubjectaccessreviews",
         "{\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\"}}}", "SelfSubjectAccessReview"},
        {RIGHTS "subjectaccessreviews",
         "{\"spec\":{\"user\":\"kate\",\"groups\":[\"system:masters\"],\"nonResourceAttributes\":{\"verb\":\"get\","
         "\"path\":\"/x\"}}}",
         "SubjectAccessReview"},
        {RIGHTS "namespaces/default/localsubjectaccessreviews",
         "{\"spec\":{\"user\":\"kate\",\"groups\":[\"system:masters\"],\"resourceAttributes\":{\"namespace\":"
         "\"default\",\"verb\":\"get\",\"resource\":\"pods\"}}}",
         "LocalSubjectAccessReview"},
        {RIGHTS "selfsubjectrulesreviews", "{\"spec\":{\"namespace\":\"default\"}}", "SelfSubjectRulesReview"},
        {WHO "selfsubjectreviews", "{}", "SelfSubjectReview"},
        {WHO "tokenreviews", "{\"spec\":{\"token\":\"none\"}}", "TokenReview"},
    };
    struct test *t = *state;
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
        struct value *like = NULL;
        ask_with(t, asked[i].what, PROTOBUF ",application/json", asked[i].body);
        is_protobuf(t, "201");
        struct value *doc = read_envelope(t, buf_str(&t->body));
        assert_string_equal(value_path_str(doc, "kind").p, asked[i].kind);
        ask_with(t, asked[i].what, "application/json", asked[i].body);
        assert_int_equal(json_read(&t->arena, buf_str(&t->body), &like, NULL), 0);
        value_remove(value_get(like, "status"),
                     "authenticated"); /* false, which a message does not tell from nothing */
        same(doc, like);
    }
    world_make_keys(&t->w);
    world_apply(&t->w, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: default}}");
    ask_with(t, "POST /api/v1/namespaces/default/serviceaccounts/web/token", PROTOBUF,
             "{\"spec\":{\"expirationSeconds\":600}}");
    is_protobuf(t, "201");
    struct value *token = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(token, "kind").p, "TokenRequest");
    assert_int_equal(value_to_int(value_path(token, "spec.expirationSeconds"), 0), 600);
    CLEANUP_FREE char *body = xasprintf("{\"spec\":{\"token\":\"%s\"}}", value_path_str(token, "status.token").p);
    ask_with(t, WHO "tokenreviews", PROTOBUF, body);
    is_protobuf(t, "201");
    struct value *whose = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(whose, "status.user.username").p, "system:serviceaccount:default:web");
    const struct value *id =
        value_get(value_path(whose, "status.user.extra"), "authentication.kubernetes.io/credential-id");
    assert_int_equal(value_count(id), 1);
    ask_with(t, "POST /api/v1/namespaces/default/serviceaccounts/web/token", "application/yaml", "{}");
    assert_non_null(strstr(t->head, "Content-Type: application/yaml\r\n"));
    assert_non_null(strstr(buf_cstr(&t->body), "\n  token: "));
}

/* [1 accept-protobuf-partial] */
static void metadata_alone(void **state)
{
    struct test *t = *state;
    world_apply(&t->w, some);
    ask_with(t, "GET /api/v1/namespaces/default/pods/p", PROTOBUF ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "");
    is_protobuf(t, "200");
    struct value *doc = read_envelope(t, buf_str(&t->body));
    assert_string_equal(value_path_str(doc, "kind").p, "PartialObjectMetadata");
    assert_string_equal(value_path_str(doc, "metadata.labels.app").p, "p");
    assert_null(value_get(doc, "spec"));
    ask_with(t, "GET /api/v1/pods", PROTOBUF ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "");
    struct items l = read_list(t, "PartialObjectMetadata");
    assert_string_equal(l.kind, "PartialObjectMetadataList");
    assert_string_equal(l.api_version, "meta.k8s.io/v1");
    assert_int_equal(value_count(l.items), 1);
    /* Rows of a table are in no message. */
    ask_with(t, "GET /api/v1/pods",
             PROTOBUF ";as=Table;g=meta.k8s.io;v=v1, application/json;as=Table;g=meta.k8s.io;v=v1", "");
    assert_null(strstr(t->head, "Content-Type: " PROTOBUF));
}

static void lists_small_and_large(void **state)
{
    struct test *t = *state;
    world_apply(&t->w, some);
    same_lists(t, "GET /api/v1/namespaces/default/configmaps", "ConfigMap");
    same_lists(t, "GET /api/v1/pods", "Pod");
    same_lists(t, "GET /apis/autoscaling/v1/horizontalpodautoscalers", "HorizontalPodAutoscaler");
    many(t, 100, 1000);
    same_lists(t, "GET /api/v1/namespaces/default/configmaps", "ConfigMap");
    assert_null(strstr(t->head, "chunked"));
    struct txn txn;
    struct error err = {0};
    txn_init(&txn, "test");
    CLEANUP_FREE char *text = xcalloc(1, 200001);
    memset(text, 'y', 200000);
    for (unsigned i = 0; i < 30; i++) {
        txn_create(&txn,
                   yaml_object("{apiVersion: v1, kind: ConfigMap, metadata: {name: large-%02u, namespace: default},"
                               " data: {k: %s}}",
                               i, text));
    }
    must(replica_submit(t->w.m->replica, &txn, NULL, NULL, &err), &err);
    txn_close(&txn);
    run_ms(&t->w, 500);
    same_lists(t, "GET /api/v1/namespaces/default/configmaps", "ConfigMap"); /* more than a page of msgpack-RPC */
    assert_non_null(strstr(t->head, "chunked"));
    assert_true(t->body.size > API_LIST_BYTES_MAX);
}

static void pages_go_on_in_it(void **state)
{
    struct test *t = *state;
    unsigned pages = 0, items = 0;
    char what[1024] = "GET /api/v1/namespaces/default/configmaps?limit=160";
    many(t, 400, 1000);
    for (struct items l; what[0] != '\0'; pages++) {
        ask_with(t, what, PROTOBUF, "");
        is_protobuf(t, "200");
        l = read_list(t, "ConfigMap");
        items += value_count(l.items);
        assert_int_equal(l.remaining, l.token.n > 0 ? 400 - (int)items : 0);
        size_t n = (size_t)snprintf(what, sizeof what, "GET /api/v1/namespaces/default/configmaps?limit=160&continue=");
        for (size_t i = 0; i < l.token.n; i++) {
            n += (size_t)snprintf(what + n, sizeof what - n, l.token.p[i] == '+' ? "%%2B" : "%c", l.token.p[i]);
        }
        what[0] = l.token.n == 0 ? '\0' : what[0];
    }
    assert_int_equal(pages, 3);
    assert_int_equal(items, 400);
}

/* {4 bytes of length, {1 type, 2 {1 envelope}}} */
static struct value *next_event(struct test *t, size_t *at, char type[16])
{
    const uint8_t *p = t->body.data + *at;
    struct str event[8] = {{0}}, raw[8] = {{0}};
    uint64_t numbers[8] = {0};
    assert_true(t->body.size - *at > 4);
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    assert_true(t->body.size - *at - 4 >= n);
    *at += 4 + n;
    read_small((struct str){(const char *)p + 4, n}, event, numbers);
    read_small(event[2], raw, numbers);
    snprintf(type, 16, "%.*s", STR_ARG(event[1]));
    return read_envelope(t, raw[1]);
}

/* [3 frames] */
static void events_come_in_frames(void **state)
{
    struct test *t = *state;
    char type[16];
    size_t at = 0;
    world_apply(&t->w, some);
    begin(t,
          "GET /api/v1/namespaces/default/secrets?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&"
          "resourceVersionMatch=NotOlderThan",
          PROTOBUF ",application/json", "");
    struct wire *watch = t->wire, *other = NULL;
    begin(t, "GET /api/v1/namespaces/default/pods?watch=1", PROTOBUF, "");
    other = t->wire;
    run_ms(&t->w, 100);
    ask_with(t, "DELETE /api/v1/namespaces/default/secrets/s", "application/json", "");
    run_ms(&t->w, 100);
    t->wire = watch;
    take_body(t);
    assert_non_null(strstr(t->head, "Content-Type: " PROTOBUF ";stream=watch"));
    struct value *doc = next_event(t, &at, type);
    assert_string_equal(type, "ADDED");
    assert_string_equal(value_path_str(doc, "metadata.name").p, "s");
    assert_int_equal(value_path(doc, "data.k")->type, VALUE_BIN);
    doc = next_event(t, &at, type);
    assert_string_equal(type, "BOOKMARK");
    assert_string_equal(value_path_str(doc, "kind").p, "Secret");
    assert_true(
        str_is(value_to_str(value_get(value_path(doc, "metadata.annotations"), "k8s.io/initial-events-end")), "true"));
    doc = next_event(t, &at, type);
    assert_string_equal(type, "DELETED");
    assert_int_equal(at, t->body.size);
    t->wire = other;
    take_body(t);
    at = 0;
    doc = next_event(t, &at, type);
    assert_string_equal(type, "ADDED");
    same(doc, ask_json(t, "GET /api/v1/namespaces/default/pods/p"));
    wire_hang_up(watch);
    wire_hang_up(other);
}

/* [3 left-old-state] An event of what left the selection is not the one that is made for those who still see it. */
static void what_left_a_selection_is_told_as_it_was(void **state)
{
    struct test *t = *state;
    char type[16];
    size_t at = 0;
    world_apply(&t->w, some);
    begin(t, "GET /api/v1/services?watch=1", PROTOBUF, "");
    struct wire *all = t->wire, *selected = NULL;
    begin(t, "GET /api/v1/services?watch=1&labelSelector=left%21%3Dyes", PROTOBUF, "");
    selected = t->wire;
    run_ms(&t->w, 100);
    ask_with(t, "PUT /api/v1/namespaces/default/services/s", "application/json",
             "{\"metadata\":{\"name\":\"s\",\"labels\":{\"left\":\"yes\"}},\"spec\":{\"clusterIP\":\"None\",\"ports\":["
             "{\"port\":80}]}}");
    run_ms(&t->w, 100);
    t->wire = selected;
    take_body(t);
    next_event(t, &at, type);
    assert_string_equal(type, "ADDED");
    struct value *doc = next_event(t, &at, type);
    assert_string_equal(type, "DELETED");
    assert_null(value_path(doc, "metadata.labels.left"));
    struct str version = value_path_str(doc, "metadata.resourceVersion");
    t->wire = all;
    take_body(t);
    at = 0;
    next_event(t, &at, type);
    doc = next_event(t, &at, type);
    assert_string_equal(type, "MODIFIED");
    assert_string_equal(value_path_str(doc, "metadata.labels.left").p, "yes");
    assert_true(str_eq(value_path_str(doc, "metadata.resourceVersion"), version));
    wire_hang_up(all);
    wire_hang_up(selected);
}

/* [1 accept-passed-over] What there is no message for is JSON, to who takes that. */
static void what_has_no_message(void **state)
{
    struct test *t = *state;
    world_apply(&t->w, "apiVersion: reeve.io/v1\nkind: ClusterConfiguration\nmetadata: {name: cluster}\n");
    ask_with(t, "GET /api", PROTOBUF ",application/json", "");
    assert_null(strstr(t->head, "Content-Type: " PROTOBUF));
    ask_with(t, "GET /api", PROTOBUF, "");
    assert_non_null(strstr(t->head, "406"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_object_says_what_its_json_says),
        TEST(what_is_written_is_answered_in_it),
        TEST(reviews_and_tokens_are_answered_in_it),
        TEST(metadata_alone),
        TEST(lists_small_and_large),
        TEST(pages_go_on_in_it),
        TEST(events_come_in_frames),
        TEST(what_left_a_selection_is_told_as_it_was),
        TEST(what_has_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
