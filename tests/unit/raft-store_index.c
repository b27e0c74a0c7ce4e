/* The indexes and sums of a view answer what a scan of all its objects would: on the tip, on the committed version,
 * on forks, after transactions at random. */
#include "proto/facts/condition.h"
#include "raft-store/store/world.h"

#include "tests/unit/raft-store_help.h"

static const char *const UIDS[] = {"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002",
                                   "00000000-0000-4000-8000-000000000003"};
static const char *const NAMES[] = {"a", "b", "c", "d", "e", "f"};
static const char *const NAMESPACES[] = {"default", "other"};

#define PICK(rng, list) (list)[rng_below(rng, ARRAY_SIZE(list))]

/* ---- Objects at random ---- */

static void add_owner(struct arena *a, struct value *meta, const char *uid, bool controller)
{
    struct value *r = value_map(a);
    value_set(a, r, "apiVersion", value_cstr(a, "apps/v1"));
    value_set(a, r, "kind", value_cstr(a, "ReplicaSet"));
    value_set(a, r, "name", value_cstr(a, "set"));
    value_set(a, r, "uid", value_cstr(a, uid));
    if (controller) {
        value_set(a, r, "controller", value_bool(a, true));
    }
    value_append(a, value_ensure_list(a, meta, "ownerReferences"), r);
}

/* Owners and labels anew. */
static void dress(struct rng *rng, struct arena *a, struct value *doc)
{
    struct value *meta = value_get(doc, "metadata");
    value_remove(meta, "ownerReferences");
    value_remove(meta, "labels");
    unsigned first = (unsigned)rng_below(rng, ARRAY_SIZE(UIDS));
    bool controlled = rng_below(rng, 2) == 0;
    for (unsigned i = 0, n = (unsigned)rng_below(rng, 3); i < n; i++) {
        add_owner(a, meta, UIDS[(first + i) % ARRAY_SIZE(UIDS)], controlled && i == 0);
    }
    for (unsigned n = (unsigned)rng_below(rng, 3); n > 0; n--) {
        value_set(a, value_ensure_map(a, meta, "labels"), PICK(rng, NAMES), value_cstr(a, PICK(rng, NAMES)));
    }
}

static struct object *dressed(struct rng *rng, struct object *o)
{
    CLEANUP_ARENA struct arena a;
    struct object *out = NULL;
    struct error err = {0};
    arena_init(&a);
    struct value *doc = object_to_value(&a, o);
    dress(rng, &a, doc);
    must(object_from_value(o->kind, doc, 0, &out, &err), &err);
    object_unref(o);
    return out;
}

/* One of few addresses and node ports, and one or two labels to select by. */
static struct object *service(struct rng *rng, const char *ns, const char *name)
{
    return yaml_object("{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s}, spec: {type: NodePort, "
                       "clusterIP: 10.96.0.%u, selector: {%s: %s}, ports: [{port: 80, nodePort: 3000%u}]}}",
                       name, ns, 1 + (unsigned)rng_below(rng, 6), PICK(rng, NAMES), PICK(rng, NAMES),
                       (unsigned)rng_below(rng, 6));
}

/* On a node or on none, of a class or of none, somebody's or nobody's. */
static struct object *volume(struct rng *rng, const char *name)
{
    return yaml_object("{apiVersion: v1, kind: PersistentVolume, metadata: {name: %s, annotations: "
                       "{pv.kubernetes.io/provisioned-by: %s}, labels: {%s: %s}}, spec: {capacity: {storage: %uMi}, "
                       "accessModes: [ReadWriteOnce], hostPath: {path: /x}, storageClassName: %s%s}}",
                       name, rng_below(rng, 4) > 0 ? "reeve.io/local" : "x",
                       rng_below(rng, 3) > 0 ? "reeve.io/node" : "other", PICK(rng, NAMES),
                       1 + (unsigned)rng_below(rng, 9), rng_below(rng, 3) > 0 ? PICK(rng, NAMES) : "''",
                       rng_below(rng, 2) == 0 ? "" : ", claimRef: {namespace: default, name: a}");
}

static struct object *claim(struct rng *rng, const char *ns, const char *name)
{
    return yaml_object("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s, namespace: %s}, spec: "
                       "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: "
                       "%s%s}}",
                       name, ns, rng_below(rng, 3) > 0 ? PICK(rng, NAMES) : "''",
                       rng_below(rng, 2) == 0 ? "" : ", volumeName: a");
}

