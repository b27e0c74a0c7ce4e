/* The ReplicaSets of a Deployment: reading, making, annotations and revisions, history, writing. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "controllers/claim.h"
#include "controllers/deletion.h"
#include "controllers/workloads/deployment.h"
#include "proto/patch/patch.h"

bool deployment_active(const struct deployment_rs *rs)
{
    return rs->replicas > 0;
}

int64_t deployment_replicas_sum(const struct deployment *d)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < d->count; i++) {
        sum += d->all[i]->replicas;
    }
    return sum;
}

static struct value *annotations_of(struct arena *a, struct value *doc)
{
    return value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations");
}

int64_t deployment_rs_annotation(const struct deployment_rs *rs, const char *key, int64_t fallback)
{
    int64_t v;
    struct str s = value_to_str(value_get(value_path(rs->doc, "metadata.annotations"), key));
    return str_to_int64(s, &v) ? v : fallback;
}

static bool annotation_set(struct arena *a, struct value *doc, const char *key, struct str v)
{
    struct value *annotations = annotations_of(a, doc);
    const struct value *former = value_get(annotations, key);
    if (former != NULL && str_eq(value_to_str(former), v)) {
        return false;
    }
    value_set(a, annotations, key, value_str(a, v));
    return true;
}

static bool annotation_set_int(struct arena *a, struct value *doc, const char *key, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    return annotation_set(a, doc, key, str_of(text));
}

/* ---- Reading ---- */

static void set_add(struct deployment *d, struct deployment_rs *rs)
{
    d->all = arena_grow(d->a, d->all, d->count, &d->cap, sizeof *d->all, 16);
    d->all[d->count++] = rs;
}

static struct deployment_rs *set_read(struct deployment *d, const struct object *o)
{
    struct deployment_rs *rs = arena_alloc(d->a, sizeof *rs);
    rs->obj = o;
    rs->doc = object_to_value(d->a, o);
    rs->name = o->name;
    rs->replicas = count_bound(value_path_int(rs->doc, "spec.replicas", 1));
    rs->status_replicas = count_bound(value_path_int(rs->doc, "status.replicas", 0));
    rs->status_ready = count_bound(value_path_int(rs->doc, "status.readyReplicas", 0));
    rs->status_available = count_bound(value_path_int(rs->doc, "status.availableReplicas", 0));
    rs->created_ms = object_created_ms(o);
    rs->revision = deployment_rs_annotation(rs, DEPLOYMENT_REVISION, 0);
    rs->deleting = o->deleting;
    set_add(d, rs);
    return rs;
}

static int compare_age(const void *pa, const void *pb)
{
    const struct deployment_rs *a = *(struct deployment_rs *const *)pa, *b = *(struct deployment_rs *const *)pb;
    return a->created_ms != b->created_ms ? (a->created_ms > b->created_ms ? 1 : -1) : str_cmp(a->name, b->name);
}

static struct value *template_without_hash(struct arena *a, const struct value *pod_template)
{
    struct value *t = map_copy(a, pod_template), *labels = value_path(t, "metadata.labels");
    value_remove(labels, DEPLOYMENT_HASH_LABEL);
    if (labels != NULL && value_count(labels) == 0) {
        value_remove(value_get(t, "metadata"), "labels");
    }
    return t;
}

static bool has_template(struct deployment *d, const struct value *rs, const struct value *wanted)
{
    return kind_equal(kind_of(KIND_DEPLOYMENT), "spec.template", wanted,
                      template_without_hash(d->a, value_path(rs, "spec.template")));
}

/* By what the templates mean, never by the hash in a name: an older program hashed what it had, spelled as it had it. A
 * second look fills in what that program did not know to fill in, so that a newer one rolls nothing out by itself. */
static void latest_find(struct deployment *d)
{
    const struct value *wanted = template_without_hash(d->a, value_path(d->doc, "spec.template"));
    for (unsigned i = 0; i < d->count && d->latest == NULL; i++) {
        d->latest = has_template(d, d->all[i]->doc, wanted) ? d->all[i] : NULL;
    }
    if (d->latest != NULL || d->count == 0) {
        return;
    }
    struct value *filled = value_copy(d->a, d->doc);
    kind_fill_defaults(kind_of(KIND_DEPLOYMENT), d->a, filled);
    wanted = template_without_hash(d->a, value_path(filled, "spec.template"));
    for (unsigned i = 0; i < d->count && d->latest == NULL; i++) {
        struct value *rs = value_copy(d->a, d->all[i]->doc);
        kind_fill_defaults(kind_of(KIND_REPLICASET), d->a, rs);
        d->latest = has_template(d, rs, wanted) ? d->all[i] : NULL;
    }
}

