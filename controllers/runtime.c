/* The runtime: which key is reconciled when. Source: Kubernetes' rate-limited work queue, as one loop.
 *
 * An item is one key of one controller. It is in one place, or two: in its controller's queue (at most once), in the
 * heap of delayed items (at most once, with its earliest wish), or in neither while it is being reconciled or keeps
 * only its count of failures.
 *
 *      observe, resync           due
 *   --------------> queued <------------- delayed <--- requeue_after, or backoff after an error
 *                     |                      ^
 *                     v                      |
 *                  running ------------------+---> forgotten (success, nothing wished)
 *
 * A queue has a fast lane: keys whose own object's spec has changed. Of LANE_RATIO keys served, one at least is of the
 * other lane.
 *
 * Guarantees: a key is never reconciled while it is being reconciled (there is one thread; a change seen meanwhile
 * queues it again); queues are served in turn, so one busy controller does not starve the others; the order depends on
 * nothing but the calls made. A reconcile replaces its key's former wish to be called again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/list.h"
#include "base/strmap.h"
#include "controllers/controller.h"
#include "raft-store/store/store.h"

#define BACKOFF_FIRST_MS 5
#define BACKOFF_MAX_MS   (1000 * 1000) /* about 16 minutes */
#define VIOLATED_SKIPS   8u /* an assumption that does not hold will not hold in a moment: a second at first */
#define HEAP_NONE        UINT32_MAX
#define KEY_NAME_MAX     512u /* above the longest name that was ever let in */
/* A key whose reconcile took SLOW_MS or more for little rests SLOW_REST times as long before its next turn, at most
 * SLOW_REST_MAX_MS: a ReplicaSet of 100,000 pods whose statuses stream in must not keep the loop from everybody
 * else. */
#define SLOW_MS          5
#define SLOW_OPS         64 /* a transaction of this size was worth the time */
#define SLOW_REST        4
#define SLOW_REST_MAX_MS 1000
#define LANE_RATIO       4u
#define RESYNC_STEP      256u /* objects between two looks at the clock, when leadership has begun */
/* Keys that failed so often are told in the log, so many in so long a time. */
#define TELL_AT      4
#define TELL_MAX     10
#define TELL_SPAN_MS 60000

struct place {
    struct reconcile_place at; /* points behind */
    char text[];
};
struct item {
    struct list link; /* in queue; empty otherwise */
    unsigned controller;
    unsigned failures;
    uint32_t heap_at; /* HEAP_NONE: not delayed */
    int64_t due_ms;
    int64_t rest_until_ms; /* 0 = does not rest */
    uint64_t seq;          /* order among equal due times */
    bool queued, running, urgent;
    bool violated;             /* the last reconcile was */
    bool again;                /* something has changed while a walk was on its way: another one follows */
    struct place *from;        /* NULL: from the beginning */
    struct buf memory;         /* what its last reconcile left */
    struct controller_key key; /* points behind */
    unsigned id_size;
    char id[]; /* controller, kind, namespace, NUL, name: the map's key */
};
struct queue {
    const struct controller *controller;
    struct list urgent, items;
    unsigned served; /* of urgent ones in a row */
};
struct controllers {
    struct controllers_config config;
    struct rng rng;
    struct queue *queues;
    unsigned queues_count, turn;
    struct strmap items;
    struct item **heap;
    unsigned heap_count, heap_cap;
    uint64_t seq;
    struct { /* failures, in the log */
        int64_t until_ms;
        unsigned told, left_out;
    } telling;
    /* The way through all objects when leadership has begun. */
    struct {
        bool going;
        const struct kind *kind; /* NULL: at the beginning */
        bool within;             /* behind this one of the kind; else at the kind's beginning */
        struct buf ns, name;
    } resync;
    struct controllers_stats stats;
};

/* ---- Heap of delayed items ---- */

static bool due_before(const struct item *a, const struct item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void heap_set(struct controllers *c, uint32_t at, struct item *it)
{
    c->heap[at] = it;
    it->heap_at = at;
}

static void heap_up(struct controllers *c, uint32_t at)
{
    struct item *it = c->heap[at];
    for (; at > 0 && due_before(it, c->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        heap_set(c, at, c->heap[(at - 1) / 2]);
    }
    heap_set(c, at, it);
}

static void heap_down(struct controllers *c, uint32_t at)
{
    struct item *it = c->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= c->heap_count) {
            break;
        }
        if (child + 1 < c->heap_count && due_before(c->heap[child + 1], c->heap[child])) {
            child++;
        }
        if (!due_before(c->heap[child], it)) {
            break;
        }
        heap_set(c, at, c->heap[child]);
        at = child;
    }
    heap_set(c, at, it);
}

