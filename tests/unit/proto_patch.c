/* Patches: before, patch, after. Documents are YAML; results are compared by meaning (order in lists counts). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/env.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

static struct value *doc(const char *yaml)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml == NULL) {
        return NULL;
    }
    if (yaml_read(&arena, str_of(yaml), NULL, &docs, &count, &err) != 0) {
        fail_msg("%s in\n%s", err.message, yaml);
    }
    return count == 0 ? value_null(&arena) : docs[0];
}

static const char *text(const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    yaml_write(&b, v);
    return arena_strdup(&arena, buf_cstr(&b));
}

static void assert_doc(const char *what, const struct value *have, const char *want)
{
    if (!value_equal(have, doc(want))) {
        fail_msg("%s\nhave:\n%s\nwant:\n%s", what, text(have), text(doc(want)));
    }
}

struct patch_case {
    const char *what, *current, *patch, *after; /* after NULL: refused */
};

static void run(enum patch_type type, const char *kind, const struct patch_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct value *current = doc(cases[i].current), *patch = doc(cases[i].patch), *out = NULL;
        struct value *current_before = value_copy(&arena, current), *patch_before = value_copy(&arena, patch);
        struct error err = {0};
        int rc =
            patch_apply(type, kind == NULL ? NULL : kind_by_name(str_of(kind)), &arena, current, patch, &out, &err);
        if (cases[i].after == NULL) {
            if (rc != ERR_INVALID || err.message[0] == '\0') {
                fail_msg("%s: not refused", cases[i].what);
            }
        } else {
            if (rc != 0) {
                fail_msg("%s: %s", cases[i].what, err.message);
            }
            assert_doc(cases[i].what, out, cases[i].after);
        }
        assert_true(value_equal(current, current_before) && value_equal(patch, patch_before));
    }
}
#define RUN(type, kind, cases) run(type, kind, cases, ARRAY_SIZE(cases))

static void types_have_names(void **state)
{
    (void)state;
    assert_int_equal(patch_type_parse(STR("strategic")), PATCH_STRATEGIC);
    assert_int_equal(patch_type_parse(STR("merge")), PATCH_MERGE);
    assert_int_equal(patch_type_parse(STR("json")), PATCH_JSON);
    assert_int_equal(patch_type_parse(STR("yaml")), -1);
}

static void merge_patches_follow_rfc_7386(void **state)
{
    (void)state;
    /* The examples of the RFC's appendix that have a map as patch. */
    static const struct patch_case cases[] = {
        {"replace", "{a: b}", "{a: c}", "{a: c}"},
        {"add", "{a: b}", "{b: c}", "{a: b, b: c}"},
        {"remove", "{a: b}", "{a: null}", "{}"},
        {"remove one", "{a: b, b: c}", "{a: null}", "{b: c}"},
        {"list to scalar", "{a: [b]}", "{a: c}", "{a: c}"},
        {"scalar to list", "{a: c}", "{a: [b]}", "{a: [b]}"},
        {"nested", "{a: {b: c}}", "{a: {b: d, c: null}}", "{a: {b: d}}"},
        {"lists are replaced", "{a: [{b: c}]}", "{a: [1]}", "{a: [1]}"},
        {"null stays", "{e: null}", "{a: 1}", "{e: null, a: 1}"},
        {"list to map", "[1, 2]", "{a: b, c: null}", "{a: b}"},
        {"empty map made", "{}", "{a: {bb: {ccc: null}}}", "{a: {bb: {}}}"},
        {"no map", "{}", "[1]", NULL},
        {"no map", "{}", "x", NULL},
    };
    RUN(PATCH_MERGE, NULL, cases);
}

