/* Which pods belong together, whether enough of them are there, and which gang is next. */
#include <assert.h>
#include <stdlib.h>

#include "proto/facts/pod_state.h"
#include "scheduler/core.h"

#define NAME_MAX_BYTES 300u /* of a group, and of a namespace; longer ones no API lets in */

/* ---- Known gangs ---- */

static size_t key_write(char *key, struct str ns, struct str name)
{
    memcpy(key, ns.n > 0 ? ns.p : "", ns.n);
    key[ns.n] = '/';
    memcpy(key + ns.n + 1, name.p, name.n);
    return ns.n + 1 + name.n;
}

static struct gang *find(const struct scheduler *s, struct str ns, struct str name)
{
    char key[2 * NAME_MAX_BYTES + 1];
    if (str_empty(name) || name.n > NAME_MAX_BYTES || ns.n > NAME_MAX_BYTES) {
        return NULL;
    }
    return strmap_get(&s->gangs.known, (struct str){key, key_write(key, ns, name)});
}

struct gang *gang_get(struct scheduler *s, struct str ns, struct str name)
{
    if (str_empty(name) || name.n > NAME_MAX_BYTES || ns.n > NAME_MAX_BYTES) {
        return NULL;
    }
    struct gang *g = find(s, ns, name);
    if (g == NULL) {
        g = xcalloc(1, sizeof *g + ns.n + name.n + 2);
        g->key_size = key_write(g->key, ns, name);
        g->ns_size = ns.n;
        g->heap_at = UINT32_MAX;
        list_init(&g->dirty_link);
        list_init(&g->parked_link);
        list_init(&g->untold_link);
        list_init(&g->waiting);
        list_init(&g->released);
        strmap_set(&s->gangs.known, (struct str){g->key, g->key_size}, g);
    }
    g->refs++;
    return g;
}

static void gang_free(struct gang *g)
{
    object_unref(g->obj);
    free(g->message);
    free(g);
}

void gang_unref(struct scheduler *s, struct gang *g)
{
    assert(g->refs > 0);
    if (--g->refs > 0) {
        return;
    }
    assert(list_empty(&g->waiting) && list_empty(&g->released) && g->placed == 0);
    gang_rest(s, g);
    list_remove(&g->dirty_link);
    list_remove(&g->untold_link);
    strmap_remove(&s->gangs.known, (struct str){g->key, g->key_size});
    gang_free(g);
}

bool gang_is(const struct gang *g, struct str ns, struct str name)
{
    if (g == NULL) {
        return str_empty(name) || name.n > NAME_MAX_BYTES || ns.n > NAME_MAX_BYTES;
    }
    return g->ns_size == ns.n && g->key_size == ns.n + 1 + name.n && memcmp(g->key, ns.p, ns.n) == 0 &&
           memcmp(g->key + ns.n + 1, name.p, name.n) == 0;
}

static void touch(struct scheduler *s, struct gang *g)
{
    if (list_empty(&g->dirty_link)) {
        list_push_back(&s->gangs.dirty, &g->dirty_link);
    }
}

void gangs_observe(struct scheduler *s, const struct object *old, const struct object *now)
{
    const struct object *o = now != NULL ? now : old;
    struct gang *g = gang_get(s, o->ns, o->name);
    if (g == NULL) {
        return;
    }
    struct object *former = g->obj;
    bool same = former != NULL && now != NULL && gang_min_count(former) == gang_min_count(now) &&
                gang_is_placed(former) == gang_is_placed(now);
    g->obj = now == NULL ? NULL : object_ref(now);
    if (!same) {
        touch(s, g);
    }
    if (now != NULL && former == NULL) {
        g->refs++; /* the object's own */
    }
    if (former != NULL) {
        object_unref(former);
        if (now == NULL) {
            gang_unref(s, g);
        }
    }
    gang_unref(s, g);
}

static bool is_done(const struct object *pod)
{
    return pod != NULL && str_is(pod_phase(pod), "Succeeded");
}

void gangs_observe_end(struct scheduler *s, const struct object *old, const struct object *now)
{
    bool was = is_done(old), is = is_done(now);
    if (was == is) {
        return;
    }
    const struct object *o = is ? now : old;
    struct str name = gang_of_pod(o);
    struct gang *g = gang_get(s, o->ns, name);
    if (g == NULL) {
        return;
    }
    if (is) {
        g->refs++;
        g->done++;
        touch(s, g);
    } else if (g->done > 0) {
        g->done--;
        touch(s, g);
        gang_unref(s, g);
    }
    gang_unref(s, g);
}

