#include "raft-store/store/snapshot.h"

#include <assert.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/le.h"
#include "base/mem.h"
#include "proto/pki/pki.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/store_int.h"
#include "raft-store/store/view_edit.h"

static const uint8_t magic[4] = {'R', 'V', 'S', '1'};
#define SNAPSHOT_VERSION     2u
#define SNAPSHOT_VERSION_MIN 1u
#define HEAD_SIZE            8u
#define BLOCK_HEAD_SIZE      16u
#define TRAILER_SIZE         40u
/* Raw size of a block: one record may be as large as an object, sealed, with its key beside it (which the body holds
 * as well). */
#define BLOCK_RAW_MAX (SNAPSHOT_BLOCK + 2 * OBJECT_SIZE_MAX + 4096u)
/* No store gets there; above, counting in revisions would overflow. */
#define SNAPSHOT_REVISION_MAX (UINT64_MAX / 2)
/* From RECORD_OPTIONAL on what is not known is passed over. */
enum { RECORD_OBJECT = 1, RECORD_ID = 2, RECORD_ID_MARKS = 3, RECORD_OPTIONAL = 128, RECORD_EVENTS = RECORD_OPTIONAL };
#define MARK_SIZE 8u

/* ---- Writing ---- */

struct writer {
    int (*sink)(void *data, const void *p, size_t n);
    void *data;
    uint64_t block;      /* number of the next block */
    uint64_t newest_max; /* no revision in it is above */
    struct buf raw, packed, aad, sealed;
};

static int sink_all(struct writer *w, const uint8_t *p, size_t n)
{
    assert(p != NULL && n > 0);
    while (n > 0) {
        size_t part = MIN(n, SNAPSHOT_CHUNK);
        int rc = w->sink(w->data, p, part);
        if (rc != 0) {
            return rc;
        }
        p += part;
        n -= part;
    }
    return 0;
}

static int close_block(struct writer *w)
{
    if (w->raw.size == 0) {
        return 0;
    }
    assert(w->raw.size <= BLOCK_RAW_MAX);
    int room = LZ4_compressBound((int)w->raw.size);
    buf_reset(&w->packed);
    uint8_t *to = buf_reserve(&w->packed, BLOCK_HEAD_SIZE + (size_t)room) + BLOCK_HEAD_SIZE;
    size_t packed = (size_t)LZ4_compress_default((const char *)w->raw.data, (char *)to, (int)w->raw.size, room);
    if (packed == 0 || packed >= w->raw.size) {
        packed = w->raw.size;
        memcpy(to, w->raw.data, packed);
    }
    buf_put_u32(&w->packed, (uint32_t)packed);
    buf_put_u32(&w->packed, (uint32_t)w->raw.size);
    buf_put_u64(&w->packed, XXH3_64bits_withSeed(to, packed, w->block++));
    assert(packed > 0 && packed <= w->raw.size); /* as next_block wants it */
    w->packed.size += packed;
    buf_reset(&w->raw);
    return sink_all(w, w->packed.data, w->packed.size);
}

static void write_object(struct writer *w, const struct object *o, const uint8_t *key)
{
    bool seal = key != NULL && o->kind->secret;
    assert(o->body_size > 0 && o->body_size <= OBJECT_SIZE_MAX);
    assert((unsigned)o->kind->id <= KIND_ID_MAX && o->revision <= w->newest_max); /* the trailer's is not below */
    buf_put_u8(&w->raw, RECORD_OBJECT);
    varint_write(&w->raw, o->kind->id);
    buf_put_u8(&w->raw, seal);
    varint_write(&w->raw, o->revision);
    if (seal) {
        varint_write_str(&w->raw, o->ns);
        varint_write_str(&w->raw, o->name);
        buf_reset(&w->aad);
        buf_reset(&w->sealed);
        entry_write_aad(&w->aad, o->kind->id, o->ns, o->name);
        struct str body = {(const char *)object_body(o), o->body_size};
        int rc = pki_seal(key, buf_str(&w->aad), body, &w->sealed);
        assert(rc == 0);
        (void)rc;
        varint_write_str(&w->raw, buf_str(&w->sealed));
    } else {
        varint_write(&w->raw, o->body_size);
        object_append_body(&w->raw, o);
    }
}

