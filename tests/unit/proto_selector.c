/* Label and field selectors: text, documents, matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/schema/selector.h"
#include "proto/text/text.h"

static struct value *doc(struct arena *a, const char *json)
{
    struct value *v;
    struct error err = {0};
    if (json_read(a, str_of(json), &v, &err) != 0) {
        fail_msg("%s: %s", json, err.message);
    }
    return v;
}

static struct selector *parse(struct arena *a, const char *text)
{
    struct selector *s;
    struct error err = {0};
    if (selector_parse(a, str_of(text), &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return s;
}

static struct selector *from(struct arena *a, const char *json)
{
    struct selector *s;
    struct error err = {0};
    if (selector_from_value(a, doc(a, json), &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return s;
}

/* Both ways of matching must agree. */
static bool matches(struct arena *a, const struct selector *s, const char *labels)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *v = doc(a, labels);
    msgpack_write_value(&b, v);
    bool in_value = selector_matches_value(s, v), in_place = selector_matches(s, mp_of(b.data, b.size));
    assert_int_equal(in_value, in_place);
    return in_value;
}

static void text_selectors_match(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    static const struct {
        const char *selector, *labels;
        bool want;
    } cases[] = {
        {"", "{}", true},
        {"  ", "{\"a\":\"b\"}", true},
        {"app=web", "{\"app\":\"web\"}", true},
        {"app=web", "{\"app\":\"db\"}", false},
        {"app==web", "{\"app\":\"web\"}", true},
        {"app!=web", "{\"app\":\"web\"}", false},
        {"app!=web", "{}", true},
        {"app", "{\"app\":\"\"}", true},
        {"app", "{}", false},
        {"!app", "{}", true},
        {"! app", "{\"app\":\"x\"}", false},
        {"app=", "{\"app\":\"\"}", true},
        {"app=", "{}", false},
        {"tier in (a, b)", "{\"tier\":\"b\"}", true},
        {"tier in (a,b)", "{\"tier\":\"c\"}", false},
        {"tier in (a,b)", "{}", false},
        {"tier in (,b)", "{\"tier\":\"\"}", true},
        {"tier notin (a,b)", "{\"tier\":\"c\"}", true},
        {"tier notin (a,b)", "{}", true},
        {"tier notin (a,b)", "{\"tier\":\"a\"}", false},
        {"n>5", "{\"n\":\"6\"}", true},
        {"n > 5", "{\"n\":\"5\"}", false},
        {"n<5", "{\"n\":\"-1\"}", true},
        {"n<5", "{\"n\":\"x\"}", false},
        {"n<5", "{}", false},
        {"app=web,tier in (a,b),!old,env!=prod", "{\"app\":\"web\",\"tier\":\"a\",\"env\":\"dev\"}", true},
        {"app=web,tier in (a,b),!old,env!=prod", "{\"app\":\"web\",\"tier\":\"a\",\"old\":\"\"}", false},
        {"example.com/x = y , in=notin", "{\"example.com/x\":\"y\",\"in\":\"notin\"}", true},
        {"x in (in)", "{\"x\":\"in\"}", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (matches(&a, parse(&a, cases[i].selector), cases[i].labels) != cases[i].want) {
            fail_msg("%s on %s", cases[i].selector, cases[i].labels);
        }
    }
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    static const char *const bad[] = {",",       "a,",        "a=b,",     "=b",    "a in",        "a in (",
                                      "a in (b", "a in b",    "a like b", "a=b c", "a=b=c",       "a!b",
                                      "!",       "a in (b))", "-a=b",     "a=b/c", "a/b/c=d",     "a=-b",
                                      "n>x",     "n>",        "!a=b",     "(a)",   "a notin b,c", "a=\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct selector *s;
        struct error err = {0};
        assert_int_equal(selector_parse(&a, str_of(bad[i]), &s, &err), ERR_INVALID);
        assert_true(err.message[0] != '\0');
    }
    CLEANUP_FREE char *big = xcalloc(1, 70000);
    memset(big, 'a', 69999);
    struct selector *s;
    assert_int_equal(selector_parse(&a, str_of(big), &s, NULL), ERR_TOO_LARGE);
}

static void documents_match(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s = from(
        &a, "{\"matchLabels\":{\"app\":\"web\"},\"matchExpressions\":[{\"key\":\"t\",\"operator\":\"In\",\"values\":"
            "[\"a\",\"b\"]},{\"key\":\"x\",\"operator\":\"DoesNotExist\"}]}");
    assert_true(matches(&a, s, "{\"app\":\"web\",\"t\":\"a\"}"));
    assert_false(matches(&a, s, "{\"app\":\"web\",\"t\":\"c\"}"));
    assert_false(matches(&a, s, "{\"app\":\"web\",\"t\":\"a\",\"x\":\"1\"}"));
    assert_true(matches(&a, from(&a, "{\"app\":\"web\"}"), "{\"app\":\"web\",\"y\":\"z\"}"));
    assert_false(matches(&a, from(&a, "{\"app\":\"web\"}"), "{\"y\":\"z\"}"));
    s = from(&a, "{\"matchExpressions\":[{\"key\":\"t\",\"operator\":\"NotIn\",\"values\":[\"a\"]},{\"key\":\"e\","
                 "\"operator\":\"Exists\"}]}");
    assert_true(matches(&a, s, "{\"e\":\"\"}"));
    assert_false(matches(&a, s, "{\"e\":\"\",\"t\":\"a\"}"));
}

static void empty_selects_all_and_none_selects_nothing(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    assert_true(matches(&a, from(&a, "{}"), "{}"));
    assert_true(selector_empty(from(&a, "{}")));
    assert_true(selector_empty(from(&a, "{\"matchLabels\":{}}")));
    assert_int_equal(selector_from_value(&a, NULL, &s, NULL), 0);
    assert_false(matches(&a, s, "{}"));
    assert_false(selector_empty(s));
    assert_int_equal(selector_from_mp(&a, mp_of(NULL, 0), &s, NULL), 0);
    assert_false(matches(&a, s, "{\"a\":\"b\"}"));
    assert_int_equal(selector_from_mp(&a, mp_of("\x80", 1), &s, NULL), 0);
    assert_true(matches(&a, s, "{\"a\":\"b\"}"));
    assert_int_equal(selector_from_mp(&a, mp_of("\x81", 1), &s, NULL), ERR_PROTOCOL);
}

static void malformed_documents_are_refused(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    static const char *const bad[] = {
        "[]",
        "\"app=web\"",
        "{\"matchLabels\":[]}",
        "{\"matchLabels\":{\"a\":1}}",
        "{\"matchLabels\":{\"-\":\"1\"}}",
        "{\"matchLabels\":{\"a\":\"b c\"}}",
        "{\"matchLabels\":{},\"foo\":\"bar\"}",
        "{\"matchExpressions\":{}}",
        "{\"matchExpressions\":[1]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Like\"}]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[]}]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"b\"]}]}",
        "{\"matchExpressions\":[{\"operator\":\"Exists\"}]}",
        "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\",\"values\":[\"b\"]}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct selector *s;
        struct error err = {0};
        if (selector_from_value(&a, doc(&a, bad[i]), &s, &err) != ERR_INVALID) {
            fail_msg("%s", bad[i]);
        }
        assert_true(err.message[0] != '\0');
    }
}

static void selectors_are_written_as_kubectl_prints_them(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const char *const text = "app=web,env!=prod,tier in (a,b),x notin (c),y,!z,n>5";
    selector_write(&b, parse(&a, text));
    assert_string_equal(buf_cstr(&b), text);
    buf_reset(&b);
    selector_write(&b, from(&a, "{}"));
    assert_string_equal(buf_cstr(&b), "<none>");
}

static struct object *pod(const char *json_spec)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct object *o;
    struct error err = {0};
    char *text = arena_printf(
        &a,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"labels\":"
        "{\"app\":\"web\"}},\"spec\":%s}",
        json_spec);
    if (object_from_value(kind_by_name(STR("Pod")), doc(&a, text), 3, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return o;
}

static bool field_matches(const struct object *o, const char *text)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    struct error err = {0};
    if (field_selector_parse(&a, o->kind, str_of(text), &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return field_selector_matches(s, o);
}

static void fields_match_by_path(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o =
        pod("{\"nodeName\":\"n1\",\"hostNetwork\":true,\"serviceAccountName\":\"a,b=c\"}");
    assert_true(field_matches(o, "metadata.name=p"));
    assert_true(field_matches(o, "metadata.name==p,metadata.namespace=d"));
    assert_false(field_matches(o, "metadata.name=q"));
    assert_true(field_matches(o, "spec.nodeName!=n2"));
    assert_false(field_matches(o, "spec.nodeName!=n1"));
    assert_true(field_matches(o, "spec.schedulerName=, spec.hostNetwork=true"));
    assert_true(field_matches(o, "status.phase="));
    assert_true(field_matches(o, "status.phase!=Running"));
    assert_true(field_matches(o, "spec.serviceAccountName=a\\,b\\=c"));
    assert_true(field_matches(o, ""));
    static const char *const bad[] = {"type",     "type=b,",  "=b", "type!b", "type=b=c",
                                      "type=b\\", "type=\\x", ",",  "type>b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct selector *s;
        assert_int_equal(field_selector_parse(&a, kind_by_id(KIND_SECRET), str_of(bad[i]), &s, NULL), ERR_INVALID);
    }
}

static void only_fields_that_the_kind_lists_can_be_selected_by(void **state)
{
    (void)state;
    static const struct {
        enum kind_id kind;
        const char *text, *message; /* NULL: fine */
    } rows[] = {
        {KIND_POD, "status.podIP=,spec.restartPolicy!=Never,status.nominatedNodeName=", NULL},
        {KIND_POD, "foo=bar",
         "field label not supported: foo; pods can be selected by metadata.name, metadata.namespace, spec.nodeName"},
        {KIND_POD, "spec.priority=5", "field label not supported: spec.priority"},
        {KIND_POD, "metadata.name=a,metadata.uid=b", "field label not supported: metadata.uid"},
        {KIND_NODE, "spec.unschedulable=false", NULL},
        {KIND_NODE, "metadata.namespace=a", "nodes can be selected by metadata.name, spec.unschedulable"},
        {KIND_NAMESPACE, "status.phase=Active", NULL},
        {KIND_CONFIGMAP, "data.a=b", "configmaps can be selected by metadata.name, metadata.namespace"},
        {KIND_SECRET, "type=Opaque", NULL},
        {KIND_DEPLOYMENT, "status.replicas=1", "field label not supported: status.replicas"},
        {KIND_REPLICASET, "status.replicas=0", NULL},
        {KIND_EVENT, "involvedObject.kind=Pod,reason=Started,type!=Normal,source=kubelet,reportingComponent=", NULL},
        {KIND_EVENT, "source.component=kubelet", "field label not supported: source.component"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct selector *s;
        struct error err = {0};
        int rc = field_selector_parse(&a, kind_by_id(rows[i].kind), str_of(rows[i].text), &s, &err);
        assert_int_equal(rc, rows[i].message == NULL ? 0 : ERR_USAGE);
        if (rows[i].message != NULL && strstr(err.message, rows[i].message) == NULL) {
            fail_msg("%s: %s", rows[i].text, err.message);
        }
    }
}

/* What is absent has the value of its type: nodes that were never cordoned are `unschedulable=false`. */
static void absent_fields_count_by_their_type(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = pod("{}");
    assert_true(field_matches(o, "spec.hostNetwork=false"));
    assert_false(field_matches(o, "spec.hostNetwork!=false"));
    assert_false(field_matches(o, "spec.hostNetwork="));
    assert_true(field_matches(o, "spec.nodeName="));
}

static void objects_match_by_their_labels(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = pod("{}");
    assert_true(selector_matches_object(parse(&a, "app=web"), o));
    assert_false(selector_matches_object(parse(&a, "app=db"), o));
    assert_true(selector_matches_object(parse(&a, ""), o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_selectors_match),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(documents_match),
        cmocka_unit_test(empty_selects_all_and_none_selects_nothing),
        cmocka_unit_test(malformed_documents_are_refused),
        cmocka_unit_test(selectors_are_written_as_kubectl_prints_them),
        cmocka_unit_test(fields_match_by_path),
        cmocka_unit_test(only_fields_that_the_kind_lists_can_be_selected_by),
        cmocka_unit_test(absent_fields_count_by_their_type),
        cmocka_unit_test(objects_match_by_their_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
