/* The indexes that the controllers, the scheduler and the nodes' feeds live on: what each has for keys, and what
 * selectors ask of it. */
#include "raft-store/store/index.h"

#include "proto/facts/pod_state.h"

#define INDEX_ROW(NAME, name) &index_##name,
const struct index_row *const index_rows[VIEW_INDEX_COUNT] = {VIEW_INDEXES(INDEX_ROW)};

/* ---- By owner ---- */

static void by_owner(const struct object *o, struct index_keys *out)
{
    if (!o->owned_otherwise) {
        if (!str_empty(o->owner_uid)) {
            index_key(out, o->owner_uid);
        }
        return;
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
        struct str uid = mp_str(mp_get(it.value, "uid"));
        if (!str_empty(uid)) {
            index_key(out, uid);
        }
    }
}

static bool is_unowned(const struct object *o)
{
    return str_empty(o->owner_uid) && !o->owned_otherwise;
}

static bool same_owner(const struct object *o, const struct object *old)
{
    return !o->owned_otherwise && !old->owned_otherwise && str_eq(o->owner_uid, old->owner_uid);
}

const struct index_row index_owner = {.keys = by_owner, .has_none = is_unowned, .same = same_owner};

/* ---- By what it names ---- */

void index_reference_key(struct buf *out, const struct kind *k, struct str ns, struct str name)
{
    char digits[12];
    unsigned at = sizeof digits;
    digits[--at] = '/';
    for (unsigned id = (unsigned)k->id; id > 0; id /= 10) {
        digits[--at] = (char)('0' + id % 10);
    }
    buf_append(out, digits + at, sizeof digits - at);
    buf_append_str(out, k->namespaced ? ns : STR_NONE);
    buf_putc(out, '/');
    buf_append_str(out, name);
}

static void tell_reference(void *data, const struct kind_reference *r)
{
    if (r->use != REFERENCE_OWNER && r->use != REFERENCE_PLACE && !str_empty(r->name)) {
        CLEANUP_BUF struct buf key = BUF_INIT;
        index_reference_key(&key, r->kind, r->ns, r->name);
        index_key(data, buf_str(&key));
    }
}

/* Records about others (events) hold nobody. */
static void by_reference(const struct object *o, struct index_keys *out)
{
    if (!o->kind->unowned && o->kind->references != NULL) {
        o->kind->references(o, tell_reference, out);
    }
}

static bool names_nothing(const struct object *o)
{
    return o->kind->references == NULL;
}

static bool next_but_node(struct mp_iter *it)
{
    bool more = mp_next(it);
    return more && str_is(it->key, "nodeName") ? mp_next(it) : more;
}

/* The place of a pod is no reference of this index, and what else its spec has it has for good: a pod that is bound
 * names what it named before. */
static bool same_references(const struct object *o, const struct object *old)
{
    struct mp_iter a = mp_iter(object_spec(o)), b = mp_iter(object_spec(old));
    bool same = o->kind->id == KIND_POD, more = same;
    while (same && more) {
        bool more_a = next_but_node(&a), more_b = next_but_node(&b);
        more = more_a && more_b;
        same = more_a == more_b;
        if (more) {
            struct str x = {(const char *)a.value.p, (size_t)(a.value.end - a.value.p)};
            struct str y = {(const char *)b.value.p, (size_t)(b.value.end - b.value.p)};
            same = str_eq(a.key, b.key) && str_eq(x, y);
        }
    }
    return same;
}

const struct index_row index_reference = {.keys = by_reference, .has_none = names_nothing, .same = same_references};

/* ---- By what it claims ---- */

static void tell_claim(void *data, struct str key)
{
    index_key(data, key);
}

static void by_claim(const struct object *o, struct index_keys *out)
{
    if (o->kind->claims != NULL) {
        o->kind->claims(o, tell_claim, out);
    }
}

static bool claims_nothing(const struct object *o)
{
    return o->kind->claims == NULL;
}

static bool same_claims(const struct object *o, const struct object *old)
{
    (void)old;
    return claims_nothing(o);
}