static void delay_cancel(struct controllers *c, struct item *it)
{
    if (it->heap_at == HEAP_NONE) {
        return;
    }
    uint32_t at = it->heap_at;
    struct item *last = c->heap[--c->heap_count];
    it->heap_at = HEAP_NONE;
    if (last != it) {
        heap_set(c, at, last);
        heap_down(c, at);
        heap_up(c, last->heap_at);
    }
}

static void delay(struct controllers *c, struct item *it, int64_t after_ms)
{
    assert(it->heap_at == HEAP_NONE && after_ms > 0);
    if (c->heap_count == c->heap_cap) {
        c->heap_cap = c->heap_cap == 0 ? 64 : c->heap_cap * 2;
        c->heap = xrealloc(c->heap, c->heap_cap * sizeof(struct item *));
    }
    it->due_ms = env_now_ms(c->config.env) + after_ms;
    it->seq = c->seq++;
    c->heap[c->heap_count] = it;
    it->heap_at = c->heap_count++;
    heap_up(c, it->heap_at);
}

/* ---- Items ---- */

/* NULL: no object can have such a name. Keys are also made of names that objects of others mention (owners), and the
 * log may hold some that an earlier version let in. */
static struct item *item_get(struct controllers *c, unsigned controller, const struct kind *k, struct str ns,
                             struct str name)
{
    char id[4 + 2 * KEY_NAME_MAX];
    if (ns.n > KEY_NAME_MAX || name.n > KEY_NAME_MAX) {
        c->stats.keys_refused++;
        return NULL;
    }
    id[0] = (char)controller;
    id[1] = (char)(k->id & 0xff);
    id[2] = (char)(k->id >> 8);
    memcpy(id + 3, ns.n > 0 ? ns.p : "", ns.n);
    id[3 + ns.n] = '\0';
    memcpy(id + 4 + ns.n, name.n > 0 ? name.p : "", name.n);
    struct str key = {id, 4 + ns.n + name.n};
    struct item *it = strmap_get(&c->items, key);
    if (it != NULL) {
        return it;
    }
    it = xcalloc(1, sizeof *it + key.n);
    memcpy(it->id, id, key.n);
    it->id_size = (unsigned)key.n;
    it->controller = controller;
    it->heap_at = HEAP_NONE;
    it->key = (struct controller_key){k, {it->id + 3, ns.n}, {it->id + 4 + ns.n, name.n}};
    list_init(&it->link);
    strmap_set(&c->items, (struct str){it->id, it->id_size}, it);
    return it;
}

static void item_forget(struct controllers *c, struct item *it)
{
    if (it->queued || it->running || it->heap_at != HEAP_NONE || it->failures > 0 || it->rest_until_ms > 0 ||
        it->memory.size > 0) {
        return;
    }
    assert(it->from == NULL);
    strmap_remove(&c->items, (struct str){it->id, it->id_size});
    free(it);
}

static void item_unqueue(struct controllers *c, struct item *it);

static void item_queue(struct controllers *c, struct item *it, bool urgent)
{
    if (urgent) { /* what a user changed does not wait behind what it changes, nor for a rest */
        it->rest_until_ms = 0;
        if (it->queued && !it->urgent) {
            item_unqueue(c, it);
        }
    }
    int64_t rest_ms = it->rest_until_ms == 0 ? 0 : it->rest_until_ms - env_now_ms(c->config.env);
    if (rest_ms > 0 && !it->queued) {
        if (it->heap_at == HEAP_NONE || it->due_ms > it->rest_until_ms) {
            delay_cancel(c, it);
            delay(c, it, rest_ms);
        }
        return;
    }
    if (!it->queued) {
        struct queue *q = &c->queues[it->controller];
        it->queued = true;
        it->urgent = urgent;
        list_push_back(urgent ? &q->urgent : &q->items, &it->link);
        c->stats.queued++;
    }
}

static void item_unqueue(struct controllers *c, struct item *it)
{
    assert(it->queued);
    list_remove(&it->link);
    it->queued = false;
    c->stats.queued--;
}

