/* The ledger: what has been committed, as first told, and what every master, watcher and answer claims about it.
 *
 *  1. A master's history has no gap and no double: revisions one by one, and each transaction the same on all masters
 *     for ever (G3, G5).
 *  2. At equal revision equal state hash; at equal log index equal revision (G5).
 *  3. An acknowledged write stands in the ledger at the revision that was answered, once; a refused one never; one of
 *     unknown outcome at most once (G1, G4). Its revision is behind everything answered before it was asked. A follower
 *     remembers its id with that revision.
 *  4. A read shows the ledger's value at its revision, which is not before anything answered before the read was asked
 *     (G2).
 *  5. Counters move by one, transfers keep the sum: conditional and multi-object writes are atomic (G1, G8). */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "controllers/util.h"
#include "raft-store/store/view_edit.h"
#include "tests/sim/cluster.h"

#define WATCH_MOVES_IN 2000

/* ---- Names and values ---- */

void cell_name(unsigned cell, char out[32])
{
    if (cell < REGISTERS) {
        snprintf(out, 32, "register-%u", cell);
    } else if (cell < REGISTERS + COUNTERS) {
        snprintf(out, 32, "counter-%u", cell - REGISTERS);
    } else {
        snprintf(out, 32, "account-%u", cell - REGISTERS - COUNTERS);
    }
}

void list_name(unsigned list, char out[32])
{
    snprintf(out, 32, "list-%u", list);
}

static bool is_list(const struct object *o)
{
    return o->kind->id == KIND_CONFIGMAP && str_starts(o->name, STR("list-"));
}

unsigned list_elements(const struct object *o, int64_t *out, unsigned max)
{
    struct str text = o == NULL ? STR_NONE : mp_str(mp_path(object_mp(o), "data.elements"));
    unsigned count = 0;
    for (size_t at = 0; at < text.n; count++) {
        int64_t n = 0;
        for (; at < text.n && text.p[at] != ' '; at++) {
            n = n * 10 + (text.p[at] - '0');
        }
        at++;
        if (count < max) {
            out[count] = n;
        }
    }
    return count;
}

/* CELLS if it is none. */
static unsigned cell_of(const struct object *o)
{
    char name[32];
    for (unsigned i = 0; o->kind->id == KIND_CONFIGMAP && i < CELLS; i++) {
        cell_name(i, name);
        if (str_is(o->name, name)) {
            return i;
        }
    }
    return CELLS;
}

static int64_t number_of(struct str s)
{
    int64_t n;
    return str_to_int64(s, &n) ? n : -1;
}

static int64_t data_number(const struct object *o, const char *key)
{
    return number_of(mp_str(mp_get(mp_path(object_mp(o), "data"), key)));
}

/* The operation that wrote the object; -1 if none of ours. */
static int64_t op_of(const struct object *o)
{
    return o->kind->id == KIND_CONFIGMAP ? data_number(o, "op")
           : o->kind->id == KIND_DEPLOYMENT || o->kind->id == KIND_SECRET || o->kind->id == KIND_SERVICE
               ? number_of(object_annotation(o, "sim/op"))
               : -1;
}

const struct cell_entry *ledger_cell(struct cluster *c, unsigned cell, uint64_t revision)
{
    const struct cell_entry *found = NULL;
    for (unsigned i = c->ledger.cells[cell].count; i-- > 0 && found == NULL;) {
        const struct cell_entry *e = &c->ledger.cells[cell].entries[i];
        found = e->revision <= revision ? e : NULL;
    }
    return found;
}

/* ---- Writing it ---- */

static uint64_t object_digest(const struct object *o, uint64_t seed)
{
    if (o == NULL) {
        return seed * 3 + 1;
    }
    uint64_t h = XXH3_64bits_withSeed(o->name.p, o->name.n, seed ^ o->kind->id);
    h = XXH3_64bits_withSeed(o->ns.n > 0 ? o->ns.p : "", o->ns.n, h ^ o->revision);
    return h ^ (o->hash * 0x9e3779b97f4a7c15u);
}

static uint64_t txn_digest(const struct history_txn *t)
{
    uint64_t h = t->revision;
    for (unsigned i = 0; i < t->count; i++) {
        h = object_digest(t->changes[i].new, object_digest(t->changes[i].old, h));
    }
    return h;
}