static void json_patches_follow_rfc_6902(void **state)
{
    (void)state;
    static const struct patch_case cases[] = {
        {"A.1 add a member", "{foo: bar}", "[{op: add, path: /baz, value: qux}]", "{baz: qux, foo: bar}"},
        {"A.2 add an element", "{foo: [bar, baz]}", "[{op: add, path: /foo/1, value: qux}]", "{foo: [bar, qux, baz]}"},
        {"A.3 remove a member", "{baz: qux, foo: bar}", "[{op: remove, path: /baz}]", "{foo: bar}"},
        {"A.4 remove an element", "{foo: [bar, qux, baz]}", "[{op: remove, path: /foo/1}]", "{foo: [bar, baz]}"},
        {"A.5 replace", "{baz: qux, foo: bar}", "[{op: replace, path: /baz, value: boo}]", "{baz: boo, foo: bar}"},
        {"A.6 move", "{foo: {bar: baz, waldo: fred}, qux: {corge: grault}}",
         "[{op: move, from: /foo/waldo, path: /qux/thud}]", "{foo: {bar: baz}, qux: {corge: grault, thud: fred}}"},
        {"A.7 move an element", "{foo: [all, grass, cows, eat]}", "[{op: move, from: /foo/1, path: /foo/3}]",
         "{foo: [all, cows, eat, grass]}"},
        {"A.8 test", "{baz: qux, foo: [a, 2, c]}",
         "[{op: test, path: /baz, value: qux}, {op: test, path: /foo/1, value: 2}]", "{baz: qux, foo: [a, 2, c]}"},
        {"A.9 test fails", "{baz: qux}", "[{op: test, path: /baz, value: bar}]", NULL},
        {"A.10 nested", "{foo: bar}", "[{op: add, path: /child, value: {grandchild: {}}}]",
         "{foo: bar, child: {grandchild: {}}}"},
        {"A.11 unknown members", "{foo: bar}", "[{op: add, path: /baz, value: qux, xyz: 123}]", "{foo: bar, baz: qux}"},
        {"A.12 no parent", "{foo: bar}", "[{op: add, path: /baz/bat, value: qux}]", NULL},
        {"A.14 escapes", "{/: 9, '~1': 10}", "[{op: test, path: /~01, value: 10}, {op: replace, path: /~1, value: 8}]",
         "{/: 8, '~1': 10}"},
        {"A.15 text is no number", "{/: 9, '~1': 10}", "[{op: test, path: /~01, value: '10'}]", NULL},
        {"A.16 append", "{foo: [bar]}", "[{op: add, path: /foo/-, value: [abc, def]}]", "{foo: [bar, [abc, def]]}"},
        {"copy", "{a: {b: 1}}", "[{op: copy, from: /a, path: /c}, {op: replace, path: /c/b, value: 2}]",
         "{a: {b: 1}, c: {b: 2}}"},
        {"copy into itself", "{a: {b: 1}}", "[{op: copy, from: /a, path: /a/c}]", "{a: {b: 1, c: {b: 1}}}"},
        {"add over a member", "{a: 1}", "[{op: add, path: /a, value: 2}]", "{a: 2}"},
        {"whole document", "{a: 1}", "[{op: replace, path: '', value: {b: 2}}, {op: add, path: /c, value: 3}]",
         "{b: 2, c: 3}"},
        {"empty key", "{'': 1}", "[{op: replace, path: /, value: 2}]", "{'': 2}"},
        {"null value", "{a: 1}", "[{op: add, path: /b, value: null}]", "{a: 1, b: null}"},
        {"move onto itself", "{a: 1}", "[{op: move, from: /a, path: /a}]", "{a: 1}"},
        {"added values are copies", "{}", "[{op: add, path: /a, value: {x: 1}}, {op: add, path: /a/z, value: 2}]",
         "{a: {x: 1, z: 2}}"},
        {"no operations", "{a: 1}", "[]", "{a: 1}"},
        {"remove what is not there", "{a: 1}", "[{op: remove, path: /b}]", NULL},
        /* Not the RFC's, but Kubernetes'. */
        {"replace makes a member", "{a: 1}", "[{op: replace, path: /b, value: 1}]", "{a: 1, b: 1}"},
        {"but not what it is in", "{a: 1}", "[{op: replace, path: /b/c, value: 1}]", NULL},
        {"nothing is null", "{a: 1}", "[{op: test, path: /b, value: null}]", "{a: 1}"},
        {"something is not", "{a: 1}", "[{op: test, path: /a, value: null}]", NULL},
        {"nothing is not something", "{a: 1}", "[{op: test, path: /b, value: 1}]", NULL},
        {"nothing in nothing", "{a: 1}", "[{op: test, path: /b/c, value: null}]", NULL},
        {"nothing behind the end", "{a: [1]}", "[{op: test, path: /a/1, value: null}]", NULL},
        {"the last element", "{a: [1, 2, 3]}",
         "[{op: test, path: /a/-1, value: 3}, {op: remove, path: /a/-1}, {op: replace, path: /a/-2, value: 0}]",
         "{a: [0, 2]}"},
        {"behind the last element", "{a: [1, 2]}",
         "[{op: add, path: /a/-1, value: 3}, {op: copy, from: /a/0, path: /a/-1}, {op: add, path: /a/-2, value: 4}]",
         "{a: [1, 2, 3, 4, 1]}"},
        {"in the last element", "{a: [{b: 1}, {b: 2}]}", "[{op: replace, path: /a/-1/b, value: 3}]",
         "{a: [{b: 1}, {b: 3}]}"},
        {"into an empty list", "{a: []}", "[{op: add, path: /a/-1, value: 1}, {op: add, path: /a/-2, value: 0}]",
         "{a: [0, 1]}"},
        {"the last of nothing", "{a: []}", "[{op: remove, path: /a/-1}]", NULL},
        {"before the first", "{a: [1]}", "[{op: remove, path: /a/-2}]", NULL},
        {"no negative zero", "{a: [1]}", "[{op: replace, path: /a/-0, value: 1}]", NULL},
        {"no two signs", "{a: [1]}", "[{op: replace, path: /a/--1, value: 1}]", NULL},
        {"no sign alone in the middle", "{a: [1]}", "[{op: replace, path: /a/-/b, value: 1}]", NULL},
        {"replace behind the end", "{a: [1]}", "[{op: replace, path: /a/1, value: 1}]", NULL},
        {"index too large", "{a: [1]}", "[{op: add, path: /a/2, value: 1}]", NULL},
        {"index with zero", "{a: [1]}", "[{op: add, path: /a/00, value: 1}]", NULL},
        {"index negative", "{a: [1]}", "[{op: add, path: /a/-3, value: 1}]", NULL},
        {"index no number", "{a: [1]}", "[{op: add, path: /a/x, value: 1}]", NULL},
        {"remove the end", "{a: [1]}", "[{op: remove, path: /a/-}]", NULL},
        {"path without /", "{a: 1}", "[{op: remove, path: a}]", NULL},
        {"bad escape", "{a~: 1}", "[{op: remove, path: /a~}]", NULL},
        {"bad escape", "{a~2: 1}", "[{op: remove, path: /a~2}]", NULL},
        {"through a scalar", "{a: 1}", "[{op: add, path: /a/b, value: 1}]", NULL},
        {"move into its child", "{a: {b: 1}}", "[{op: move, from: /a, path: /a/c}]", NULL},
        {"remove all", "{a: 1}", "[{op: remove, path: ''}]", NULL},
        {"no value", "{a: 1}", "[{op: add, path: /b}]", NULL},
        {"no from", "{a: 1}", "[{op: copy, path: /b}]", NULL},
        {"no path", "{a: 1}", "[{op: add, value: 1}]", NULL},
        {"no op", "{a: 1}", "[{path: /a}]", NULL},
        {"unknown op", "{a: 1}", "[{op: spam, path: /a}]", NULL},
        {"no operation", "{a: 1}", "[5]", NULL},
        {"no list", "{a: 1}", "{op: add}", NULL},
    };
    RUN(PATCH_JSON, NULL, cases);
}

