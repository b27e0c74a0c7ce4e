/* Who manages which fields: sets, the stored form, FieldsV1, updates and applies; and all of it against a model that
 * knows paths as texts and compares each with each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "proto/managed/managed.h"
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
    if (yaml_read(&arena, str_of(yaml), NULL, &docs, &count, &err) != 0) {
        fail_msg("%s in\n%s", err.message, yaml);
    }
    return docs[0];
}

static const struct kind *kind(const char *name)
{
    return kind_by_name(str_of(name));
}

static void add_line(void *data, struct str path)
{
    buf_printf(data, "%.*s\n", STR_ARG(path));
}

static const char *paths(const struct managed_set *s)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    managed_each_path(s, add_line, &b);
    return arena_strdup(&arena, buf_cstr(&b));
}

static const char *json(const struct managed *m, const char *version)
{
    CLEANUP_BUF struct buf stored = BUF_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT;
    managed_write(&stored, m);
    return managed_write_json(&out, buf_str(&stored), str_of(version)) ? arena_strdup(&arena, buf_cstr(&out)) : "";
}

#define DEPLOYMENT                                                                                                     \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, uid: u, labels: {app: d}, finalizers: [a/b]}, spec: " \
    "{replicas: 2, selector: {matchLabels: {app: d}}, template: {spec: {nodeSelector: {disk: ssd}, containers: "       \
    "[{name: c, image: i, args: [x], resources: {}, ports: [{containerPort: 80}]}]}}}, status: {replicas: 1}}"

static void a_set_has_the_fields_of_a_document(void **state)
{
    (void)state;
    struct managed_set s = managed_of(kind("Deployment"), &arena, MANAGED_SPEC, doc(DEPLOYMENT));
    assert_string_equal(paths(&s),
                        ".metadata.finalizers[=\"a/b\"]\n"
                        ".metadata.labels.app\n"
                        ".spec.replicas\n"
                        ".spec.selector\n"
                        ".spec.template.spec.containers[name=\"c\"]\n"
                        ".spec.template.spec.containers[name=\"c\"].args\n"
                        ".spec.template.spec.containers[name=\"c\"].image\n"
                        ".spec.template.spec.containers[name=\"c\"].name\n"
                        ".spec.template.spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"]\n"
                        ".spec.template.spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"]"
                        ".containerPort\n"
                        ".spec.template.spec.containers[name=\"c\"].resources\n"
                        ".spec.template.spec.nodeSelector\n");
    s = managed_of(kind("Deployment"), &arena, MANAGED_STATUS, doc(DEPLOYMENT));
    assert_string_equal(paths(&s), ".status.replicas\n");
}

static void the_stored_form_is_small_and_reads_the_same(void **state)
{
    (void)state;
    struct managed m = {0}, again;
    struct managed_writer w = {.manager = STR("kubectl"), .now_s = 1767322800};
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_true(managed_note_update(kind("Deployment"), &arena, &m, NULL, doc(DEPLOYMENT), &w));
    managed_write(&b, &m);
    assert_true(b.size < 150);
    assert_true(managed_read(&arena, buf_str(&b), &again));
    assert_true(managed_same(&m, &again) && again.entries[0].time_s == w.now_s);
    for (size_t n = 0; n < b.size; n++) { /* cut anywhere, it is none */
        assert_false(managed_read(&arena, (struct str){(const char *)b.data, n}, &again));
        CLEANUP_BUF struct buf out = BUF_INIT;
        assert_false(managed_write_json(&out, (struct str){(const char *)b.data, n}, STR("v1")));
        assert_int_equal(out.size, 0);
    }
}