static void cell_write(struct cluster *c, unsigned cell, const struct object *o)
{
    const struct cell_entry *last = ledger_cell(c, cell, UINT64_MAX);
    struct cell_entry e = {o->revision, data_number(o, "n"), op_of(o)};
    if (cell >= REGISTERS && cell < REGISTERS + COUNTERS && last != NULL && e.number != last->number + 1) {
        cluster_violate(c, "counter %u went from %lld to %lld at revision %llu: an increment was lost or doubled", cell,
                        (long long)last->number, (long long)e.number, (unsigned long long)o->revision);
    }
    unsigned n = c->ledger.cells[cell].count;
    if (n == c->ledger.cells[cell].cap) {
        c->ledger.cells[cell].cap = n == 0 ? 64 : 2 * n;
        c->ledger.cells[cell].entries = xrealloc(c->ledger.cells[cell].entries, c->ledger.cells[cell].cap * sizeof e);
    }
    c->ledger.cells[cell].entries[n] = e;
    c->ledger.cells[cell].count++;
}

static void op_write(struct cluster *c, const struct history_txn *t, const struct change *change)
{
    const struct object *o = change->new;
    int64_t at = op_of(o);
    if (at < 0 || at >= c->ops_count) {
        return;
    }
    if ((o->kind->id == KIND_DEPLOYMENT || o->kind->id == KIND_SERVICE) && change->old != NULL &&
        op_of(change->old) == at) {
        return; /* its controller wrote, and kept the annotation */
    }
    struct op *op = &c->ops[at];
    if (op->applied == t->revision) {
        return; /* the other half of a transfer, the other Service */
    }
    if (op->applied != 0) {
        cluster_violate(c, "operation %lld happened twice, at revisions %llu and %llu", (long long)at,
                        (unsigned long long)op->applied, (unsigned long long)t->revision);
    }
    if (op->maybe == 0) {
        cluster_violate(c, "operation %lld was answered as not done, but happened at revision %llu", (long long)at,
                        (unsigned long long)t->revision);
    }
    if (op->outcome == OP_DONE) {
        cluster_violate(c, "operation %lld was acknowledged before it was committed, at revision %llu", (long long)at,
                        (unsigned long long)t->revision);
    }
    op->applied = t->revision;
}

/* A list has what it had and one element more, and all lists of the operation have it at once. */
static void list_write(struct cluster *c, const struct history_txn *t, const struct change *change)
{
    int64_t at = op_of(change->new), was = list_elements(change->old, NULL, 0),
            is = list_elements(change->new, NULL, 0);
    if (at < 0 || at >= c->ops_count || change->old == NULL) {
        return;
    }
    int64_t *elements = xcalloc((size_t)is + 1, sizeof *elements);
    struct str before = mp_str(mp_path(object_mp(change->old), "data.elements"));
    struct str after = mp_str(mp_path(object_mp(change->new), "data.elements"));
    list_elements(change->new, elements, (unsigned)is);
    unsigned lists = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *written = t->changes[i].new;
        lists += written != NULL && is_list(written) && op_of(written) == at;
    }
    if (is != was + 1 || elements[is - 1] != at || (before.n > 0 && memcmp(before.p, after.p, before.n) != 0) ||
        lists != (unsigned)__builtin_popcount(c->ops[at].lists)) {
        cluster_violate(c,
                        "append %lld to %.*s: %lld elements became %lld, the last is %lld, %u of %d lists have it, at "
                        "revision %llu",
                        (long long)at, STR_ARG(change->new->name), (long long)was, (long long)is,
                        (long long)(is > 0 ? elements[is - 1] : -1), lists, __builtin_popcount(c->ops[at].lists),
                        (unsigned long long)t->revision);
    }
    free(elements);
}

static void check_sum(struct cluster *c)
{
    int64_t sum = 0;
    for (unsigned i = REGISTERS + COUNTERS; i < CELLS; i++) {
        const struct cell_entry *e = ledger_cell(c, i, UINT64_MAX);
        if (e == NULL) {
            return; /* not all made yet */
        }
        sum += e->number;
    }
    if (sum != ACCOUNTS * BALANCE_START) {
        cluster_violate(c, "the accounts hold %lld in all at revision %llu: a transfer was torn", (long long)sum,
                        (unsigned long long)c->ledger.count);
    }
}

static void model_change(struct cluster *c, struct view *model, const struct change *change)
{
    const struct object *o = change->new != NULL ? change->new : change->old;
    struct object *former = change->new != NULL ? view_put(model, o) : view_remove(model, o->kind, o->ns, o->name);
    bool fits = former == NULL ? change->old == NULL
                               : change->old != NULL && former->hash == change->old->hash &&
                                     former->revision == change->old->revision;
    if (!fits) {
        cluster_violate(c, "the change of %s %.*s at revision %llu was made to another object than the one there was",
                        o->kind->name, STR_ARG(o->name), (unsigned long long)c->ledger.count);
    }
    object_unref(former);
}

