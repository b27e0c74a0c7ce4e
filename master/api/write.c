/* create, update, patch, txn, and what all writes share: evaluate on the tip, answer at commit.
 *
 * The tip's objects are remembered when the transaction is evaluated, so the answer shows exactly what this transaction
 * wrote, whatever others wrote in the same entry. A repetition is answered from what the store remembers of the first
 * time; of an object that the transaction has taken away (the last finalizer of one being deleted), the answer shows
 * what it was last. */
#include "master/api/write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/api/admission.h"
#include "master/api/verbs.h"
#include "master/auth/revoked.h"
#include "master/front/call.h"
#include "master/members/members.h"
#include "master/nodes/events.h"
#include "proto/patch/patch.h"

struct write *write_new(struct call *c, enum write_shape shape)
{
    struct write *w = xcalloc(1, sizeof *w);
    w->call = c;
    w->shape = shape;
    return w;
}

static void write_free(struct write *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        object_unref(w->items[i].object);
        object_unref(w->items[i].before);
    }
    free(w->items);
    free(w);
}

void write_add(struct write *w, const struct kind *k, struct str ns, struct str name, const char *result)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 1 : w->cap * 2;
        w->items = xrealloc(w->items, w->cap * sizeof *w->items);
    }
    struct arena *a = &w->call->arena;
    w->items[w->count++] = (struct write_item){
        .result = result,
        .kind = k,
        .ns = {arena_strndup(a, ns.p, ns.n), ns.n},
        .name = {arena_strndup(a, name.p, name.n), name.n},
    };
}

static void write_object_member(struct buf *b, const struct object *o)
{
    mp_write_cstr(b, "object");
    if (o == NULL) {
        mp_write_nil(b);
    } else {
        object_write_wire(b, o);
    }
}

static void write_results(const struct write *w, struct buf *b)
{
    mp_write_cstr(b, "results");
    mp_write_array(b, w->count);
    for (unsigned i = 0; i < w->count; i++) {
        mp_write_map(b, w->shape == WRITE_APPLY ? 3 : 2);
        if (w->shape == WRITE_APPLY) {
            mp_write_key_str(b, "result", str_of(w->items[i].result));
        }
        write_object_member(b, w->items[i].object);
        mp_write_key_bool(b, "gone", w->items[i].gone);
    }
}

static void write_answer(const struct write *w, const struct txn_result *r, struct buf *b)
{
    const struct value *warnings = w->call->warnings;
    unsigned more = warnings == NULL ? 0 : 1;
    switch (w->shape) {
    case WRITE_OBJECT:
        assert(w->count == 1);
        mp_write_map(b, 4 + more);
        write_object_member(b, w->items[0].object);
        mp_write_key_bool(b, "unchanged", r->unchanged);
        mp_write_key_bool(b, "gone", w->items[0].gone);
        break;
    case WRITE_DELETE:
        assert(w->count == 1);
        mp_write_map(b, 3 + more);
        write_object_member(b, w->items[0].object);
        mp_write_key_bool(b, "gone", w->items[0].gone);
        break;
    case WRITE_COUNT:
        mp_write_map(b, 2 + more);
        mp_write_key_int(b, "count", w->repeat_count > 0 ? w->repeat_count : w->count);
        break;
    case WRITE_APPLY:
    case WRITE_TXN:
        mp_write_map(b, 2 + more);
        write_results(w, b);
        break;
    }
    if (more > 0) {
        mp_write_cstr(b, "warnings");
        msgpack_write_value(b, warnings);
    }
    mp_write_key_int(b, "revision", (int64_t)r->revision);
}

void write_answered(const struct txn_result *result, const struct error *error, void *data)
{
    struct write *w = data;
    if (error != NULL) {
        call_fail(w->call, error);
    } else {
        struct buf b = BUF_INIT;
        write_answer(w, result, &b);
        call_reply(w->call, &b);
        buf_close(&b);
    }
    write_free(w);
}

void write_refuse(struct write *w, const struct error *err)
{
    replica_refuse(w->call->m->replica, err, write_answered, w);
}

void call_refuse(struct call *c, const struct error *err)
{
    write_refuse(write_new(c, WRITE_COUNT), err);
}