/* What the events behind it must be. */
static void write_events_head(struct writer *w, const struct view *v)
{
    struct view_hash hash = view_events_hash(v);
    struct buf text = BUF_INIT;
    varint_write(&text, view_count(v, kind_by_id(KIND_EVENT)));
    buf_put_u64(&text, hash.lo);
    buf_put_u64(&text, hash.hi);
    buf_put_u8(&w->raw, RECORD_EVENTS);
    varint_write_str(&w->raw, buf_str(&text));
    buf_close(&text);
}

static void write_id(struct writer *w, const struct txnid *id)
{
    assert(id->revision > 0 && id->marks_count <= TXN_OPS_MAX); /* as read_id wants it */
    buf_put_u8(&w->raw, id->marks_count > 0 ? RECORD_ID_MARKS : RECORD_ID);
    buf_append(&w->raw, id->id, TXN_ID_SIZE);
    varint_write(&w->raw, id->revision);
    if (id->marks_count > 0) {
        varint_write(&w->raw, id->marks_count);
        for (uint32_t i = 0; i < id->marks_count; i++) {
            assert((txnid_marks(id)[i] & 3) != TXN_DONE_UNCHANGED);
            buf_put_u64(&w->raw, txnid_marks(id)[i]);
        }
    }
}

static int write_trailer(struct writer *w, const struct snapshot_source *from)
{
    struct view_hash hash = view_state_hash(from->view);
    buf_put_u64(&w->raw, view_revision(from->view));
    buf_put_u64(&w->raw, view_count(from->view, NULL));
    buf_put_u64(&w->raw, from->ids_count);
    buf_put_u64(&w->raw, hash.lo);
    buf_put_u64(&w->raw, hash.hi);
    assert(w->raw.size == TRAILER_SIZE);
    buf_reset(&w->packed);
    buf_put_u32(&w->packed, 0);
    buf_put_u32(&w->packed, 0);
    buf_put_u64(&w->packed, XXH3_64bits_withSeed(w->raw.data, TRAILER_SIZE, w->block));
    buf_append(&w->packed, w->raw.data, TRAILER_SIZE);
    return sink_all(w, w->packed.data, w->packed.size);
}

static int write_all(struct writer *w, const struct snapshot_source *from)
{
    uint8_t head[HEAD_SIZE] = {magic[0], magic[1], magic[2], magic[3], SNAPSHOT_VERSION, 0, 0, 0};
    int rc = sink_all(w, head, sizeof head);
    struct view_iter it;
    view_iter_all(&it, from->view);
    bool told = from->level < RELEASE_LEVEL_CARRIED;
    for (const struct object *o; rc == 0 && (o = view_next(&it)) != NULL;) {
        if (!told && o->kind->id == KIND_EVENT) { /* the first: all others stand behind it */
            write_events_head(w, from->view);
            told = true;
        }
        write_object(w, o, from->seal_key);
        rc = w->raw.size >= SNAPSHOT_BLOCK ? close_block(w) : 0;
    }
    for (uint32_t i = 0; rc == 0 && i < from->ids_count; i++) {
        assert(from->ids[i].revision <= view_revision(from->view));
        assert(i == 0 || from->ids[i - 1].revision < from->ids[i].revision);
        write_id(w, &from->ids[i]);
        rc = w->raw.size >= SNAPSHOT_BLOCK ? close_block(w) : 0;
    }
    if (rc == 0) {
        rc = close_block(w);
    }
    return rc == 0 ? write_trailer(w, from) : rc;
}

int snapshot_write(const struct snapshot_source *from, int (*sink)(void *data, const void *p, size_t n), void *data)
{
    struct writer w = {.sink = sink, .data = data, .newest_max = view_revision(from->view)};
    assert(w.newest_max <= SNAPSHOT_REVISION_MAX);
    int rc = write_all(&w, from);
    buf_close(&w.raw);
    buf_close(&w.packed);
    buf_close(&w.aad);
    buf_close(&w.sealed);
    return rc;
}