static void ledger_append(struct cluster *c, const struct history_txn *t)
{
    struct ledger *l = &c->ledger;
    l->count = t->revision;
    /* by more than one page: the revisions of a transaction's objects before the last have none */
    if (l->count >= l->cap) {
        l->cap = MAX(l->cap * 2, l->count + 1);
        l->pages = xrealloc(l->pages, l->cap * sizeof *l->pages);
    }
    struct view *before = l->model;
    l->model = view_fork(before);
    bool accounts = false;
    for (unsigned i = 0; i < t->count; i++) {
        model_change(c, l->model, &t->changes[i]);
        const struct object *o = t->changes[i].new;
        if (o == NULL) {
            continue;
        }
        unsigned cell = cell_of(o);
        accounts |= cell >= REGISTERS + COUNTERS && cell < CELLS;
        if (cell < CELLS) {
            cell_write(c, cell, o);
        }
        op_write(c, t, &t->changes[i]);
        if (is_list(o)) {
            list_write(c, t, &t->changes[i]);
        }
    }
    if (accounts) {
        check_sum(c);
    }
    view_set_revision(l->model, t->revision);
    l->pages[t->revision] = (struct page){txn_digest(t), view_state_hash(l->model)};
    l->changed_ms = c->sim.now_ms;
    rollout_judge(c, before, l->model, t);
    services_judge(c, l->model, t);
    storage_judge(c, l->model, t);
    sets_judge(c, l->model, t);
    runs_judge(c, before, l->model, t);
    budgets_judge(c, before, t);
    losses_judge(c, before, t);
    autoscalers_judge(c, t);
    quotas_judge(c, before, l->model, t);
    priorities_judge(c, before, l->model, t);
    troupes_judge(c, l->model, t);
    events_judge(c, before, l->model, t);
    upgrade_judge(c, t);
    view_unref(before);
}

/* ---- What masters and watchers tell ---- */

static void page_compare(struct cluster *c, const struct history_txn *t, const char *who, uint64_t id)
{
    if (txn_first_revision(t) == c->ledger.count + 1) {
        ledger_append(c, t);
        cluster_trace(c, "revision %llu: %u changes, %016llx", (unsigned long long)t->revision, t->count,
                      (unsigned long long)c->ledger.pages[t->revision].digest);
    } else if (t->revision > c->ledger.count) {
        cluster_violate(c, "%s %llu tells revision %llu, but the last anybody committed is %llu", who,
                        (unsigned long long)id, (unsigned long long)t->revision, (unsigned long long)c->ledger.count);
    } else if (c->ledger.pages[t->revision].digest != txn_digest(t)) {
        cluster_violate(c, "%s %llu tells another transaction at revision %llu than was committed: a write was lost",
                        who, (unsigned long long)id, (unsigned long long)t->revision);
    }
}

/* before: its revision when it was last looked at. */
static void compare_index(struct cluster *c, struct life *life, uint64_t before, uint64_t revision)
{
    struct ledger *l = &c->ledger;
    uint64_t index = store_applied_index(replica_store(life->replica));
    if (index >= l->indices) {
        uint64_t size = 2 * index + 64;
        l->revision_at = xrealloc(l->revision_at, size * sizeof *l->revision_at);
        memset(l->revision_at + l->indices, 0xff, (size - l->indices) * sizeof *l->revision_at);
        l->indices = size;
    }
    if (l->revision_at[index] == UINT64_MAX) {
        l->revision_at[index] = revision;
        if (revision == l->count && revision != before) {
            services_committed(c);
        }
    } else if (l->revision_at[index] != revision) {
        cluster_violate(c, "master %llu is at revision %llu at log index %llu, others were at %llu",
                        (unsigned long long)life->id, (unsigned long long)revision, (unsigned long long)index,
                        (unsigned long long)l->revision_at[index]);
    }
}

/* Deletes leave no trace of who made them, and what changes nothing is not remembered. */
static bool leaves_trace(enum op_kind kind)
{
    return !op_reads(kind) && kind != OP_UNDEPLOY && kind != OP_KILL_POD && kind != OP_UNSERVE && kind != OP_STORE &&
           kind != OP_SETS && kind != OP_RUNS && kind != OP_BUDGETS && kind != OP_QUOTAS && kind != OP_RANK &&
           kind != OP_GANGS && kind != OP_TOUCH;
}