static void json_patch_errors_name_operation_and_path(void **state)
{
    (void)state;
    struct value *out;
    struct error err = {0};
    patch_apply(PATCH_JSON, NULL, &arena, doc("{a: {b: 1}}"),
                doc("[{op: test, path: /a/b, value: 1}, {op: remove, path: /a/c}]"), &out, &err);
    assert_string_equal(err.field, "/a/c");
    assert_non_null(strstr(err.message, "operation 1"));
}

static void json_patch_tests_see_bytes_as_base64(void **state)
{
    (void)state;
    struct value *secret = doc("{data: {}, list: [1, {a: 1.0}]}"), *out;
    value_set(&arena, value_get(secret, "data"), "k", value_bin(&arena, "hi", 2));
    const struct value *good = doc(
        "[{op: test, path: /data/k, value: aGk=}, {op: test, path: '', value: {list: [1, {a: 1}], data: {k: aGk=}}}]");
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, secret, good, &out, NULL), 0);
    const struct value *bad = doc("[{op: test, path: /data/k, value: aGo=}]");
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, secret, bad, &out, NULL), ERR_INVALID);
    bad = doc("[{op: test, path: '', value: {list: [1, {b: 1}], data: {k: aGk=}}}]");
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, secret, bad, &out, NULL), ERR_INVALID);
}

/* [1 status-413-patch] */
static void json_patch_copies_do_not_grow_without_bound(void **state)
{
    (void)state;
    struct value *patch = value_list(&arena), *out;
    for (int i = 0; i < 100; i++) {
        value_append(&arena, patch,
                     doc(i % 2 ? "{op: copy, from: /a, path: /b/-}" : "{op: copy, from: /b, path: /a/-}"));
    }
    struct error err = {0};
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, doc("{a: [1, 2], b: [3, 4]}"), patch, &out, &err),
                     ERR_INVALID);
    assert_true(arena.total_bytes < 64u << 20);
    /* Depth: each copy is one level deeper. */
    patch = value_list(&arena);
    for (int i = 0; i < 100; i++) {
        value_append(&arena, patch, doc("{op: move, from: /a, path: /t}"));
        value_append(&arena, patch, doc("{op: add, path: /a, value: {}}"));
        value_append(&arena, patch, doc("{op: move, from: /t, path: /a/x}"));
    }
    err = (struct error){0};
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, doc("{a: {}}"), patch, &out, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "nested deeper"));
    patch = value_list(&arena);
    for (int i = 0; i < 10001; i++) {
        value_append(&arena, patch, value_null(&arena));
    }
    assert_int_equal(patch_apply(PATCH_JSON, NULL, &arena, doc("{}"), patch, &out, &err), ERR_TOO_LARGE);
}