struct emit_data {
    struct controllers *c;
    unsigned controller;
    const struct object *spec_of; /* NULL, or whose spec has changed: its own key is urgent */
};
static void emit_key(void *data, const struct kind *k, struct str ns, struct str name)
{
    struct emit_data *e = data;
    assert(k != NULL);
    struct item *it = item_get(e->c, e->controller, k, ns, name);
    const struct object *o = e->spec_of;
    if (it != NULL) {
        it->again = it->again || it->running || it->from != NULL;
        item_queue(e->c, it, o != NULL && o->kind == k && str_eq(o->name, name) && str_eq(o->ns, ns));
    }
}

/* ---- The public face ---- */

struct controllers *controllers_new(const struct controllers_config *config)
{
    assert(config->env != NULL && config->submit != NULL && config->tip != NULL);
    struct controllers *c = xcalloc(1, sizeof *c);
    c->config = *config;
    c->rng.state = config->seed;
    const struct controller *const *all = controllers_all(&c->queues_count);
    c->queues = xcalloc(c->queues_count, sizeof *c->queues);
    for (unsigned i = 0; i < c->queues_count; i++) {
        c->queues[i].controller = all[i];
        list_init(&c->queues[i].items);
        list_init(&c->queues[i].urgent);
    }
    strmap_init(&c->items);
    return c;
}

static void items_drop(struct controllers *c)
{
    const struct strmap_entry *e;
    for (size_t at = 0; (e = strmap_next(&c->items, &at)) != NULL;) {
        struct item *it = e->value;
        free(it->from);
        buf_close(&it->memory);
        free(it);
    }
    strmap_close(&c->items);
    strmap_init(&c->items);
    for (unsigned i = 0; i < c->queues_count; i++) {
        list_init(&c->queues[i].items);
        list_init(&c->queues[i].urgent);
    }
    c->heap_count = 0;
    c->stats.queued = 0;
}

void controllers_free(struct controllers *c)
{
    if (c == NULL) {
        return;
    }
    items_drop(c);
    strmap_close(&c->items);
    buf_close(&c->resync.ns);
    buf_close(&c->resync.name);
    free(c->heap);
    free(c->queues);
    free(c);
}

/* ---- When leadership has begun ----
 *
 * Every object may have work for somebody. There may be a million of them, so they are looked at in steps, between
 * which keys are served and the state changes: what changes behind the place that the way has come to is seen as all
 * changes are, what changes before it is seen twice. */

void controllers_resync(struct controllers *c)
{
    items_drop(c);
    assert(c->config.tip(c->config.data) != NULL);
    c->resync.going = true;
    c->resync.kind = NULL;
    c->resync.within = false;
    for (unsigned i = 0; i < c->queues_count; i++) {
        struct emit_data e = {.c = c, .controller = i};
        if (c->queues[i].controller->begin != NULL) {
            c->queues[i].controller->begin(emit_key, &e);
        }
    }
}

static bool wants_kind(const struct controller *controller, const struct kind *k)
{
    return controller->resync != NULL ? !k->unowned : controller->watches[0].kind == k->id;
}

/* Objects of the kind that the way has come to; how many there were. */
static unsigned resync_kind(struct controllers *c, const struct view *tip, unsigned most)
{
    const struct kind *k = c->resync.kind;
    struct view_iter it;
    const struct object *last = NULL;
    unsigned interested[64], count = 0, seen = 0;
    for (unsigned i = 0; i < c->queues_count; i++) {
        assert(count < ARRAY_SIZE(interested));
        interested[count] = i;
        count += wants_kind(c->queues[i].controller, k);
    }
    if (count == 0) {
        c->resync.within = false;
        return 0;
    }
    if (c->resync.within) {
        view_iter_after(&it, tip, k, STR_NONE, buf_str(&c->resync.ns), buf_str(&c->resync.name));
    } else {
        view_iter(&it, tip, k, STR_NONE);
    }
    for (const struct object *o; seen < most && (o = view_next(&it)) != NULL; seen++) {
        last = o;
        for (unsigned i = 0; i < count; i++) {
            const struct controller *controller = c->queues[interested[i]].controller;
            struct emit_data e = {.c = c, .controller = interested[i]};
            if (controller->resync != NULL) {
                controller->resync(tip, o, emit_key, &e);
            } else {
                controller->watches[0].map(tip, NULL, o, emit_key, &e);
            }
        }
    }
    c->resync.within = seen == most; /* else there are no more of this kind */
    if (c->resync.within) {
        buf_reset(&c->resync.ns);
        buf_reset(&c->resync.name);
        buf_append_str(&c->resync.ns, last->ns);
        buf_append_str(&c->resync.name, last->name);
    }
    return seen;
}