/* ---- Reading ---- */

struct reader {
    const uint8_t *p, *end;
    uint64_t block;
    uint64_t newest; /* revision of any record: the trailer's is not below */
    bool events_told;
    uint64_t events; /* as told */
    struct view_hash events_hash;
    struct pack *pack;
    struct error *err;
    struct buf raw, aad, opened, marks;
};

static int damaged(const struct reader *r, const char *what)
{
    return error_set(r->err, ERR_CORRUPT, "snapshot: %s (block %llu)", what, (unsigned long long)r->block);
}

static int newer(const struct reader *r, const char *what)
{
    return error_set(r->err, ERR_UNSUPPORTED,
                     "snapshot: %s: it was written by a newer reeve-master; nothing is damaged, but a program of that "
                     "version is needed here (block %llu)",
                     what, (unsigned long long)r->block);
}

static int open_head(struct reader *r)
{
    if (r->end - r->p < (ptrdiff_t)HEAD_SIZE || memcmp(r->p, magic, 4) != 0) {
        return damaged(r, "does not begin like one of Reeve's");
    }
    uint32_t version = le_load_u32(r->p + 4);
    if (version < SNAPSHOT_VERSION_MIN || version > SNAPSHOT_VERSION) {
        char what[80];
        snprintf(what, sizeof what, "its head says format %u, flags 0x%x", version & 0xffff, version >> 16);
        return newer(r, what); /* no checksum covers the head: who has the hash of all looks (snapfile_tell_damage) */
    }
    r->p += HEAD_SIZE;
    return 0;
}

struct trailer {
    uint64_t revision, objects, ids;
    struct view_hash hash;
};

static int read_trailer(struct reader *r, struct trailer *t)
{
    if (r->end - r->p != BLOCK_HEAD_SIZE + TRAILER_SIZE) {
        return damaged(r, "does not end with a trailer");
    }
    const uint8_t *p = r->p + BLOCK_HEAD_SIZE;
    if (le_load_u64(r->p + 8) != XXH3_64bits_withSeed(p, TRAILER_SIZE, r->block)) {
        return damaged(r, "the trailer's checksum does not fit");
    }
    *t = (struct trailer){
        le_load_u64(p), le_load_u64(p + 8), le_load_u64(p + 16), {le_load_u64(p + 24), le_load_u64(p + 32)}};
    r->p = r->end;
    return 0;
}

/* Checks the next block; *last: it is the trailer, which has been read. Otherwise packed bytes and raw size. */
static int next_block(struct reader *r, bool *last, struct trailer *t, const uint8_t **packed, uint32_t *packed_size,
                      uint32_t *raw_size)
{
    if (r->end - r->p < (ptrdiff_t)BLOCK_HEAD_SIZE) {
        return damaged(r, "is cut short");
    }
    *packed_size = le_load_u32(r->p);
    *raw_size = le_load_u32(r->p + 4);
    *packed = r->p + BLOCK_HEAD_SIZE;
    *last = *packed_size == 0;
    if (*last) {
        if (*raw_size != 0) { /* no checksum covers it */
            return damaged(r, "the trailer claims a size");
        }
        return read_trailer(r, t);
    }
    if (*packed_size > *raw_size || *raw_size > BLOCK_RAW_MAX ||
        *packed_size > (size_t)(r->end - r->p) - BLOCK_HEAD_SIZE) {
        return damaged(r, "a block claims a size that cannot be");
    }
    if (le_load_u64(r->p + 8) != XXH3_64bits_withSeed(*packed, *packed_size, r->block)) {
        return damaged(r, "a block's checksum does not fit");
    }
    r->p += BLOCK_HEAD_SIZE + *packed_size;
    assert(r->p <= r->end && *packed_size > 0);
    r->block++;
    return 0;
}

