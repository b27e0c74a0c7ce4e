/* Watches: who follows what, and from which revision on.
 *
 * A watch is a cursor into the store's history (store_history_next), not a queue: a slow reader costs nothing but its
 * place, and one that falls out of the window hears Expired and lists again. Each watch hears each transaction once,
 * whole, in order (guarantee G3).
 *
 *   LISTING   the pinned view is sent as ADDED events, in chunks as credit allows, closed by a BOOKMARK with its
 *   revision
 *   BEHIND    history after `sent` waits for credit or for its turn; until it is looked at it stands in the list
 *   `woken`
 *   IDLE      everything up to the table's `seen` has been looked at; woken only by a transaction that touches its kind
 *   (or its node's
 *             pods), so a commit costs nothing to the watches it does not concern
 *
 * A piece of LISTING or BEHIND visits TURNS_PIECE_VISITS objects or transactions at most; what is left waits for its
 * turn (turns.h) as other requests do. So a watch that begins, or one that is far behind, costs others no more than its
 * share. Those that a commit has woken or whose reader has made room, and no others, are visited one after the other
 * for WOKEN_US of a turn; the rest goes on in the next, after what has come in meanwhile.
 *
 * Invariants: 1. `sent` never goes back. 2. an IDLE watch has missed nothing up to `seen`. 3. a payload holds events of
 * one transaction, all of it or, behind a cut between two of its objects, the rest. */
#include "master/api/watch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena_small.h"
#include "master/api/api.h"
#include "master/api/node_leases.h"
#include "master/api/watch_rights.h"
#include "master/master.h"
#include "master/nodes/feeds.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/selector.h"

#define LIST_CHUNK_BYTES (128u << 10)
#define SELECTION_BYTES  240u /* of most watches */
#define WOKEN_US         4000
#define DUE_MAX          256u
#define BOOKMARK_EVERY   5000u /* revisions: idle watches learn the revision, so that they can resume */

struct due {
    uint64_t revision; /* the transaction's first */
    uint32_t change;   /* which of its changes */
};
enum watch_state { WATCH_LISTING, WATCH_BEHIND, WATCH_IDLE };
struct watch {
    struct list link;       /* in by_kind or in a node's list */
    struct list woken_link; /* BEHIND, and not looked at since; or there is room again */
    struct watch_table *table;
    struct lane *lane;         /* of its connection, which outlives it */
    struct work work;          /* while it waits for its turn to go on */
    struct api_stream *stream; /* gone once it was told to end and has ended */
    enum watch_state state;
    const struct kind *kind;
    struct arena arena; /* namespace, selectors */
    struct str ns;
    struct selector *labels, *fields;
    struct str node; /* pods of this node only */
    bool quiet;      /* without what its agent reported itself */
    uint64_t sent;   /* every transaction up to this revision has been looked at */
    /* BEHIND and exact: the changes that concern it, in their order; no others need to be looked at. */
    struct due *due;
    unsigned due_first, due_count, due_cap;
    bool exact;
    struct view *view;
    struct view_iter *it; /* LISTING: of view; large, so no idle watch has one. NULL afterwards */
    bool listed;          /* LISTING: the iterator is at its end */
    struct object *held;  /* LISTING: fetched from the iterator and refused for want of credit */
    bool ended;
    struct rights rights;
};

struct node_watches {
    struct list watches;
};

struct kind_watches {
    struct list watches;
    bool changed; /* while watch_table_advance runs */
};

struct watch_table {
    struct master *m;
    struct kind_watches **by_kind; /* by kind id; NULL until somebody watches it */
    unsigned by_kind_end;
    struct strmap by_node; /* -> struct node_watches */
    struct list woken;
    uint64_t seen;
    uint64_t bookmark_at;
    unsigned count, nodes; /* watches; those of nodes among them */
    struct rights_table rights;
    unsigned loud; /* those of a node's pods that are not quiet */
};

struct watch_table *watch_table_new(struct master *m)
{
    struct watch_table *t = xcalloc(1, sizeof *t);
    t->m = m;
    strmap_init(&t->by_node);
    list_init(&t->woken);
    rights_table_init(&t->rights);
    return t;
}

void watch_table_free(struct watch_table *t)
{
    if (t == NULL) {
        return;
    }
    assert(t->count == 0);
    assert(t->by_node.count == 0);
    strmap_close(&t->by_node);
    for (unsigned i = 0; i < t->by_kind_end; i++) {
        free(t->by_kind[i]);
    }
    free(t->by_kind);
    free(t);
}

