/* What people and scripts read: jsonpath, tables, documents, describe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/ui/jsonpath.h"
#include "client/ui/print.h"
#include "proto/describe/describe.h"
#include "proto/text/text.h"

struct fixture {
    struct arena arena;
    struct buf out;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_close(&f->out);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static struct value *parse(struct fixture *f, const char *text)
{
    struct value **docs;
    unsigned count;
    assert_int_equal(yaml_read(&f->arena, str_of(text), "test", &docs, &count, &f->err), 0);
    assert_int_equal(count, 1);
    return docs[0];
}

static struct object *object(struct fixture *f, const char *text)
{
    struct value *doc = parse(f, text);
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    struct object *o;
    assert_non_null(k);
    if (kind_check_fields(k, &f->arena, doc, 0, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    assert_int_equal(object_from_value(k, doc, 7, &o, &f->err), 0);
    return o;
}

static const char *jsonpath(struct fixture *f, const struct value *doc, const char *path)
{
    buf_reset(&f->out);
    if (jsonpath_print(&f->arena, doc, path, &f->out, &f->err) != 0) {
        return NULL;
    }
    return buf_cstr(&f->out);
}

static const char list_text[] = "items:\n"
                                "- {name: a, num: 1, ready: true, tags: [x, w], meta: {app.io/name: one}}\n"
                                "- {name: b, num: 22, ready: false, tags: [], meta: {}}\n"
                                "- {name: c, num: 3, ready: true, tags: [z]}\n";

static void jsonpath_follows_names_indexes_and_filters(void **state)
{
    struct fixture *f = *state;
    struct value *doc = parse(f, list_text);
    static const char *const cases[][2] = {
        {"{.items[*].name}", "a b c"},
        {"{.items[0].name}", "a"},
        {"{.items[-1].name}", "c"},
        {"{.items[1:].name}", "b c"},
        {"{.items[:2].name}", "a b"},
        {"{.items[0:-1].name}", "a b"},
        {"{$.items[2].tags}", "[\"z\"]"},
        {"{..name}", "a b c"},
        {"{.items[?(@.name==\"b\")].num}", "22"},
        {"{.items[?(@.num>=3)].name}", "b c"},
        {"{.items[?(@.ready==true)].name}", "a c"},
        {"{.items[?(@.name!='a')].name}", "b c"},
        {"{.items[?(@.meta)].name}", "a b"},
        {"{.items[0].meta.app\\.io/name}", "one"},
        {"{.items[0].meta['app.io/name']}", "one"},
        {"{.items[7].name}{.nothing.here}", ""},
        {".items[0].num", "1"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *got = jsonpath(f, doc, cases[i][0]);
        assert_non_null(got);
        assert_string_equal(got, cases[i][1]);
    }
}

static void jsonpath_templates_have_text_literals_and_ranges(void **state)
{
    struct fixture *f = *state;
    struct value *doc = parse(f, list_text);
    assert_string_equal(jsonpath(f, doc, "{range .items[*]}{.name}={.num}{\"\\n\"}{end}."), "a=1\nb=22\nc=3\n.");
    assert_string_equal(jsonpath(f, doc, "<{range .none[*]}{.name}{end}>"), "<>");
    assert_string_equal(jsonpath(f, doc, "{range .items[*]}{range .tags[*]}{@}{end};{end}"), "xw;;z;");
}

static void jsonpath_errors_say_where(void **state)
{
    struct fixture *f = *state;
    struct value *doc = parse(f, list_text);
    static const char *const bad[] = {"{.items[", "{.items[x]}", "{.items[?(name)]}",
                                      "{.items",  "{.a b}",      "{.items[?(@.num==)]}"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_null(jsonpath(f, doc, bad[i]));
        assert_int_equal(f->err.code, ERR_USAGE);
    }
}

static const char pod_text[] =
    "apiVersion: v1\n"
    "kind: Pod\n"
    "metadata: {name: hello, namespace: shop, uid: u1, labels: {app: hello}}\n"
    "spec:\n"
    "  nodeName: n1\n"
    "  containers:\n"
    "  - name: web\n"
    "    image: nginx:1.22\n"
    "    ports: [{containerPort: 80}]\n"
    "    env:\n"
    "    - {name: A, value: b}\n"
    "    - {name: P, valueFrom: {secretKeyRef: {name: s, key: k}}}\n"
    "    resources: {limits: {memory: 64Mi}}\n"
    "    livenessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 5}\n"
    "    volumeMounts: [{name: v, mountPath: /data, readOnly: true}]\n"
    "  volumes: [{name: v, emptyDir: {}}]\n"
    "status:\n"
    "  phase: Running\n"
    "  podIP: 10.244.0.5\n"
    "  conditions: [{type: Ready, status: \"False\", reason: ContainersNotReady}]\n"
    "  containerStatuses:\n"
    "  - {name: web, image: nginx:1.22, imageID: i, containerID: c, ready: false, restartCount: 3,\n"
    "     state: {waiting: {reason: CrashLoopBackOff}},\n"
    "     lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}\n";

static void tables_line_up_and_show_what_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct object *o = object(f, pod_text);
    struct print_options po = {.with_namespace = true, .show_labels = true, .with_kind = true};
    struct print_widths widths = {0};
    print_table(&f->out, &po, o->kind, &o, 1, 0, &widths);
    const char *text = buf_cstr(&f->out);
    assert_non_null(strstr(text, "NAMESPACE   NAME        READY"));
    assert_non_null(strstr(text, "shop        pod/hello   0/1"));
    assert_non_null(strstr(text, "app=hello\n"));
    /* Rows that come later have no header and the same columns. */
    buf_reset(&f->out);
    print_table(&f->out, &po, o->kind, &o, 1, 0, &widths);
    assert_null(strstr(buf_cstr(&f->out), "NAMESPACE"));
    object_unref(o);
}