void call_refuse_not_found(struct call *c, const struct kind *k, struct str name)
{
    char resource[128];
    struct error err = {0};
    kind_resource_name(k, resource, sizeof resource);
    error_set(&err, ERR_NOT_FOUND, "%s \"%.*s\" not found", resource, STR_ARG(name));
    call_refuse(c, &err);
}

/* What the transaction made of the object before that took it away: an update that empties the finalizers of an object
 * being deleted is its deletion, and is answered with the object as it was last. NULL: it was deleted without an
 * update. */
static struct object *last_state(struct write *w, const struct write_item *item, const struct txn *t)
{
    static const char *const kept[] = {"uid", "creationTimestamp", "generation", "deletionTimestamp",
                                       "deletionGracePeriodSeconds"};
    struct arena *a = &w->call->arena;
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->type != TXN_UPDATE || op->part == TXN_PART_STATUS || op->kind != item->kind ||
            !str_eq(op->ns, item->ns) || !str_eq(op->name, item->name)) {
            continue;
        }
        struct value *doc = object_to_value(a, op->object), *old = object_to_value(a, item->before);
        struct value *metadata = value_ensure_map(a, doc, "metadata");
        for (unsigned k = 0; k < ARRAY_SIZE(kept); k++) {
            struct value *v = value_get(value_get(old, "metadata"), kept[k]);
            if (v != NULL) {
                value_set(a, metadata, kept[k], v);
            }
        }
        if (op->part == TXN_PART_SPEC && value_get(old, "status") != NULL) {
            value_set(a, doc, "status", value_get(old, "status"));
        }
        struct object *o = NULL;
        return object_from_value(item->kind, doc, item->before->revision, &o, NULL) == 0 ? o : NULL;
    }
    return NULL;
}

void write_look_before(struct write *w, const struct view *tip)
{
    for (unsigned i = 0; i < w->count; i++) {
        const struct object *old = view_get(tip, w->items[i].kind, w->items[i].ns, w->items[i].name);
        w->items[i].before = old == NULL ? NULL : object_ref(old);
    }
}

void write_fill(struct write *w, const struct view *tip, const struct txn *t)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct write_item *item = &w->items[i];
        const struct object *o = view_get(tip, item->kind, item->ns, item->name);
        item->gone = o == NULL;
        if (o == NULL) {
            struct object *last = item->before == NULL ? NULL : last_state(w, item, t);
            item->object = last != NULL ? last : TAKE_PTR(item->before);
            continue;
        }
        item->object = object_ref(o);
        if (w->shape == WRITE_APPLY && item->before != NULL && o->revision == item->before->revision) {
            item->result = "unchanged";
        }
    }
}

/* The answer of the first time, as far as it is remembered: what was done always, the object as it was then while the
 * store's history has it, later as it is now. */
static void fill_repeated(struct write *w, struct txn_past *past)
{
    const struct view *tip = store_tip(replica_store(w->call->m->replica));
    w->repeat_count = store_past_count(past);
    for (unsigned i = 0; i < w->count; i++) {
        struct write_item *item = &w->items[i];
        const struct object *then, *now = view_get(tip, item->kind, item->ns, item->name);
        enum txn_done done = store_past_did(past, item->kind, item->ns, item->name, &then);
        bool was_there = done != TXN_DONE_UNKNOWN || now != NULL;
        bool older = now != NULL && now->revision + TXN_OPS_MAX <= past->revision; /* than any object of it can be */
        const struct object *o = then != NULL ? then : now;
        item->object = o == NULL ? NULL : object_ref(o);
        item->gone = done == TXN_DONE_DELETED || !was_there;
        item->result = done == TXN_DONE_CREATED            ? "created"
                       : done == TXN_DONE_UNCHANGED        ? "unchanged"
                       : done == TXN_DONE_UNKNOWN && older ? "unchanged"
                                                           : "configured";
    }
}

/* The answer that was lost had its warnings. */
static void warn_again(struct write *w)
{
    struct call *c = w->call;
    struct admission ad = {.arena = &c->arena, .warnings = &c->warnings, .many = w->count > 1};
    for (unsigned i = 0; w->shape != WRITE_DELETE && w->shape != WRITE_COUNT && i < w->count; i++) {
        const struct object *o = w->items[i].object;
        if (o != NULL && !w->items[i].gone) {
            admit_warnings(&ad, o->kind, object_to_value(&c->arena, o));
        }
    }
}

#define UNDONE_EVENT_SIZE_MAX 1024u