static void resync_step(struct controllers *c)
{
    const struct view *tip = c->config.tip(c->config.data);
    for (unsigned left = RESYNC_STEP; left > 0;) {
        if (!c->resync.within) {
            c->resync.kind = view_kind_next(tip, c->resync.kind);
        }
        if (c->resync.kind == NULL) {
            c->resync.going = false;
            return;
        }
        left -= resync_kind(c, tip, left);
    }
}

void controllers_observe(struct controllers *c, const struct change *changes, unsigned count)
{
    const struct view *tip = c->config.tip(c->config.data);
    if (tip == NULL) {
        return;
    }
    for (unsigned n = 0; n < count; n++) {
        const struct object *old = changes[n].old, *now = changes[n].new, *o = now != NULL ? now : old;
        bool spec = old != NULL && now != NULL && old->generation != now->generation;
        for (unsigned i = 0; i < c->queues_count; i++) {
            struct emit_data e = {c, i, spec ? o : NULL};
            const struct controller *controller = c->queues[i].controller;
            for (const struct controller_watch *w = controller->watches; w->kind != 0; w++) {
                if (w->kind == o->kind->id || w->kind == WATCH_ANY_KIND) {
                    w->map(tip, old, now, emit_key, &e);
                }
            }
            for (const struct controller_shared *w = controller->shared; w != NULL && w->kind != 0; w++) {
                if (w->kind == o->kind->id) {
                    w->map(controller, tip, old, now, emit_key, &e);
                }
            }
        }
    }
}

static void due_queue(struct controllers *c)
{
    int64_t now_ms = env_now_ms(c->config.env);
    while (c->heap_count > 0 && c->heap[0]->due_ms <= now_ms) {
        struct item *it = c->heap[0];
        delay_cancel(c, it);
        item_queue(c, it, false);
    }
}

static struct list *lane_next(struct queue *q)
{
    bool fast = !list_empty(&q->urgent) && (list_empty(&q->items) || q->served + 1 < LANE_RATIO);
    q->served = fast ? q->served + 1 : 0;
    return fast ? &q->urgent : &q->items;
}

static struct item *item_next(struct controllers *c)
{
    for (unsigned i = 0; i < c->queues_count; i++) {
        struct queue *q = &c->queues[c->turn];
        c->turn = (c->turn + 1) % c->queues_count;
        struct list *lane = lane_next(q);
        if (!list_empty(lane)) {
            struct item *it = LIST_ENTRY(lane->next, struct item, link);
            item_unqueue(c, it);
            return it;
        }
    }
    return NULL;
}

static int64_t backoff_ms(unsigned failures)
{
    assert(failures > 0);
    return failures > 18 ? BACKOFF_MAX_MS : MIN((int64_t)BACKOFF_FIRST_MS << (failures - 1), BACKOFF_MAX_MS);
}

bool reconcile_holds(struct reconcile_out *out, bool holds, const char *file, int line, const char *cond)
{
    if (!holds && out->violated[0] == '\0') {
        snprintf(out->violated, sizeof out->violated, "%s:%d: %s", file, line, cond);
    }
    return holds;
}

/* On the object, for people. Best effort. */
static void failure_event(struct controllers *c, const struct item *it, const struct error *err)
{
    const struct reconcile_in in = {.view = c->config.tip(c->config.data),
                                    .key = it->key,
                                    .wall_ms = env_wall_ms(c->config.env),
                                    .rng = &c->rng,
                                    .soft = &c->config.soft};
    const struct object *o = in.view == NULL ? NULL : view_get(in.view, it->key.kind, it->key.ns, it->key.name);
    if (o == NULL || o->kind->id == KIND_EVENT) {
        return;
    }
    struct arena arena;
    struct txn txn;
    struct error ignored = {0};
    arena_init(&arena);
    txn_init(&txn, "controller/failure");
    struct reconcile_out out = {.txn = &txn, .arena = &arena};
    controller_event(&out, &in, o, "Warning", "ReconcileFailed", c->queues[it->controller].controller->name, "%s",
                     err->message);
    if (txn.count > 0) {
        c->config.submit(c->config.data, &txn, &ignored);
    }
    txn_close(&txn);
    arena_close(&arena);
}

/* A transaction was refused because its namespace may not have what it makes: people look for that at the owner. Who
 * asks first (controllers/workloads/room.h) never comes here. At the first time and ever more rarely. */