static void names_and_documents_are_what_scripts_expect(void **state)
{
    struct fixture *f = *state;
    struct object *o = object(f, pod_text);
    struct print_options po = {0};
    assert_int_equal(print_parse_form(&f->arena, "name", NULL, &po, &f->err), 0);
    assert_int_equal(print_objects(&f->arena, &f->out, &po, &o, 1, true, &f->err), 0);
    assert_string_equal(buf_cstr(&f->out), "pod/hello\n");
    buf_reset(&f->out);
    assert_int_equal(print_parse_form(&f->arena, "custom-columns=N:.metadata.name,X:.none", NULL, &po, &f->err), 0);
    assert_int_equal(print_objects(&f->arena, &f->out, &po, &o, 1, true, &f->err), 0);
    assert_string_equal(buf_cstr(&f->out), "N       X\nhello   <none>\n");
    buf_reset(&f->out);
    assert_int_equal(print_parse_form(&f->arena, "json", NULL, &po, &f->err), 0);
    assert_int_equal(print_objects(&f->arena, &f->out, &po, &o, 1, false, &f->err), 0);
    struct value *list;
    assert_int_equal(json_read(&f->arena, buf_str(&f->out), &list, &f->err), 0);
    assert_true(str_is(value_path_str(list, "kind"), "List"));
    assert_true(str_is(value_path_str(value_item(value_get(list, "items"), 0), "metadata.resourceVersion"), "7"));
    assert_int_equal(print_parse_form(&f->arena, "xml", NULL, &po, &f->err), ERR_USAGE);
    object_unref(o);
}

static void describe_tells_a_pods_story(void **state)
{
    struct fixture *f = *state;
    struct object *o = object(f, pod_text);
    struct object *e = object(f, "apiVersion: v1\n"
                                 "kind: Event\n"
                                 "metadata: {name: e1, namespace: shop}\n"
                                 "involvedObject: {kind: Pod, name: hello}\n"
                                 "type: Warning\n"
                                 "reason: BackOff\n"
                                 "message: Back-off restarting failed container\n"
                                 "count: 4\n"
                                 "firstTimestamp: \"2026-01-01T00:00:00Z\"\n"
                                 "lastTimestamp: \"2026-01-01T00:05:00Z\"\n"
                                 "source: {component: reeve-agent}\n");
    struct describe_context c = {.now_ms = 1767226260000 /* 00:11 */, .events = {&e, 1}};
    describe_object(&f->out, o, &c);
    static const char *const lines[] = {
        "Name:             hello\n",
        "Node:             n1\n",
        "Status:           Running\n",
        "    State:          Waiting\n      Reason:       CrashLoopBackOff\n",
        "      Reason:       OOMKilled\n      Exit Code:    137\n",
        "    Restart Count:  3\n",
        "    Limits:\n      memory:  64Mi\n",
        "    Liveness:       http-get http://:80/healthz delay=0s timeout=1s period=5s #success=1 #failure=3\n",
        "      A:  b\n",
        "      P:  <set to the key 'k' of secret 's'>\n",
        "      /data from v (ro)\n",
        "  Ready  False   ContainersNotReady\n",
        "    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)\n",
        "(x4 over 11m)",
    };
    const char *text = buf_cstr(&f->out);
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
        if (strstr(text, lines[i]) == NULL) {
            fail_msg("missing: %sin:\n%s", lines[i], text);
        }
    }
    object_unref(o);
    object_unref(e);
}

static void describe_never_shows_what_is_in_a_secret(void **state)
{
    struct fixture *f = *state;
    struct object *o = object(f, "apiVersion: v1\n"
                                 "kind: Secret\n"
                                 "metadata: {name: s, namespace: shop}\n"
                                 "data: {password: aHVudGVyMg==}\n");
    struct describe_context c = {0};
    describe_object(&f->out, o, &c);
    const char *text = buf_cstr(&f->out);
    assert_non_null(strstr(text, "password:  7 bytes\n"));
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "aHVudGVyMg"));
    object_unref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jsonpath_follows_names_indexes_and_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(jsonpath_templates_have_text_literals_and_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(jsonpath_errors_say_where, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_line_up_and_show_what_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(names_and_documents_are_what_scripts_expect, setup, teardown),
        cmocka_unit_test_setup_teardown(describe_tells_a_pods_story, setup, teardown),
        cmocka_unit_test_setup_teardown(describe_never_shows_what_is_in_a_secret, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