static void strategic_maps_merge(void **state)
{
    (void)state;
    static const struct patch_case cases[] = {
        {"set and remove", "{metadata: {name: a, labels: {x: '1', w: '2'}}, spec: {nodeName: n, hostname: h}}",
         "{metadata: {labels: {x: null, z: '3'}}, spec: {nodeName: m}}",
         "{metadata: {name: a, labels: {w: '2', z: '3'}}, spec: {nodeName: m, hostname: h}}"},
        {"null for what is absent", "{spec: {}}", "{spec: {hostname: null, securityContext: {runAsUser: null}}}",
         "{spec: {securityContext: {}}}"},
        {"replace a map", "{spec: {securityContext: {runAsUser: 1, runAsGroup: 2}}}",
         "{spec: {securityContext: {$patch: replace, fsGroup: 3}}}", "{spec: {securityContext: {fsGroup: 3}}}"},
        {"delete the content of a map", "{spec: {securityContext: {runAsUser: 1}}}",
         "{spec: {securityContext: {$patch: delete}}}", "{spec: {securityContext: {}}}"},
        {"explicit merge", "{spec: {securityContext: {runAsUser: 1}}}",
         "{spec: {securityContext: {$patch: merge, fsGroup: 3}}}",
         "{spec: {securityContext: {runAsUser: 1, fsGroup: 3}}}"},
        {"directives in new maps leave no trace", "{spec: {}}",
         "{spec: {securityContext: {$patch: replace, fsGroup: 3}}}", "{spec: {securityContext: {fsGroup: 3}}}"},
        {"unknown directive", "{spec: {}}", "{spec: {$patch: explode}}", NULL},
        {"directive of another type", "{spec: {}}", "{spec: {$patch: 5}}", NULL},
        {"no map", "{}", "[]", NULL},
    };
    RUN(PATCH_STRATEGIC, "Pod", cases);
}

static void strategic_retain_keys(void **state)
{
    (void)state;
    static const struct patch_case cases[] = {
        {"only named keys stay", "{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}",
         "{spec: {strategy: {$retainKeys: [type], type: Recreate}}}", "{spec: {strategy: {type: Recreate}}}"},
        {"a key that is not named", "{spec: {}}", "{spec: {strategy: {$retainKeys: [x], type: Recreate}}}", NULL},
        {"no list", "{spec: {}}", "{spec: {strategy: {$retainKeys: x, type: Recreate}}}", NULL},
        {"a list of others", "{spec: {}}", "{spec: {strategy: {$retainKeys: [1], type: Recreate}}}", NULL},
        {"in volumes", "{spec: {template: {spec: {volumes: [{name: v, emptyDir: {}}, {name: w}]}}}}",
         "{spec: {template: {spec: {volumes: [{$retainKeys: [name, hostPath], name: v, hostPath: {path: /x}}]}}}}",
         "{spec: {template: {spec: {volumes: [{name: v, hostPath: {path: /x}}, {name: w}]}}}}"},
    };
    RUN(PATCH_STRATEGIC, "Deployment", cases);
}

static void strategic_lists_merge_by_key(void **state)
{
    (void)state;
    static const struct patch_case cases[] = {
        {"merge, in the patch's order",
         "{spec: {containers: [{name: a, image: x, command: [c]}, {name: b, image: w}]}}",
         "{spec: {containers: [{name: c, image: z}, {name: b, image: v}, {name: a, image: null}]}}",
         "{spec: {containers: [{name: c, image: z}, {name: b, image: v}, {name: a, command: [c]}]}}"},
        {"what is new stands where the patch puts it, the others where they were",
         "{spec: {containers: [{name: a}, {name: b}, {name: c}, {name: d}]}}",
         "{spec: {containers: [{name: d}, {name: x}, {name: b}]}}",
         "{spec: {containers: [{name: a}, {name: c}, {name: d}, {name: x}, {name: b}]}}"},
        {"a new one alone comes first", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [{name: x}]}}",
         "{spec: {containers: [{name: x}, {name: a}]}}"},
        {"atomic lists are replaced", "{spec: {containers: [{name: a, command: [c, d]}]}}",
         "{spec: {containers: [{name: a, command: [e]}]}}", "{spec: {containers: [{name: a, command: [e]}]}}"},
        {"lists in lists", "{spec: {containers: [{name: a, env: [{name: X, value: '1'}, {name: W, value: '2'}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: W, value: '3'}, {name: X, $patch: delete}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: W, value: '3'}]}]}}"},
        {"delete what is not there", "{spec: {containers: [{name: a}]}}",
         "{spec: {containers: [{name: z, $patch: delete}]}}", "{spec: {containers: [{name: a}]}}"},
        {"replace the list", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{$patch: replace}, {name: c}]}}", "{spec: {containers: [{name: c}]}}"},
        {"empty patch list changes nothing", "{spec: {containers: [{name: a}]}}", "{spec: {containers: []}}",
         "{spec: {containers: [{name: a}]}}"},
        {"null removes the list", "{spec: {volumes: [{name: a}]}}", "{spec: {volumes: null}}", "{spec: {}}"},
        {"new list", "{spec: {}}", "{spec: {volumes: [{name: a, emptyDir: null}]}}", "{spec: {volumes: [{name: a}]}}"},
        {"second key tells apart",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: TCP}, {containerPort: 53, protocol: "
         "UDP}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP, name: dns}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: TCP}, {containerPort: 53, protocol: "
         "UDP, name: dns}]}]}}"},
        {"absent second key is its default",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: "
         "TCP}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, name: dns}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: "
         "TCP, name: dns}]}]}}"},
        {"the first key will do if it is alone",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: TCP}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}]}]}}"},
        {"no merge key", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [{image: x}]}}", NULL},
        {"element is no map", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [x]}}", NULL},
        {"no list", "{spec: {containers: [{name: a}]}}", "{spec: {containers: {name: a}}}", NULL},
        {"delete without key", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [{$patch: delete}]}}", NULL},
        {"unknown directive", "{spec: {containers: [{name: a}]}}", "{spec: {containers: [{$patch: x, name: a}]}}",
         NULL},
    };
    RUN(PATCH_STRATEGIC, "Pod", cases);
}