static void fields_v1_is_written_and_read(void **state)
{
    (void)state;
    struct managed m = {0}, again;
    struct managed_writer w = {.manager = STR("kubectl"), .subresource = STR("status"), .part = MANAGED_STATUS};
    struct value *none = doc("{apiVersion: v1, kind: Pod, metadata: {name: p}}");
    assert_true(managed_note_update(
        kind("Pod"), &arena, &m, none,
        doc("{metadata: {name: p}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}"), &w));
    const char *got = json(&m, "v1");
    assert_non_null(strstr(got, "\"k:{\\\"type\\\":\\\"Ready\\\"}\":{\".\":{},\"f:status\":{},\"f:type\":{}}"));
    assert_non_null(strstr(got, "\"subresource\":\"status\"}]"));
    struct value *list;
    assert_int_equal(json_read(&arena, str_of(got), &list, NULL), 0);
    assert_int_equal(managed_from_value(&arena, list, &again, NULL), 0);
    assert_true(managed_same(&m, &again));
    /* Another client's spelling of the same: keys in another order, an element of its own beside others. */
    list = doc("[{manager: x, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {'f:a': {'.': {}, "
               "'k:{\"protocol\":\"TCP\", \"containerPort\":80}': {}, 'v:\"s\"': {}, 'i:3': {}}}}]");
    assert_int_equal(managed_from_value(&arena, list, &again, NULL), 0);
    assert_string_equal(paths(&again.entries[0].set), ".a\n.a[containerPort=80,protocol=\"TCP\"]\n.a[=\"s\"]\n.a[3]\n");
}

static void what_is_no_fields_v1_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x",
        "[x]",
        "[{operation: Apply}]",
        "[{operation: Guess, apiVersion: v1, fieldsType: FieldsV1}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV2}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: [a]}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {a: {}}}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {'f:': {}}}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {'k:x': {}}}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {'i:-1': {}}}]",
        "[{operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {'f:a': x}}]",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct managed m;
        struct error err = {0};
        assert_int_equal(managed_from_value(&arena, doc(bad[i]), &m, &err), ERR_INVALID);
        assert_true(err.field[0] != '\0' && m.count == 0);
    }
    assert_true(managed_is_reset(doc("[{}]")));
    assert_false(managed_is_reset(doc("[]")) || managed_is_reset(doc("[{manager: x}]")) || managed_is_reset(NULL));
}

/* Applies as `who`; NULL: a conflict. */
static struct value *apply_as(struct managed *m, struct value *live, const char *config, const char *who, bool force,
                              struct error *err)
{
    struct managed_writer w = {.manager = str_of(who), .now_s = 5};
    struct value *out = NULL;
    int rc = managed_apply(kind("Pod"), &arena, m, live, doc(config), &w, force, NULL, &out, err);
    assert_true(rc == 0 || rc == ERR_CONFLICT);
    return rc == 0 ? out : NULL;
}

static void assert_doc(const struct value *have, const char *want)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (!value_equal(have, doc(want))) {
        json_write(&b, have, 0);
        fail_msg("have %s\nwant %s", buf_cstr(&b), want);
    }
}

static void structs_go_with_their_defaults_and_maps_keep_what_others_put_there(void **state)
{
    (void)state;
    struct managed m = {0};
    struct value *live = apply_as(&m, NULL,
                                  "{metadata: {labels: {a: x}}, spec: {securityContext: {runAsUser: 1}, "
                                  "containers: [{name: c, image: i}]}}",
                                  "one", false, NULL);
    /* Defaults that nobody owns, and a label of the system's own. */
    value_set(&arena, value_path(live, "spec.securityContext"), "fsGroup", value_int(&arena, 2));
    value_set(&arena, value_path(live, "metadata.labels"), "system", value_cstr(&arena, "sys"));
    value_set(&arena, value_item(value_path(live, "spec.containers"), 0), "imagePullPolicy",
              value_cstr(&arena, "Always"));
    struct value *next = apply_as(&m, live, "{spec: {containers: [{name: c, image: j}]}}", "one", false, NULL);
    assert_doc(next, "{metadata: {labels: {system: sys}}, spec: {containers: [{name: c, image: j, imagePullPolicy: "
                     "Always}]}}");
    next = apply_as(&m, next, "{spec: {hostname: h}}", "one", false, NULL);
    assert_doc(next, "{metadata: {labels: {system: sys}}, spec: {hostname: h}}");
}

static void the_key_of_an_element_stays_while_somebody_owns_some_of_it(void **state)
{
    (void)state;
    struct managed m = {0};
    struct value *live =
        apply_as(&m, NULL, "{spec: {containers: [{name: c, image: i}, {name: d, image: i}]}}", "one", false, NULL);
    struct managed_writer w = {.manager = STR("set"), .now_s = 6};
    struct value *changed = value_copy(&arena, live);
    value_set(&arena, value_item(value_path(changed, "spec.containers"), 0), "image", value_cstr(&arena, "j"));
    assert_true(managed_note_update(kind("Pod"), &arena, &m, live, changed, &w));
    struct value *next = apply_as(&m, changed, "{spec: {containers: [{name: d, image: i}]}}", "one", false, NULL);
    assert_doc(next, "{spec: {containers: [{name: c, image: j}, {name: d, image: i}]}}");
}