/* Of pods with a certain label, with others, or of none. */
static struct object *budget(struct rng *rng, const char *ns, const char *name)
{
    const char *key = PICK(rng, NAMES), *value = PICK(rng, NAMES);
    unsigned sort = (unsigned)rng_below(rng, 4);
    return sort == 0   ? yaml_object("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, "
                                       "namespace: %s}, spec: {minAvailable: 1}}",
                                     name, ns)
           : sort == 1 ? yaml_object("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, "
                                     "namespace: %s}, spec: {selector: {matchExpressions: [{key: %s, operator: "
                                     "Exists}]}}}",
                                     name, ns, key)
                       : yaml_object("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, "
                                     "namespace: %s}, spec: {selector: {matchLabels: {%s: %s}}}}",
                                     name, ns, key, value);
}

static struct object *made(struct rng *rng, unsigned kind, const char *ns, const char *name)
{
    if (kind == KIND_PODDISRUPTIONBUDGET) {
        return budget(rng, ns, name);
    }
    if (kind == KIND_PERSISTENTVOLUME) {
        return volume(rng, name);
    }
    if (kind == KIND_PERSISTENTVOLUMECLAIM) {
        return claim(rng, ns, name);
    }
    if (kind == KIND_CONFIGMAP) {
        return dressed(rng, config_map(ns, name, "k", "v"));
    }
    if (kind == KIND_EVENT) {
        return yaml_object(
            "{apiVersion: v1, kind: Event, metadata: {name: %s, namespace: %s}, involvedObject: {kind: Pod, "
            "apiVersion: v1, namespace: %s, name: %s, uid: %s}, reason: R, message: M, source: {component: c}}",
            name, ns, ns, PICK(rng, NAMES), PICK(rng, UIDS));
    }
    if (kind == KIND_SERVICE) {
        return dressed(rng, service(rng, ns, name));
    }
    const char *secret = PICK(rng, NAMES);
    return dressed(
        rng, yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}, spec: {nodeName: %s, "
                         "containers: [{name: c, image: i, envFrom: [{configMapRef: {name: %s}}, {secretRef: {name: "
                         "%s}}, {secretRef: {name: %s}}]}]}}",
                         name, ns, rng_below(rng, 3) == 0 ? "''" : PICK(rng, NAMES), PICK(rng, NAMES), secret,
                         rng_below(rng, 2) == 0 ? secret : PICK(rng, NAMES)));
}

/* Another node, other owners and labels, or nothing but a status. */
static struct object *changed(struct rng *rng, const struct object *o)
{
    CLEANUP_ARENA struct arena a;
    struct object *out = NULL;
    struct error err = {0};
    arena_init(&a);
    if (o->kind->id == KIND_PERSISTENTVOLUME || o->kind->id == KIND_PERSISTENTVOLUMECLAIM ||
        o->kind->id == KIND_PODDISRUPTIONBUDGET) {
        char ns[64], name[64];
        snprintf(ns, sizeof ns, "%.*s", STR_ARG(o->ns));
        snprintf(name, sizeof name, "%.*s", STR_ARG(o->name));
        return made(rng, o->kind->id, ns, name);
    }
    struct value *doc = object_to_value(&a, o);
    if (o->kind->id != KIND_EVENT && rng_below(rng, 2) == 0) {
        dress(rng, &a, doc);
    }
    if (o->kind->id == KIND_POD && rng_below(rng, 3) == 0) {
        value_set(&a, value_get(doc, "spec"), "nodeName", value_cstr(&a, PICK(rng, NAMES)));
    }
    if (o->kind->id == KIND_POD && rng_below(rng, 2) == 0) {
        static const char *const phases[] = {"Pending", "Running", "Failed"}, *const types[] = {"Ready",
                                                                                                "PodScheduled"};
        struct value *status = value_ensure_map(&a, doc, "status");
        value_set(&a, status, "phase", value_cstr(&a, PICK(rng, phases)));
        condition_set(&a, status, PICK(rng, types), rng_below(rng, 2) ? "True" : "False", "R", "", 0, false);
    }
    if (o->kind->id == KIND_POD && rng_below(rng, 12) == 0) {
        value_set(&a, value_get(doc, "metadata"), "deletionTimestamp", value_cstr(&a, "2026-01-01T00:00:00Z"));
    }
    if (o->kind->id == KIND_SERVICE) {
        struct object *other = service(rng, "default", "x");
        value_set(&a, doc, "spec", value_get(object_to_value(&a, other), "spec"));
        object_unref(other);
    }
    if (o->kind->id == KIND_EVENT) {
        value_set(&a, value_get(doc, "involvedObject"), "name", value_cstr(&a, PICK(rng, NAMES)));
    }
    must(object_from_value(o->kind, doc, 0, &out, &err), &err);
    return out;
}

