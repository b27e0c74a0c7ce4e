#include "tests/script/stage.h"
#include "proto/facts/storage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "proto/patch/patch.h"
#include "proto/schema/release.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"

/* ---- Time and chance ---- */

static int64_t env_now(void *data)
{
    return ((struct stage *)data)->now_ms;
}
static int64_t env_wall(void *data)
{
    const struct stage *w = data;
    return STAGE_START_MS + w->now_ms + w->skew_ms;
}
static void env_bytes(void *data, void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)rng_next(&((struct stage *)data)->rng);
    }
}

const struct zone *stage_zone(void *data, struct str name)
{
    static const struct {
        const char *name, *rule;
    } rows[] = {{"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
                {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"},
                {"Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"}};
    struct stage *w = data;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name)) {
            w->zones[i] = w->zones[i] != NULL ? w->zones[i] : zone_from_rule(str_of(rows[i].rule));
            return w->zones[i];
        }
    }
    return NULL;
}

void stage_open(struct stage *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->env = (struct env){w, env_now, env_wall, env_bytes, NULL};
    w->now_ms = 1000;
    w->rng.state = seed;
    w->world = world_new(NULL, &w->env, release.level);
}

void stage_close(struct stage *w)
{
    for (unsigned i = 0; i < ARRAY_SIZE(w->zones); i++) {
        zone_free(w->zones[i]);
    }
    world_free(w->world);
    free(w->aliases);
    buf_close(&w->trace);
}

const struct view *stage_tip(const struct stage *w)
{
    return world_view(w->world);
}

const struct object *stage_get(const struct stage *w, enum kind_id kind, const char *ns, const char *name)
{
    return view_get(stage_tip(w), kind_by_id(kind), str_of(ns), str_of(name));
}

/* ---- Aliases ---- */

static void alias_add(struct stage *w, struct str raw, const char *prefix, unsigned number)
{
    if (raw.n == 0 || raw.n >= sizeof w->aliases->raw) {
        return;
    }
    for (unsigned i = 0; i < w->aliases_count; i++) {
        if (str_is(raw, w->aliases[i].raw)) {
            return;
        }
    }
    w->aliases = xrealloc(w->aliases, (w->aliases_count + 1) * sizeof *w->aliases);
    struct alias *a = &w->aliases[w->aliases_count++];
    snprintf(a->raw, sizeof a->raw, "%.*s", STR_ARG(raw));
    snprintf(a->shown, sizeof a->shown, "%s%u", prefix, number);
}

/* Each namespace has it, whatever a script is about. */
static bool is_quiet(const struct stage *w, const struct object *o)
{
    return !w->tells_accounts && o->kind->id == KIND_SERVICEACCOUNT && str_is(o->name, "default");
}

static void alias_learn(struct stage *w, const struct object *o)
{
    if (o->kind->id == KIND_REPLICASET) {
        struct str hash = object_label(o, "pod-template-hash");
        unsigned before = w->aliases_count;
        alias_add(w, hash, "H", w->hashes + 1);
        w->hashes += w->aliases_count - before;
    } else if (o->kind->id == KIND_POD) {
        struct str base = mp_str(mp_path(object_mp(o), "metadata.generateName"));
        unsigned before = w->aliases_count;
        if (base.n > 0 && o->name.n > base.n) {
            alias_add(w, (struct str){o->name.p + base.n, o->name.n - base.n}, "p", w->pods + 1);
        }
        w->pods += w->aliases_count - before;
    }
    struct str made = STR("pvc-");
    if (o->kind->id == KIND_PERSISTENTVOLUME && str_starts(o->name, made)) {
        unsigned before = w->aliases_count;
        alias_add(w, (struct str){o->name.p + made.n, o->name.n - made.n}, "V", w->volumes + 1);
        w->volumes += w->aliases_count - before;
    }
}

static void replace_all(struct buf *text, const char *from, const char *to)
{
    struct buf out = BUF_INIT;
    size_t n = strlen(from);
    const char *at = buf_cstr(text), *hit;
    while ((hit = strstr(at, from)) != NULL) {
        char next = hit[n];
        bool whole = !(next >= '0' && next <= '9') && !(next >= 'a' && next <= 'z') &&
                     (hit == (char *)text->data || hit[-1] == '-' || hit[-1] == ' ' || hit[-1] == ':' ||
                      hit[-1] == '=' || hit[-1] == '"' || hit[-1] == '/');
        buf_append(&out, at, (size_t)(hit - at));
        buf_puts(&out, whole ? to : from);
        at = hit + n;
    }
    buf_puts(&out, at);
    buf_close(text);
    *text = out;
}