/* As a controller does, who changes a stored document: the autoscaler. */
static void the_systems_own_writers_take_what_others_own(void **state)
{
    (void)state;
    const struct kind *k = kind("Deployment");
    struct managed m = {0};
    struct managed_writer w = {.manager = STR("user"), .now_s = 1},
                          own = {.manager = STR("hpa"), .subresource = STR("scale"), .now_s = 2};
    struct value *was = doc(DEPLOYMENT), *next, *out;
    struct error err = {0};
    assert_int_equal(managed_apply(k, &arena, &m, NULL, was, &w, false, NULL, &out, NULL), 0);
    CLEANUP_BUF struct buf b = BUF_INIT;
    managed_write(&b, &m);
    value_set(&arena, value_get(was, "metadata"), MANAGED_MEMBER, value_bin(&arena, b.data, b.size));
    next = value_copy(&arena, was);
    value_set(&arena, value_get(next, "spec"), "replicas", value_int(&arena, 5));
    managed_note_own(k, &arena, was, next, &own);
    assert_true(managed_read(&arena, value_get(value_get(next, "metadata"), MANAGED_MEMBER)->str, &m));
    assert_int_equal(m.count, 2);
    assert_string_equal(paths(&m.entries[1].set), ".spec.replicas\n");
    assert_int_equal(managed_apply(k, &arena, &m, next, was, &w, false, NULL, &out, &err), ERR_CONFLICT);
    assert_string_equal(err.message,
                        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using "
                        "apps/v1: .spec.replicas");
    /* Nobody manages the object: nobody does afterwards. */
    value_remove(value_get(next, "metadata"), MANAGED_MEMBER);
    value_set(&arena, value_get(next, "spec"), "replicas", value_int(&arena, 6));
    managed_note_own(k, &arena, was, next, &own);
    assert_null(value_get(value_get(next, "metadata"), MANAGED_MEMBER));
}

static void many_who_update_become_one(void **state)
{
    (void)state;
    struct managed m = {0};
    struct value *was = doc("{metadata: {name: c}, data: {}}"), *now;
    char name[16];
    for (unsigned i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "m%u", i);
        now = value_copy(&arena, was);
        value_set(&arena, value_get(now, "data"), name, value_cstr(&arena, "x"));
        struct managed_writer w = {.manager = str_of(arena_strdup(&arena, name)), .now_s = i};
        assert_true(managed_note_update(kind("ConfigMap"), &arena, &m, was, now, &w));
        was = now;
        assert_true(m.count <= MANAGED_UPDATERS);
    }
    struct managed_set all = {0}, want = managed_of(kind("ConfigMap"), &arena, MANAGED_SPEC, was);
    for (unsigned i = 0; i < m.count; i++) {
        all = managed_union(&arena, &all, &m.entries[i].set);
    }
    assert_true(managed_equal(&all, &want));
    assert_true(str_is(m.entries[0].manager, MANAGED_ANCIENT) && m.entries[0].time_s == 15);
}

/* ---- The model: leaves are texts ---- */

#define LEAVES_MAX 512u
struct leaves {
    unsigned count;
    struct leaf {
        const char *path, *value; /* value "": an element of a list */
    } items[LEAVES_MAX];
};

static const struct leaf *leaf_of(const struct leaves *l, const char *path)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].path, path) == 0) {
            return &l->items[i];
        }
    }
    return NULL;
}

static void leaf_add(struct leaves *l, const char *path, const char *value)
{
    assert_true(l->count < LEAVES_MAX);
    if (leaf_of(l, path) == NULL) {
        l->items[l->count++] = (struct leaf){path, value};
    }
}

static void leaf_drop(struct leaves *l, const char *path)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].path, path) == 0) {
            l->items[i] = l->items[--l->count];
            return;
        }
    }
}

static const char *value_text(const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    json_write_canonical(&b, v);
    return arena_strdup(&arena, buf_cstr(&b));
}