static void refusal_event(struct controllers *c, const struct item *it, const struct reconcile_in *in,
                          const struct error *why)
{
    const struct object *o = view_get(in->view, it->key.kind, it->key.ns, it->key.name);
    if (o == NULL || (it->failures & (it->failures + 1)) != 0) {
        return;
    }
    CLEANUP_ARENA struct arena arena;
    struct txn txn;
    struct error ignored = {0};
    arena_init(&arena);
    txn_init(&txn, "controller/refusal");
    struct reconcile_out out = {.txn = &txn, .arena = &arena};
    controller_event(&out, in, o, "Warning", "FailedCreate", c->queues[it->controller].controller->name,
                     "Error creating: %s", why->message);
    if (txn.count > 0) {
        c->config.submit(c->config.data, &txn, &ignored);
    }
    txn_close(&txn);
}

static void item_leave_at(struct item *it, const struct object *o)
{
    free(it->from);
    it->from = NULL;
    if (o != NULL) {
        struct place *p = xmalloc(sizeof *p + o->ns.n + o->name.n);
        memcpy(p->text, o->ns.n > 0 ? o->ns.p : "", o->ns.n);
        memcpy(p->text + o->ns.n, o->name.p, o->name.n);
        p->at = (struct reconcile_place){o->kind, {p->text, o->ns.n}, {p->text + o->ns.n, o->name.n}};
        it->from = p;
    }
}

static void item_remember(struct item *it, struct str memory)
{
    assert(memory.n <= RECONCILE_MEMORY_MAX);
    if (memory.n == 0) {
        buf_close(&it->memory);
        it->memory = (struct buf)BUF_INIT;
    } else if ((const uint8_t *)memory.p != it->memory.data) { /* else it was handed back as it was */
        buf_reset(&it->memory);
        buf_append(&it->memory, memory.p, memory.n);
    }
}

static int item_reconcile(struct controllers *c, struct item *it, int64_t *requeue_after_ms, int64_t *idle_ms,
                          int64_t *rest_ms, struct error *err)
{
    const struct controller *controller = c->queues[it->controller].controller;
    struct arena arena;
    struct txn txn;
    char origin[64];
    arena_init(&arena);
    snprintf(origin, sizeof origin, "controller/%s", controller->name);
    txn_init(&txn, origin);
    const struct reconcile_in in = {.view = c->config.tip(c->config.data),
                                    .key = it->key,
                                    .from = it->from == NULL ? NULL : &it->from->at,
                                    .memory = buf_str(&it->memory),
                                    .wall_ms = env_wall_ms(c->config.env),
                                    .rng = &c->rng,
                                    .soft = &c->config.soft};
    struct reconcile_out out = {.txn = &txn, .arena = &arena};
    int64_t start_ms = env_now_ms(c->config.env);
    int rv = controller->reconcile(&in, &out, err);
    *idle_ms = txn.count < SLOW_OPS ? env_now_ms(c->config.env) - start_ms : 0;
    CONTROLLER_CHECK(&out, !failpoint(FAILPOINT_reconcile_violation));
    if (out.violated[0] != '\0') {
        c->stats.violations++;
        it->violated = true;
        rv = error_set(err, ERR_INTERNAL,
                       "an assumption of this program does not hold for what is stored (%s); nothing was changed. "
                       "Please report it; deleting the object, or applying it again, may help",
                       out.violated);
        failure_event(c, it, err);
    } else if (rv == 0) {
        CLEANUP_OBJECT struct object *left_at = out.left_at == NULL ? NULL : object_ref(out.left_at);
        if (txn.count > 0) {
            c->stats.transactions++;
            rv = c->config.submit(c->config.data, &txn, err);
            if (rv == ERR_FORBIDDEN) {
                refusal_event(c, it, &in, err);
            }
        }
        item_leave_at(it, rv == 0 ? left_at : NULL);
        if (rv == 0) {
            item_remember(it, out.memory);
        }
    }
    if (out.decisions.count > 0 && c->config.log != NULL && c->config.log->level <= LOG_LEVEL_DEBUG) {
        CLEANUP_BUF struct buf why = BUF_INIT;
        decisions_write(&why, &out.decisions);
        log_debug(c->config.log, origin, "%.*s/%.*s: %s", STR_ARG(it->key.ns), STR_ARG(it->key.name), buf_cstr(&why));
    }
    *requeue_after_ms = out.requeue_after_ms;
    *rest_ms = out.rest_ms;
    txn_close(&txn);
    arena_close(&arena);
    return rv;
}

/* A key that goes on failing is told once, when it has failed TELL_AT times, in the log and as an event; a crowd of
 * them as a number. What a namespace does not allow has its own events. */