static const unsigned KINDS[] = {KIND_POD, KIND_CONFIGMAP, KIND_EVENT, KIND_SERVICE};
/* And those that indexes unknown to `belongs` are of. */
static const unsigned MADE[] = {KIND_POD,
                                KIND_CONFIGMAP,
                                KIND_EVENT,
                                KIND_SERVICE,
                                KIND_PERSISTENTVOLUME,
                                KIND_PERSISTENTVOLUMECLAIM,
                                KIND_PODDISRUPTIONBUDGET};

static void random_txn(struct txn *t, struct rng *rng, const struct view *v)
{
    txn_init(t, "test");
    for (unsigned n = 1 + (unsigned)rng_below(rng, 4); n > 0; n--) {
        unsigned kind = PICK(rng, MADE);
        const char *ns = PICK(rng, NAMESPACES), *name = PICK(rng, NAMES);
        const struct object *o = find(v, kind, ns, name);
        if (o == NULL || rng_below(rng, 12) == 0) { /* it exists now and then: all is taken back */
            txn_create(t, made(rng, kind, ns, name));
        } else if (rng_below(rng, 4) == 0) {
            txn_delete(t, o);
        } else {
            txn_update(t, changed(rng, o), rng_below(rng, 3) == 0 ? TXN_PART_STATUS : TXN_PART_ALL, 0);
        }
    }
}

/* ---- The same by a scan ---- */

static bool owns(const struct object *o, struct str uid)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "uid")), uid)) {
            return true;
        }
    }
    return false;
}

/* "3/default/a": is it named in an envFrom of the only container? */
static bool names(const struct object *o, struct str key)
{
    struct mp containers = mp_path(object_mp(o), "spec.containers");
    struct mp_iter c = mp_iter(containers);
    if (o->kind->id != KIND_POD || !mp_next(&c)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(mp_get(c.value, "envFrom")); mp_next(&it);) {
        bool secret = mp_count(mp_get(it.value, "secretRef")) > 0;
        struct str name = mp_str(mp_path(it.value, secret ? "secretRef.name" : "configMapRef.name"));
        char text[400];
        snprintf(text, sizeof text, "%u/%.*s/%.*s", secret ? KIND_SECRET : KIND_CONFIGMAP, STR_ARG(o->ns),
                 STR_ARG(name));
        if (str_is(key, text)) {
            return true;
        }
    }
    return false;
}

static bool labelled(const struct object *o, struct str key)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.labels")); mp_next(&it);) {
        char text[400];
        snprintf(text, sizeof text, "%.*s/%.*s=%.*s", STR_ARG(o->ns), STR_ARG(it.key), STR_ARG(mp_str(it.value)));
        if (o->kind->id == KIND_POD && str_is(key, text)) {
            return true;
        }
    }
    return false;
}

static bool about(const struct object *o, struct str key)
{
    static const char *const fields[] = {"name", "uid"};
    for (unsigned i = 0; o->kind->id == KIND_EVENT && i < 2; i++) {
        char text[400];
        struct str value = mp_str(mp_get(mp_get(object_mp(o), "involvedObject"), fields[i]));
        snprintf(text, sizeof text, "%s=%.*s", fields[i], STR_ARG(value));
        if (str_is(key, text)) {
            return true;
        }
    }
    return false;
}