/* Which transactions a follower remembers is what it will answer repeats by when it leads. */
static void compare_ids(struct cluster *c, const struct life *life)
{
    const struct store *store = replica_store(life->replica);
    uint64_t revision = view_revision(store_committed(store));
    for (unsigned i = 0; i < c->swarm.clients && store_tip(store) == NULL; i++) {
        int64_t at = c->clients[i].c == NULL ? -1 : c->clients[i].op;
        const struct op *op = at < 0 ? NULL : &c->ops[at];
        if (op == NULL || !leaves_trace(op->kind)) {
            continue;
        }
        uint64_t known = 0, applied = op->applied <= revision ? op->applied : 0;
        store_find_txn(store, op->id, &known);
        if (known != applied) {
            cluster_violate(c,
                            "master %llu at revision %llu remembers operation %lld as done at revision %llu, but the "
                            "history has it at %llu",
                            (unsigned long long)life->id, (unsigned long long)revision, (long long)at,
                            (unsigned long long)known, (unsigned long long)applied);
        }
    }
}

#define RECOUNT_EVERY 32u /* revisions: it looks at every object */

/* What controllers count by: the sums of the committed state and of the leader's tip, against all objects. */
static void recount(struct cluster *c, struct life *life)
{
    const struct store *store = replica_store(life->replica);
    const struct view *tip = store_tip(store);
    if (!events_hold(store_committed(store)) || (tip != NULL && !events_hold(tip))) {
        cluster_violate(c, "master %llu has other events by age than by name at revision %llu",
                        (unsigned long long)life->id, (unsigned long long)view_revision(store_committed(store)));
    }
    if (!view_sums_hold(store_committed(store)) || (tip != NULL && !view_sums_hold(tip))) {
        cluster_violate(c, "master %llu has other sums than its objects at revision %llu", (unsigned long long)life->id,
                        (unsigned long long)view_revision(store_committed(store)));
    }
}

void ledger_follow(struct life *life)
{
    struct cluster *c = life->c;
    struct store *store = replica_store(life->replica);
    uint64_t revision = view_revision(store_committed(store));
    const struct history_txn *t;
    uint64_t before = life->seen;
    /* Restored from a snapshot, or more was applied at once than the window holds: what is left of it is compared. */
    life->seen = MAX(life->seen, store_history_oldest(store));
    while (store_history_next(store, life->seen, &t) == 0 && t != NULL && c->violation[0] == '\0') {
        if (txn_first_revision(t) != life->seen + 1) {
            cluster_violate(c, "master %llu tells revision %llu behind %llu", (unsigned long long)life->id,
                            (unsigned long long)t->revision, (unsigned long long)life->seen);
        }
        page_compare(c, t, "master", life->id);
        life->seen = t->revision;
    }
    if (c->violation[0] != '\0') {
        return;
    }
    struct view_hash h = view_state_hash(store_committed(store));
    if (revision > c->ledger.count || life->seen != revision) {
        cluster_violate(c, "master %llu is at revision %llu, its history ends at %llu, the last committed is %llu",
                        (unsigned long long)life->id, (unsigned long long)revision, (unsigned long long)life->seen,
                        (unsigned long long)c->ledger.count);
    } else if (h.lo != c->ledger.pages[revision].state.lo || h.hi != c->ledger.pages[revision].state.hi) {
        cluster_violate(c, "master %llu has another state at revision %llu than its history says",
                        (unsigned long long)life->id, (unsigned long long)revision);
    }
    compare_index(c, life, before, revision);
    if (revision != before) {
        compare_ids(c, life);
    }
    if (revision / RECOUNT_EVERY != before / RECOUNT_EVERY) {
        recount(c, life);
    }
}

/* Takes up to max events; EXPIRED makes it list again, which shows nothing that is older than what it has seen: such a
 * master is asked again later. */
static void watcher_look(struct cluster *c, unsigned i, struct life *life, unsigned max)
{
    const struct history_txn *t = NULL;
    int rc = 0;
    while (max-- > 0 && (rc = store_history_next(replica_store(life->replica), c->watchers[i].at, &t)) == 0 &&
           t != NULL) {
        if (txn_first_revision(t) != c->watchers[i].at + 1) {
            cluster_violate(c, "watcher %u was told revision %llu behind %llu", i, (unsigned long long)t->revision,
                            (unsigned long long)c->watchers[i].at);
            return;
        }
        page_compare(c, t, "watcher", i);
        c->watchers[i].at = t->revision;
    }
    if (rc == ERR_EXPIRED) {
        uint64_t revision = view_revision(store_committed(replica_store(life->replica)));
        if (revision < c->watchers[i].at) {
            cluster_violate(c, "watcher %u at revision %llu was told that it is too old at revision %llu", i,
                            (unsigned long long)c->watchers[i].at, (unsigned long long)revision);
        }
        c->watchers[i].at = revision;
    }
}

