/* The store's two versions and how they move. committed moves by store_apply alone. The tip runs ahead of it by the
 * flights (closed batches in Raft's hands, in order) and the open batch:
 *
 *   committed --flight 1--> --flight 2--> ... --open batch--> tip
 *
 * A leader applies its own entry by popping the first flight, whose version becomes committed. The other members decode
 * the entry's effects onto a fork of committed. Both must give the same state; the hash in the next entry shows it. */
#include "raft-store/store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "raft-store/store/store_int.h"

#define HISTORY_BYTES_DEFAULT (64u << 20)
#define TXN_IDS_DEFAULT       65536u
#define EVENTS_BYTES_DEFAULT  (64u << 20)

/* So many objects are visited for each that the history is done with: where all change now and then, few are left as
 * they were for long. */
#define PACK_VISITS_EACH  8u
#define PACK_VISITS_MAX   4096u /* in a turn: some 100 ns each */
#define PACK_TRIES_MAX    256u  /* in a turn: some microseconds each */
#define PACK_VISITS_EARLY 32u   /* for each revision, in tests */

struct store *store_new(const struct store_config *config)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->env = config->env;
    s->log = config->log;
    s->events_bytes_max = config->events_bytes_max == 0 ? EVENTS_BYTES_DEFAULT : config->events_bytes_max;
    s->release = config->release != NULL ? config->release : &release;
    if (config->seal_keys != NULL) {
        s->keys = *config->seal_keys;
    }
    s->committed = view_new();
    txnids_init(&s->ids, config->txn_ids_max == 0 ? TXN_IDS_DEFAULT : config->txn_ids_max);
    s->pack_early = config->pack_early;
    history_init(&s->history, config->history_bytes_max == 0 ? HISTORY_BYTES_DEFAULT : config->history_bytes_max);
    list_init(&s->flights);
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    store_tip_drop(s);
    view_unref(s->committed);
    history_close(&s->history);
    txnids_close(&s->ids);
    pack_close(&s->pack);
    changes_clear(&s->changes);
    free(s->changes.items);
    buf_close(&s->batch.payload);
    buf_wipe(&s->body);
    buf_close(&s->sealed);
    buf_close(&s->aad);
    buf_close(&s->payload);
    buf_close(&s->marks);
    pki_ring_wipe(&s->keys);
    free(s);
}

void store_set_seal_keys(struct store *s, const struct pki_ring *keys)
{
    assert(keys->count > 0);
    s->keys = *keys;
}

const char *store_no_key_fits(const struct pki_ring *keys)
{
    return keys == NULL || keys->count == 0
               ? "this master has no key"
               : "none of the keys in seal.key fits: either it is damaged, or the key was replaced (rctl cert "
                 "rotate-seal) while this master was away";
}

const struct view *store_committed(const struct store *s)
{
    return s->committed;
}

const struct view *store_tip(const struct store *s)
{
    return s->tip == NULL ? NULL : s->tip->view;
}

uint64_t store_applied_index(const struct store *s)
{
    return s->applied_index;
}

static const struct view *newest(const struct store *s)
{
    return s->tip != NULL ? s->tip->view : s->committed;
}

uint64_t store_transactions(const struct store *s)
{
    return s->transactions;
}

bool store_find_txn(const struct store *s, const uint8_t id[TXN_ID_SIZE], uint64_t *revision)
{
    uint64_t found = txnids_find(&s->ids, id, view_revision(newest(s)));
    if (found != 0 && revision != NULL) {
        *revision = found;
    }
    return found != 0;
}

/* ---- What a remembered transaction did ---- */

static enum txn_done change_done(const struct change *c)
{
    return c->new == NULL ? TXN_DONE_DELETED : c->old == NULL ? TXN_DONE_CREATED : TXN_DONE_CHANGED;
}

void store_write_marks(struct buf *out, const struct change *changes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct object *o = changes[i].new != NULL ? changes[i].new : changes[i].old;
        txnid_mark mark = txnid_mark_of(o->kind, o->ns, o->name, change_done(&changes[i]));
        buf_append(out, &mark, sizeof mark);
    }
}