static bool claims(const struct object *o, struct str key)
{
    char texts[2][100];
    struct mp_iter port = mp_iter(mp_path(object_mp(o), "spec.ports"));
    if (o->kind->id != KIND_SERVICE || !mp_next(&port)) {
        return false;
    }
    struct str ip = mp_str(mp_path(object_mp(o), "spec.clusterIP"));
    snprintf(texts[0], sizeof texts[0], "address/%.*s", STR_ARG(ip));
    snprintf(texts[1], sizeof texts[1], "port/TCP/%d", (int)mp_int(mp_get(port.value, "nodePort"), 0));
    return str_is(key, texts[0]) || str_is(key, texts[1]);
}

static bool selects(const struct object *o, struct str key)
{
    char text[400];
    struct mp_iter it = mp_iter(mp_path(object_mp(o), "spec.selector"));
    if (o->kind->id != KIND_SERVICE || !mp_next(&it)) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s/%.*s=%.*s", STR_ARG(o->ns), STR_ARG(it.key), STR_ARG(mp_str(it.value)));
    return str_is(key, text);
}

static bool budgets(const struct object *o, struct str key)
{
    char text[400];
    struct mp selector = mp_path(object_mp(o), "spec.selector");
    struct mp_iter it = mp_iter(mp_get(selector, "matchLabels"));
    if (o->kind->id != KIND_PODDISRUPTIONBUDGET || mp_type(selector) != MP_MAP) {
        return false;
    }
    bool some = mp_next(&it);
    struct str name = some ? it.key : STR_NONE, value = some ? mp_str(it.value) : STR_NONE;
    snprintf(text, sizeof text, "%.*s/%.*s=%.*s", STR_ARG(o->ns), STR_ARG(name), STR_ARG(value));
    return str_is(key, text);
}

/* Without the indexes' rows. Of an index that this does not know, view_check compares what is in it with what its row
 * tells of all objects. */
static bool belongs(enum view_index index, const struct object *o, struct str key)
{
    switch (index) {
    case VIEW_BY_OWNER:
        return owns(o, key);
    case VIEW_BY_REFERENCE:
        return names(o, key);
    case VIEW_BY_NODE:
        return o->kind->id == KIND_POD && str_eq(mp_str(mp_path(object_mp(o), "spec.nodeName")), key);
    case VIEW_BY_LABEL:
        return labelled(o, key);
    case VIEW_BY_INVOLVED:
        return about(o, key);
    case VIEW_BY_CLAIM:
        return claims(o, key);
    case VIEW_BY_SELECTOR:
        return selects(o, key);
    case VIEW_BY_BUDGET:
        return budgets(o, key);
    default:
        fail();
        return false;
    }
}

static const struct object *scan_next(struct view_iter *scan, enum view_index index, struct str key, struct str ns)
{
    for (const struct object *o; (o = view_next(scan)) != NULL;) {
        if (belongs(index, o, key) && (ns.n == 0 || str_eq(o->ns, ns))) {
            return o;
        }
    }
    return NULL;
}

/* All that is found, in order, is what the scan finds; returns how many. */
static unsigned compare(const struct view *v, enum view_index index, const char *text, const struct kind *k,
                        struct str ns)
{
    struct view_iter found, scan, rest;
    struct str key = str_of(text);
    unsigned count = 0;
    view_iter_index(&found, v, index, key, k, ns);
    if (k == NULL) {
        view_iter_all(&scan, v);
    } else {
        view_iter(&scan, v, k, STR_NONE);
    }
    VIEW_FOR(o, &found)
    {
        assert_ptr_equal(scan_next(&scan, index, key, ns), o);
        count++;
        if (k != NULL) { /* the next page */
            struct view_iter scan_rest = scan;
            view_iter_index_after(&rest, v, index, key, k, ns, o->ns, o->name);
            assert_ptr_equal(view_next(&rest), scan_next(&scan_rest, index, key, ns));
        }
    }
    assert_null(scan_next(&scan, index, key, ns));
    return count;
}

static unsigned compare_all(const struct view *v, enum view_index index, const char *text)
{
    unsigned count = compare(v, index, text, NULL, STR_NONE);
    for (unsigned i = 0; i < ARRAY_SIZE(KINDS); i++) {
        compare(v, index, text, kind_by_id(KINDS[i]), STR_NONE);
        compare(v, index, text, kind_by_id(KINDS[i]), str_of(NAMESPACES[i % 2]));
    }
    return count;
}