/* Of a kind that nobody has watched yet: NULL. */
static struct kind_watches *kind_watches_of(const struct watch_table *t, const struct kind *k)
{
    return (unsigned)k->id < t->by_kind_end ? t->by_kind[k->id] : NULL;
}

static struct kind_watches *kind_watches_make(struct watch_table *t, const struct kind *k)
{
    unsigned id = k->id;
    if (id >= t->by_kind_end) {
        t->by_kind = xrealloc(t->by_kind, (id + 1) * sizeof *t->by_kind);
        memset(t->by_kind + t->by_kind_end, 0, (id + 1 - t->by_kind_end) * sizeof *t->by_kind);
        t->by_kind_end = id + 1;
    }
    if (t->by_kind[id] == NULL) {
        t->by_kind[id] = xcalloc(1, sizeof **t->by_kind);
        list_init(&t->by_kind[id]->watches);
    }
    return t->by_kind[id];
}

#define KIND_WATCHES_FOR(kw, t)                                                                                        \
    for (unsigned kw##_i = 0; kw##_i < (t)->by_kind_end; kw##_i++)                                                     \
        for (struct kind_watches *kw = (t)->by_kind[kw##_i]; kw != NULL; kw = NULL)

unsigned watch_table_count(const struct watch_table *t)
{
    return t->count;
}

static void watch_free(struct watch *w)
{
    struct watch_table *t = w->table;
    list_remove(&w->link);
    list_remove(&w->woken_link);
    if (w->node.n > 0) {
        struct node_watches *nw = strmap_get(&t->by_node, w->node);
        if (nw != NULL && list_empty(&nw->watches)) {
            free(strmap_remove(&t->by_node, w->node));
        }
        t->loud -= !w->quiet;
    }
    rights_end(&w->rights);
    assert(t->count > 0);
    t->count--;
    assert(w->lane->watches > 0 && w->lane->subject->watches > 0);
    t->nodes -= w->lane->subject->class == TURN_NODES;
    w->lane->watches--;
    w->lane->subject->watches--;
    turns_forget(t->m->turns, &w->work);
    object_unref(w->held);
    view_unref(w->view);
    free(w->it);
    arena_close(&w->arena);
    free(w->due);
    free(w);
}

/* Our side ends; memory goes when the stream is over (it may be already). */
static void watch_finish(struct watch *w, const struct error *err)
{
    if (!w->ended) {
        w->ended = true;
        turns_forget(w->table->m->turns, &w->work);
        list_remove(&w->link);
        list_remove(&w->woken_link);
        w->stream->front->end(w->stream, err);
    }
}

/* Whoever watches may do so still; false: it has ended. */
static bool may_go_on(struct watch *w)
{
    struct error err = {0};
    const struct watch_table *t = w->table;
    if (w->rights.who == NULL || w->ended ||
        rights_check(&t->rights, &w->rights, store_committed(replica_store(t->m->replica)), &err) == 0) {
        return true;
    }
    t->m->stats.forbidden++;
    watch_finish(w, &err);
    return false;
}

static bool matches(const struct watch *w, const struct object *o)
{
    if (o == NULL || o->kind != w->kind || (w->ns.n > 0 && !str_eq(o->ns, w->ns))) {
        return false;
    }
    if (w->node.n > 0 && !str_eq(pod_node(o), w->node)) {
        return false;
    }
    return (w->labels == NULL || selector_matches_object(w->labels, o)) &&
           (w->fields == NULL || field_selector_matches(w->fields, o));
}

static int send_bookmark(struct watch *w, uint64_t revision)
{
    w->stream->front->event(w->stream, &(struct api_event){.type = API_BOOKMARK, .revision = revision});
    return w->stream->front->send(w->stream, revision);
}

/* ---- LISTING ---- */

/* visits: how many more objects the piece may look at. NULL: the end, or none left. */
static const struct object *next_listed(struct watch *w, unsigned *visits)
{
    const struct object *o = NULL;
    while (*visits > 0) {
        --*visits;
        o = view_next(w->it);
        if (o == NULL || matches(w, o)) {
            w->listed = o == NULL;
            return o;
        }
    }
    return NULL;
}

/* One chunk, at most what is left of the piece. False: no credit. */
static bool pump_listing(struct watch *w, unsigned *visits)
{
    uint32_t count = 0;
    const struct object *o = w->held != NULL ? w->held : next_listed(w, visits);
    struct object *first = o == NULL ? NULL : object_ref(o);
    object_unref(w->held);
    w->held = NULL;
    struct view_iter resume = *w->it;
    for (; o != NULL; o = next_listed(w, visits)) {
        struct api_event e = {.type = API_ADDED, .object = o, .revision = o->revision};
        count++;
        if (w->stream->front->event(w->stream, &e) >= LIST_CHUNK_BYTES) {
            break;
        }
    }
    bool sent = true;
    if (count > 0) {
        if (w->stream->front->send(w->stream, 0) != 0) {
            sent = false; /* begin again with `first` when credit comes */
            w->listed = false;
            *w->it = resume;
            w->held = TAKE_PTR(first);
        }
    } else if (!w->listed) {
        assert(*visits == 0); /* nothing matched in this piece */
    } else if (send_bookmark(w, view_revision(w->view)) != 0) {
        sent = false;
    } else {
        w->sent = view_revision(w->view);
        view_unref(w->view);
        w->view = NULL;
        free(TAKE_PTR(w->it));
        w->state = WATCH_BEHIND;
    }
    object_unref(first);
    return sent;
}

/* ---- BEHIND ---- */

/* One change as an event, if it concerns the watch. Its bytes are added to *bytes. */
/* What a node's agent said of its pod, and nothing else: it knows. */
static bool is_own_report(const struct history_txn *tx, unsigned i)
{
    const struct change *ch = &tx->changes[i];
    const struct object *now = ch->new;
    return tx->own_status && ch->old != NULL && now != NULL && object_same_but_status(now, ch->old);
}

static bool tell(struct watch *w, const struct history_txn *tx, unsigned i, bool brief, size_t *bytes)
{
    uint64_t revision = txn_change_revision(tx, i);
    if (revision <= w->sent) {
        return false; /* told before it was cut */
    }
    const struct object *old = tx->changes[i].old, *now = tx->changes[i].new;
    bool before = matches(w, old), after = matches(w, now);
    if ((!before && !after) || (w->quiet && is_own_report(tx, i))) {
        return false;
    }
    struct api_event e = {
        .type = !before  ? API_ADDED
                : !after ? API_DELETED
                         : API_MODIFIED,
        .object = now != NULL ? now : old,
        .left = !after && now != NULL ? old : NULL,
        .revision = revision,
        .brief = brief && now == NULL,
        .txn = tx,
        .change = i,
    };
    *bytes = w->stream->front->event(w->stream, &e);
    return true;
}

/* The events of one transaction that concern the watch, as a batch of its stream. */
static uint32_t gather(struct watch *w, const struct history_txn *tx, bool brief, size_t *bytes)
{
    uint32_t count = 0;
    *bytes = 0;
    if (w->exact) {
        for (unsigned i = w->due_first; i < w->due_count && w->due[i].revision == txn_first_revision(tx); i++) {
            count += tell(w, tx, w->due[i].change, brief, bytes);
        }
        return count;
    }
    for (unsigned i = 0; i < tx->count; i++) {
        count += tell(w, tx, i, brief, bytes);
    }
    return count;
}

/* To right before the next transaction that concerns it. False: there is none. */
static bool skip_to_due(struct watch *w)
{
    while (w->due_first < w->due_count && w->due[w->due_first].revision <= w->sent) {
        w->due_first++;
    }
    bool more = w->due_first < w->due_count;
    w->sent = more ? w->due[w->due_first].revision - 1 : w->sent;
    return more;
}

/* One transaction. False: no credit, at the end, or over. */
static bool pump_behind(struct watch *w)
{
    if (w->exact && !skip_to_due(w)) {
        w->state = WATCH_IDLE;
        return false;
    }
    struct store *store = replica_store(w->table->m->replica);
    const struct history_txn *tx;
    if (store_history_next(store, w->sent, &tx) != 0) {
        struct error err = {0};
        error_set(&err, ERR_EXPIRED, "too old resource version: %llu (%llu is the oldest to watch from); list again",
                  (unsigned long long)w->sent, (unsigned long long)store_history_oldest(store));
        watch_finish(w, &err);
        return false;
    }
    if (tx == NULL) {
        w->state = WATCH_IDLE;
        return false;
    }
    size_t bytes;
    uint32_t count = gather(w, tx, false, &bytes);
    if (bytes > w->stream->front->batch_max) {
        /* What a transaction writes is limited, what it deletes is not: much may go at once. */
        w->stream->front->drop(w->stream);
        count = gather(w, tx, true, &bytes);
    }
    bool sent = count == 0 || w->stream->front->send(w->stream, tx->revision) == 0;
    w->table->m->stats.watch_events += sent ? count : 0;
    if (sent) {
        w->sent = tx->revision;
    }
    return sent;
}

/* One piece. */
static void pump(struct watch *w)
{
    unsigned visits = TURNS_PIECE_VISITS;
    struct master_stats *stats = &w->table->m->stats;
    bool more = !w->ended && w->state != WATCH_IDLE && w->work.lane == NULL;
    if (more && !may_go_on(w)) {
        return;
    }
    while (more) {
        if (w->state == WATCH_LISTING) {
            more = pump_listing(w, &visits);
        } else {
            visits--;
            more = pump_behind(w);
        }
        stats->visits_most = MAX(stats->visits_most, TURNS_PIECE_VISITS - visits);
        more = more && !w->ended && w->state != WATCH_IDLE;
        if (more && visits == 0) {
            turns_go_on(w->table->m->turns, w->lane, &w->work);
            more = false;
        }
    }
}

static void take_turn(struct work *work)
{
    pump(CONTAINER_OF(work, struct watch, work));
}

/* Streams end before their connection does: then nothing of a watch waits any more. */
static void drop(struct work *work)
{
    (void)work;
    assert(false);
}

/* May one more begin? False: the call has been failed. */
static bool has_place(struct api_call *c, const struct lane *lane)
{
    struct watch_table *t = c->m->watches;
    const struct subject *s = lane->subject;
    bool node = s->class == TURN_NODES;
    unsigned most = node ? MASTER_WATCHES_NODE_MAX : MASTER_WATCHES_SUBJECT_MAX;
    unsigned taken = node ? t->nodes : t->count,
             all = node ? MASTER_WATCHES_MAX - MASTER_WATCHES_RESERVE : MASTER_WATCHES_MAX;
    struct error err = {0};
    if (s->watches >= most) {
        error_set(&err, ERR_LIMIT, "%s has %u watches here, which is the most that one may have; close some", s->name,
                  s->watches);
    } else if (lane->watches >= MASTER_WATCHES_PER_SESSION_MAX) {
        error_set(&err, ERR_LIMIT,
                  "this connection has %u watches, which is the most that one may have; close some, or open another "
                  "connection",
                  lane->watches);
    } else if (taken >= all || t->count >= MASTER_WATCHES_MAX) {
        error_set(&err, ERR_LIMIT, "this master has %u watches%s, which is the most that it takes; ask another master",
                  t->count, node ? " (some places are kept for administrators)" : "");
    } else {
        return true;
    }
    c->m->stats.watches_refused++;
    c->front->fail(c, &err);
    return false;
}

/* ---- Waking ---- */

/* revision: the first of the transaction that concerns it, or 0 = look from where it stands. exact: it is woken by each
 * change that does. */
static void wake(struct watch *w, uint64_t revision, unsigned change, bool exact)
{
    if (w->state == WATCH_IDLE) {
        w->sent = MAX(w->sent, revision == 0 ? 0 : revision - 1); /* invariant 2 */
        w->state = WATCH_BEHIND;
        w->exact = exact;
        w->due_first = w->due_count = 0;
        list_push_back(&w->table->woken, &w->woken_link);
    }
    w->exact = w->exact && exact && w->due_count < DUE_MAX; /* too many to be kept: it looks at all that follow */
    if (!w->exact) {
        return;
    }
    if (w->due_count == w->due_cap) {
        w->due_cap = w->due_cap == 0 ? 8 : w->due_cap * 2;
        w->due = xrealloc(w->due, w->due_cap * sizeof *w->due);
    }
    w->due[w->due_count++] = (struct due){revision, change};
}

static struct node_watches *node_watches_of(struct watch_table *t, const struct object *pod)
{
    struct str node = pod == NULL ? STR_NONE : pod_node(pod);
    return node.n == 0 ? NULL : strmap_get(&t->by_node, node);
}

static void wake_node(struct node_watches *nw, uint64_t revision, unsigned change, bool own)
{
    if (nw != NULL) {
        LIST_FOR(it, &nw->watches)
        {
            struct watch *w = LIST_ENTRY(it, struct watch, link);
            if (!own || !w->quiet) {
                wake(w, revision, change, revision > 0);
            }
        }
    }
}

/* Of a pod's change: the node that it was bound to and the one that it is bound to. */
static void wake_nodes(struct watch_table *t, const struct history_txn *tx, unsigned i)
{
    bool own = is_own_report(tx, i);
    if (own && t->loud == 0) {
        return; /* nobody wants to hear it */
    }
    struct node_watches *before = node_watches_of(t, tx->changes[i].old);
    struct node_watches *after = node_watches_of(t, tx->changes[i].new);
    wake_node(before, txn_first_revision(tx), i, own);
    if (after != before) {
        wake_node(after, txn_first_revision(tx), i, own);
    }
}

/* A pump may finish its watch. Who has no credit goes on when it comes, who has more than a piece when it is its turn.
 * */
bool watch_table_waiting(const struct watch_table *t)
{
    return !list_empty(&t->woken) || !list_empty(&t->rights.waiting);
}

bool watch_table_turn(struct watch_table *t)
{
    uint64_t end = uv_hrtime() + WOKEN_US * 1000u;
    for (unsigned i = 0; i < RIGHTS_PIECE && !list_empty(&t->rights.waiting); i++) {
        may_go_on(CONTAINER_OF(rights_next(&t->rights), struct watch, rights));
    }
    while (!list_empty(&t->woken)) {
        struct watch *w = LIST_ENTRY(t->woken.next, struct watch, woken_link);
        list_remove(&w->woken_link);
        pump(w);
        if (uv_hrtime() >= end) {
            break;
        }
    }
    return watch_table_waiting(t);
}

static void end_watches(struct node_watches *nw, const struct error *why)
{
    LIST_FOR_SAFE(it, &nw->watches)
    {
        watch_finish(LIST_ENTRY(it, struct watch, link), why);
    }
}

void watch_table_end_nodes(struct watch_table *t, const struct error *why)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&t->by_node, &cursor)) != NULL) {
        end_watches(e->value, why);
    }
}