static const struct history_txn *find_record(const struct records *l, uint64_t revision)
{
    for (const struct record *r = l->first; r != NULL; r = r->next) {
        if (r->txn.revision == revision) {
            return &r->txn;
        }
    }
    return NULL;
}

bool store_past(const struct store *s, const uint8_t id[TXN_ID_SIZE], struct txn_past *out)
{
    const struct txnid *e = txnids_get(&s->ids, id, view_revision(newest(s)));
    *out = (struct txn_past){0};
    if (e == NULL) {
        return false;
    }
    *out = (struct txn_past){.revision = e->revision, .id = e};
    if (e->revision <= view_revision(s->committed)) {
        store_history_next((struct store *)s, e->revision - 1, &out->txn);
        return true;
    }
    out->txn = find_record(&s->tip->records, e->revision);
    LIST_FOR(it, &s->flights)
    {
        if (out->txn == NULL) {
            out->txn = find_record(&LIST_ENTRY(it, struct flight, link)->records, e->revision);
        }
    }
    return true;
}

static enum txn_done did_by_changes(struct txn_past *p, const struct kind *k, struct str ns, struct str name,
                                    const struct object **object)
{
    for (unsigned n = 0; n < p->txn->count; n++) {
        unsigned i = (p->at + n) % p->txn->count;
        const struct change *c = &p->txn->changes[i];
        const struct object *o = c->new != NULL ? c->new : c->old;
        if (o->kind == k && str_eq(o->name, name) && str_eq(o->ns, ns)) {
            p->at = i + 1;
            *object = o;
            return change_done(c);
        }
    }
    return TXN_DONE_UNCHANGED;
}

static enum txn_done did_by_marks(struct txn_past *p, const struct kind *k, struct str ns, struct str name)
{
    const txnid_mark *marks = txnid_marks(p->id);
    txnid_mark key = txnid_mark_of(k, ns, name, TXN_DONE_DELETED);
    for (unsigned n = 0; n < p->id->marks_count; n++) {
        unsigned i = (p->at + n) % p->id->marks_count;
        if ((marks[i] | TXN_DONE_DELETED) == key) {
            p->at = i + 1;
            return (enum txn_done)(marks[i] & TXN_DONE_DELETED);
        }
    }
    return TXN_DONE_UNCHANGED;
}

enum txn_done store_past_did(struct txn_past *p, const struct kind *k, struct str ns, struct str name,
                             const struct object **object)
{
    *object = NULL;
    if (p->txn != NULL) {
        return did_by_changes(p, k, ns, name, object);
    }
    return p->id->marks_count == 0 ? TXN_DONE_UNKNOWN : did_by_marks(p, k, ns, name);
}

unsigned store_past_count(const struct txn_past *p)
{
    return p->txn != NULL ? p->txn->count : p->id->marks_count;
}

/* ---- Leader ---- */

void store_set_level(struct store *s, unsigned level)
{
    s->level = level;
    if (s->tip != NULL) {
        s->tip->level = level;
    }
}

unsigned store_level(const struct store *s)
{
    return s->level;
}

uint64_t store_events_bytes_max(const struct store *s)
{
    return s->events_bytes_max;
}

uint64_t store_events_dropped(const struct store *s)
{
    return s->events_dropped;
}

void store_tip_open(struct store *s, uint64_t term)
{
    assert(s->tip == NULL && !s->broken && list_empty(&s->flights));
    s->tip = world_new(s->committed, s->env, s->level);
    world_bound_events(s->tip, s->events_bytes_max);
    s->history.left += view_count(s->committed, NULL) / PACK_VISITS_EACH; /* who begins to lead reads all of them */
    s->term = term;
}

static void flight_free(struct flight *f)
{
    list_remove(&f->link);
    records_free(&f->records);
    view_unref(f->after);
    free(f);
}

void store_tip_drop(struct store *s)
{
    if (s->tip == NULL) {
        return;
    }
    txnids_drop_after(&s->ids, view_revision(s->committed));
    LIST_FOR_SAFE(it, &s->flights)
    {
        flight_free(LIST_ENTRY(it, struct flight, link));
    }
    assert(list_empty(&s->flights) && txnids_newest(&s->ids) <= view_revision(s->committed));
    buf_reset(&s->batch.payload);
    world_free(s->tip);
    s->tip = NULL;
}