/* A watcher goes on where it was at any master that is up, now and then at another for no reason. */
static void watcher_step(struct cluster *c, unsigned i)
{
    struct life *life = c->machines[c->watchers[i].id].life;
    if (life == NULL || life->number != c->watchers[i].life || cluster_chance(c, WATCH_MOVES_IN)) {
        c->watchers[i].id = masters_any(c);
        life = c->machines[c->watchers[i].id].life;
        if (life == NULL) {
            return;
        }
        c->watchers[i].life = life->number;
    }
    watcher_look(c, i, life, UINT_MAX);
}

/* A slow one looks now and then, each time at any master, and takes few events. So it comes to the edge of what masters
 * remember, which begins at another revision with each that restarted from a snapshot, step by step. */
static void laggard_step(struct cluster *c, unsigned i)
{
    uint64_t ids[SIM_SERVERS_MAX];
    if (c->sim.now_ms < c->watchers[i].next_ms) {
        return;
    }
    c->watchers[i].next_ms = c->sim.now_ms + 1 + (int64_t)rng_below(&c->more, 2 * c->swarm.lag_ms);
    unsigned count = masters_running(c, ids);
    struct life *life = count == 0 ? NULL : c->machines[ids[rng_below(&c->more, count)]].life;
    if (life != NULL) {
        watcher_look(c, i, life, 1 + (unsigned)rng_below(&c->more, 3));
    }
}

void ledger_watch(struct cluster *c)
{
    for (unsigned i = 0; i < WATCHERS; i++) {
        watcher_step(c, i);
    }
    for (unsigned i = WATCHERS; i < WATCHERS + LAGGARDS; i++) {
        laggard_step(c, i);
    }
}

/* ---- What is answered ---- */

static void answer_done(struct cluster *c, int64_t at, const struct txn_result *r)
{
    struct op *op = &c->ops[at];
    bool marked = op->kind != OP_UNDEPLOY && op->kind != OP_KILL_POD && op->kind != OP_UNSERVE &&
                  op->kind != OP_STORE && op->kind != OP_SETS && op->kind != OP_RUNS && op->kind != OP_BUDGETS &&
                  op->kind != OP_QUOTAS && op->kind != OP_RANK &&
                  op->kind != OP_GANGS; /* deletes leave no trace of who made them, nor do storage.c and the like */
    if (r->revision > c->ledger.count) {
        cluster_violate(c, "operation %lld was answered with revision %llu before it was committed", (long long)at,
                        (unsigned long long)r->revision);
    } else if (r->revision <= op->floor && !r->unchanged) {
        cluster_violate(c,
                        "operation %lld was answered with revision %llu, but %llu had been shown before it was asked",
                        (long long)at, (unsigned long long)r->revision, (unsigned long long)op->floor);
    } else if (r->unchanged && r->revision < op->floor) {
        cluster_violate(c, "operation %lld changed nothing at revision %llu, but %llu had been shown before",
                        (long long)at, (unsigned long long)r->revision, (unsigned long long)op->floor);
    } else if (marked && !r->unchanged && op->applied != r->revision) {
        cluster_violate(c, "operation %lld was acknowledged at revision %llu, but the history has it at %llu",
                        (long long)at, (unsigned long long)r->revision, (unsigned long long)op->applied);
    } else if (r->unchanged && op->kind != OP_TOUCH && op->kind < OP_READ) {
        cluster_violate(c, "operation %lld was answered as changing nothing, but it does", (long long)at);
    }
    c->answered = MAX(c->answered, r->revision);
    c->repeats += r->repeated;
    if (op->outcome == OP_PENDING) {
        op->outcome = OP_DONE;
        c->done++;
    }
}