void watch_table_end_node(struct watch_table *t, struct str node, const struct error *why)
{
    struct node_watches *nw = strmap_get(&t->by_node, node);
    if (nw != NULL) {
        end_watches(nw, why);
    }
}

static void wake_all(struct watch_table *t, uint64_t revision)
{
    KIND_WATCHES_FOR(kw, t)
    {
        kw->changed = true;
        LIST_FOR(it, &kw->watches)
        {
            wake(LIST_ENTRY(it, struct watch, link), revision, 0, false);
        }
    }
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&t->by_node, &cursor)) != NULL) {
        wake_node(e->value, revision, 0, false);
    }
}

void watch_mark(struct watch *w)
{
    if (w->state == WATCH_IDLE && !w->ended && send_bookmark(w, w->table->seen) == 0) {
        w->sent = w->table->seen;
    }
}

static void send_bookmarks(struct watch_table *t)
{
    KIND_WATCHES_FOR(kw, t)
    {
        LIST_FOR(it, &kw->watches)
        {
            struct watch *w = LIST_ENTRY(it, struct watch, link);
            if (w->state == WATCH_IDLE && w->sent < t->seen && send_bookmark(w, t->seen) == 0) {
                w->sent = t->seen;
            }
        }
    }
}

void watch_table_advance(struct watch_table *t, bool restored)
{
    struct store *store = replica_store(t->m->replica);
    uint64_t revision = view_revision(store_committed(store));
    if (restored) {
        /* History restarted with the snapshot: each watch finds out for itself whether its revision is still known. */
        t->seen = revision;
        rights_have_moved(&t->rights);
        wake_all(t, 0);
        node_feeds_restored(t->m);
        master_wake(t->m);
        return;
    }
    const struct history_txn *tx;
    KIND_WATCHES_FOR(kw, t)
    {
        kw->changed = false;
    }
    for (;;) {
        if (store_history_next(store, t->seen, &tx) != 0) {
            wake_all(t, 0); /* more committed at once than the window holds: they will hear Expired */
            t->seen = revision;
            rights_have_moved(&t->rights);
            node_feeds_restored(t->m);
            break;
        }
        if (tx == NULL) {
            break;
        }
        for (unsigned i = 0; i < tx->count; i++) {
            const struct change *ch = &tx->changes[i];
            const struct kind *k = ch->new != NULL ? ch->new->kind : ch->old->kind;
            struct kind_watches *kw = kind_watches_of(t, k);
            if (rights_are_of(k)) {
                rights_have_moved(&t->rights);
            }
            if (kw != NULL && !kw->changed) {
                kw->changed = true;
                LIST_FOR(it, &kw->watches)
                {
                    wake(LIST_ENTRY(it, struct watch, link), txn_first_revision(tx), 0, false);
                }
            }
            if (k->id == KIND_POD && t->by_node.count > 0) {
                wake_nodes(t, tx, i);
            }
        }
        node_feeds_advance(t->m, tx);
        t->seen = tx->revision;
    }
    if (watch_table_waiting(t)) {
        master_wake(t->m);
    }
    if (t->seen >= t->bookmark_at) {
        t->bookmark_at = t->seen + BOOKMARK_EVERY;
        send_bookmarks(t);
    }
}