static int read_object(struct reader *r, const uint8_t **p, const uint8_t *end, const struct pki_ring *keys,
                       struct view *v)
{
    uint64_t kind, revision;
    struct str ns, name, body;
    if (!varint_read(p, end, &kind) || *p == end) {
        return damaged(r, "an object is cut short");
    }
    uint8_t sealed = *(*p)++;
    if (sealed > 1 || !varint_read(p, end, &revision) ||
        (sealed && (!varint_read_str(p, end, &ns) || !varint_read_str(p, end, &name))) ||
        !varint_read_str(p, end, &body)) {
        return damaged(r, "an object is cut short");
    }
    const struct kind *k = kind > KIND_ID_MAX ? NULL : kind_stored((unsigned)kind);
    if (k == NULL) {
        return newer(r, "an object's kind has a number above all that this program can keep");
    }
    if (sealed) {
        buf_reset(&r->aad);
        buf_reset(&r->opened);
        entry_write_aad(&r->aad, (unsigned)kind, ns, name);
        if (keys == NULL || pki_ring_open(keys, buf_str(&r->aad), body, &r->opened) != 0) {
            CLEANUP_FREE char *what = xasprintf("a sealed object cannot be opened: %s", store_no_key_fits(keys));
            return damaged(r, what);
        }
        body = buf_str(&r->opened);
    }
    struct object *o = NULL;
    r->newest = MAX(r->newest, revision);
    int rc = object_from_body(k, body.p, body.n, revision, &o, r->err);
    if (sealed) {
        mem_wipe(r->opened.data, r->opened.size);
    }
    if (rc == 0) {
        struct object *twice = view_put(v, o);
        rc = twice == NULL ? 0 : damaged(r, "an object is there twice");
        object_unref(twice);
        object_unref(o);
    }
    return rc;
}

/* Marks are copied, as they need not be aligned here. */
static int read_id(struct reader *r, bool with_marks, const uint8_t **p, const uint8_t *end, struct txnids *ids)
{
    const uint8_t *id = *p;
    uint64_t revision, count = 0;
    *p += TXN_ID_SIZE;
    if (!varint_read(p, end, &revision) || revision == 0 || (with_marks && !varint_read(p, end, &count)) ||
        count > (size_t)(end - *p) / MARK_SIZE || (with_marks && (count == 0 || count > TXN_OPS_MAX))) {
        return damaged(r, "a transaction id is cut short");
    }
    if (revision <= txnids_newest(ids)) {
        return damaged(r, "transaction ids are not in order");
    }
    buf_reset(&r->marks);
    for (uint64_t i = 0; i < count; i++, *p += MARK_SIZE) {
        txnid_mark mark = le_load_u64(*p);
        if ((mark & 3) == TXN_DONE_UNCHANGED) {
            return damaged(r, "a transaction is said to have changed what it did not change");
        }
        buf_append(&r->marks, &mark, sizeof mark);
    }
    r->newest = MAX(r->newest, revision);
    txnids_add(ids, id, revision, (const txnid_mark *)r->marks.data, (uint32_t)count);
    return 0;
}

/* Whatever may follow in it is a newer program's. */
static int read_events_head(struct reader *r, const uint8_t **p, const uint8_t *end)
{
    struct str text;
    if (!varint_read_str(p, end, &text)) {
        return damaged(r, "a record is cut short");
    }
    const uint8_t *at = (const uint8_t *)text.p, *text_end = at + text.n;
    if (!varint_read(&at, text_end, &r->events) || text_end - at < 16 || r->events_told) {
        return damaged(r, "what it says of its events makes no sense");
    }
    r->events_told = true;
    r->events_hash = (struct view_hash){le_load_u64(at), le_load_u64(at + 8)};
    return 0;
}

static bool events_fit(const struct reader *r, const struct view *v)
{
    struct view_hash hash = view_events_hash(v);
    return !r->events_told || (r->events == view_count(v, kind_by_id(KIND_EVENT)) && r->events_hash.lo == hash.lo &&
                               r->events_hash.hi == hash.hi);
}