bool store_batch_empty(const struct store *s)
{
    return s->tip == NULL || s->tip->records.first == NULL;
}

size_t store_batch_bytes(const struct store *s)
{
    return s->batch.payload.size;
}

/* The revision that the flights lead to: what is in the open batch follows it. */
static uint64_t behind_flights(const struct store *s)
{
    return view_revision(list_empty(&s->flights) ? s->committed
                                                 : LIST_ENTRY(s->flights.prev, struct flight, link)->after);
}

void store_batch_take(struct store *s, struct buf *entry)
{
    assert(s->tip != NULL && !store_batch_empty(s));
    assert(txn_first_revision(&s->tip->records.first->txn) == behind_flights(s) + 1);
    assert(s->batch.payload.size > 0);
    size_t start = entry->size;
    entry_finish(entry, &s->batch.payload, s->batch.before, store_writes_news(s) ? s->release->entry_flags : 0);
    struct flight *f = xmalloc(sizeof *f);
    f->after = view_ref(s->tip->view);
    f->size = entry->size - start;
    assert(f->size % 8 == 0 && f->size >= ENTRY_HEAD_SIZE);
    memcpy(f->head, entry->data + start, ENTRY_HEAD_SIZE);
    f->before = s->batch.before;
    world_take_records(s->tip, &f->records);
    assert(view_revision(f->after) > behind_flights(s));
    list_push_back(&s->flights, &f->link);
    assert(store_batch_empty(s) && behind_flights(s) == view_revision(s->tip->view));
    buf_reset(&s->batch.payload);
    if (s->batch.payload.cap > (1u << 20)) {
        buf_close(&s->batch.payload); /* one huge transaction must not hold its room for ever */
    }
}

/* ---- Apply ---- */

static int broken(struct store *s, struct error *err)
{
    s->broken = true;
    log_error(s->log, "store", "%s", err->message);
    return err->code;
}

static int check_hash(const struct store *s, uint64_t index, struct view_hash before, struct error *err)
{
    struct view_hash mine = view_state_hash(s->committed);
    if (mine.lo == before.lo && mine.hi == before.hi) {
        return 0;
    }
    return error_set(
        err, ERR_CORRUPT,
        "this master's state has diverged: before log entry %llu (revision %llu) its hash is %016llx%016llx, "
        "the leader's was %016llx%016llx; it must be rebuilt from the other masters",
        (unsigned long long)index, (unsigned long long)view_revision(s->committed), (unsigned long long)mine.hi,
        (unsigned long long)mine.lo, (unsigned long long)before.hi, (unsigned long long)before.lo);
}

static void publish(struct store *s, struct records *records)
{
    for (struct record *r = records->first; r != NULL;) {
        struct record *next = r->next;
        assert(next != NULL || r->txn.revision == view_revision(s->committed));
        history_push(&s->history, r);
        s->transactions++;
        r = next;
    }
    records_init(records);
}

/* The body that an effect leads to: the effect's own bytes, opened bytes, or the spliced former body (in s->body). */
static int effect_body(struct store *s, const struct effect *e, const struct object *old, struct str *body,
                       struct error *err)
{
    *body = e->bytes;
    if (e->sealed) {
        buf_reset(&s->aad);
        buf_reset(&s->body);
        entry_write_aad(&s->aad, e->kind_id, e->ns, e->name);
        if (pki_ring_open(&s->keys, buf_str(&s->aad), e->bytes, &s->body) != 0) {
            return error_set(err, ERR_CORRUPT, "log entry: a sealed object cannot be opened: %s",
                             store_no_key_fits(&s->keys));
        }
        *body = buf_str(&s->body);
    } else if (e->type == EFFECT_SPLICE) {
        if (old == NULL || e->at > old->body_size || e->removed > old->body_size - e->at) {
            return error_set(err, ERR_CORRUPT, "log entry: a splice does not fit what it changes");
        }
        const uint8_t *was = object_body(old);
        buf_reset(&s->body);
        buf_append(&s->body, was, e->at);
        buf_append_str(&s->body, e->bytes);
        buf_append(&s->body, was + e->at + e->removed, old->body_size - e->at - e->removed);
        *body = buf_str(&s->body);
    }
    return 0;
}