/* ---- Whose ReplicaSets ---- */

struct claiming {
    struct deployment *d;
    struct selector *selector;
};

static bool selects(void *data, const struct object *o)
{
    return selector_matches_object(((const struct claiming *)data)->selector, o);
}

static void keep(void *data, const struct object *o)
{
    set_read(((const struct claiming *)data)->d, o);
}

/* Written with what else becomes of it. */
static int adopt(void *data, const struct object *o, struct error *err)
{
    (void)err;
    struct deployment *d = ((const struct claiming *)data)->d;
    struct deployment_rs *rs = set_read(d, o);
    owner_add(d->a, rs->doc, d->obj);
    rs->dirty = true;
    DECIDED(d->out, REASON_ADOPTS, .what = str_of(o->kind->singular), .more = o->name);
    return 0;
}

int deployment_sets_read(struct deployment *d, struct error *err)
{
    struct claiming data = {.d = d};
    int rv = selector_from_value(d->a, value_path(d->doc, "spec.selector"), &data.selector, err);
    if (rv == 0 && !d->obj->deleting) {
        struct mp labels = mp_path(object_mp(d->obj), "spec.template.metadata.labels");
        rv = workload_selects_own(d->obj, selector_matches(data.selector, labels), err);
    }
    const struct claim c = {.in = d->in,
                            .out = d->out,
                            .owner = d->obj,
                            .kind = kind_of(KIND_REPLICASET),
                            .selects = selects,
                            .keep = keep,
                            .adopt = adopt,
                            .data = &data};
    if (rv != 0 || (rv = claim_all(&c, err)) != 0) {
        return rv;
    }
    if (d->count > 0) {
        qsort(d->all, d->count, sizeof *d->all, compare_age);
    }
    latest_find(d);
    return 0;
}

/* ---- The latest ReplicaSet ---- */

static int64_t revision_next(const struct deployment *d)
{
    int64_t max = 0;
    for (unsigned i = 0; i < d->count; i++) {
        if (d->all[i] != d->latest) {
            max = MAX(max, d->all[i]->revision);
        }
    }
    return max + 1;
}

/* Annotations of the Deployment are shown on the ReplicaSet that it makes, but for those that speak of one of them
 * alone. */
static bool annotation_copied(struct str key)
{
    static const char *const own[] = {
        APPLY_ANNOTATION,   DEPLOYMENT_REVISION, DEPLOYMENT_REVISION_PAST,
        DEPLOYMENT_DESIRED, DEPLOYMENT_MAX,      "deprecated.deployment.rollback.to",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        if (str_is(key, own[i])) {
            return false;
        }
    }
    return true;
}

static void latest_annotate(struct deployment *d, struct deployment_rs *rs, int64_t revision)
{
    const struct value *annotations = value_path(d->doc, "metadata.annotations");
    for (unsigned i = 0; value_is_map(annotations) && i < annotations->map.count; i++) {
        const struct value_member *m = &annotations->map.members[i];
        if (annotation_copied(m->key)) {
            rs->dirty |= annotation_set(d->a, rs->doc, arena_strndup(d->a, m->key.p, m->key.n), value_to_str(m->value));
        }
    }
    if (revision > rs->revision) {
        if (rs->revision > 0) {
            struct str past = value_to_str(value_get(annotations_of(d->a, rs->doc), DEPLOYMENT_REVISION_PAST));
            const char *text =
                arena_printf(d->a, "%.*s%s%lld", STR_ARG(past), str_empty(past) ? "" : ",", (long long)rs->revision);
            annotation_set(d->a, rs->doc, DEPLOYMENT_REVISION_PAST, str_of(text));
        }
        annotation_set_int(d->a, rs->doc, DEPLOYMENT_REVISION, revision);
        rs->revision = revision;
        rs->dirty = true;
    }
}

/* Desired and maximal size at the time of the last scaling: what a later change of spec.replicas is measured
 * against. */
static bool sizes_annotate(struct deployment *d, struct deployment_rs *rs)
{
    bool changed = annotation_set_int(d->a, rs->doc, DEPLOYMENT_DESIRED, d->replicas);
    return annotation_set_int(d->a, rs->doc, DEPLOYMENT_MAX, d->replicas + d->max_surge) || changed;
}