/* ---- Starting ---- */

/* Not at once: many readers make room between two turns, and each would have a piece of the one that reads of it. */
void watch_writable(struct watch *w)
{
    if (!w->ended && w->state != WATCH_IDLE) {
        list_remove(&w->woken_link);
        list_push_back(&w->table->woken, &w->woken_link);
        master_wake(w->table->m);
    }
}

void watch_over(struct watch *w)
{
    watch_finish(w, NULL);
    watch_free(w);
}

/* Where it begins: with the list, or behind a revision. */
static void place(struct watch *w, const struct api_watch *q)
{
    if (q->revision >= 0) {
        w->state = WATCH_BEHIND;
        w->sent = (uint64_t)q->revision;
        return;
    }
    w->state = WATCH_LISTING;
    w->view = view_ref(store_committed(replica_store(w->table->m->replica)));
    w->it = xmalloc(sizeof *w->it);
    CLEANUP_BUF struct buf key = BUF_INIT;
    enum view_index index;
    if (w->node.n > 0) {
        view_iter_node_pods(w->it, w->view, w->node);
    } else if (view_choose_index(w->view, w->kind, w->ns, w->labels, w->fields, &index, &key)) {
        view_iter_index(w->it, w->view, index, buf_str(&key), w->kind, w->ns);
    } else {
        view_iter(w->it, w->view, w->kind, w->ns);
    }
}