static char *replaced(const struct stage *w, const char *text, bool show)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, text);
    for (unsigned i = 0; i < w->aliases_count; i++) {
        replace_all(&b, show ? w->aliases[i].raw : w->aliases[i].shown, show ? w->aliases[i].shown : w->aliases[i].raw);
    }
    char *s = xstrdup(buf_cstr(&b));
    buf_close(&b);
    return s;
}

char *stage_show(const struct stage *w, const char *text)
{
    return replaced(w, text, true);
}
char *stage_unshow(const struct stage *w, const char *text)
{
    return replaced(w, text, false);
}

/* ---- Transactions ---- */

int stage_submit(struct stage *w, const struct txn *t, struct error *err)
{
    struct txn_result result;
    int rv = world_eval(w->world, t, &result, err);
    if (rv != 0) {
        return rv;
    }
    unsigned count;
    const struct change *changes = world_last_changes(w->world, &count);
    for (unsigned i = 0; i < count; i++) {
        if (changes[i].new != NULL) {
            alias_learn(w, changes[i].new);
        }
        if (!is_quiet(w, changes[i].new != NULL ? changes[i].new : changes[i].old)) {
            stage_write_change(w, &w->trace, changes[i].old, changes[i].new);
        }
    }
    if (w->hooks.observe != NULL && count > 0) {
        w->hooks.observe(w->hooks.data, changes, count);
    }
    world_forget(w->world);
    return 0;
}

static void must(int rv, const struct error *err, const char *what)
{
    if (rv != 0) {
        fprintf(stderr, "%s: %s\n", what, err->message);
        abort();
    }
}

/* ---- Objects from YAML ---- */

/* Members that the check of user input would take away, put back for a test's sake. */
static void keep_system_fields(struct arena *a, struct value *doc, const struct value *given)
{
    static const char *const kept[] = {"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "uid"};
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        const struct value *v = value_at(given, "metadata", kept[i], NULL);
        if (v != NULL) {
            value_set(a, value_ensure_map(a, doc, "metadata"), kept[i], value_copy(a, v));
        }
    }
    if (value_get(given, "status") != NULL) {
        value_set(a, doc, "status", value_copy(a, value_get(given, "status")));
    }
}

/* What its controller would make next; by chances of its own, so that nothing else in a script depends on it. */
static int add_account(struct stage *w, struct arena *a, struct str ns, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_SERVICEACCOUNT);
    struct value *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    struct rng kept = w->rng;
    struct txn t;
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, metadata, "name", value_cstr(a, "default"));
    value_set(a, metadata, "namespace", value_str(a, ns));
    txn_init(&t, "test");
    w->rng.state ^= 0x5a5a5a5a5a5a5a5a;
    int rv = txn_create_value(&t, k, doc, err);
    rv = rv != 0 ? rv : stage_submit(w, &t, err);
    w->rng = kept;
    txn_close(&t);
    return rv;
}

static int apply_document(struct stage *w, struct arena *a, struct value *doc, struct error *err)
{
    const struct kind *k = kind_of_document(a, doc, err);
    if (k == NULL) {
        return err->code;
    }
    const struct value *given = value_copy(a, doc);
    struct value *metadata = value_ensure_map(a, doc, "metadata");
    if (k->namespaced && value_get(metadata, "namespace") == NULL) {
        value_set(a, metadata, "namespace", value_cstr(a, "default"));
    }
    const struct object *old =
        view_get(stage_tip(w), k, k->namespaced ? value_path_str(metadata, "namespace") : STR_NONE,
                 value_path_str(metadata, "name"));
    value_remove(doc, "status");
    int rv =
        kind_check(k, a, doc, old == NULL ? NULL : object_to_value(a, old), old == NULL ? 0 : KIND_CHECK_UPDATE, err);
    if (rv != 0) {
        return rv;
    }
    keep_system_fields(a, doc, given);
    struct txn t;
    txn_init(&t, "test");
    rv = old == NULL ? txn_create_value(&t, k, doc, err)
                     : txn_update_value(&t, k, doc, value_get(given, "status") ? TXN_PART_ALL : TXN_PART_SPEC, 0, err);
    if (rv == 0) {
        rv = stage_submit(w, &t, err);
    }
    txn_close(&t);
    bool fresh = rv == 0 && old == NULL && k->id == KIND_NAMESPACE && !w->tells_accounts;
    return fresh ? add_account(w, a, value_path_str(metadata, "name"), err) : rv;
}

int stage_apply_yaml(struct stage *w, const char *yaml, struct error *err)
{
    struct arena a;
    struct value **docs;
    unsigned count;
    arena_init(&a);
    int rv = yaml_read(&a, str_of(yaml), NULL, &docs, &count, err);
    for (unsigned i = 0; rv == 0 && i < count; i++) {
        rv = apply_document(w, &a, docs[i], err);
    }
    arena_close(&a);
    return rv;
}