static void latest_keep(struct deployment *d)
{
    struct deployment_rs *rs = d->latest;
    latest_annotate(d, rs, revision_next(d));
    if (value_path_int(rs->doc, "spec.minReadySeconds", 0) != d->min_ready_s) {
        value_set(d->a, value_ensure_map(d->a, rs->doc, "spec"), "minReadySeconds", value_int(d->a, d->min_ready_s));
        rs->dirty = true;
    }
    if (deployment_has_deadline(d) && condition_get(d->status, "Progressing") == NULL) {
        deployment_condition(d, "Progressing", "True", "FoundNewReplicaSet", "Found new replica set \"%.*s\"",
                             STR_ARG(rs->name));
    }
}

static struct value *latest_document(struct deployment *d, const char *hash, struct str name)
{
    struct arena *a = d->a;
    struct value *rs = value_map(a), *metadata = value_map(a), *spec = value_map(a), *status = value_map(a);
    struct value *pod_template = map_copy(a, value_path(d->doc, "spec.template"));
    struct value *selector = map_copy(a, value_path(d->doc, "spec.selector"));
    struct value *labels = value_ensure_map(a, value_ensure_map(a, pod_template, "metadata"), "labels");
    value_set(a, labels, DEPLOYMENT_HASH_LABEL, value_cstr(a, hash));
    value_set(a, value_ensure_map(a, selector, "matchLabels"), DEPLOYMENT_HASH_LABEL, value_cstr(a, hash));
    value_set(a, metadata, "name", value_str(a, name));
    value_set(a, metadata, "namespace", value_str(a, d->obj->ns));
    value_set(a, metadata, "labels", value_copy(a, labels));
    value_set(a, rs, "apiVersion", value_cstr(a, "apps/v1"));
    value_set(a, rs, "kind", value_cstr(a, "ReplicaSet"));
    value_set(a, rs, "metadata", metadata);
    owner_add(a, rs, d->obj);
    value_set(a, spec, "replicas", value_int(a, 0));
    if (d->min_ready_s > 0) {
        value_set(a, spec, "minReadySeconds", value_int(a, d->min_ready_s));
    }
    value_set(a, spec, "selector", selector);
    value_set(a, spec, "template", pod_template);
    value_set(a, rs, "spec", spec);
    value_set(a, status, "replicas", value_int(a, 0));
    value_set(a, rs, "status", status);
    return rs;
}

/* "A ReplicaSet that cannot be made is a condition of its Deployment", said once: no later try can do better. */
static void latest_impossible(struct deployment *d, struct str name)
{
    const char *message =
        arena_printf(d->a,
                     "Failed to create new replica set: its name would be that of the Deployment and a "
                     "hash, %zu characters; at most %u are allowed. Give the Deployment a shorter name",
                     name.n, NAME_KEY_MAX);
    if (condition_get(d->status, "ReplicaFailure") == NULL) {
        controller_event(d->out, d->in, d->obj, "Warning", DEPLOYMENT_CREATE_ERROR, DEPLOYMENT_COMPONENT, "%s",
                         message);
    }
    deployment_condition(d, "ReplicaFailure", "True", "FailedCreate", "%s", message);
    struct str reason = value_path_str(condition_get(d->status, "Progressing"), "reason");
    if (deployment_has_deadline(d) && !str_is(reason, DEPLOYMENT_DEADLINE_EXCEEDED)) {
        deployment_condition(d, "Progressing", "False", DEPLOYMENT_CREATE_ERROR, "%s", message);
    }
    DECIDED(d->out, REASON_SET_NAME_TOO_LONG);
}

/* Of the latest ReplicaSet when it is made: maxSurge holds from the first step. */
static int64_t initial_replicas(const struct deployment *d)
{
    int64_t room = d->recreate ? d->replicas : d->replicas + d->max_surge - deployment_replicas_sum(d);
    return MAX(0, MIN(room, d->replicas));
}