static void strategic_order_and_sets(void **state)
{
    (void)state;
    static const struct patch_case cases[] = {
        {"order of a keyed list", "{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
         "{spec: {$setElementOrder/containers: [{name: c}, {name: a}, {name: d}], containers: [{name: d}]}}",
         "{spec: {containers: [{name: b}, {name: c}, {name: a}, {name: d}]}}"},
        {"order alone", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}",
         "{spec: {containers: [{name: b}, {name: a}]}}"},
        {"scalars out of a list that is taken whole", "{spec: {containers: [{name: a, args: [x, z, x, w]}]}}",
         "{spec: {containers: [{name: a, $deleteFromPrimitiveList/args: [x]}]}}",
         "{spec: {containers: [{name: a, args: [z, w]}]}}"},
        {"and out of the new one", "{spec: {containers: [{name: a, args: [x]}]}}",
         "{spec: {containers: [{name: a, $deleteFromPrimitiveList/args: [x], args: [w, x]}]}}",
         "{spec: {containers: [{name: a, args: [w]}]}}"},
        {"order of a list that is taken whole", "{spec: {containers: [{name: a, args: [x, z, w]}]}}",
         "{spec: {containers: [{name: a, $setElementOrder/args: [w, x]}]}}",
         "{spec: {containers: [{name: a, args: [z, w, x]}]}}"},
        {"nothing to take out", "{spec: {}}", "{metadata: {$deleteFromPrimitiveList/finalizers: [a/b]}, spec: {}}",
         "{metadata: {}, spec: {}}"},
        {"order of what has no key", "{spec: {tolerations: [{key: a}]}}",
         "{spec: {$setElementOrder/tolerations: [{key: a}]}}", NULL},
        {"order of no list", "{spec: {hostname: a}}", "{spec: {$setElementOrder/hostname: [a]}}", NULL},
        {"out of no list", "{metadata: {labels: {a: b}}}", "{metadata: {$deleteFromPrimitiveList/labels: [a]}}", NULL},
        {"order of an unknown list", "{spec: {}}", "{spec: {$setElementOrder/volume: [{name: b}]}}", NULL},
        {"order of what is not there", "{spec: {}}", "{spec: {$setElementOrder/volumes: [{name: b}]}}", "{spec: {}}"},
        {"element not in the order", "{spec: {containers: [{name: a}]}}",
         "{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b}]}}", NULL},
        {"deleted elements need no order", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b, $patch: delete}]}}",
         "{spec: {containers: [{name: a}]}}"},
        {"sets unite", "{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [b, c]}}",
         "{metadata: {finalizers: [a, b, c]}}"},
        {"sets lose elements", "{metadata: {finalizers: [a, b]}}",
         "{metadata: {$deleteFromPrimitiveList/finalizers: [a]}}", "{metadata: {finalizers: [b]}}"},
        {"both, in order", "{metadata: {finalizers: [a, b]}}",
         "{metadata: {$deleteFromPrimitiveList/finalizers: [a], $setElementOrder/finalizers: [c, b], finalizers: [c]}}",
         "{metadata: {finalizers: [c, b]}}"},
        {"no list", "{metadata: {finalizers: [a]}}", "{metadata: {$deleteFromPrimitiveList/finalizers: a}}", NULL},
        {"owners merge by uid", "{metadata: {ownerReferences: [{uid: '1', name: a}]}}",
         "{metadata: {ownerReferences: [{uid: '2', name: b}]}}",
         "{metadata: {ownerReferences: [{uid: '2', name: b}, {uid: '1', name: a}]}}"},
        {"sets unite in the patch's order", "{metadata: {finalizers: [a/b, c/d]}}",
         "{metadata: {finalizers: [e/f, a/b]}}", "{metadata: {finalizers: [e/f, a/b, c/d]}}"},
    };
    RUN(PATCH_STRATEGIC, "Pod", cases);
}