void stage_patch_part(struct stage *w, const struct object *o, const char *yaml, enum txn_part part)
{
    struct arena a;
    struct error err = {0};
    struct value **docs, *doc;
    unsigned count;
    arena_init(&a);
    must(yaml_read(&a, str_of(yaml), NULL, &docs, &count, &err), &err, yaml);
    struct value *old = object_to_value(&a, o);
    must(patch_apply(PATCH_MERGE, o->kind, &a, old, docs[0], &doc, &err), &err, yaml);
    doc = value_copy(&a, doc);
    if (part == TXN_PART_SPEC) {
        must(kind_check(o->kind, &a, doc, old, KIND_CHECK_UPDATE, &err), &err, yaml);
    }
    struct txn t;
    txn_init(&t, "test");
    must(txn_update_value(&t, o->kind, doc, part, 0, &err), &err, yaml);
    must(stage_submit(w, &t, &err), &err, yaml);
    txn_close(&t);
    arena_close(&a);
}

void stage_patch(struct stage *w, enum kind_id kind, const char *ns, const char *name, const char *yaml)
{
    const struct object *o = stage_get(w, kind, ns, name);
    if (o == NULL) {
        fprintf(stderr, "no %s %s/%s\n", kind_by_id(kind)->name, ns, name);
        abort();
    }
    stage_patch_part(w, o, yaml, TXN_PART_SPEC);
}

void stage_status_patch(struct stage *w, const struct object *o, const char *yaml)
{
    stage_patch_part(w, o, yaml, TXN_PART_STATUS);
}

void stage_remove(struct stage *w, const struct object *o)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "test");
    txn_delete(&t, o);
    must(stage_submit(w, &t, &err), &err, "remove");
    txn_close(&t);
}

/* ---- Agents ---- */

static int silent_find(const struct stage *w, struct str node)
{
    for (unsigned i = 0; i < w->silent_count; i++) {
        if (str_is(node, w->silent[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

int64_t stage_heartbeat_age_ms(void *data, struct str node)
{
    const struct stage *w = data;
    int at = silent_find(w, node);
    return at < 0 ? 0 : w->now_ms - w->silent[at].since_ms;
}

void stage_silence(struct stage *w, const char *node)
{
    assert(w->silent_count < ARRAY_SIZE(w->silent));
    snprintf(w->silent[w->silent_count].name, sizeof w->silent[0].name, "%s", node);
    w->silent[w->silent_count++].since_ms = w->now_ms;
}

void stage_use(struct stage *w, const char *pod)
{
    unsigned at = 0;
    while (at < w->usage_count && strcmp(w->usage[at].pod, pod) != 0) {
        at++;
    }
    if (at < w->usage_count) {
        w->usage_count--;
        memmove(&w->usage[at], &w->usage[at + 1], (w->usage_count - at) * sizeof w->usage[0]);
    }
    assert(w->usage_count < ARRAY_SIZE(w->usage));
    struct stage_usage *u = &w->usage[w->usage_count++];
    *u = (struct stage_usage){.count = 0};
    snprintf(u->pod, sizeof u->pod, "%s", pod);
}

void stage_use_container(struct stage *w, const char *name, int64_t cpu_milli, int64_t memory_bytes)
{
    struct stage_usage *u = &w->usage[w->usage_count - 1];
    assert(u->count < STAGE_CONTAINERS);
    snprintf(u->names[u->count], sizeof u->names[0], "%s", name);
    u->containers[u->count++] = (struct usage_container){.cpu_nano = cpu_milli * 1000000, .memory_bytes = memory_bytes};
}

bool stage_usage_of(void *data, const struct object *pod, struct usage_pod *out)
{
    struct stage *w = data;
    for (unsigned i = w->usage_count; i-- > 0;) {
        struct stage_usage *u = &w->usage[i];
        struct str name = str_of(u->pod);
        bool prefix = name.n > 0 && name.p[name.n - 1] == '*';
        if (prefix ? !str_starts(pod->name, (struct str){name.p, name.n - 1}) : !str_eq(pod->name, name)) {
            continue;
        }
        for (unsigned k = 0; k < u->count; k++) {
            u->containers[k].name = str_of(u->names[k]);
        }
        *out = (struct usage_pod){env_wall_ms(&w->env), 15000, u->containers, u->count};
        return u->count > 0;
    }
    return false;
}

static const char *time_text(const struct stage *w)
{
    static char text[TIMEFMT_SIZE];
    timefmt_rfc3339(env_wall_ms(&w->env), text);
    return text;
}

void stage_hear(struct stage *w, const char *node)
{
    int at = silent_find(w, str_of(node));
    if (at >= 0) {
        w->silent[at] = w->silent[--w->silent_count];
    }
    char yaml[300];
    snprintf(yaml, sizeof yaml,
             "status: {conditions: [{type: Ready, status: 'True', reason: AgentReady, lastTransitionTime: '%s'}]}",
             time_text(w));
    stage_status_patch(w, stage_get(w, KIND_NODE, "", node), yaml);
}

bool stage_pod_is_ready(const struct object *pod)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "status.conditions")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "Ready")) {
            return str_is(mp_str(mp_get(it.value, "status")), "True");
        }
    }
    return false;
}