static void latest_create(struct deployment *d)
{
    if (namespace_closed(d->in->view, d->obj->ns)) {
        return;
    }
    int64_t collisions = value_path_int(d->status, "collisionCount", 0);
    char hash[16];
    template_hash(d->a, template_without_hash(d->a, value_path(d->doc, "spec.template")), collisions, hash);
    struct str name = str_of(arena_printf(d->a, "%.*s-%s", STR_ARG(d->obj->name), hash));
    if (name.n > NAME_KEY_MAX) {
        latest_impossible(d, name);
        return;
    }
    if (view_get(d->in->view, kind_of(KIND_REPLICASET), d->obj->ns, name) != NULL) {
        /* Somebody else's, or another template with the same hash: the next reconcile takes another name. */
        d->dirty |= status_set_int(d->a, d->status, "collisionCount", collisions + 1, false);
        DECIDED(d->out, REASON_SET_NAME_TAKEN, .what = name);
        return;
    }
    struct deployment_rs *rs = arena_alloc(d->a, sizeof *rs);
    rs->name = name;
    rs->doc = latest_document(d, hash, name);
    rs->created_ms = d->in->wall_ms;
    int64_t revision = revision_next(d);
    rs->replicas = initial_replicas(d);
    value_set(d->a, value_get(rs->doc, "spec"), "replicas", value_int(d->a, rs->replicas));
    d->latest = rs;
    set_add(d, rs);
    latest_annotate(d, rs, revision);
    sizes_annotate(d, rs);
    rs->dirty = true;
    DECIDED(d->out, REASON_MAKES_SET, .what = name, .count = rs->replicas);
    if (rs->replicas > 0) {
        controller_event(d->out, d->in, d->obj, "Normal", "ScalingReplicaSet", DEPLOYMENT_COMPONENT,
                         "Scaled up replica set %.*s to %lld", STR_ARG(name), (long long)rs->replicas);
    }
    if (deployment_has_deadline(d)) {
        deployment_condition(d, "Progressing", "True", "NewReplicaSetCreated", "Created new replica set \"%.*s\"",
                             STR_ARG(name));
    }
}

void deployment_latest_ensure(struct deployment *d, bool create)
{
    if (d->latest != NULL) {
        latest_keep(d);
    } else if (create) {
        latest_create(d);
    }
    if (d->latest != NULL) {
        d->dirty |= annotation_set_int(d->a, d->doc, DEPLOYMENT_REVISION, d->latest->revision);
    }
}

/* ---- Scaling one, trimming, writing ---- */

void deployment_scale_to(struct deployment *d, struct deployment_rs *rs, int64_t replicas)
{
    if (!CONTROLLER_CHECK(d->out, replicas >= 0)) {
        return;
    }
    rs->dirty |= sizes_annotate(d, rs);
    if (rs->replicas == replicas) {
        return;
    }
    controller_event(d->out, d->in, d->obj, "Normal", "ScalingReplicaSet", DEPLOYMENT_COMPONENT,
                     "Scaled %s replica set %.*s to %lld from %lld", replicas > rs->replicas ? "up" : "down",
                     STR_ARG(rs->name), (long long)replicas, (long long)rs->replicas);
    DECIDED(d->out, REASON_SCALES_SET, .what = rs->name, .count = rs->replicas, .other = replicas);
    value_set(d->a, value_ensure_map(d->a, rs->doc, "spec"), "replicas", value_int(d->a, replicas));
    rs->replicas = replicas;
    rs->dirty = true;
}

static int compare_revision(const void *pa, const void *pb)
{
    const struct deployment_rs *a = *(struct deployment_rs *const *)pa, *b = *(struct deployment_rs *const *)pb;
    return a->revision != b->revision ? (a->revision > b->revision ? 1 : -1) : compare_age(pa, pb);
}

void deployment_history_trim(struct deployment *d)
{
    int64_t limit = count_bound(value_path_int(d->doc, "spec.revisionHistoryLimit", DEPLOYMENT_HISTORY_DEFAULT));
    struct deployment_rs **old = arena_alloc(d->a, (d->count + 1) * sizeof *old);
    unsigned count = 0;
    for (unsigned i = 0; i < d->count; i++) {
        if (d->all[i] != d->latest && !d->all[i]->deleting) {
            old[count++] = d->all[i];
        }
    }
    if (count == 0 || (int64_t)count <= limit) {
        return;
    }
    qsort(old, count, sizeof *old, compare_revision);
    for (unsigned i = 0; i < count - (unsigned)limit; i++) {
        struct deployment_rs *rs = old[i];
        if (rs->replicas == 0 && rs->status_replicas == 0 && !rs->dirty &&
            value_path_int(rs->doc, "status.observedGeneration", 0) >= rs->obj->generation) {
            rs->drop = true;
            DECIDED(d->out, REASON_FORGETS_SET, .what = rs->name);
        }
    }
}

int deployment_sets_write(struct deployment *d, struct error *err)
{
    const struct kind *k = kind_of(KIND_REPLICASET);
    const struct deletion_options background = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    for (unsigned i = 0; i < d->count; i++) {
        struct deployment_rs *rs = d->all[i];
        int rv = 0;
        if (rs->drop) {
            rv = deletion_request(d->out->txn, d->a, rs->obj, &background, d->in->wall_ms, err);
        } else if (rs->obj == NULL) {
            rv = txn_create_value(d->out->txn, k, rs->doc, err);
        } else if (rs->dirty) {
            rv = txn_update_value(d->out->txn, k, rs->doc, TXN_PART_ALL, rs->obj->revision, err);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}