static void errors_of_strategic_patches_name_the_field(void **state)
{
    (void)state;
    struct value *out;
    struct error err = {0};
    patch_apply(PATCH_STRATEGIC, kind_by_name(STR("Pod")), &arena, doc("{spec: {}}"),
                doc("{spec: {containers: [{name: a, env: [{name: x}, {value: v}]}]}}"), &out, &err);
    assert_string_equal(err.field, "spec.containers[0].env[1]");
    assert_non_null(strstr(err.message, "name is required"));
}

static void long_lists_are_refused(void **state)
{
    (void)state;
    struct value *patch = doc("{spec: {containers: []}}"), *list = value_path(patch, "spec.containers"), *out;
    for (int i = 0; i < 3000; i++) {
        struct value *e = value_map(&arena);
        value_set(&arena, e, "name", value_strf(&arena, "c%d", i));
        value_append(&arena, list, e);
    }
    struct error err = {0};
    assert_int_equal(patch_apply(PATCH_STRATEGIC, kind_by_name(STR("Pod")), &arena, doc("{}"), patch, &out, &err),
                     ERR_INVALID);
    assert_int_equal(patch_three_way(kind_by_name(STR("Pod")), &arena, NULL, patch, doc("{}"), &out, &err),
                     ERR_INVALID);
}

struct apply_case {
    const char *what, *last, *manifest, *current, *after;
};

/* Take the annotation out, and the maps that were made for it. */
static void forget(struct value *doc)
{
    struct value *metadata = value_get(doc, "metadata"), *annotations = value_get(metadata, "annotations");
    assert_true(value_remove(annotations, APPLY_ANNOTATION));
    if (value_count(annotations) == 0) {
        value_remove(metadata, "annotations");
    }
    if (value_count(metadata) == 0) {
        value_remove(doc, "metadata");
    }
}

/* Compares without the annotation, and checks that it holds the manifest. */
static void run_apply(const char *kind, const struct apply_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct value *out = NULL, *remembered;
        struct value *manifest = doc(cases[i].manifest), *current = doc(cases[i].current), *last = doc(cases[i].last);
        struct value *manifest_before = value_copy(&arena, manifest), *current_before = value_copy(&arena, current);
        struct error err = {0};
        int rc = patch_three_way(kind_by_name(str_of(kind)), &arena, last, manifest, current, &out, &err);
        if (rc != 0) {
            fail_msg("%s", err.message);
        }
        assert_true(value_equal(manifest, manifest_before) && value_equal(current, current_before));
        const struct value *annotations = value_at(out, "metadata", "annotations", NULL);
        assert_int_equal(json_read(&arena, value_to_str(value_get(annotations, APPLY_ANNOTATION)), &remembered, NULL),
                         0);
        assert_true(value_equal(remembered, manifest));
        forget(out);
        assert_doc(cases[i].what, out, cases[i].after);
        /* Applied again it changes nothing. */
        struct value *again;
        assert_int_equal(patch_three_way(kind_by_name(str_of(kind)), &arena, manifest, manifest, out, &again, &err), 0);
        forget(again);
        assert_doc(cases[i].what, again, cases[i].after);
    }
}
#define RUN_APPLY(kind, cases) run_apply(kind, cases, ARRAY_SIZE(cases))

static void apply_merges_three_ways(void **state)
{
    (void)state;
    static const struct apply_case cases[] = {
        {"sets, removes, leaves", "{metadata: {name: d}, spec: {replicas: 2, paused: true}}",
         "{metadata: {name: d}, spec: {paused: false, minReadySeconds: 3}}",
         "{metadata: {name: d, uid: u}, spec: {replicas: 5, paused: true, progressDeadlineSeconds: 600}}",
         "{metadata: {name: d, uid: u}, spec: {paused: false, minReadySeconds: 3, progressDeadlineSeconds: 600}}"},
        {"never applied: nothing is removed", NULL, "{metadata: {name: d}, spec: {replicas: 2}}",
         "{metadata: {name: d}, spec: {replicas: 1, paused: true}}",
         "{metadata: {name: d}, spec: {replicas: 2, paused: true}}"},
        {"labels of others stay", "{metadata: {name: d, labels: {a: '1', b: '2'}}}",
         "{metadata: {name: d, labels: {a: '3'}}}", "{metadata: {name: d, labels: {a: '1', b: '2', c: x}}}",
         "{metadata: {name: d, labels: {a: '3', c: x}}}"},
        {"a whole map goes", "{metadata: {name: d, labels: {a: '1'}}}", "{metadata: {name: d}}",
         "{metadata: {name: d, labels: {a: '1', c: x}}}", "{metadata: {name: d}}"},
        {"null in the manifest removes", NULL, "{metadata: {name: d}, spec: {paused: null}}",
         "{metadata: {name: d}, spec: {paused: true, replicas: 1}}", "{metadata: {name: d}, spec: {replicas: 1}}"},
        {"null in new parts vanishes", NULL,
         "{metadata: {name: d}, spec: {template: {spec: {hostname: null, nodeName: n}}}}", "{metadata: {name: d}}",
         "{metadata: {name: d}, spec: {template: {spec: {nodeName: n}}}}"},
        {"what the system sets stays", "{metadata: {name: d, uid: u, creationTimestamp: t}}",
         "{metadata: {name: d, creationTimestamp: null}}",
         "{metadata: {name: d, uid: u, creationTimestamp: t, generation: 4}}",
         "{metadata: {name: d, uid: u, creationTimestamp: t, generation: 4}}"},
        {"a union drops the other branch", "{metadata: {name: d}}",
         "{metadata: {name: d}, spec: {strategy: {type: Recreate}}}",
         "{metadata: {name: d}, spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}}",
         "{metadata: {name: d}, spec: {strategy: {type: Recreate}}}"},
        {"a union of which nothing is said stays", "{metadata: {name: d}}",
         "{metadata: {name: d}, spec: {strategy: {}}}",
         "{metadata: {name: d}, spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}",
         "{metadata: {name: d}, spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}"},
        {"null in a union removes that alone", "{metadata: {name: d}}",
         "{metadata: {name: d}, spec: {strategy: {rollingUpdate: null}}}",
         "{metadata: {name: d}, spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}",
         "{metadata: {name: d}, spec: {strategy: {type: RollingUpdate}}}"},
        {"another type of value", "{metadata: {name: d}}",
         "{metadata: {name: d}, spec: {strategy: {rollingUpdate: {maxSurge: 1}}}}",
         "{metadata: {name: d}, spec: {strategy: {rollingUpdate: 5}}}",
         "{metadata: {name: d}, spec: {strategy: {rollingUpdate: {maxSurge: 1}}}}"},
    };
    RUN_APPLY("Deployment", cases);
}