/* Each key that there may be, of each index; returns how many objects were found. */
static unsigned check_indexes(const struct view *v)
{
    unsigned found = 0;
    char text[100];
    view_check(v);
    for (unsigned i = 0; i < ARRAY_SIZE(UIDS); i++) {
        found += compare_all(v, VIEW_BY_OWNER, UIDS[i]);
        snprintf(text, sizeof text, "uid=%s", UIDS[i]);
        found += compare_all(v, VIEW_BY_INVOLVED, text);
    }
    found += compare_all(v, VIEW_BY_BUDGET, "default/=") + compare_all(v, VIEW_BY_BUDGET, "other/=");
    for (unsigned i = 0; i < ARRAY_SIZE(NAMES); i++) {
        found += compare_all(v, VIEW_BY_NODE, NAMES[i]);
        snprintf(text, sizeof text, "name=%s", NAMES[i]);
        found += compare_all(v, VIEW_BY_INVOLVED, text);
        snprintf(text, sizeof text, "address/10.96.0.%u", 1 + i);
        found += compare_all(v, VIEW_BY_CLAIM, text);
        snprintf(text, sizeof text, "port/TCP/3000%u", i);
        found += compare_all(v, VIEW_BY_CLAIM, text);
        for (unsigned n = 0; n < ARRAY_SIZE(NAMESPACES); n++) {
            snprintf(text, sizeof text, "%u/%s/%s", n == 0 ? KIND_SECRET : KIND_CONFIGMAP, NAMESPACES[n], NAMES[i]);
            found += compare_all(v, VIEW_BY_REFERENCE, text);
            snprintf(text, sizeof text, "%s/%s=%s", NAMESPACES[n], NAMES[i], NAMES[(i + n) % ARRAY_SIZE(NAMES)]);
            found += compare_all(v, VIEW_BY_LABEL, text);
            found += compare_all(v, VIEW_BY_SELECTOR, text);
            found += compare_all(v, VIEW_BY_BUDGET, text);
        }
    }
    return found;
}

/* ---- Lists by selectors ---- */

static bool chosen(const struct view *v, const struct kind *k, const char *ns, const char *labels, const char *fields)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct selector *by_label = NULL, *by_field = NULL;
    struct error err = {0};
    enum view_index index;
    struct view_iter found, scan;
    arena_init(&a);
    must(selector_parse(&a, str_of(labels), &by_label, &err), &err);
    must(field_selector_parse(&a, k, str_of(fields), &by_field, &err), &err);
    if (!view_choose_index(v, k, str_of(ns), by_label, by_field, &index, &key)) {
        return false;
    }
    view_iter_index(&found, v, index, buf_str(&key), k, str_of(ns));
    view_iter(&scan, v, k, str_of(ns));
    VIEW_FOR(o, &scan)
    {
        if (!selector_matches(by_label, object_labels(o)) || !field_selector_matches(by_field, o)) {
            continue;
        }
        const struct object *other;
        while ((other = view_next(&found)) != NULL && other != o) {
            assert_true(!selector_matches(by_label, object_labels(other)) || !field_selector_matches(by_field, other));
        }
        assert_ptr_equal(other, o);
    }
    return true;
}

/* Whatever index is chosen for what an object has, it leads to all that a scan finds; returns how often one was. */
static unsigned check_lists(const struct view *v)
{
    unsigned count = 0;
    char labels[200], fields[400];
    struct view_iter it;
    view_iter_all(&it, v);
    VIEW_FOR(o, &it)
    {
        struct mp_iter label = mp_iter(object_labels(o));
        labels[0] = '\0';
        if (mp_next(&label)) {
            snprintf(labels, sizeof labels, "%.*s=%.*s", STR_ARG(label.key), STR_ARG(mp_str(label.value)));
        }
        const char *ns = count % 2 == 0 ? "" : NAMESPACES[0];
        count += chosen(v, o->kind, ns, labels, "");
        for (const char *p = o->kind->selectable; p != NULL && *p != '\0';) {
            int n = (int)strcspn(p, " ");
            const char *path = memchr(p, '=', (size_t)n);
            path = path == NULL ? p : path + 1;
            char name[100];
            snprintf(name, sizeof name, "%.*s", n - (int)(path - p), path);
            struct str value = mp_str(mp_path(object_mp(o), name));
            snprintf(fields, sizeof fields, "%.*s=%.*s", (int)strcspn(p, " ="), p, STR_ARG(value));
            count += chosen(v, o->kind, ns, labels, fields);
            count += chosen(v, o->kind, ns, "", fields);
            p += n + (int)strspn(p + n, " ");
        }
    }
    return count;
}