const struct index_row index_claim = {.keys = by_claim, .has_none = claims_nothing, .same = same_claims};

/* ---- Pods by their node ---- */

static void by_node(const struct object *pod, struct index_keys *out)
{
    struct str node = pod_node(pod);
    if (!str_empty(node)) {
        index_key(out, node);
    }
}

static bool asks_node(struct str ns, const struct selector *labels, const struct selector *fields, unsigned nth,
                      struct buf *key)
{
    (void)ns;
    (void)labels;
    struct str node = field_selector_value(fields, "spec.nodeName");
    buf_append_str(key, node);
    return nth == 0 && !str_empty(node);
}

static bool same_node(const struct object *o, const struct object *old)
{
    return str_eq(pod_node(o), pod_node(old));
}

const struct index_row index_node = {.kind = KIND_POD, .keys = by_node, .asks = asks_node, .same = same_node};

/* ---- Pods by their labels ---- */

void index_label_key(struct buf *out, struct str ns, struct str key, struct str value)
{
    buf_append_str(out, ns);
    buf_putc(out, '/');
    buf_append_str(out, key);
    buf_putc(out, '=');
    buf_append_str(out, value);
}

static void by_label(const struct object *pod, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    for (struct mp_iter it = mp_iter(object_labels(pod)); mp_next(&it);) {
        buf_reset(&key);
        index_label_key(&key, pod->ns, it.key, mp_str(it.value));
        index_key(out, buf_str(&key));
    }
}

static bool asks_label(struct str ns, const struct selector *labels, const struct selector *fields, unsigned nth,
                       struct buf *key)
{
    (void)fields;
    struct str label, value;
    if (str_empty(ns) || !selector_pair(labels, nth, &label, &value)) {
        return false;
    }
    index_label_key(key, ns, label, value);
    return true;
}

static bool same_labels(const struct object *o, const struct object *old)
{
    struct mp a = object_labels(o), b = object_labels(old);
    struct str x = {(const char *)a.p, (size_t)(a.end - a.p)}, y = {(const char *)b.p, (size_t)(b.end - b.p)};
    return str_eq(x, y);
}

const struct index_row index_label = {.kind = KIND_POD, .keys = by_label, .asks = asks_label, .same = same_labels};

/* ---- Services by what they select ---- */

/* One label is enough: a search for the Services of a pod asks for each label that the pod has. */
static void by_selector(const struct object *service, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct mp_iter it = mp_iter(mp_path(object_mp(service), "spec.selector"));
    if (mp_next(&it)) {
        index_label_key(&key, service->ns, it.key, mp_str(it.value));
        index_key(out, buf_str(&key));
    }
}

const struct index_row index_selector = {.kind = KIND_SERVICE, .keys = by_selector};

/* ---- Events by what they are about ---- */

static const char *const involved[] = {"uid", "name"};

static void involved_key(struct buf *out, unsigned i, struct str value)
{
    buf_puts(out, involved[i]);
    buf_putc(out, '=');
    buf_append_str(out, value);
}

static void by_involved(const struct object *event, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct mp about = mp_get(object_mp(event), "involvedObject");
    for (unsigned i = 0; i < ARRAY_SIZE(involved); i++) {
        struct str value = mp_str(mp_get(about, involved[i]));
        if (!str_empty(value)) {
            buf_reset(&key);
            involved_key(&key, i, value);
            index_key(out, buf_str(&key));
        }
    }
}

static bool asks_involved(struct str ns, const struct selector *labels, const struct selector *fields, unsigned nth,
                          struct buf *key)
{
    static const char *const paths[] = {"involvedObject.uid", "involvedObject.name"};
    (void)ns;
    (void)labels;
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        struct str value = field_selector_value(fields, paths[i]);
        if (!str_empty(value) && nth-- == 0) {
            involved_key(key, i, value);
            return true;
        }
    }
    return false;
}

const struct index_row index_involved = {.kind = KIND_EVENT, .keys = by_involved, .asks = asks_involved};