/* Whoever looks at the object later was not warned: an event says it. */
static void tell_undone(struct write *w, const struct object *o)
{
    struct kind_warnings found;
    kind_find_warnings(o->kind, &w->call->arena, object_to_value(&w->call->arena, o), &found);
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < found.count && text.size + strlen(found.items[i]) < UNDONE_EVENT_SIZE_MAX; i++) {
        buf_printf(&text, "%s%s", i == 0 ? "" : "; ", found.items[i]);
    }
    if (text.size > 0) {
        events_warn(w->call->m, o, "NotCarriedOut", buf_str(&text));
    }
}

/* Whoever makes the state larger hears that it is nearly full. */
static void warn_of_state(struct call *c, const struct txn *t)
{
    char text[400];
    struct replica_state state;
    bool makes = false;
    for (unsigned i = 0; i < t->count && !makes; i++) {
        makes = t->ops[i].type == TXN_CREATE;
    }
    replica_state(c->m->replica, &state);
    if (makes && members_state_warning(&state, text, sizeof text)) {
        c->warnings = c->warnings != NULL ? c->warnings : value_list(&c->arena);
        value_append(&c->arena, c->warnings, value_cstr(&c->arena, text));
    }
}

void write_submit(struct write *w, struct txn *t)
{
    struct master *m = w->call->m;
    if (mp_bool(call_param(w->call, "dryRun"), false)) {
        write_dry_run(w, t);
        return;
    }
    const struct view *tip = store_tip(replica_store(m->replica));
    assert(tip != NULL);
    struct txn_past past;
    bool repeat = t->has_id && store_past(replica_store(m->replica), t->id, &past);
    if (!repeat) {
        write_look_before(w, tip);
    } else {
        fill_repeated(w, &past);
        warn_again(w);
    }
    struct error err = {0};
    if (!repeat && revoked_add_nodes(m, t, &err) != 0) {
        write_refuse(w, &err);
        return;
    }
    if (replica_submit(m->replica, t, write_answered, w, &err) == 0 && !repeat) {
        write_fill(w, store_tip(replica_store(m->replica)), t);
        for (unsigned i = 0; w->call->warnings != NULL && i < w->count; i++) {
            const struct write_item *item = &w->items[i];
            bool changed =
                item->before == NULL || item->object == NULL || item->before->revision != item->object->revision;
            if (item->object != NULL && !item->gone && changed) {
                tell_undone(w, item->object);
            }
        }
        warn_of_state(w->call, t);
    }
    master_wake(m);
}

/* ---- create, update, patch ---- */

static bool lenient(struct call *c)
{
    return str_is(mp_str(call_param(c, "validate")), "ignore");
}

static struct admission admission_of(struct call *c)
{
    return (struct admission){
        .arena = &c->arena,
        .tip = store_tip(replica_store(c->m->replica)),
        .env = c->m->env,
        .level = store_level(replica_store(c->m->replica)),
        .lenient = lenient(c),
        .warnings = &c->warnings,
    };
}

static struct value *param_document(struct call *c, const char *key)
{
    struct mp m = call_param(c, key);
    struct value *doc = NULL;
    struct error err = {0};
    if (mp_type(m) == MP_NONE) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"%s\" is missing", STR_ARG(c->method), key);
        return NULL;
    }
    if (msgpack_read_value(&c->arena, m.p, (size_t)(m.end - m.p), &doc, &err) != 0) {
        call_fail(c, &err);
        return NULL;
    }
    return doc;
}

/* One object written by one transaction: submits, answers, and closes the transaction. */
static void submit_one(struct call *c, struct txn *t, const struct kind *k, struct str ns, struct str name)
{
    struct write *w = write_new(c, WRITE_OBJECT);
    write_add(w, k, ns, name, NULL);
    write_submit(w, t);
    txn_close(t);
}

void method_create(struct call *c)
{
    struct value *doc = param_document(c, "object");
    if (doc == NULL) {
        return;
    }
    struct admission ad = admission_of(c);
    const struct kind *k;
    struct str ns, name;
    struct error err = {0};
    struct object *o = NULL;
    struct txn t;
    ad.names_from = &t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    bool repeat = ad.repeats = call_repeats(c, &t);
    if (admit_document_kind(&ad, doc, &k, &ns, &name, &err) != 0 ||
        (!repeat && admit_create(&ad, k, doc, &o, &err) != 0)) {
        call_refuse(c, &err);
        txn_close(&t);
        return;
    }
    if (!repeat) {
        txn_create(&t, o);
    }
    submit_one(c, &t, k, ns, name);
}