static void close_batch(struct store *s)
{
    CLEANUP_BUF struct buf entry = BUF_INIT;
    struct error err = {0};
    store_batch_take(s, &entry);
    must(store_apply(s, store_applied_index(s) + 1, entry.data, entry.size, &err), &err);
}

static void an_index_answers_as_a_scan_does_on_tip_committed_and_forks(void **state)
{
    (void)state;
    unsigned found = 0, lists = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct rng rng = {seed};
        struct fake_env fake;
        fake_init(&fake, seed);
        struct store *s = store_plain(&fake);
        store_tip_open(s, 1);
        struct world *fork = NULL;
        for (unsigned step = 0; step < 150; step++) {
            struct txn t;
            struct txn_result result;
            struct error err = {0};
            random_txn(&t, &rng, store_tip(s));
            store_eval(s, &t, &result, &err);
            txn_close(&t);
            if (step == 60) {
                fork = world_new(store_tip(s), &fake.env, 1);
            }
            if (fork != NULL) {
                random_txn(&t, &rng, world_view(fork));
                world_eval(fork, &t, &result, &err);
                txn_close(&t);
            }
            if (!store_batch_empty(s) && rng_below(&rng, 4) == 0) {
                close_batch(s);
            }
            if (step % 10 == 9) {
                found += check_indexes(store_tip(s));
                lists += check_lists(store_tip(s));
                found += check_indexes(store_committed(s));
                found += fork == NULL ? 0 : check_indexes(world_view(fork));
            }
        }
        world_free(fork);
        store_free(s);
    }
    assert_true(found > 10000);
    assert_true(lists > 1000);
}

static struct object *pod_of(const char *name, const char *owner, const char *phase, bool ready)
{
    return yaml_object(
        "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, labels: {app: %c}, "
        "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: %s, controller: true}]}, "
        "spec: {containers: [{name: c, image: i}]}, status: {phase: %s, conditions: [{type: Ready, status: "
        "'%s'}]}}",
        name, name[0], owner, phase, ready ? "True" : "False");
}

static void sums_tell_what_an_owner_has(void **state)
{
    (void)state;
    static const struct {
        const char *name, *phase;
        unsigned owner;
        bool ready;
    } rows[] = {{"a1", "Running", 0, true},  {"a2", "Running", 0, false}, {"a3", "Failed", 0, true},
                {"b1", "Running", 0, true},  {"b2", "Running", 1, true},  {"a2", "Running", 0, true},
                {"a1", "Succeeded", 0, true}};
    struct view *v = view_new();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct object *p = pod_of(rows[i].name, UIDS[rows[i].owner], rows[i].phase, rows[i].ready);
        object_unref(view_put(v, p));
        object_unref(p);
        view_check(v);
    }
    const struct object owners[] = {{.ns = STR("default"), .uid = str_of(UIDS[0])},
                                    {.ns = STR("default"), .uid = str_of(UIDS[2])},
                                    {.ns = STR("elsewhere"), .uid = str_of(UIDS[0])},
                                    {.ns = STR("default"), .uid = STR_NONE}};
    struct sum s = view_sum_owned(v, &owners[0]);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.fields[OWNED_ACTIVE], 2); /* a2, b1 */
    assert_int_equal(s.fields[OWNED_READY], 2);
    assert_int_equal(s.fields[OWNED_UNFINISHED], 2);
    struct sum_iter it;
    unsigned groups = 0;
    view_sum_iter_owner(&it, v, VIEW_SUM_PODS_OF, STR("default"), str_of(UIDS[0]));
    while (sums_next(&it, &s)) {
        struct mp labels = mp_of(s.group.labels.p, s.group.labels.n);
        assert_int_equal(s.count, str_is(mp_str(mp_get(labels, "app")), "a") ? 3 : 1);
        groups++;
    }
    assert_int_equal(groups, 2);
    for (unsigned i = 1; i < ARRAY_SIZE(owners); i++) {
        assert_int_equal(view_sum_owned(v, &owners[i]).count, 0);
    }
    assert_int_equal(view_sum(v, VIEW_SUM_PODS_OF, STR("default"), NULL).count, 5);
    assert_int_equal(view_sum(v, VIEW_SUM_PODS, STR_NONE, NULL).fields[PODS_FINISHED], 2);
    assert_int_equal(view_sum(v, VIEW_SUM_CONTENTS, STR("default"), kind_by_id(KIND_POD)).count, 5);
    assert_int_equal(view_sum(v, VIEW_SUM_CONTENTS, STR("default"), kind_by_id(KIND_SECRET)).count, 0);
    view_unref(v);
}

