#include "scheduler/volumes.h"

#include <stdlib.h>
#include <xxhash.h>

#include "proto/facts/pod_state.h"
#include "raft-store/store/event.h"
#include "scheduler/cache.h"

/* ---- Which claims ---- */

bool claims_named(const struct object *pod, bool *own)
{
    struct storage_pod_claim claim;
    bool any = false;
    *own = false;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "volumes")); mp_next(&it);) {
        if (storage_claim_of(pod->name, it.value, &claim)) {
            any = true;
            *own |= claim.own;
        }
    }
    return any;
}

struct sched_claims *claims_new(void)
{
    return xcalloc(1, sizeof(struct sched_claims));
}

static void claims_clear(struct sched_claims *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct sched_claim *one = &c->items[i];
        object_unref(one->claim);
        object_unref(one->volume);
        object_unref(one->class);
        for (unsigned k = 0; k < one->free_count; k++) {
            object_unref(one->free[k]);
        }
        free(one->free);
        free(one->only_node);
    }
    c->count = 0;
    free(TAKE_PTR(c->blocked));
}

void claims_free(struct sched_claims *c)
{
    if (c != NULL) {
        claims_clear(c);
        free(c);
    }
}

/* ---- What they are bound to ---- */

static void block(struct sched_claims *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void block(struct sched_claims *c, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    va_list ap;
    arena_init(&a);
    if (c->blocked != NULL) {
        return; /* the first reason is told */
    }
    va_start(ap, fmt);
    c->blocked = xstrdup(arena_vprintf(&a, fmt, ap));
    va_end(ap);
}

static void iter_naming(struct view_iter *it, const struct view *tip, const struct object *claim, enum kind_id kind)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    index_reference_key(&key, claim->kind, claim->ns, claim->name);
    view_iter_index(it, tip, VIEW_BY_REFERENCE, buf_str(&key), kind_by_id(kind), STR_NONE);
}

/* Who uses it already, as far as that matters. */
static void read_users(struct sched_claim *one, const struct view *tip)
{
    bool one_pod = storage_has_mode(one->claim, "ReadWriteOncePod");
    bool one_node = storage_has_mode(one->claim, "ReadWriteOnce") && !storage_has_mode(one->claim, "ReadWriteMany") &&
                    !storage_has_mode(one->claim, "ReadOnlyMany");
    struct view_iter it;
    if (!one_pod && !one_node) {
        return;
    }
    iter_naming(&it, tip, one->claim, KIND_POD);
    VIEW_FOR(pod, &it)
    {
        struct str node = pod_node(pod);
        if (str_empty(node) || pod_finished(pod)) {
            continue;
        }
        one->taken = one_pod;
        if (one_node && one->only_node == NULL) {
            one->only_node = xstrndup(node.p, node.n);
        }
    }
}