static void failure_tell(struct controllers *c, const struct item *it, const struct error *err, int64_t after_ms)
{
    int64_t now_ms = env_now_ms(c->config.env);
    bool tell = it->failures == (it->violated ? 1 : TELL_AT);
    if (tell && now_ms >= c->telling.until_ms) {
        if (c->telling.left_out > 0) {
            log_warn(c->config.log, "controllers", "%u more keys went on failing in that minute", c->telling.left_out);
        }
        c->telling.until_ms = now_ms + TELL_SPAN_MS;
        c->telling.told = c->telling.left_out = 0;
    }
    if (tell && c->telling.told == TELL_MAX) {
        c->telling.left_out++;
        tell = false;
    }
    c->telling.told += tell;
    if (tell && !it->violated && err->code != ERR_FORBIDDEN) {
        failure_event(c, it, err);
    }
    log_line(c->config.log,
             !tell          ? LOG_LEVEL_DEBUG
             : it->violated ? LOG_LEVEL_ERROR
                            : LOG_LEVEL_WARN,
             "controllers", "%s %.*s/%.*s: %s (tried %u times, again in %lld ms%s)",
             c->queues[it->controller].controller->name, STR_ARG(it->key.ns), STR_ARG(it->key.name), err->message,
             it->failures, (long long)after_ms, tell ? ", then ever more rarely; this is not told again" : "");
}

static void item_run(struct controllers *c, struct item *it)
{
    int64_t after_ms = 0, took_ms = 0, rest_ms = 0;
    struct error err = {0};
    delay_cancel(c, it);
    bool walks = it->from != NULL;
    it->running = true;
    it->again = it->again && walks;
    it->violated = false;
    c->stats.reconciles++;
    int rv = item_reconcile(c, it, &after_ms, &took_ms, &rest_ms, &err);
    it->running = false;
    it->rest_until_ms = 0;
    if (took_ms >= SLOW_MS) {
        rest_ms = MAX(rest_ms, MIN(took_ms * SLOW_REST, (int64_t)SLOW_REST_MAX_MS));
    }
    if (rest_ms > 0 && !(it->queued && it->urgent)) {
        it->rest_until_ms = env_now_ms(c->config.env) + rest_ms;
        if (it->queued) {
            item_unqueue(c, it);
            after_ms = after_ms > 0 ? MIN(after_ms, rest_ms) : rest_ms;
        }
        after_ms = after_ms > 0 ? MAX(after_ms, rest_ms) : 0;
    }
    if (rv != 0) {
        c->stats.errors++;
        it->failures++;
        after_ms = backoff_ms(it->failures + (it->violated ? VIOLATED_SKIPS : 0));
        failure_tell(c, it, &err, after_ms);
        item_leave_at(it, NULL);
    } else {
        it->failures = 0;
    }
    if (rv == 0 && walks && it->from == NULL && it->again && !it->queued) {
        after_ms = after_ms > 0 ? MIN(after_ms, MAX(rest_ms, 1)) : MAX(rest_ms, 1);
    }
    if (it->from != NULL) {
        item_queue(c, it, false);
    } else if (after_ms > 0) {
        delay(c, it, after_ms);
    }
    item_forget(c, it);
}

bool controllers_run(struct controllers *c, int64_t budget_ms)
{
    int64_t now_ms = env_now_ms(c->config.env), end_ms = now_ms + budget_ms, resync_ms = now_ms + budget_ms / 2;
    while (c->resync.going && c->config.tip(c->config.data) != NULL) {
        resync_step(c);
        if (env_now_ms(c->config.env) >= resync_ms) {
            break;
        }
    }
    due_queue(c);
    do {
        if (c->config.tip(c->config.data) == NULL) {
            return false; /* leadership ended meanwhile */
        }
        if (c->config.room != NULL && !c->config.room(c->config.data)) {
            return c->stats.queued > 0 || c->resync.going;
        }
        struct item *it = item_next(c);
        if (it == NULL) {
            return c->resync.going;
        }
        item_run(c, it);
    } while (env_now_ms(c->config.env) < end_ms);
    return c->stats.queued > 0 || c->resync.going;
}

int64_t controllers_next_deadline(const struct controllers *c)
{
    return c->heap_count > 0 ? c->heap[0]->due_ms : INT64_MAX;
}

void controllers_stats(const struct controllers *c, struct controllers_stats *out)
{
    *out = c->stats;
    out->delayed = c->heap_count;
}