void gang_count(struct scheduler *s, struct sched_pod *p, int sign)
{
    if (p->gang != NULL && sign != 0) {
        p->gang->placed += (unsigned)sign;
        touch(s, p->gang);
    }
}

/* ---- Who waits ---- */

/* Nearly all are the youngest; those that come back go to their place by age. */
static void insert_by_age(struct list *into, struct sched_pod *p)
{
    struct list *before = into;
    if (!list_empty(into) && LIST_ENTRY(into->next, struct sched_pod, in_gang)->seq > p->seq) {
        before = into->next;
    }
    while (before != into->next && before->prev != into &&
           LIST_ENTRY(before->prev, struct sched_pod, in_gang)->seq > p->seq) {
        before = before->prev;
    }
    list_push_back(before, &p->in_gang);
}

void gang_wait(struct scheduler *s, struct sched_pod *p)
{
    insert_by_age(&p->gang->waiting, p);
    p->gang->waiting_count++;
    s->gangs.ganged++;
    p->state = POD_GANGED;
    p->told = 0;
    touch(s, p->gang);
}

void gang_unwait(struct scheduler *s, struct sched_pod *p)
{
    list_remove(&p->in_gang);
    if (p->state == POD_GANGED) {
        p->gang->waiting_count--;
        s->gangs.ganged--;
        touch(s, p->gang);
    }
}

/* They may be placed alone now. */
static void release(struct scheduler *s, struct gang *g)
{
    LIST_FOR_SAFE(at, &g->waiting)
    {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, in_gang);
        gang_unwait(s, p);
        list_push_back(&g->released, &p->in_gang);
        queue_add(s, p);
    }
}

/* And now they may not. */
static void recall(struct scheduler *s, struct gang *g)
{
    LIST_FOR_SAFE(at, &g->released)
    {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, in_gang);
        queue_remove(s, p);
        list_remove(&p->in_gang);
        gang_wait(s, p);
        queue_wake_more(s, p->class);
    }
}

/* A gang that cannot be whole has no room kept for it. */
static void drop_nominations(struct scheduler *s, struct gang *g)
{
    LIST_FOR(at, &g->waiting)
    {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, in_gang);
        if (p->node != NULL) {
            nominee_drop(s, p);
            p->told = 0;
        }
    }
}

/* ---- The next one ---- */

static bool before(const struct gang *a, const struct gang *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->seq < b->seq;
}

bool gang_goes_before(const struct gang *g, const struct sched_class *c)
{
    return g->priority != c->priority ? g->priority > c->priority : g->seq < queue_order(c);
}

static void put(struct gangs *q, uint32_t at, struct gang *g)
{
    q->heap[at] = g;
    g->heap_at = at;
}

static void sift(struct gangs *q, uint32_t at)
{
    struct gang *g = q->heap[at];
    for (; at > 0 && before(g, q->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        put(q, at, q->heap[(at - 1) / 2]);
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= q->heap_count) {
            break;
        }
        if (child + 1 < q->heap_count && before(q->heap[child + 1], q->heap[child])) {
            child++;
        }
        if (!before(q->heap[child], g)) {
            break;
        }
        put(q, at, q->heap[child]);
        at = child;
    }
    put(q, at, g);
}

void gang_rest(struct scheduler *s, struct gang *g)
{
    struct gangs *q = &s->gangs;
    if (g->state == GANG_READY) {
        uint32_t at = g->heap_at;
        struct gang *last = q->heap[--q->heap_count];
        g->heap_at = UINT32_MAX;
        if (last != g) {
            put(q, at, last);
            sift(q, at);
        }
        q->sweep -= g->swept;
        g->swept = false;
    } else if (g->state == GANG_PARKED) {
        list_remove(&g->parked_link);
        q->parked_count--;
    }
    g->state = GANG_RESTS;
    if (q->holder == g) {
        q->holder = NULL; /* gang_park sets it again, where it is still waited for */
    }
}

static void make_ready(struct scheduler *s, struct gang *g, bool swept)
{
    struct gangs *q = &s->gangs;
    bool holds = q->holder == g;
    gang_rest(s, g);
    q->holder = holds ? g : q->holder;
    if (q->heap_count == q->heap_cap) {
        q->heap_cap = MAX(64u, q->heap_cap * 2);
        q->heap = xrealloc(q->heap, q->heap_cap * sizeof(struct gang *));
    }
    g->state = GANG_READY;
    g->swept = swept;
    q->sweep += swept;
    put(q, q->heap_count++, g);
    sift(q, g->heap_at);
}