static int read_records(struct reader *r, const struct pki_ring *keys, struct view *v, struct txnids *ids,
                        uint64_t *ids_count)
{
    const uint8_t *p = r->raw.data, *end = p + r->raw.size;
    int rc = 0;
    while (rc == 0 && p < end) {
        uint8_t type = *p++;
        if (type == RECORD_OBJECT) {
            rc = read_object(r, &p, end, keys, v);
        } else if ((type == RECORD_ID || type == RECORD_ID_MARKS) && end - p > TXN_ID_SIZE) {
            rc = read_id(r, type == RECORD_ID_MARKS, &p, end, ids);
            (*ids_count)++;
        } else if (type == RECORD_EVENTS) {
            rc = read_events_head(r, &p, end);
        } else if (type > RECORD_OPTIONAL) {
            struct str passed;
            rc = varint_read_str(&p, end, &passed) ? 0 : damaged(r, "a record is cut short");
        } else {
            rc = type == RECORD_ID || type == RECORD_ID_MARKS
                     ? damaged(r, "a transaction id is cut short")
                     : newer(r, "there is a record of a type that is not known");
        }
    }
    assert(rc != 0 || p == end);
    return rc;
}

static int read_all(struct reader *r, const struct pki_ring *keys, struct view *v, struct txnids *ids)
{
    uint64_t ids_count = 0;
    int rc = open_head(r);
    while (rc == 0) {
        struct trailer t;
        const uint8_t *packed;
        uint32_t packed_size, raw_size;
        bool last;
        rc = next_block(r, &last, &t, &packed, &packed_size, &raw_size);
        if (rc != 0) {
            break;
        }
        if (last && !events_fit(r, v)) {
            return damaged(r, "the events in it are not those that were written");
        }
        if (last) {
            struct view_hash hash = view_state_hash(v);
            if (t.objects != view_count(v, NULL) || t.ids != ids_count || t.hash.lo != hash.lo ||
                t.hash.hi != hash.hi || t.revision < r->newest || t.revision > SNAPSHOT_REVISION_MAX) {
                return damaged(r, "what was read is not what was written");
            }
            view_set_revision(v, t.revision);
            return 0;
        }
        buf_reset(&r->raw);
        uint8_t *to = buf_reserve(&r->raw, raw_size);
        if (packed_size == raw_size) {
            memcpy(to, packed, raw_size);
        } else if (LZ4_decompress_safe((const char *)packed, (char *)to, (int)packed_size, (int)raw_size) !=
                   (int)raw_size) {
            return damaged(r, "a block cannot be unpacked");
        }
        r->raw.size = raw_size;
        rc = read_records(r, keys, v, ids, &ids_count);
        if (r->pack != NULL) {
            pack_rest(r->pack, v);
        }
    }
    return rc;
}

int snapshot_read(const void *p, size_t n, const struct pki_ring *seal_keys, struct pack *pack, struct view **out,
                  struct txnids *ids, struct error *err)
{
    struct reader r = {.p = p, .end = (const uint8_t *)p + n, .pack = pack, .err = err};
    struct view *v = view_new();
    if (pack != NULL) {
        pack_anew(pack);
    }
    int rc = read_all(&r, seal_keys, v, ids);
    buf_close(&r.raw);
    buf_close(&r.aad);
    buf_wipe(&r.opened);
    buf_close(&r.marks);
    if (rc == 0) {
        txnids_settle(ids, view_revision(v));
    }
    if (rc != 0) {
        view_unref(v);
        v = NULL;
    }
    *out = v;
    return rc;
}

int snapshot_check(const void *p, size_t n, struct error *err)
{
    struct reader r = {.p = p, .end = (const uint8_t *)p + n, .err = err};
    int rc = open_head(&r);
    bool last = false;
    while (rc == 0 && !last) {
        struct trailer t;
        const uint8_t *packed;
        uint32_t packed_size, raw_size;
        rc = next_block(&r, &last, &t, &packed, &packed_size, &raw_size);
    }
    return rc;
}

static_assert(SNAPSHOT_END_SIZE == BLOCK_HEAD_SIZE + TRAILER_SIZE, "the end is the trailer");