static bool image_bad(const struct stage *w, const struct object *pod)
{
    if (w->bad_image[0] == '\0') {
        return false;
    }
    struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.containers"));
    return mp_next(&it) && str_is(mp_str(mp_get(it.value, "image")), w->bad_image);
}

/* The pod's containers have ended: it goes, or, held by a finalizer, its grace is over. */
static bool agent_finish(struct stage *w, const struct object *pod)
{
    struct mp metadata = mp_path(object_mp(pod), "metadata");
    if (mp_count(mp_get(metadata, "finalizers")) == 0) {
        stage_remove(w, pod);
        return true;
    }
    if (mp_int(mp_get(metadata, "deletionGracePeriodSeconds"), 0) == 0) {
        return false;
    }
    stage_patch_part(w, pod, "metadata: {deletionGracePeriodSeconds: 0}", TXN_PART_ALL);
    return true;
}

/* What one agent does for one pod in one step. */
bool stage_agent_step(struct stage *w, const struct object *pod)
{
    struct str node = mp_str(mp_path(object_mp(pod), "spec.nodeName"));
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    if (node.n == 0 || silent_find(w, node) >= 0 ||
        view_get(stage_tip(w), kind_by_id(KIND_NODE), STR_NONE, node) == NULL) {
        return false;
    }
    if (pod->deleting) {
        return agent_finish(w, pod);
    }
    if (stage_pod_is_ready(pod) || image_bad(w, pod) || str_is(phase, "Failed") || str_is(phase, "Succeeded")) {
        return false;
    }
    char yaml[400], started[80] = "";
    if (w->agents_date) {
        snprintf(started, sizeof started, ", startTime: '%s'", time_text(w));
    }
    snprintf(yaml, sizeof yaml,
             "status: {phase: Running%s, conditions: [{type: PodScheduled, status: 'True'}, {type: Ready, status: "
             "'True', lastTransitionTime: '%s'}]}",
             started, time_text(w));
    stage_status_patch(w, pod, yaml);
    return true;
}

/* The directories of volumes that are to go are removed by the agents of their nodes. */
static bool volumes_step(struct stage *w)
{
    struct view_iter it;
    view_iter(&it, stage_tip(w), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(o, &it)
    {
        if (o->deleting && storage_has_finalizer(o, STORAGE_LOCAL_DIRECTORY) &&
            !storage_has_finalizer(o, STORAGE_PROTECT_VOLUME)) {
            stage_patch_part(w, o, "metadata: {finalizers: null}", TXN_PART_ALL);
            return true;
        }
    }
    return false;
}

bool stage_agents_step(struct stage *w)
{
    struct object **pods = NULL;
    size_t count = 0;
    if (w->agents_off) {
        return false;
    }
    struct view_iter it;
    view_iter(&it, stage_tip(w), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(o, &it)
    {
        pods = xrealloc(pods, (count + 1) * sizeof *pods);
        pods[count++] = object_ref(o);
    }
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        any |= stage_agent_step(w, pods[i]);
        object_unref(pods[i]);
    }
    free(pods);
    return volumes_step(w) || any;
}

void stage_run(struct stage *w, int64_t limit_ms)
{
    int64_t end_ms = w->now_ms + limit_ms;
    for (unsigned turns = 0;; turns++) {
        assert(turns < 100000); /* it does not converge */
        bool any = false;
        while (w->hooks.turn != NULL && w->hooks.turn(w->hooks.data)) {
            assert(turns++ < 100000);
            any = true;
        }
        any |= stage_agents_step(w);
        if (any) {
            w->now_ms += 1000;
            continue;
        }
        int64_t next_ms = w->hooks.next_deadline == NULL ? INT64_MAX : w->hooks.next_deadline(w->hooks.data);
        if (next_ms > end_ms) {
            break;
        }
        w->now_ms = MAX(w->now_ms, next_ms);
    }
    w->now_ms = MAX(w->now_ms, end_ms);
}