/* What can be written on its own. */
static const struct part {
    const char *name;
    enum txn_part part;
    const char *only; /* the member of spec that a patch of the part may change; NULL: all of the part */
} PARTS[] = {
    {"", TXN_PART_SPEC, NULL},
    {"status", TXN_PART_STATUS, NULL},
    {"scale", TXN_PART_SPEC, "replicas"},
    {"ephemeralcontainers", TXN_PART_SPEC, "ephemeralContainers"},
};

static const struct part *part_of(struct call *c)
{
    struct str s;
    if (!call_str(c, "part", &s, false)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
        if (str_is(s, PARTS[i].name) || (s.n == 0 && i == 0)) {
            return &PARTS[i];
        }
    }
    call_failf(c, ERR_USAGE,
               "%.*s: unknown part \"%.*s\"; known are \"\", \"status\", \"scale\", \"ephemeralcontainers\"",
               STR_ARG(c->method), STR_ARG(s));
    return NULL;
}

/* False, and answered, if the kind has no such part: a write of it would change nothing in silence. */
static bool kind_has_part(struct call *c, const struct kind *k, const struct part *part)
{
    bool has = part->part == TXN_PART_STATUS            ? k->has_status
               : part->only == NULL                     ? true
               : str_is(str_of(part->only), "replicas") ? k->has_scale
                                                        : k->has_ephemeral;
    if (!has) {
        call_failf(c, ERR_NOT_FOUND, "%s have no part \"%s\"; leave it out to change the object itself", k->plural,
                   part->name);
    }
    return has;
}

/* The new version `doc` of `old` becomes the transaction's update. */
static int update_to(const struct admission *ad, struct txn *t, const struct kind *k, struct value *doc,
                     const struct object *old, enum txn_part part, uint64_t if_revision, struct error *err)
{
    struct object *o = NULL;
    int rv = admit_update(ad, k, doc, old, part, &o, err);
    if (rv == 0) {
        txn_update(t, o, part, if_revision);
    }
    return rv;
}