static void a_status_leaves_the_indexes_where_they_are(void **state)
{
    (void)state;
    struct rng rng = {1};
    struct view *v = view_new();
    struct object *p = made(&rng, KIND_POD, "default", "a");
    assert_null(view_put(v, p));
    uint64_t bytes = view_index_bytes(v);
    for (unsigned i = 0; i < 3; i++) {
        CLEANUP_ARENA struct arena a;
        struct object *next = NULL;
        struct error err = {0};
        arena_init(&a);
        struct value *doc = object_to_value(&a, p);
        value_set(&a, value_ensure_map(&a, doc, "status"), "phase", value_cstr(&a, NAMES[i]));
        must(object_from_value(p->kind, doc, 0, &next, &err), &err);
        object_unref(view_put(v, next));
        object_unref(p);
        p = next;
        assert_int_equal(view_index_bytes(v), bytes);
        assert_true(check_indexes(v) > 0);
    }
    object_unref(p);
    view_unref(v);
}

static void the_index_with_the_fewest_objects_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *ns, *labels, *fields, *key; /* NULL: none is of use */
    } rows[] = {
        {"Pod", "default", "", "", NULL},
        {"Pod", "default", "app=web", "", "default/app=web"},
        {"Pod", "default", "app in (web)", "", "default/app=web"},
        {"Pod", "default", "app in (web,db)", "", NULL},
        {"Pod", "default", "app!=web,app", "", NULL},
        {"Pod", "", "app=web", "", NULL}, /* of all namespaces */
        {"Pod", "default", "app=web,own=p3", "", "default/own=p3"},
        {"Pod", "default", "own=p3,app=web", "", "default/own=p3"},
        {"Pod", "", "app=web", "spec.nodeName=n1", "n1"},
        {"Pod", "default", "own=p3", "spec.nodeName=n1", "default/own=p3"},
        {"Pod", "default", "", "spec.nodeName!=n1", NULL},
        {"Pod", "default", "app=nobody", "spec.nodeName=n1", "default/app=nobody"},
        {"ConfigMap", "default", "app=web", "", NULL},
        {"Event", "", "", "involvedObject.name=p,involvedObject.kind=Pod", "name=p"},
        {"Event", "default", "", "involvedObject.uid=u", "uid=u"},
        {"Event", "default", "", "reason=x", NULL},
    };
    struct view *v = view_new();
    for (unsigned i = 0; i < 9; i++) {
        struct object *p =
            yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: default, labels: {app: web, "
                        "own: p%u}}, spec: {nodeName: n%u, containers: [{name: c, image: i}]}}",
                        i, i, i % 3);
        view_put(v, p);
        object_unref(p);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf key = BUF_INIT;
        struct selector *labels = NULL, *fields = NULL;
        struct error err = {0};
        enum view_index index;
        arena_init(&a);
        const struct kind *k = kind_by_name(str_of(rows[i].kind));
        must(selector_parse(&a, str_of(rows[i].labels), &labels, &err), &err);
        must(field_selector_parse(&a, k, str_of(rows[i].fields), &fields, &err), &err);
        bool any = view_choose_index(v, k, str_of(rows[i].ns), labels, fields, &index, &key);
        assert_int_equal(any, rows[i].key != NULL);
        if (any) {
            assert_string_equal(buf_cstr(&key), rows[i].key);
        }
    }
    view_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_answers_as_a_scan_does_on_tip_committed_and_forks),
        cmocka_unit_test(sums_tell_what_an_owner_has),
        cmocka_unit_test(a_status_leaves_the_indexes_where_they_are),
        cmocka_unit_test(the_index_with_the_fewest_objects_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