static void apply_merges_lists(void **state)
{
    (void)state;
    static const struct apply_case cases[] = {
        {"elements merge by key; defaults stay", "{spec: {containers: [{name: a, image: x, command: [s]}]}}",
         "{spec: {containers: [{name: a, image: w}]}}",
         "{spec: {containers: [{name: a, image: x, command: [s], imagePullPolicy: Always}]}}",
         "{spec: {containers: [{name: a, image: w, imagePullPolicy: Always}]}}"},
        {"elements go and come in the manifest's order", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{name: c}, {name: a}]}}", "{spec: {containers: [{name: a, image: i}, {name: b}]}}",
         "{spec: {containers: [{name: c}, {name: a, image: i}]}}"},
        {"injected elements stay where they are", "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{name: a}, {name: b}]}}",
         "{spec: {containers: [{name: side}, {name: a}, {name: car}, {name: b}]}}",
         "{spec: {containers: [{name: side}, {name: a}, {name: car}, {name: b}]}}"},
        {"a removed list goes", "{spec: {volumes: [{name: v}]}}", "{spec: {hostname: h}}",
         "{spec: {volumes: [{name: v, emptyDir: {}}]}}", "{spec: {hostname: h}}"},
        {"a volume changes its source", "{spec: {volumes: [{name: v, emptyDir: {}}]}}",
         "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}",
         "{spec: {volumes: [{name: v, emptyDir: {medium: Memory}}]}}",
         "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}"},
        {"a defaulted source goes too", "{spec: {volumes: [{name: v}]}}",
         "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}", "{spec: {volumes: [{name: v, emptyDir: {}}]}}",
         "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}"},
        {"atomic lists are replaced", "{spec: {containers: [{name: a, args: [x, z]}]}}",
         "{spec: {containers: [{name: a, args: [w]}]}}", "{spec: {containers: [{name: a, args: [x, z]}]}}",
         "{spec: {containers: [{name: a, args: [w]}]}}"},
        {"sets keep what others added", "{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [b, c]}}",
         "{metadata: {finalizers: [x, a, b]}}", "{metadata: {finalizers: [x, b, c]}}"},
        {"the same port twice, by protocol", "{spec: {containers: [{name: a, ports: [{containerPort: 53}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, name: t}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: TCP}]}]}}",
         "{spec: {containers: [{name: a, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: "
         "TCP, name: t}]}]}}"},
        {"env changes from value to source", "{spec: {containers: [{name: a, env: [{name: E, value: v}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: E, valueFrom: {fieldRef: {fieldPath: p}}}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: E, value: v}]}]}}",
         "{spec: {containers: [{name: a, env: [{name: E, valueFrom: {fieldRef: {fieldPath: p}}}]}]}}"},
        {"an empty list removes what was applied", "{spec: {volumes: [{name: v}]}}", "{spec: {volumes: []}}",
         "{spec: {volumes: [{name: v}, {name: other}]}}", "{spec: {volumes: [{name: other}]}}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        run_apply("Pod", &cases[i], 1);
    }
}