/* The few fields of a pod that the model's documents have, by name. */
static void flatten(struct leaves *l, const char *path, const char *name, const struct value *v)
{
    bool keyed = strcmp(name, "containers") == 0 || strcmp(name, "env") == 0, ports = strcmp(name, "ports") == 0,
         set = strcmp(name, "finalizers") == 0;
    if (keyed || ports || set) {
        VALUE_FOR(i, v)
        {
            const struct value *e = value_item(v, i);
            const char *at = set     ? arena_printf(&arena, "%s[=%s]", path, value_text(e))
                             : keyed ? arena_printf(&arena, "%s[name=%s]", path, value_text(value_get(e, "name")))
                                     : arena_printf(&arena, "%s[containerPort=%s,protocol=\"%s\"]", path,
                                                    value_text(value_get(e, "containerPort")),
                                                    value_get(e, "protocol") == NULL ? "TCP" : "UDP");
            leaf_add(l, at, "");
            if (!set) {
                flatten(l, at, "", e);
            }
        }
    } else if (value_is_map(v) && strcmp(name, "nodeSelector") != 0) {
        for (unsigned i = 0; i < v->map.count; i++) {
            const char *key = arena_strndup(&arena, v->map.members[i].key.p, v->map.members[i].key.n);
            if (strcmp(path, ".metadata") != 0 || strcmp(key, "name") != 0) {
                flatten(l, arena_printf(&arena, "%s.%s", path, key), key, v->map.members[i].value);
            }
        }
    } else {
        leaf_add(l, path, value_text(v));
    }
}

static void add_leaf(void *data, struct str path)
{
    leaf_add(data, arena_strndup(&arena, path.p, path.n), "");
}

/* Of each manager: apply-0, apply-1, apply-2, update-0, ... */
#define MANAGERS 3u
struct model {
    struct leaves owned[2 * MANAGERS];
};

static bool others_own(const struct model *m, unsigned who, const char *path, bool below)
{
    size_t n = strlen(path);
    for (unsigned i = 0; i < 2 * MANAGERS; i++) {
        for (unsigned k = 0; i != who && k < m->owned[i].count; k++) {
            const char *p = m->owned[i].items[k].path;
            if (strcmp(p, path) == 0 || (below && strncmp(p, path, n) == 0 && (p[n] == '.' || p[n] == '['))) {
                return true;
            }
        }
    }
    return false;
}

/* What was is what is, but for the owners: who writes owns what changed, and nobody what is gone. */
static void model_take(struct model *m, unsigned who, const struct leaves *was, const struct leaves *now, bool own)
{
    for (unsigned i = 0; i < now->count; i++) {
        const struct leaf *n = &now->items[i], *b = leaf_of(was, n->path);
        if (b != NULL && strcmp(b->value, n->value) == 0) {
            continue;
        }
        for (unsigned k = 0; k < 2 * MANAGERS; k++) {
            if (k != who) {
                leaf_drop(&m->owned[k], n->path);
            }
        }
        if (own) {
            leaf_add(&m->owned[who], n->path, "");
        }
    }
    for (unsigned i = 0; i < was->count; i++) {
        for (unsigned k = 0; k < 2 * MANAGERS && leaf_of(now, was->items[i].path) == NULL; k++) {
            leaf_drop(&m->owned[k], was->items[i].path);
        }
    }
}

/* Does anything of an element stay, beside its keys? */
static bool is_key_of(const char *item, const char *path)
{
    size_t n = strlen(item);
    return strncmp(path, item, n) == 0 && (strcmp(path + n, ".name") == 0 || strcmp(path + n, ".containerPort") == 0 ||
                                           strcmp(path + n, ".protocol") == 0);
}

/* What an apply makes of the leaves: what is named now is set; what was named and is not goes, unless others own it or
 * something in it. */