void method_update(struct call *c)
{
    struct value *doc = param_document(c, "object");
    const struct part *part = doc == NULL ? NULL : part_of(c);
    if (part == NULL) {
        return;
    }
    struct admission ad = admission_of(c);
    const struct kind *k;
    struct str ns, name;
    struct error err = {0};
    if (admit_document_kind(&ad, doc, &k, &ns, &name, &err) != 0) {
        call_refuse(c, &err);
        return;
    }
    if (!kind_has_part(c, k, part)) {
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    if (!call_repeats(c, &t)) {
        const struct object *old = view_get(ad.tip, k, ns, name);
        uint64_t if_revision;
        if (old == NULL) {
            call_refuse_not_found(c, k, name);
            txn_close(&t);
            return;
        }
        if (admit_version(doc, k, &if_revision, &err) != 0 ||
            update_to(&ad, &t, k, doc, old, part->part, if_revision, &err) != 0) {
            call_refuse(c, &err);
            txn_close(&t);
            return;
        }
    }
    submit_one(c, &t, k, ns, name);
}

/* Does the patch change more than the one member of the spec? */
static bool changes_more(struct arena *a, const char *only, const struct value *doc, const struct value *old)
{
    struct value *now = value_copy(a, doc), *before = value_copy(a, old);
    value_remove(value_get(now, "spec"), only);
    value_remove(value_get(before, "spec"), only);
    value_remove(value_get(now, "metadata"), "resourceVersion");
    value_remove(value_get(before, "metadata"), "resourceVersion");
    return !value_equal(now, before);
}

/* What the patch makes of the object as it is now. */
static int patch_to(struct call *c, enum patch_type type, struct value *patch, const struct object *old,
                    const struct part *part, struct txn *t, struct error *err)
{
    struct admission ad = admission_of(c);
    const struct kind *k = old->kind;
    struct value *result = NULL, *current = object_to_value(&c->arena, old);
    int rv = patch_apply(type, k, &c->arena, current, patch, &result, err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = value_copy(&c->arena, result);
    struct str name = value_path_str(doc, "metadata.name"), ns = value_path_str(doc, "metadata.namespace");
    if (!value_is_map(doc) || !str_eq(name, old->name) || !str_eq(ns, old->ns)) {
        return error_set_field(err, ERR_INVALID, "metadata.name",
                               "a patch can't change name or namespace of %s \"%.*s\"", k->singular,
                               STR_ARG(old->name));
    }
    if (!str_is(value_path_str(doc, "kind"), k->name) || !str_is(value_path_str(doc, "apiVersion"), k->api_version)) {
        return error_set_field(err, ERR_INVALID, "kind", "a patch can't change kind or apiVersion of %s \"%.*s\"",
                               k->singular, STR_ARG(old->name));
    }
    if (part->only != NULL && changes_more(&c->arena, part->only, doc, current)) {
        return error_set_field(err, ERR_INVALID, "spec",
                               "a patch of the part \"%s\" can change spec.%s alone; leave "
                               "the part out to change more of %s \"%.*s\"",
                               part->name, part->only, k->singular, STR_ARG(old->name));
    }
    /* A version that the patch has set is a precondition, as in an update. */
    uint64_t if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0), version;
    if ((rv = admit_version(doc, k, &version, err)) != 0) {
        return rv;
    }
    if (version != 0 && version != old->revision) {
        if_revision = version;
    }
    return update_to(&ad, t, k, doc, old, part->part, if_revision, err);
}

void method_patch(struct call *c)
{
    const struct kind *k;
    struct str ns, name, type_name;
    if (!call_kind(c, &k, &ns, false) || !call_str(c, "name", &name, true) || !call_str(c, "type", &type_name, true)) {
        return;
    }
    const struct part *part = part_of(c);
    if (part == NULL || !kind_has_part(c, k, part)) {
        return;
    }
    int type = patch_type_parse(type_name);
    if (type < 0) {
        call_failf(c, ERR_USAGE, "patch: unknown type \"%.*s\"; known are strategic, merge, json", STR_ARG(type_name));
        return;
    }
    struct value *patch = param_document(c, "patch");
    if (patch == NULL) {
        return;
    }
    struct error err = {0};
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    if (!call_repeats(c, &t)) {
        const struct object *old = view_get(store_tip(replica_store(c->m->replica)), k, ns, name);
        if (old == NULL) {
            call_refuse_not_found(c, k, name);
            txn_close(&t);
            return;
        }
        if (patch_to(c, (enum patch_type)type, patch, old, part, &t, &err) != 0) {
            call_refuse(c, &err);
            txn_close(&t);
            return;
        }
    }
    submit_one(c, &t, k, ns, name);
}

/* ---- txn: several operations, all or nothing ---- */

/* Members of an operation; unknown ones are refused, as in all parameters. */
static int check_op(struct mp op, struct error *err)
{
    static const char *const known[] = {"op",   "object",   "kind", "namespace", "name",
                                        "part", "revision", "uid",  "absent"};
    if (mp_type(op) != MP_MAP) {
        return error_set(err, ERR_USAGE, "txn: an operation must be a map");
    }
    for (struct mp_iter it = mp_iter(op); mp_next(&it);) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            found |= str_is(it.key, known[i]);
        }
        if (!found) {
            return error_set(err, ERR_USAGE,
                             "txn: unknown member \"%.*s\" of an operation; known are: op object kind namespace name "
                             "part revision uid absent",
                             STR_ARG(it.key));
        }
    }
    return 0;
}

struct op_target {
    const struct kind *kind;
    struct str ns, name;
    struct value *doc; /* create, update */
};

static int op_target(struct call *c, const struct admission *ad, struct mp op, struct op_target *t, struct error *err)
{
    struct str what = mp_str(mp_get(op, "op"));
    bool write = str_is(what, "create") || str_is(what, "update");
    *t = (struct op_target){0};
    if (!write && !str_is(what, "check") && !str_is(what, "delete")) {
        return error_set(err, ERR_USAGE, "txn: unknown op \"%.*s\"; known are create, update, delete, check",
                         STR_ARG(what));
    }
    if (write) {
        struct mp body = mp_get(op, "object");
        if (mp_type(body) != MP_MAP) {
            return error_set(err, ERR_USAGE, "txn: op %.*s needs an object", STR_ARG(what));
        }
        int rv = msgpack_read_value(&c->arena, body.p, (size_t)(body.end - body.p), &t->doc, err);
        return rv != 0 ? rv : admit_document_kind(ad, t->doc, &t->kind, &t->ns, &t->name, err);
    }
    t->kind = kind_by_name(mp_str(mp_get(op, "kind")));
    t->name = mp_str(mp_get(op, "name"));
    if (t->kind == NULL || t->name.n == 0) {
        return error_set(err, ERR_USAGE, "txn: op %.*s needs kind and name", STR_ARG(what));
    }
    t->ns = t->kind->namespaced ? mp_str(mp_get(op, "namespace")) : STR_NONE;
    if (t->kind->namespaced && t->ns.n == 0) {
        t->ns = STR("default");
    }
    return 0;
}