void gang_park(struct scheduler *s, struct gang *g)
{
    bool holds = s->gangs.holder == g;
    gang_rest(s, g);
    s->gangs.holder = holds ? g : s->gangs.holder;
    g->state = GANG_PARKED;
    list_push_back(&s->gangs.parked, &g->parked_link);
    s->gangs.parked_count++;
}

void gang_wake(struct scheduler *s, struct gang *g)
{
    if (g->state == GANG_PARKED) {
        make_ready(s, g, false);
    }
}

void gang_failed(struct scheduler *s, struct str ns, struct str name)
{
    struct gang *g = find(s, ns, name);
    if (g != NULL) {
        g->round = 0;
        touch(s, g);
    }
}

unsigned gang_need(const struct gang *g)
{
    int64_t min = g->obj == NULL ? 0 : gang_min_count(g->obj), have = (int64_t)g->placed + g->done;
    return min > have ? (unsigned)(min - have) : 0;
}

/* Of those that would be tried. */
static void rank(struct gang *g)
{
    unsigned seen = 0;
    g->priority = INT64_MAX;
    g->seq = LIST_ENTRY(g->waiting.next, struct sched_pod, in_gang)->seq;
    LIST_FOR(at, &g->waiting)
    {
        g->priority = MIN(g->priority, LIST_ENTRY(at, struct sched_pod, in_gang)->class->priority);
        if (++seen == GANG_MEMBERS_MAX) {
            break;
        }
    }
}

static void settle(struct scheduler *s, struct gang *g)
{
    list_remove(&g->dirty_link);
    unsigned need = gang_need(g);
    if (g->obj != NULL && need == 0) {
        gang_rest(s, g);
        release(s, g);
        g->lack = GANG_OPEN;
    } else {
        recall(s, g);
        if (g->obj == NULL || g->waiting_count < need) {
            gang_rest(s, g);
            drop_nominations(s, g);
            g->lack = g->obj == NULL ? GANG_ABSENT : GANG_SHORT;
        } else {
            if (g->lack != GANG_UNFIT) {
                g->lack = GANG_UNKNOWN;
                g->passed_from = s->gangs.bound;
            }
            g->vain = 0;
            rank(g);
            make_ready(s, g, false);
        }
    }
    list_remove(&g->dirty_link); /* that of its members which has been done here is settled */
    if (g->lack != GANG_UNFIT) {
        free(TAKE_PTR(g->message));
    }
    if (g->lack != GANG_UNKNOWN && g->lack != GANG_UNFIT) {
        gang_untold(s, g);
    }
}

void gang_is_settled(struct gang *g)
{
    list_remove(&g->dirty_link);
}

static void settle_all(struct scheduler *s)
{
    while (!list_empty(&s->gangs.dirty)) {
        settle(s, LIST_ENTRY(s->gangs.dirty.next, struct gang, dirty_link));
    }
}

struct gang *gangs_next(struct round *r)
{
    struct gangs *q = &r->s->gangs;
    settle_all(r->s);
    return q->heap_count == 0 || r->gangs_failed >= GANG_FAILS_MAX ? NULL : q->heap[0];
}

/* ---- Waking ---- */

static bool is_swept_anew(const struct scheduler *s)
{
    const struct gangs *q = &s->gangs;
    return q->parked_count > 0 && q->sweep == 0 &&
           (q->again || q->woken != s->helpful || q->woken_places != s->places.changes ||
            q->woken_storage != s->storage_changes);
}

bool gangs_are_left(const struct scheduler *s)
{
    const struct gangs *q = &s->gangs;
    return q->heap_count > 0 || !list_empty(&q->dirty) || !list_empty(&q->untold) || is_swept_anew(s);
}

static void end_hold(struct scheduler *s)
{
    struct gangs *q = &s->gangs;
    if (q->hold_until_ms == 0 || (q->holder != NULL && env_now_ms(s->config.env) < q->hold_until_ms)) {
        return;
    }
    if (q->holder != NULL) { /* in vain */
        q->patience = MIN(q->patience * 2, GANG_PATIENCE_MAX);
    }
    q->holder = NULL;
    q->hold_until_ms = 0;
    q->held_at = q->bound;
    q->again = true;
}