static void model_apply(const struct model *m, unsigned who, const struct leaves *live, const struct leaves *config,
                        struct leaves *out)
{
    const struct leaves *last = &m->owned[who];
    *out = (struct leaves){0};
    for (unsigned i = 0; i < config->count; i++) {
        leaf_add(out, config->items[i].path, config->items[i].value);
    }
    for (unsigned i = 0; i < live->count; i++) {
        const char *p = live->items[i].path;
        bool goes = leaf_of(last, p) != NULL && leaf_of(config, p) == NULL && !others_own(m, who, p, true);
        if (!goes) {
            leaf_add(out, p, live->items[i].value);
        }
    }
    /* Elements that stay keep their keys; what is in one that goes, goes. */
    for (unsigned i = 0; i < live->count; i++) {
        const struct leaf *item = &live->items[i];
        size_t n = strlen(item->path);
        if (item->value[0] != '\0' || item->path[n - 1] != ']') {
            continue;
        }
        bool stays = leaf_of(out, item->path) != NULL;
        for (unsigned k = 0; k < live->count; k++) {
            const char *p = live->items[k].path;
            if (stays && is_key_of(item->path, p)) {
                leaf_add(out, p, live->items[k].value);
            } else if (!stays && strncmp(p, item->path, n) == 0) {
                leaf_drop(out, p);
            }
        }
    }
}

static struct value *word(struct rng *r)
{
    static const char *const words[] = {"x", "y", "z"};
    return value_cstr(&arena, words[rng_below(r, ARRAY_SIZE(words))]);
}

static void maybe(struct rng *r, struct value *map, const char *key, struct value *v)
{
    if (rng_below(r, 2) == 0) {
        value_set(&arena, map, key, v);
    }
}

static struct value *random_container(struct rng *r, const char *name)
{
    struct value *c = value_map(&arena);
    value_set(&arena, c, "name", value_cstr(&arena, name));
    maybe(r, c, "image", word(r));
    if (rng_below(r, 3) == 0) {
        value_append(&arena, value_ensure_list(&arena, c, "args"), word(r));
    }
    for (int i = 0; i < 2; i++) {
        if (rng_below(r, 3) == 0) {
            struct value *e = value_map(&arena);
            value_set(&arena, e, "name", value_cstr(&arena, i == 0 ? "A" : "B"));
            maybe(r, e, "value", word(r));
            value_append(&arena, value_ensure_list(&arena, c, "env"), e);
        }
        if (rng_below(r, 3) == 0) {
            struct value *p = value_map(&arena);
            value_set(&arena, p, "containerPort", value_int(&arena, 80));
            if (i == 1) {
                value_set(&arena, p, "protocol", value_cstr(&arena, "UDP"));
            }
            value_append(&arena, value_ensure_list(&arena, c, "ports"), p);
        }
    }
    return c;
}

static struct value *random_pod(struct rng *r)
{
    struct value *pod = doc("{apiVersion: v1, kind: Pod, metadata: {name: p}}"), *meta = value_get(pod, "metadata");
    static const char *const labels[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3; i++) {
        if (rng_below(r, 2) == 0) {
            value_set(&arena, value_ensure_map(&arena, meta, "labels"), labels[i], word(r));
        }
        if (rng_below(r, 3) == 0) {
            value_append(&arena, value_ensure_list(&arena, meta, "finalizers"), value_cstr(&arena, labels[i]));
        }
        if (rng_below(r, 2) == 0) {
            value_append(&arena, value_ensure_list(&arena, value_ensure_map(&arena, pod, "spec"), "containers"),
                         random_container(r, labels[i]));
        }
    }
    if (rng_below(r, 3) == 0) {
        value_set(&arena, value_ensure_map(&arena, value_ensure_map(&arena, pod, "spec"), "nodeSelector"), "disk",
                  word(r));
    }
    if (rng_below(r, 2) == 0) {
        value_set(&arena, value_ensure_map(&arena, pod, "spec"), "hostname", word(r));
    }
    return pod;
}

static void assert_same_leaves(const char *what, uint64_t seed, unsigned step, const struct leaves *have,
                               const struct leaves *want, bool values)
{
    for (unsigned i = 0; i < have->count; i++) {
        const struct leaf *w = leaf_of(want, have->items[i].path);
        if (w == NULL || (values && strcmp(w->value, have->items[i].value) != 0)) {
            fail_msg("seed %llu step %u: %s: %s is too much or another one", (unsigned long long)seed, step, what,
                     have->items[i].path);
        }
    }
    for (unsigned i = 0; i < want->count; i++) {
        if (leaf_of(have, want->items[i].path) == NULL) {
            fail_msg("seed %llu step %u: %s: %s is missing", (unsigned long long)seed, step, what, want->items[i].path);
        }
    }
}