/* In the order in which they are taken. */
static void add_free(struct sched_claim *one, struct view_iter *it)
{
    VIEW_FOR(volume, it)
    {
        if (!storage_fits(volume, one->claim)) {
            continue;
        }
        unsigned low = 0, high = one->free_count;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            if (storage_compare(one->free[middle], volume, one->claim) < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        one->free = xrealloc(one->free, (one->free_count + 1) * sizeof(struct object *));
        memmove(one->free + low + 1, one->free + low, (one->free_count - low) * sizeof(struct object *));
        one->free[low] = object_ref(volume);
        one->free_count++;
    }
}

static void read_free(struct sched_claim *one, const struct view *tip)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct view_iter it;
    iter_naming(&it, tip, one->claim, KIND_PERSISTENTVOLUME);
    add_free(one, &it);
    index_volume_free_key(&key, storage_class_of(one->claim));
    view_iter_index(&it, tip, VIEW_BY_VOLUME, buf_str(&key), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    add_free(one, &it);
}

static void resolve_one(struct sched_claims *c, const struct object *pod, struct str name, bool own,
                        const struct view *tip)
{
    const struct object *claim = view_get(tip, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), pod->ns, name);
    if (claim == NULL && own) {
        block(c, "waiting for ephemeral volume controller to create the persistentvolumeclaim \"%.*s\"", STR_ARG(name));
        return;
    }
    if (claim == NULL) {
        block(c, "persistentvolumeclaim \"%.*s\" not found", STR_ARG(name));
        return;
    }
    if (own && !storage_made_for(claim, pod)) {
        block(c, "PVC %.*s/%.*s was not created for pod %.*s/%.*s (pod is not owner)", STR_ARG(claim->ns),
              STR_ARG(name), STR_ARG(pod->ns), STR_ARG(pod->name));
        return;
    }
    if (claim->deleting) {
        block(c, "persistentvolumeclaim \"%.*s\" is being deleted", STR_ARG(name));
        return;
    }
    struct sched_claim *one = &c->items[c->count++];
    struct str volume = storage_volume_name(claim), class_name = storage_class_of(claim);
    *one = (struct sched_claim){.claim = object_ref(claim)};
    read_users(one, tip);
    if (!str_empty(volume)) {
        const struct object *bound = view_get(tip, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, volume);
        if (storage_is_bound(claim, bound)) {
            one->volume = object_ref(bound);
        } else if (bound == NULL && str_is(object_annotation(claim, STORAGE_BIND_COMPLETED), "yes")) {
            block(c, "persistentvolumeclaim \"%.*s\" bound to non-existent persistentvolume \"%.*s\"", STR_ARG(name),
                  STR_ARG(volume));
        } else {
            block(c, "pod has unbound immediate PersistentVolumeClaims");
        }
        return;
    }
    const struct object *class =
        str_empty(class_name) ? NULL : view_get(tip, kind_by_id(KIND_STORAGECLASS), STR_NONE, class_name);
    if (class == NULL || !storage_class_waits(class)) {
        block(c, "pod has unbound immediate PersistentVolumeClaims");
        return;
    }
    struct str node = object_annotation(claim, STORAGE_SELECTED_NODE);
    one->class = object_ref(class);
    one->foreign = storage_class_is_foreign(class);
    read_free(one, tip);
    if (one->foreign && one->free_count == 0 && !str_empty(node) &&
        view_get(tip, kind_by_id(KIND_NODE), STR_NONE, node) != NULL) {
        block(c, "waiting for provisioner %.*s to make a volume for persistentvolumeclaim \"%.*s\" on node %.*s",
              STR_ARG(mp_str(mp_get(object_mp(class), "provisioner"))), STR_ARG(name), STR_ARG(node));
    }
}

/* ---- The same as before? ---- */

static uint64_t mix(uint64_t sum, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(n > 0 ? p : "", n, sum + 1);
}

static uint64_t mix_object(uint64_t sum, const struct object *o)
{
    uint64_t parts[2] = {o == NULL ? 0 : o->hash, o == NULL ? 0 : o->kind->id};
    return mix(sum, parts, sizeof parts);
}

static uint64_t sign(const struct sched_claims *c)
{
    uint64_t sum = mix(c->count, c->blocked, c->blocked == NULL ? 0 : strlen(c->blocked));
    for (unsigned i = 0; i < c->count; i++) {
        const struct sched_claim *one = &c->items[i];
        sum = mix_object(mix_object(mix_object(sum, one->claim), one->volume), one->class);
        for (unsigned k = 0; k < one->free_count; k++) {
            sum = mix_object(sum, one->free[k]);
        }
        sum = mix(sum, one->only_node, one->only_node == NULL ? 0 : strlen(one->only_node)) + one->taken;
    }
    return sum;
}

static bool has_claim(const struct sched_claims *c, struct str name)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (str_eq(c->items[i].claim->name, name)) {
            return true;
        }
    }
    return false;
}

bool claims_resolve(struct sched_claims *c, const struct object *sample, const struct view *tip)
{
    uint64_t before = c->signature;
    claims_clear(c);
    for (struct mp_iter it = mp_iter(mp_get(object_spec(sample), "volumes")); mp_next(&it);) {
        struct storage_pod_claim claim;
        if (!storage_claim_of(sample->name, it.value, &claim) || has_claim(c, claim.name)) {
            continue;
        }
        if (c->count == CLAIMS_MAX) {
            block(c, "pod has more than %u PersistentVolumeClaims", CLAIMS_MAX);
            break;
        }
        resolve_one(c, sample, claim.name, claim.own, tip);
    }
    c->signature = sign(c);
    return c->signature != before;
}

/* ---- On a node ---- */

static bool is_given(const struct claims_placing *p, unsigned count, const struct object *volume)
{
    for (unsigned i = 0; i < count; i++) {
        if (p->volumes[i] == volume) {
            return true;
        }
    }
    return false;
}

static const struct object *choose(const struct sched_claim *one, const struct sched_node *n,
                                   const struct claims_placing *given, unsigned count)
{
    for (unsigned k = 0; k < one->free_count; k++) {
        if (!is_given(given, count, one->free[k]) && storage_reaches(one->free[k], n->labels, str_of(n->name))) {
            return one->free[k];
        }
    }
    return NULL;
}