/* A refusal says something about the state, too. */
static void answer_refused(struct cluster *c, int64_t at, const struct error *error)
{
    struct op *op = &c->ops[at];
    const struct cell_entry *e = op->cell < CELLS ? ledger_cell(c, op->cell, UINT64_MAX) : NULL;
    const struct cell_entry *other = op->kind == OP_TRANSFER ? ledger_cell(c, op->other, UINT64_MAX) : NULL;
    if (op->applied != 0 && op->kind < OP_READ) {
        cluster_violate(c, "operation %lld happened at revision %llu, but a repeat was refused: %s", (long long)at,
                        (unsigned long long)op->applied, error->message);
    } else if (op->kind == OP_SET || op->kind == OP_UNIQUE || op->kind == OP_APPEND) {
        cluster_violate(c, "operation %lld cannot be refused, but was: %s", (long long)at, error->message);
    } else if (op->kind < OP_READ && (error->code != ERR_CONFLICT || e == NULL || e->revision == op->if_revision) &&
               (other == NULL || other->revision == op->if_other)) {
        cluster_violate(c, "operation %lld was refused, but the state gave no reason: %s", (long long)at,
                        error->message);
    }
    if (op->outcome == OP_PENDING) {
        op->outcome = OP_REFUSED;
        c->refused++;
    }
}

void ledger_answer(struct cluster *c, int64_t op, const struct txn_result *result, const struct error *error)
{
    if (error == NULL) {
        answer_done(c, op, result);
    } else {
        answer_refused(c, op, error);
    }
}

/* A cell: what is shown is what the ledger has. */
static void read_cell(struct cluster *c, int64_t at, const struct view *v, struct reading *r)
{
    struct op *op = &c->ops[at];
    char name[32];
    cell_name(op->cell, name);
    const struct object *o = view_get(v, kind_by_id(KIND_CONFIGMAP), STR(NAMESPACE), str_of(name));
    const struct cell_entry *e = ledger_cell(c, op->cell, r->revision);
    if ((o == NULL) != (e == NULL) ||
        (o != NULL && (o->revision != e->revision || data_number(o, "n") != e->number || op_of(o) != e->op))) {
        cluster_violate(c, "read %lld of %s at revision %llu shows another value than was committed", (long long)at,
                        name, (unsigned long long)r->revision);
    }
    if (o != NULL) {
        r->object_revision = o->revision;
        r->number = data_number(o, "n");
        r->writer = op_of(o);
    }
}

static void read_lists(const struct view *v, struct reading *r)
{
    char name[32];
    for (unsigned i = 0; i < LISTS; i++) {
        list_name(i, name);
        const struct object *o = view_get(v, kind_by_id(KIND_CONFIGMAP), STR(NAMESPACE), str_of(name));
        r->counts[i] = list_elements(o, NULL, 0);
        r->lists[i] = xcalloc(r->counts[i] + 1, sizeof(int64_t));
        list_elements(o, r->lists[i], r->counts[i]);
    }
}

static void read_balances(const struct view *v, struct reading *r)
{
    char name[32];
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        cell_name(REGISTERS + COUNTERS + i, name);
        const struct object *o = view_get(v, kind_by_id(KIND_CONFIGMAP), STR(NAMESPACE), str_of(name));
        r->balances[i] = o == NULL ? 0 : data_number(o, "n");
    }
}

void ledger_read(struct cluster *c, int64_t at, const struct view *v, struct reading *r)
{
    struct op *op = &c->ops[at];
    r->revision = view_revision(v);
    if (r->revision < op->floor) {
        cluster_violate(c,
                        "read %lld was answered at revision %llu, but %llu had been shown before it was asked: stale",
                        (long long)at, (unsigned long long)r->revision, (unsigned long long)op->floor);
    }
    if (op->kind == OP_READ_LISTS) {
        read_lists(v, r);
    } else if (op->kind == OP_BALANCES) {
        read_balances(v, r);
    } else {
        read_cell(c, at, v, r);
    }
    c->answered = MAX(c->answered, r->revision);
    op->outcome = OP_DONE;
    c->reads++;
}

/* ---- Life ---- */

void ledger_open(struct cluster *c)
{
    struct ledger *l = &c->ledger;
    l->model = view_new();
    l->cap = 1024;
    l->pages = xcalloc(l->cap, sizeof *l->pages);
    l->pages[0].state = view_state_hash(l->model);
    for (unsigned i = 0; i < WATCHERS; i++) { /* laggards draw theirs each time */
        c->watchers[i].id = 1;
    }
}

void ledger_close(struct cluster *c)
{
    view_unref(c->ledger.model);
    free(c->ledger.pages);
    free(c->ledger.revision_at);
    for (unsigned i = 0; i < CELLS; i++) {
        free(c->ledger.cells[i].entries);
    }
}