static void assert_same_owners(uint64_t seed, unsigned step, const struct managed *m, const struct model *model)
{
    static const char *const names[] = {"0", "1", "2"};
    for (unsigned who = 0; who < 2 * MANAGERS; who++) {
        struct leaves have = {0};
        for (unsigned i = 0; i < m->count; i++) {
            const struct managed_entry *e = &m->entries[i];
            if ((e->how == MANAGED_UPDATE) == (who >= MANAGERS) && str_is(e->manager, names[who % MANAGERS])) {
                managed_each_path(&e->set, add_leaf, &have);
            }
        }
        assert_same_leaves(who < MANAGERS ? "applier" : "updater", seed, step, &have, &model->owned[who], false);
    }
}

static bool model_conflicts(const struct model *m, unsigned who, const struct leaves *live, const struct leaves *next)
{
    for (unsigned i = 0; i < next->count; i++) {
        const struct leaf *b = leaf_of(live, next->items[i].path);
        if ((b == NULL || strcmp(b->value, next->items[i].value) != 0) &&
            others_own(m, who, next->items[i].path, false)) {
            return true;
        }
    }
    return false;
}

static unsigned run_seed(uint64_t seed)
{
    static struct model model;
    static struct leaves was, now, want, config_leaves;
    struct rng r = {seed};
    struct managed m = {0};
    struct value *live = NULL;
    unsigned conflicts = 0;
    memset(&model, 0, sizeof model);
    was = (struct leaves){0};
    for (unsigned step = 0; step < 12; step++) {
        unsigned name = (unsigned)rng_below(&r, MANAGERS);
        bool apply = live == NULL || rng_below(&r, 3) > 0, force = rng_below(&r, 2) == 0;
        static const char *const names[] = {"0", "1", "2"};
        struct managed_writer w = {.manager = str_of(names[name]), .now_s = step};
        struct value *config = random_pod(&r), *next = config;
        unsigned who = apply ? name : MANAGERS + name;
        if (apply) {
            config_leaves = (struct leaves){0};
            flatten(&config_leaves, "", "", config);
            leaf_drop(&config_leaves, ".apiVersion");
            leaf_drop(&config_leaves, ".kind");
            if (m.count == 0 && live != NULL) {
                break; /* nobody owns anything: who was before the first apply would, whom the model does not know */
            }
            model_apply(&model, who, &was, &config_leaves, &want);
            bool conflict = !force && model_conflicts(&model, who, &was, &want);
            int rc = managed_apply(kind("Pod"), &arena, &m, live, config, &w, force, NULL, &next, NULL);
            assert_int_equal(rc, conflict ? ERR_CONFLICT : 0);
            if (conflict) {
                conflicts++;
                assert_same_owners(seed, step, &m, &model);
                continue;
            }
        } else {
            managed_note_update(kind("Pod"), &arena, &m, live, next, &w);
        }
        now = (struct leaves){0};
        flatten(&now, "", "", next);
        leaf_drop(&now, ".apiVersion");
        leaf_drop(&now, ".kind");
        if (apply) {
            assert_same_leaves("document", seed, step, &now, &want, true);
        }
        model_take(&model, who, &was, &now, !apply);
        if (apply) {
            model.owned[who] = config_leaves;
        }
        assert_same_owners(seed, step, &m, &model);
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct managed again;
        managed_write(&b, &m);
        assert_true(managed_read(&arena, buf_str(&b), &again) && managed_same(&m, &again));
        live = next;
        was = now;
    }
    return conflicts;
}

static void owners_are_those_of_the_model(void **state)
{
    (void)state;
    unsigned conflicts = 0;
    const char *text = getenv("SEED");
    for (uint64_t seed = text == NULL ? 1 : strtoull(text, NULL, 10); seed <= 1500; seed++) {
        conflicts += run_seed(seed);
        arena_close(&arena);
        if (text != NULL) {
            break;
        }
    }
    assert_true(text != NULL || conflicts > 500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_has_the_fields_of_a_document),
        TEST(the_stored_form_is_small_and_reads_the_same),
        TEST(fields_v1_is_written_and_read),
        TEST(what_is_no_fields_v1_is_refused),
        TEST(structs_go_with_their_defaults_and_maps_keep_what_others_put_there),
        TEST(the_key_of_an_element_stays_while_somebody_owns_some_of_it),
        TEST(the_systems_own_writers_take_what_others_own),
        TEST(many_who_update_become_one),
        TEST(owners_are_those_of_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