static int add_create(const struct admission *ad, struct txn *t, const struct op_target *to, struct error *err)
{
    struct object *o = NULL;
    int rv = admit_create(ad, to->kind, to->doc, &o, err);
    if (rv == 0) {
        txn_create(t, o);
    }
    return rv;
}

/* update and delete: of what is there. */
static int add_change(const struct admission *ad, struct txn *t, const struct op_target *to, struct mp op,
                      uint64_t if_revision, struct error *err)
{
    const struct kind *k = to->kind;
    const struct object *old = view_get(ad->tip, k, to->ns, to->name);
    if (old == NULL) {
        char resource[128];
        kind_resource_name(k, resource, sizeof resource);
        return error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", resource, STR_ARG(to->name));
    }
    if (to->doc != NULL) {
        enum txn_part part = str_is(mp_str(mp_get(op, "part")), "status") ? TXN_PART_STATUS : TXN_PART_SPEC;
        uint64_t version;
        int rv = admit_version(to->doc, k, &version, err);
        return rv != 0 ? rv : update_to(ad, t, k, to->doc, old, part, if_revision != 0 ? if_revision : version, err);
    }
    if (k->in_steps || mp_count(mp_path(object_mp(old), "metadata.finalizers"))) {
        return error_set(err, ERR_UNSUPPORTED, "txn: %s \"%.*s\" is deleted in steps; use delete", k->singular,
                         STR_ARG(to->name));
    }
    txn_delete(t, old)->if_revision = if_revision;
    return 0;
}

static int add_op(struct call *c, struct admission *ad, struct write *w, struct txn *t, struct mp op, bool repeat,
                  struct error *err)
{
    struct op_target to;
    ad->ordinal = w->count;
    int rv = check_op(op, err);
    if (rv != 0 || (rv = op_target(c, ad, op, &to, err)) != 0) {
        return rv;
    }
    write_add(w, to.kind, to.ns, to.name, NULL);
    if (repeat) {
        return 0;
    }
    struct str what = mp_str(mp_get(op, "op"));
    uint64_t if_revision = (uint64_t)mp_int(mp_get(op, "revision"), 0);
    if (str_is(what, "check")) {
        bool absent = mp_bool(mp_get(op, "absent"), false);
        txn_check(t, to.kind, to.ns, to.name, absent ? UINT64_MAX : if_revision);
    } else if ((rv = str_is(what, "create") ? add_create(ad, t, &to, err)
                                            : add_change(ad, t, &to, op, if_revision, err)) != 0) {
        return rv;
    }
    struct str uid = mp_str(mp_get(op, "uid"));
    if (uid.n > 0) {
        t->ops[t->count - 1].if_uid = (struct str){arena_strndup(&t->arena, uid.p, uid.n), uid.n};
    }
    return 0;
}

void method_txn(struct call *c)
{
    struct mp ops = call_param(c, "ops");
    if (mp_type(ops) != MP_ARRAY || mp_count(ops) == 0 || mp_count(ops) > MASTER_USER_OBJECTS_MAX) {
        call_failf(c, ERR_USAGE, "txn: ops must be a list of 1 to %u operations", MASTER_USER_OBJECTS_MAX);
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    struct admission ad = admission_of(c);
    ad.same_txn = ad.names_from = &t;
    struct write *w = write_new(c, WRITE_TXN);
    struct error err = {0};
    bool repeat = ad.repeats = call_repeats(c, &t);
    for (struct mp_iter it = mp_iter(ops); err.code == 0 && mp_next(&it);) {
        add_op(c, &ad, w, &t, it.value, repeat, &err);
    }
    if (err.code != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &t);
    }
    txn_close(&t);
}