static int apply_effect(struct store *s, struct view *v, uint64_t revision, const struct effect *e, struct error *err)
{
    const struct kind *k = kind_stored(e->kind_id);
    assert(k != NULL); /* entry_next_effect looks at the number */
    if (e->type == EFFECT_DELETE) {
        struct object *old = view_remove(v, k, e->ns, e->name);
        if (old == NULL) {
            return error_set(err, ERR_CORRUPT, "log entry: deletes %s \"%.*s\", which is not there", k->name,
                             STR_ARG(e->name));
        }
        changes_push(&s->changes, old, NULL);
        return 0;
    }
    struct str body;
    int rc = effect_body(s, e, view_get(v, k, e->ns, e->name), &body, err);
    struct object *new = NULL;
    if (rc == 0) {
        rc = object_from_body(k, body.p, body.n, revision, &new, err);
    }
    if (e->sealed) {
        mem_wipe(s->body.data, s->body.size); /* the object has its own */
    }
    if (rc != 0) {
        return rc;
    }
    assert(new->kind == k);
    if (!str_eq(new->ns, e->ns) || !str_eq(new->name, e->name)) {
        object_unref(new);
        return error_set(err, ERR_CORRUPT, "log entry: a body does not bear the name of its key");
    }
    changes_push(&s->changes, view_put(v, new), new);
    object_unref(new);
    return 0;
}

/* Remembered once the whole entry is known to be sound. */
struct applied_id {
    uint64_t revision;
    uint8_t id[TXN_ID_SIZE];
    const struct history_txn *txn;
};

static int apply_txns(struct store *s, struct view *v, struct records *records, struct buf *ids, struct error *err)
{
    struct entry_reader r = {s->payload.data, s->payload.data + s->payload.size};
    struct entry_txn t;
    bool more;
    int rc;
    while ((rc = entry_next_txn(&r, &t, &more, err)) == 0 && more) {
        if (entry_first_revision(&t) != view_revision(v) + 1) {
            return error_set(err, ERR_CORRUPT, "log entry: revision %llu follows %llu",
                             (unsigned long long)entry_first_revision(&t), (unsigned long long)view_revision(v));
        }
        for (uint64_t i = 0; i < t.count; i++) {
            struct effect e;
            rc = entry_next_effect(&r, &e, err);
            if (rc == 0) {
                rc = apply_effect(s, v, t.numbered ? entry_first_revision(&t) + i : t.revision, &e, err);
            }
            if (rc != 0) {
                return rc;
            }
        }
        view_set_revision(v, t.revision);
        assert(s->changes.count == t.count);
        struct record *record = record_new(t.revision, t.numbered, &s->changes);
        record->txn.own_status = str_is(t.extra, ENTRY_EXTRA_OWN);
        assert(s->changes.count == 0 && txn_first_revision(&record->txn) == entry_first_revision(&t));
        records_push(records, record);
        if (t.has_id) {
            struct applied_id id = {.revision = t.revision, .txn = &record->txn};
            memcpy(id.id, t.id, TXN_ID_SIZE);
            buf_append(ids, &id, sizeof id);
        }
    }
    return rc;
}