bool snapshot_end(const void *p, size_t n, uint64_t *revision, struct view_hash *hash)
{
    if (n < SNAPSHOT_END_SIZE) {
        return false;
    }
    const uint8_t *head = (const uint8_t *)p + n - SNAPSHOT_END_SIZE, *trailer = head + BLOCK_HEAD_SIZE;
    *revision = le_load_u64(trailer);
    *hash = (struct view_hash){le_load_u64(trailer + 24), le_load_u64(trailer + 32)};
    return le_load_u64(head) == 0;
}

/* ---- The store's side ---- */

struct store_fork {
    struct view *view;
    struct txnid *ids;
    uint32_t ids_count;
    unsigned level;
    bool has_key;
    uint8_t key[PKI_SEAL_KEY_SIZE];
};

struct store_fork *store_fork_new(struct store *s)
{
    struct store_fork *f = xcalloc(1, sizeof *f);
    f->view = view_ref(s->committed);
    f->ids = txnids_copy(&s->ids, view_revision(f->view), &f->ids_count);
    f->level = s->level;
    assert(f->ids_count == 0 || f->ids[f->ids_count - 1].revision <= view_revision(f->view));
    f->has_key = s->keys.count > 0;
    if (f->has_key) {
        memcpy(f->key, pki_ring_sealing(&s->keys), sizeof f->key);
    }
    return f;
}

void store_fork_drop(struct store_fork *f)
{
    view_unref(TAKE_PTR(f->view));
    txnids_copy_free(TAKE_PTR(f->ids), f->ids_count);
}

void store_fork_free(struct store_fork *f)
{
    if (f == NULL) {
        return;
    }
    store_fork_drop(f);
    mem_wipe(f->key, sizeof f->key);
    free(f);
}

int store_fork_write(const struct store_fork *f, int (*sink)(void *data, const void *p, size_t n), void *data)
{
    struct snapshot_source from = {f->view, f->ids, f->ids_count, store_fork_key(f), f->level};
    return snapshot_write(&from, sink, data);
}

const uint8_t *store_fork_key(const struct store_fork *f)
{
    return f->has_key ? f->key : NULL;
}

const struct view *store_fork_view(const struct store_fork *f)
{
    return f->view;
}

uint32_t store_fork_ids(const struct store_fork *f)
{
    return f->ids_count;
}

void store_rebase(struct store *s, uint64_t revision)
{
    uint64_t now = view_revision(s->committed);
    assert(list_empty(&s->flights));
    assert(s->tip == NULL && !s->broken && revision >= now);
    uint32_t count;
    struct txnid *ids = txnids_copy(&s->ids, now, &count);
    txnids_clear(&s->ids);
    for (uint32_t i = 0; i < count; i++) {
        txnids_add(&s->ids, ids[i].id, ids[i].revision + (revision - now), txnid_marks(&ids[i]), ids[i].marks_count);
    }
    txnids_settle(&s->ids, revision);
    txnids_copy_free(ids, count);
    struct view *v = view_fork(s->committed);
    view_set_revision(v, revision);
    view_unref(s->committed);
    s->committed = v;
    history_restart(&s->history, revision);
    assert(view_revision(s->committed) == revision && txnids_newest(&s->ids) <= revision);
}

int store_restore(struct store *s, const void *p, size_t n, uint64_t index, struct error *err)
{
    struct txnids ids;
    struct view *v;
    txnids_init(&ids, (unsigned)s->ids.max);
    int rc = snapshot_read(p, n, &s->keys, &s->pack, &v, &ids, err);
    if (rc != 0) {
        txnids_close(&ids);
        return rc;
    }
    store_tip_drop(s);
    txnids_close(&s->ids);
    s->ids = ids;
    view_unref(s->committed);
    s->committed = v;
    s->applied_index = index;
    s->broken = false;
    history_restart(&s->history, view_revision(v));
    assert(s->tip == NULL && txnids_newest(&s->ids) <= view_revision(v));
    return 0;
}