static void a_manifest_never_remembers_an_older_one(void **state)
{
    (void)state;
    struct value *manifest = doc("{metadata: {name: a, annotations: {kubectl.kubernetes.io/last-applied-configuration: "
                                 "old}}, data: {b: x, a: z}}");
    struct value *out = patch_first_apply(&arena, manifest);
    assert_true(str_is(value_to_str(value_get(value_at(out, "metadata", "annotations", NULL), APPLY_ANNOTATION)),
                       "{\"data\":{\"a\":\"z\",\"b\":\"x\"},\"metadata\":{\"name\":\"a\"}}"));
    struct value *again;
    assert_int_equal(patch_three_way(kind_by_name(STR("ConfigMap")), &arena, NULL, out, out, &again, NULL), 0);
    assert_true(value_equal(again, out));
}

static void apply_refuses_what_cannot_be_merged(void **state)
{
    (void)state;
    const struct kind *k = kind_by_name(STR("Pod"));
    struct value *out;
    struct error err = {0};
    assert_int_equal(patch_three_way(k, &arena, NULL, doc("[]"), doc("{}"), &out, &err), ERR_INVALID);
    assert_int_equal(patch_three_way(k, &arena, NULL, doc("{spec: {containers: [{image: x}]}}"), doc("{}"), &out, &err),
                     ERR_INVALID);
    assert_string_equal(err.field, "spec.containers[0]");
}

/* Any patch on any document: an error or a result that can be encoded, nothing else. */
static struct value *random_part(struct rng *r, unsigned depth)
{
    static const char *const keys[] = {"metadata",
                                       "spec",
                                       "containers",
                                       "name",
                                       "ports",
                                       "containerPort",
                                       "protocol",
                                       "finalizers",
                                       "$patch",
                                       "volumes",
                                       "$retainKeys",
                                       "$setElementOrder/containers",
                                       "labels",
                                       "strategy",
                                       "template",
                                       "$deleteFromPrimitiveList/finalizers",
                                       "$setElementOrder/finalizers",
                                       "op",
                                       "path",
                                       "from",
                                       "value"};
    static const char *const words[] = {
        "delete",         "replace", "merge", "a",    "b",     "TCP", "UDP", "name", "/spec", "/spec/containers/-",
        "/metadata/name", "add",     "copy",  "move", "remove"};
    switch (rng_below(r, depth > 5 ? 3 : 8)) {
    case 0:
        return value_null(&arena);
    case 1:
        return value_int(&arena, (int64_t)rng_below(r, 3));
    case 2:
        return value_cstr(&arena, words[rng_below(r, ARRAY_SIZE(words))]);
    case 3:
    case 4: {
        struct value *l = value_list(&arena);
        for (uint64_t n = rng_below(r, 4); n > 0; n--) {
            value_append(&arena, l, random_part(r, depth + 1));
        }
        return l;
    }
    default: {
        struct value *m = value_map(&arena);
        for (uint64_t n = rng_below(r, 6); n > 0; n--) {
            value_set(&arena, m, keys[rng_below(r, ARRAY_SIZE(keys))], random_part(r, depth + 1));
        }
        return m;
    }
    }
}

static void no_patch_breaks_anything(void **state)
{
    (void)state;
    struct rng r = {31};
    const struct kind *k = kind_by_name(STR("Deployment"));
    unsigned good = 0;
    for (int i = 0; i < 20000; i++) {
        struct value *current = value_map(&arena), *out = NULL;
        value_set(&arena, current, "spec", random_part(&r, 0));
        value_set(&arena, current, "metadata", random_part(&r, 0));
        struct value *patch = random_part(&r, 0), *last = random_part(&r, 0);
        CLEANUP_BUF struct buf b = BUF_INIT;
        for (int t = 0; t < 4; t++) {
            struct error err = {0};
            int rc = t < 3 ? patch_apply((enum patch_type)t, k, &arena, current, patch, &out, &err)
                           : patch_three_way(k, &arena, last, patch, current, &out, &err);
            assert_true(rc == 0 || (rc == ERR_INVALID && err.message[0] != '\0'));
            if (rc == 0) {
                msgpack_write_value(&b, out);
                good++;
            }
        }
        if (i % 1000 == 0) {
            arena_close(&arena);
        }
    }
    assert_true(good > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(types_have_names),
        TEST(merge_patches_follow_rfc_7386),
        TEST(json_patches_follow_rfc_6902),
        TEST(json_patch_errors_name_operation_and_path),
        TEST(json_patch_tests_see_bytes_as_base64),
        TEST(json_patch_copies_do_not_grow_without_bound),
        TEST(strategic_maps_merge),
        TEST(strategic_retain_keys),
        TEST(strategic_lists_merge_by_key),
        TEST(strategic_order_and_sets),
        TEST(errors_of_strategic_patches_name_the_field),
        TEST(long_lists_are_refused),
        TEST(apply_merges_three_ways),
        TEST(apply_merges_lists),
        TEST(a_manifest_never_remembers_an_older_one),
        TEST(apply_refuses_what_cannot_be_merged),
        TEST(no_patch_breaks_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