static void join_table(struct watch *w)
{
    struct watch_table *t = w->table;
    t->count++;
    t->nodes += w->lane->subject->class == TURN_NODES;
    w->lane->watches++;
    w->lane->subject->watches++;
    if (w->node.n == 0) {
        list_push_back(&kind_watches_make(t, w->kind)->watches, &w->link);
        return;
    }
    struct node_watches *nw = strmap_get(&t->by_node, w->node);
    if (nw == NULL) {
        nw = xcalloc(1, sizeof *nw);
        list_init(&nw->watches);
        strmap_set(&t->by_node, w->node, nw);
    }
    list_push_back(&nw->watches, &w->link);
    t->loud += !w->quiet;
}

void verb_watch(struct api_call *c, const struct api_watch *q)
{
    struct lane *lane = c->front->lane(c);
    struct error err = {0};
    if (lane == NULL) {
        api_fail(c, ERR_CLOSED, "the connection was closed");
        return;
    }
    if (node_lease_in(q->of.kind, q->of.ns)) {
        api_fail(c, ERR_UNSUPPORTED,
                 "leases of nodes are made of heartbeats when they are asked for: list them again and again, or watch "
                 "nodes, whose condition Ready tells who is not heard any more");
        return;
    }
    if (!has_place(c, lane)) {
        return;
    }
    struct watch *w = xcalloc(1, sizeof *w);
    w->table = c->m->watches;
    w->lane = lane;
    w->kind = q->of.kind;
    w->work.run = take_turn;
    w->work.sort = TURN_LIST; /* its pieces are as long */
    w->work.drop = drop;
    arena_init_small(&w->arena, SELECTION_BYTES);
    list_init(&w->link);
    list_init(&w->woken_link);
    w->ns = (struct str){arena_strndup(&w->arena, q->of.ns.p, q->of.ns.n), q->of.ns.n};
    w->node = (struct str){arena_strndup(&w->arena, q->node.p, q->node.n), q->node.n};
    w->quiet = q->quiet && w->node.n > 0;
    int rv = api_selectors(&w->arena, &q->of, &w->labels, &w->fields, &err);
    if (rv == 0) {
        place(w, q);
        if (w->node.n == 0) { /* an agent's feed is no right that a role gives */
            rights_begin(&w->table->rights, &w->rights, c->who, w->kind, w->ns,
                         w->fields == NULL ? STR_NONE : field_selector_value(w->fields, "metadata.name"));
        }
        w->stream = c->front->open(c, w);
    } else {
        c->front->fail(c, &err);
    }
    if (w->stream == NULL) {
        rights_end(&w->rights);
        view_unref(w->view);
        free(w->it);
        arena_close(&w->arena);
        free(w);
        return;
    }
    join_table(w);
    pump(w);
}