bool claims_place(const struct sched_claims *c, const struct sched_node *n, struct claims_placing *out,
                  const char **why)
{
    int64_t kib = 0; /* of new volumes here */
    for (unsigned i = 0; i < c->count; i++) {
        const struct sched_claim *one = &c->items[i];
        out->volumes[i] = one->volume;
        if (one->taken) {
            *why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
            return false;
        }
        if (one->volume != NULL && !storage_reaches(one->volume, n->labels, str_of(n->name))) {
            *why = "node(s) didn't match PersistentVolume's node affinity";
            return false;
        }
        if (one->only_node != NULL && strcmp(one->only_node, n->name) != 0) {
            *why = "node(s) had no access to a ReadWriteOnce volume that is in use on another node";
            return false;
        }
        if (one->volume != NULL) {
            continue;
        }
        out->volumes[i] = choose(one, n, out, i);
        if (out->volumes[i] != NULL) {
            continue;
        }
        if (one->free_count > 0 && storage_is_for(one->free[0], one->claim)) {
            *why = "node(s) didn't match PersistentVolume's node affinity"; /* somebody has chosen the volume */
            return false;
        }
        if ((!one->foreign && (!storage_class_is_local(one->class) || !n->offers_local)) ||
            !storage_class_allows(one->class, n->labels)) {
            *why = "node(s) didn't find available persistent volumes to bind";
            return false;
        }
        if (one->foreign) {
            continue;
        }
        kib += (storage_bytes(one->claim) + 1023) / 1024;
        if (kib > n->local_kib - n->local_used_kib) {
            *why = "node(s) did not have enough free storage";
            return false;
        }
    }
    return true;
}

/* ---- Written ---- */

static void tell(struct txn *t, struct arena *a, const struct view *tip, const struct object *claim,
                 const struct value *volume, int64_t wall_ms)
{
    struct event_words w = event_about(claim);
    w.reason = "ProvisioningSucceeded";
    w.component = STORAGE_LOCAL;
    w.message = str_of(
        arena_printf(a, "Successfully provisioned volume %.*s", STR_ARG(value_path_str(volume, "metadata.name"))));
    event_put(t, a, tip, event_document(a, &w), wall_ms, 0, NULL);
}

static bool is_to_be_made(const struct sched_claims *c, const struct claims_placing *placing, unsigned i)
{
    return c->items[i].volume == NULL && placing->volumes[i] == NULL && c->items[i].foreign;
}

bool claims_need_others(const struct sched_claims *c, const struct claims_placing *placing)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (is_to_be_made(c, placing, i)) {
            return true;
        }
    }
    return false;
}

int claims_ask_others(struct txn *t, struct arena *a, const struct sched_claims *c, const char *node,
                      const struct claims_placing *placing, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; i < c->count && rv == 0; i++) {
        const struct object *claim = c->items[i].claim;
        if (!is_to_be_made(c, placing, i)) {
            continue;
        }
        struct value *doc = object_to_value(a, claim);
        value_set(a, value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations"), STORAGE_SELECTED_NODE,
                  value_cstr(a, node));
        rv = txn_update_value(t, claim->kind, doc, TXN_PART_ALL, claim->revision, err);
    }
    return rv;
}

int claims_write(struct txn *t, struct arena *a, const struct view *tip, const struct sched_claims *c,
                 const struct sched_node *n, const struct claims_placing *placing, int64_t wall_ms, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; i < c->count && rv == 0; i++) {
        const struct sched_claim *one = &c->items[i];
        const struct object *volume = placing->volumes[i];
        if (one->volume != NULL) {
            continue;
        }
        struct value *claim = object_to_value(a, one->claim), *doc;
        if (volume != NULL) {
            doc = object_to_value(a, volume);
            storage_bind(a, claim, doc, wall_ms);
            rv = txn_update_value(t, volume->kind, doc, TXN_PART_ALL, volume->revision, err);
        } else {
            doc = storage_make_local(a, claim, one->class, n->obj, wall_ms);
            if (doc == NULL) {
                return error_set(err, ERR_FORBIDDEN, "node %s offers no local storage", n->name);
            }
            rv = txn_create_value(t, kind_by_id(KIND_PERSISTENTVOLUME), doc, err);
            tell(t, a, tip, one->claim, doc, wall_ms);
        }
        rv = rv != 0 ? rv : txn_update_value(t, one->claim->kind, claim, TXN_PART_ALL, one->claim->revision, err);
    }
    return rv;
}
