/* The leader's evaluation: a world's (world.c), and the way of its effects into the open batch. */
#include <assert.h>
#include <string.h>

#include "raft-store/store/body.h"
#include "raft-store/store/store_int.h"

/* A splice must save this many bytes over the whole body. */
#define SPLICE_GAIN_MIN 16u

/* ---- Effects ---- */

static void write_effect(struct store *s, const struct change *c)
{
    const struct object *key = c->new != NULL ? c->new : c->old;
    struct effect effect = {.type = EFFECT_DELETE, .kind_id = key->kind->id, .ns = key->ns, .name = key->name};
    if (c->new != NULL) {
        struct str body = {(const char *)object_body(c->new), c->new->body_size};
        effect.type = EFFECT_PUT;
        effect.bytes = body;
        if (store_seals(s, key->kind->id)) {
            buf_reset(&s->aad);
            buf_reset(&s->sealed);
            entry_write_aad(&s->aad, key->kind->id, key->ns, key->name);
            int rc = pki_seal(pki_ring_sealing(&s->keys), buf_str(&s->aad), body, &s->sealed);
            assert(rc == 0);
            (void)rc;
            effect.sealed = true;
            effect.bytes = buf_str(&s->sealed);
        } else if (c->old != NULL) {
            size_t at, tail;
            body_common_ends(object_body(c->old), c->old->body_size, body.p, body.n, &at, &tail);
            assert(at + tail <= MIN(c->old->body_size, body.n));
            if (at + tail >= SPLICE_GAIN_MIN) {
                effect.type = EFFECT_SPLICE;
                effect.at = at;
                effect.removed = c->old->body_size - at - tail;
                effect.bytes = (struct str){body.p + at, body.n - at - tail};
            }
        }
    }
    entry_write_effect(&s->batch.payload, &effect);
}

static void commit_to_batch(struct store *s, const struct txn *t)
{
    const struct history_txn *done = &s->tip->last->txn;
    struct entry_txn head = {.revision = done->revision,
                             .numbered = done->numbered,
                             .has_id = t->has_id,
                             .id = t->id,
                             .wall_ms = s->tip->wall_ms,
                             .count = done->count};
    if (store_writes_news(s) && s->release->entry_extra != NULL) {
        head.extra = str_of(s->release->entry_extra);
    }
    if (t->own_status && store_level(s) >= RELEASE_LEVEL_CARRIED) {
        head.extra = STR(ENTRY_EXTRA_OWN);
    }
    size_t size = s->batch.payload.size;
    assert(head.revision == view_revision(s->tip->view) && head.count > 0);
    entry_write_txn(&s->batch.payload, &head);
    for (unsigned i = 0; i < done->count; i++) {
        write_effect(s, &done->changes[i]);
    }
    assert(s->batch.payload.size > size + done->count); /* an effect has more than one byte: what its reader leans on */
    if (t->has_id) {
        buf_reset(&s->marks);
        store_write_marks(&s->marks, done->changes, done->count);
        txnids_add(&s->ids, t->id, done->revision, (const txnid_mark *)s->marks.data, done->count);
    }
}

int store_eval(struct store *s, const struct txn *t, struct txn_result *result, struct error *err)
{
    assert(s->tip != NULL && !s->broken);
    uint64_t now = view_revision(s->tip->view);
    uint64_t before = t->has_id ? txnids_find(&s->ids, t->id, now) : 0;
    if (before != 0) {
        s->tip->last = NULL;
        *result = (struct txn_result){.revision = before, .repeated = true};
        return 0;
    }
    struct view_hash hash = view_state_hash(s->tip->view);
    bool first = store_batch_empty(s);
    uint64_t dropped = s->tip->events_dropped;
    int rc = world_eval(s->tip, t, result, err);
    s->events_dropped += s->tip->events_dropped - dropped;
    if (rc != 0 || result->unchanged) {
        assert(view_revision(s->tip->view) == now);
        return rc;
    }
    assert(result->revision > now && result->revision == view_revision(s->tip->view));
    if (first) {
        s->batch.before = hash;
    }
    commit_to_batch(s, t);
    return 0;
}

const struct change *store_last_changes(const struct store *s, unsigned *count)
{
    *count = 0;
    return s->tip == NULL ? NULL : world_last_changes(s->tip, count);
}