static int apply_decoded(struct store *s, uint64_t index, const void *entry, size_t n, struct error *err)
{
    struct view_hash before;
    int rc = entry_open(entry, n, &s->payload, &before, err);
    if (rc == 0) {
        rc = check_hash(s, index, before, err);
    }
    if (rc != 0) {
        return rc;
    }
    assert(s->tip == NULL && list_empty(&s->flights) && s->changes.count == 0);
    /* On a fork: a damaged entry must leave committed as it was. */
    struct view *v = view_fork(s->committed);
    struct records records;
    CLEANUP_BUF struct buf ids = BUF_INIT;
    records_init(&records);
    rc = apply_txns(s, v, &records, &ids, err);
    if (rc != 0) {
        changes_clear(&s->changes);
        records_free(&records);
        view_unref(v);
        return rc;
    }
    for (size_t at = 0; at < ids.size; at += sizeof(struct applied_id)) {
        struct applied_id id;
        memcpy(&id, ids.data + at, sizeof id);
        buf_reset(&s->marks);
        store_write_marks(&s->marks, id.txn->changes, id.txn->count);
        txnids_add(&s->ids, id.id, id.revision, (const txnid_mark *)s->marks.data, id.txn->count);
    }
    assert(view_revision(v) >= view_revision(s->committed));
    view_unref(s->committed);
    s->committed = v;
    txnids_settle(&s->ids, view_revision(v));
    publish(s, &records);
    return 0;
}

int store_apply(struct store *s, uint64_t index, const void *entry, size_t n, struct error *err)
{
    struct error local = {0};
    err = err != NULL ? err : &local;
    assert(index > s->applied_index);
    if (s->broken) {
        return error_set(err, ERR_CORRUPT, "this master has stopped applying the log");
    }
    if (s->tip != NULL) {
        struct flight *f = list_empty(&s->flights) ? NULL : LIST_ENTRY(s->flights.next, struct flight, link);
        if (f != NULL && f->size == n && memcmp(f->head, entry, ENTRY_HEAD_SIZE) == 0) {
            if (check_hash(s, index, f->before, err) != 0) {
                return broken(s, err);
            }
            assert(f->records.first != NULL);
            assert(txn_first_revision(&f->records.first->txn) == view_revision(s->committed) + 1);
            view_unref(s->committed);
            s->committed = view_ref(f->after);
            txnids_settle(&s->ids, view_revision(s->committed));
            publish(s, &f->records);
            flight_free(f);
            assert(view_revision(s->committed) <= view_revision(s->tip->view));
            s->applied_index = index;
            return 0;
        }
        log_warn(s->log, "store", "log entry %llu is not the one proposed here: giving up the tip of term %llu",
                 (unsigned long long)index, (unsigned long long)s->term);
        store_tip_drop(s);
    }
    if (apply_decoded(s, index, entry, n, err) != 0) {
        return broken(s, err);
    }
    s->applied_index = index;
    return 0;
}

void store_apply_empty(struct store *s, uint64_t index)
{
    assert(index >= s->applied_index);
    s->applied_index = index;
}

/* ---- Packing ---- */

/* What there is cause for now, and which objects are meant. */
static struct pack_turn pack_cause(struct store *s, uint64_t *until)
{
    *until = s->pack_early ? UINT64_MAX : s->history.oldest;
    if (s->pack_early) {
        uint64_t now = view_revision(newest(s));
        bool moved = now != s->packed_at;
        s->packed_at = now;
        return (struct pack_turn){moved ? PACK_VISITS_EARLY : 0, PACK_VISITS_EARLY};
    }
    uint64_t left = MIN(s->history.left, PACK_VISITS_MAX / PACK_VISITS_EACH);
    return (struct pack_turn){(unsigned)left * PACK_VISITS_EACH, PACK_TRIES_MAX};
}

void store_pack(struct store *s)
{
    uint64_t until;
    struct pack_turn turn = pack_cause(s, &until);
    unsigned visits = turn.visits;
    if (visits == 0 || s->broken) {
        return;
    }
    struct view *v;
    if (s->tip == NULL) {
        v = view_fork(s->committed);
    } else {
        world_own_view(s->tip);
        v = s->tip->view;
    }
    pack_some(&s->pack, v, until, &turn);
    s->history.left -= MIN(s->history.left, (visits - turn.visits + PACK_VISITS_EACH - 1) / PACK_VISITS_EACH);
    if (s->tip == NULL) {
        view_unref(s->committed);
        s->committed = v;
    } else if (list_empty(&s->flights) && store_batch_empty(s)) { /* else the next entry brings it */
        assert(view_revision(s->committed) == view_revision(v));
        view_unref(s->committed);
        s->committed = view_ref(v);
    }
}

void store_pack_stats(const struct store *s, struct pack_stats *out)
{
    *out = s->pack.stats;
}
