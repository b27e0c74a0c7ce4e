#include "raft-store/store/txn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "proto/text/text.h"

/* An object's line in the text form is cut here: traces, not dumps. */
#define TXN_TEXT_MAX 400

void txn_init(struct txn *t, const char *origin)
{
    *t = (struct txn){.origin = origin};
    arena_init(&t->arena);
}

static void drop_ops(struct txn *t)
{
    assert(t->count <= t->cap);
    for (unsigned i = 0; i < t->count; i++) {
        object_unref(t->ops[i].object);
    }
    t->count = 0;
    t->size_bytes = 0;
    t->has_id = false;
}

void txn_close(struct txn *t)
{
    drop_ops(t);
    free(t->ops);
    t->ops = NULL;
    t->cap = 0;
    arena_close(&t->arena);
}

void txn_reset(struct txn *t)
{
    drop_ops(t);
    arena_close(&t->arena);
    arena_init(&t->arena);
}

void txn_set_id(struct txn *t, const uint8_t id[TXN_ID_SIZE])
{
    memcpy(t->id, id, TXN_ID_SIZE);
    t->has_id = true;
}

void txn_mark_uid(const uint8_t id[TXN_ID_SIZE], char uid[TXN_UID_MARK])
{
    char text[TXN_UID_MARK + 1];
    snprintf(text, sizeof text, "%08x", (unsigned)(XXH3_64bits(id, TXN_ID_SIZE) & 0xffffffffu));
    memcpy(uid, text, TXN_UID_MARK);
}

bool txn_made_uid(const uint8_t id[TXN_ID_SIZE], struct str uid)
{
    char mark[TXN_UID_MARK];
    txn_mark_uid(id, mark);
    return str_starts(uid, (struct str){mark, sizeof mark});
}

static struct txn_op *add_op(struct txn *t, enum txn_op_type type, const struct kind *k)
{
    assert(k != NULL);
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 8 : t->cap * 2;
        t->ops = xrealloc(t->ops, t->cap * sizeof *t->ops);
    }
    struct txn_op *op = &t->ops[t->count++];
    assert(t->count <= t->cap);
    *op = (struct txn_op){.type = type, .part = TXN_PART_ALL, .kind = k};
    return op;
}

static struct txn_op *add_object(struct txn *t, enum txn_op_type type, struct object *o)
{
    struct txn_op *op = add_op(t, type, o->kind);
    op->object = o;
    op->ns = o->ns; /* lives in the object, which the operation holds */
    op->name = o->name;
    t->size_bytes += o->body_size;
    assert(t->size_bytes >= o->body_size);
    return op;
}

static struct str copy_str(struct txn *t, struct str s)
{
    return str_empty(s) ? STR_NONE : (struct str){arena_strndup(&t->arena, s.p, s.n), s.n};
}

void txn_create(struct txn *t, struct object *o)
{
    add_object(t, TXN_CREATE, o);
}

struct txn_op *txn_update(struct txn *t, struct object *o, enum txn_part part, uint64_t if_revision)
{
    struct txn_op *op = add_object(t, TXN_UPDATE, o);
    op->part = part;
    op->if_revision = if_revision;
    return op;
}

struct txn_op *txn_delete(struct txn *t, const struct object *o)
{
    struct txn_op *op = add_op(t, TXN_DELETE, o->kind);
    op->ns = copy_str(t, o->ns);
    op->name = copy_str(t, o->name);
    op->if_uid = copy_str(t, o->uid);
    return op;
}

struct txn_op *txn_check(struct txn *t, const struct kind *k, struct str ns, struct str name, uint64_t if_revision)
{
    struct txn_op *op = add_op(t, TXN_CHECK, k);
    op->ns = k->namespaced ? copy_str(t, ns) : STR_NONE;
    op->name = copy_str(t, name);
    op->if_revision = if_revision;
    return op;
}

/* What controllers make is made of what users wrote: a document that is no object is an error of this transaction,
 * never of the process. */
static int encode(const struct kind *k, const struct value *doc, struct object **out, struct error *err)
{
    struct error why = {0};
    int rc = object_from_value(k, doc, 0, out, &why);
    if (rc != 0 && err != NULL) {
        *err = why;
    }
    return rc;
}

int txn_create_value(struct txn *t, const struct kind *k, const struct value *doc, struct error *err)
{
    struct object *o = NULL;
    int rc = encode(k, doc, &o, err);
    if (rc == 0) {
        txn_create(t, o);
    }
    return rc;
}

int txn_update_value(struct txn *t, const struct kind *k, const struct value *doc, enum txn_part part,
                     uint64_t if_revision, struct error *err)
{
    struct object *o = NULL;
    int rc = encode(k, doc, &o, err);
    if (rc == 0) {
        txn_update(t, o, part, if_revision);
    }
    return rc;
}

/* ---- Text ---- */

static const char *const type_names[] = {"create", "update", "delete", "check"};

static void write_key(struct buf *out, const struct txn_op *op)
{
    buf_printf(out, "%s ", op->kind->plural);
    if (!str_empty(op->ns)) {
        buf_printf(out, "%.*s/", STR_ARG(op->ns));
    }
    buf_append_str(out, op->name);
}

static void write_field(struct buf *out, const struct value *doc, const char *path)
{
    const struct value *v = value_path(doc, path);
    if (!value_is_null(v)) {
        buf_printf(out, " %s=", path);
        json_write(out, v, 0);
    }
}

static void write_object(struct buf *out, const struct txn_op *op)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct value *doc = object_to_value(&a, op->object);
    size_t start = out->size;
    static const char *const meta[] = {"metadata.labels", "metadata.annotations", "metadata.finalizers",
                                       "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds"};
    if (op->type == TXN_CREATE || op->part != TXN_PART_STATUS) {
        for (unsigned i = 0; i < ARRAY_SIZE(meta); i++) {
            write_field(out, doc, meta[i]);
        }
        for (unsigned i = 0; i < doc->map.count && !op->kind->secret; i++) {
            struct str key = doc->map.members[i].key;
            if (!str_is(key, "apiVersion") && !str_is(key, "kind") && !str_is(key, "metadata") &&
                !str_is(key, "status")) {
                write_field(out, doc, arena_strndup(&a, key.p, key.n));
            }
        }
    }
    if (op->part != TXN_PART_SPEC) {
        write_field(out, doc, "status");
    }
    if (out->size - start > TXN_TEXT_MAX) {
        out->size = start + TXN_TEXT_MAX;
        buf_puts(out, "...");
    }
}

void txn_write_text(struct buf *out, const struct txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        buf_printf(out, "%s ", type_names[op->type]);
        write_key(out, op);
        if (op->type == TXN_UPDATE && op->part != TXN_PART_ALL) {
            buf_puts(out, op->part == TXN_PART_SPEC ? " part=spec" : " part=status");
        }
        if (op->type == TXN_CHECK && op->if_revision == UINT64_MAX) {
            buf_puts(out, " if-absent");
        } else if (op->if_revision != 0) {
            buf_printf(out, " if-revision=%llu", (unsigned long long)op->if_revision);
        }
        if (!str_empty(op->if_uid)) {
            buf_printf(out, " if-uid=%.*s", STR_ARG(op->if_uid));
        }
        if (op->object != NULL) {
            write_object(out, op);
        }
        buf_putc(out, '\n');
    }
}