struct gangs_seen gangs_see(const struct scheduler *s)
{
    return (struct gangs_seen){s->helpful, s->places.changes, s->storage_changes};
}

static void carry(uint64_t *woken, uint64_t before, uint64_t now)
{
    *woken = *woken == before ? now : *woken;
}

void gangs_carry(struct scheduler *s, const struct gangs_seen *before)
{
    carry(&s->gangs.woken, before->helpful, s->helpful);
    carry(&s->gangs.woken_places, before->places, s->places.changes);
    carry(&s->gangs.woken_storage, before->storage, s->storage_changes);
}

void gangs_wake(struct scheduler *s)
{
    struct gangs *q = &s->gangs;
    settle_all(s);
    gangs_retell(s);
    end_hold(s);
    if (!is_swept_anew(s)) {
        return;
    }
    q->again = false;
    q->woken = s->helpful;
    q->woken_places = s->places.changes;
    q->woken_storage = s->storage_changes;
    LIST_FOR_SAFE(at, &q->parked)
    {
        make_ready(s, LIST_ENTRY(at, struct gang, parked_link), true);
    }
}

void gangs_retry(struct scheduler *s)
{
    if (s->gangs.parked_count == 0 || s->gangs.sweep > 0 || is_swept_anew(s)) {
        return; /* they are being looked at for a reason */
    }
    LIST_FOR(at, &s->gangs.parked)
    {
        LIST_ENTRY(at, struct gang, parked_link)->forced = true;
    }
    s->gangs.again = true;
}

/* ---- Back-fill ---- */

bool gang_is_held(struct scheduler *s, const struct gang *g)
{
    const struct gangs *q = &s->gangs;
    return q->hold_until_ms != 0 && q->holder != NULL && q->holder != g && before(q->holder, g);
}

bool gang_has_patience(const struct scheduler *s, const struct gang *g)
{
    const struct gangs *q = &s->gangs;
    return s->config.env == NULL || q->hold_until_ms != 0 || q->bound - g->passed_from < q->patience ||
           q->bound - q->held_at < q->patience;
}

void gang_hold(struct scheduler *s, struct gang *g)
{
    s->gangs.holder = g;
    s->gangs.hold_until_ms = env_now_ms(s->config.env) + GANG_HOLD_MS;
}

void gang_was_bound(struct scheduler *s, struct gang *g)
{
    s->gangs.bound++;
    s->stats.gangs_bound++;
    if (s->gangs.holder == g) {
        s->gangs.holder = NULL;
        s->gangs.patience = GANG_PATIENCE;
        end_hold(s);
    }
}

/* ---- Life ---- */

void gangs_open(struct scheduler *s)
{
    s->gangs = (struct gangs){.patience = GANG_PATIENCE};
    strmap_init(&s->gangs.known);
    list_init(&s->gangs.dirty);
    list_init(&s->gangs.parked);
    list_init(&s->gangs.untold);
    list_init(&s->gangs.later);
}

void gangs_close(struct scheduler *s)
{
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->gangs.known, &at)) != NULL) {
        gang_free(e->value); /* only objects and what is done are left of them */
    }
    strmap_close(&s->gangs.known);
    free(s->gangs.heap);
}

bool gangs_audit(const struct scheduler *s, struct buf *why)
{
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->gangs.known, &at)) != NULL) {
        const struct gang *g = e->value;
        size_t pod_at = 0;
        const struct strmap_entry *pod;
        unsigned placed = 0, waiting = 0;
        while ((pod = strmap_next(&s->pods, &pod_at)) != NULL) {
            const struct sched_pod *p = pod->value;
            bool has_node = p->state == POD_ASSUMED || p->state == POD_BOUND;
            placed += p->gang == g && has_node && !p->leaving;
            waiting += p->gang == g && p->state == POD_GANGED;
        }
        bool tried = g->lack == GANG_UNKNOWN || g->lack == GANG_UNFIT;
        bool astray = list_empty(&g->dirty_link) && (g->state == GANG_RESTS) == tried;
        if (placed != g->placed || waiting != g->waiting_count || astray) {
            buf_printf(why, "group %s: %u placed, %u wait; it says %u and %u, in the state %u with lack %u", g->key,
                       placed, waiting, g->placed, g->waiting_count, g->state, g->lack);
            return false;
        }
    }
    return true;
}
