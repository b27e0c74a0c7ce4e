/* Who is next. Pods of one namespace and one priority stand in one lane: in it classes by the age of their first pod,
 * pods of a class by age. Lanes of a higher priority go first; those of one priority by the age of their first pod,
 * too, but whoever was served TURN_MAX times in a row, a lane in front of the others or a class in front of its lane,
 * goes behind all that wait by then. So 100,000 pods of a namespace, also if none of them fits anywhere and whether
 * they are one class or as many as there are pods, keep a pod of another one waiting for TURN_MAX decisions, not for
 * theirs.
 *
 * Unschedulable pods are parked under their class. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/core.h"

/* ---- Heaps ---- */

typedef bool before_fn(const struct queued *a, const struct queued *b);

static void put(struct queue_heap *h, uint32_t at, struct queued *q)
{
    h->items[at] = q;
    q->at = at;
}

static void sift(struct queue_heap *h, uint32_t at, before_fn *before)
{
    struct queued *q = h->items[at];
    for (; at > 0 && before(q, h->items[(at - 1) / 2]); at = (at - 1) / 2) {
        put(h, at, h->items[(at - 1) / 2]);
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && before(h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!before(h->items[child], q)) {
            break;
        }
        put(h, at, h->items[child]);
        at = child;
    }
    put(h, at, q);
}

/* It came, or its place among the others has changed. */
static void heap_place(struct queue_heap *h, struct queued *q, before_fn *before)
{
    if (q->at == UINT32_MAX) {
        if (h->count == h->cap) {
            h->cap = h->cap == 0 ? 8 : h->cap * 2;
            h->items = xrealloc(h->items, h->cap * sizeof(struct queued *));
        }
        put(h, h->count++, q);
    }
    sift(h, q->at, before);
}

static void heap_remove(struct queue_heap *h, struct queued *q, before_fn *before)
{
    uint32_t at = q->at;
    if (at == UINT32_MAX) {
        return;
    }
    struct queued *last = h->items[--h->count];
    q->at = UINT32_MAX;
    q->behind = 0;
    q->served = 0;
    if (last != q) {
        put(h, at, last);
        sift(h, at, before);
    }
}

/* ---- Classes in lanes ---- */

static struct sched_class *class_of(const struct queued *q)
{
    return CONTAINER_OF(q, struct sched_class, queued);
}

static struct sched_lane *lane_of(const struct queued *q)
{
    return CONTAINER_OF(q, struct sched_lane, queued);
}

static struct sched_class *lane_first(const struct sched_lane *l)
{
    assert(l->classes.count > 0);
    return class_of(l->classes.items[0]);
}

static uint64_t class_order(const struct sched_class *c)
{
    return MAX(queue_head(c)->seq, c->queued.behind);
}

static bool class_before(const struct queued *a, const struct queued *b)
{
    return class_order(class_of(a)) < class_order(class_of(b));
}

static uint64_t lane_order(const struct sched_lane *l)
{
    return MAX(class_order(lane_first(l)), l->queued.behind);
}

static bool lane_before(const struct queued *a, const struct queued *b)
{
    const struct sched_lane *x = lane_of(a), *y = lane_of(b);
    return x->priority != y->priority ? x->priority > y->priority : lane_order(x) < lane_order(y);
}

uint64_t queue_order(const struct sched_class *c)
{
    return lane_order(c->lane);
}

/* After its list of active pods, or its turn, changed. */
static void class_place(struct scheduler *s, struct sched_class *c)
{
    struct sched_lane *l = c->lane;
    if (list_empty(&c->active)) {
        heap_remove(&l->classes, &c->queued, class_before);
    } else {
        heap_place(&l->classes, &c->queued, class_before);
    }
    if (l->classes.count == 0) {
        heap_remove(&s->lanes_waiting, &l->queued, lane_before);
    } else {
        heap_place(&s->lanes_waiting, &l->queued, lane_before);
    }
}

bool queue_served(struct scheduler *s, struct sched_class *c, unsigned decisions)
{
    struct queued *q[2] = {&c->queued, &c->lane->queued};
    bool over = false;
    for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
        q[i]->served += decisions;
        if (q[i]->at != UINT32_MAX && q[i]->served >= TURN_MAX) {
            q[i]->served = 0;
            q[i]->behind = ++s->seq;
            over = true;
        }
    }
    if (over) {
        class_place(s, c);
    }
    return over;
}

static struct str lane_key(char *to, size_t size, int64_t priority, struct str ns)
{
    size_t n = MIN(ns.n, size - sizeof priority);
    memcpy(to, &priority, sizeof priority);
    memcpy(to + sizeof priority, n > 0 ? ns.p : "", n);
    return (struct str){to, sizeof priority + n};
}

void lane_enter(struct scheduler *s, struct sched_class *c)
{
    char text[LANE_KEY_MAX];
    struct str key = lane_key(text, sizeof text, c->priority, c->sample->ns);
    struct sched_lane *l = strmap_get(&s->lanes, key);
    if (l == NULL) {
        l = xcalloc(1, sizeof *l);
        l->priority = c->priority;
        l->queued.at = UINT32_MAX;
        strmap_set(&s->lanes, key, l);
    }
    l->refs++;
    c->lane = l;
}

void lane_leave(struct scheduler *s, struct sched_class *c)
{
    char text[LANE_KEY_MAX];
    struct sched_lane *l = TAKE_PTR(c->lane);
    if (--l->refs == 0) {
        assert(l->classes.count == 0 && l->queued.at == UINT32_MAX);
        strmap_remove(&s->lanes, lane_key(text, sizeof text, c->priority, c->sample->ns));
        free(l->classes.items);
        free(l);
    }
}

/* ---- Pods ---- */

struct sched_class *queue_top(const struct scheduler *s)
{
    return s->lanes_waiting.count == 0 ? NULL : lane_first(lane_of(s->lanes_waiting.items[0]));
}

struct sched_pod *queue_head(const struct sched_class *c)
{
    assert(!list_empty(&c->active));
    return LIST_ENTRY(c->active.next, struct sched_pod, link);
}

/* The link before which a pod of this age goes. Nearly all are the youngest, or, coming back, the oldest. */
static struct list *place_by_age(struct sched_class *c, uint64_t seq)
{
    if (!list_empty(&c->active) && queue_head(c)->seq > seq) {
        return c->active.next;
    }
    struct list *before = &c->active;
    while (before->prev != &c->active && LIST_ENTRY(before->prev, struct sched_pod, link)->seq > seq) {
        before = before->prev;
    }
    return before;
}

void queue_add(struct scheduler *s, struct sched_pod *p)
{
    struct sched_class *c = p->class;
    list_push_back(place_by_age(c, p->seq), &p->link);
    p->state = POD_ACTIVE;
    c->active_count++;
    s->stats.active++;
    class_place(s, c);
}

static void class_unpark_if_empty(struct sched_class *c)
{
    if (c->parked_count + c->nominated_count == 0) {
        list_remove(&c->parked_link);
    }
}

void queue_remove(struct scheduler *s, struct sched_pod *p)
{
    struct sched_class *c = p->class;
    list_remove(&p->link);
    if (p->state == POD_ACTIVE) {
        c->active_count--;
        s->stats.active--;
        class_place(s, c);
    } else {
        assert(p->state == POD_PARKED);
        c->parked_count -= p->node == NULL;
        c->nominated_count -= p->node != NULL;
        s->stats.parked--;
        class_unpark_if_empty(c);
    }
}

/* The link before which a pod of this age is parked: nearly always the last, or, of those that were woken in vain,
 * one of the first. */
static struct list *parking_place(struct list *parked, uint64_t seq)
{
    if (list_empty(parked) || LIST_ENTRY(parked->prev, struct sched_pod, link)->seq < seq) {
        return parked;
    }
    struct list *before = parked->next;
    while (LIST_ENTRY(before, struct sched_pod, link)->seq < seq) {
        before = before->next;
    }
    return before;
}

void queue_park(struct scheduler *s, struct sched_pod *p)
{
    struct sched_class *c = p->class;
    assert(p->state == POD_ACTIVE);
    queue_remove(s, p);
    p->state = POD_PARKED;
    list_push_back(parking_place(p->node == NULL ? &c->parked : &c->nominated, p->seq), &p->link);
    c->parked_count += p->node == NULL;
    c->nominated_count += p->node != NULL;
    s->stats.parked++;
    if (c->parked_count + c->nominated_count == 1) {
        list_push_back(&s->parked_classes, &c->parked_link);
    }
    /* What the round itself has freed since is looked at by the next. A place that one got as a nominee says nothing of
     * the others. */
    if (p->node == NULL || c->parked_count + c->nominated_count == 1) {
        c->helpful_seen = c->judged;
        c->places->seen = c->judged_places;
    }
    c->waking = false; /* nothing fits any more */
}

/* ---- Waking ---- */

/* The oldest `max`. 100,000 pods that wait for room cost nothing when room for one of them comes: the others are not
 * touched. */
static unsigned list_wake(struct sched_class *c, struct list *parked, unsigned max)
{
    unsigned count = 0;
    struct list *at = parked;
    while (count < max && at->next != parked) {
        at = at->next;
        count++;
    }
    /* Parked pods are older than those that came later: they go in front. */
    for (unsigned i = 0; i < count; i++) {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, link);
        at = at->prev;
        list_remove(&p->link);
        list_push_front(&c->active, &p->link);
        p->state = POD_ACTIVE;
    }
    return count;
}

/* nominees: those for which room is kept elsewhere, too, and before the others: a place is a place. */
static void class_wake(struct scheduler *s, struct sched_class *c, unsigned max, bool nominees)
{
    unsigned parked = list_wake(c, &c->parked, max);
    unsigned nominated = nominees ? list_wake(c, &c->nominated, max) : 0;
    c->active_count += parked + nominated;
    s->stats.active += parked + nominated;
    s->stats.parked -= parked + nominated;
    c->parked_count -= parked;
    c->nominated_count -= nominated;
    c->waking = c->parked_count > 0;
    class_unpark_if_empty(c);
    class_place(s, c);
}

void queue_wake_more(struct scheduler *s, struct sched_class *c)
{
    if (!c->waking || c->parked_count == 0) {
        return;
    }
    const struct sched_pod *next = LIST_ENTRY(c->parked.next, struct sched_pod, link);
    if (c->active_count == 0 || queue_head(c)->seq > next->seq) {
        class_wake(s, c, WAKE_MAX, false);
    }
}

void queue_wake_class(struct scheduler *s, struct sched_class *c)
{
    class_wake(s, c, WAKE_MAX, true);
}

enum help { HELP_NONE, HELP_ROOM, HELP_PREEMPTION };

/* "Only a change that could help": one of the nodes that changed for the better takes a pod of the class now, or would
 * if others went. A node that did so many times is asked once. */
static enum help class_helped(struct scheduler *s, const struct sched_class *c)
{
    enum help help = HELP_NONE;
    if (s->helpful - c->helpful_seen > CHANGES_MAX) {
        return HELP_ROOM;
    }
    for (uint64_t n = c->helpful_seen + 1; n <= s->helpful; n++) {
        uint32_t slot = s->helpful_ring[n % CHANGES_MAX];
        struct sched_node *node = s->slot_helpful[slot] == n ? s->slots[slot] : NULL;
        if (node != NULL && sched_node_fits(c, node, NULL)) {
            return HELP_ROOM;
        }
        if (node != NULL && help == HELP_NONE && c->parked_count > 0 && preempt_could_help(s, c, node)) {
            help = HELP_PREEMPTION;
        }
    }
    return help;
}

/* The claims of parked classes are looked at when something of storage has changed. Who waits for another reason now is
 * woken as well, to be told. */
static void wake_for_storage(struct scheduler *s, const struct view *tip)
{
    if (s->storage_woken == s->storage_changes) {
        return;
    }
    s->storage_woken = s->storage_changes;
    LIST_FOR_SAFE(at, &s->parked_classes)
    {
        struct sched_class *c = LIST_ENTRY(at, struct sched_class, parked_link);
        if (class_resolve(s, c, tip)) {
            class_wake(s, c, WAKE_MAX, true);
        }
    }
}

/* Other pods, or where they are, may be what it waited for: its table knows. */
static bool class_helped_by_places(struct scheduler *s, struct sched_class *c)
{
    if (c->places->refused != NULL && list_empty(&c->placed)) {
        places_detach(s, c);
        places_attach(s, c);
        return c->places->refused == NULL;
    }
    return table_pick(s, c) != TABLE_NONE;
}

bool queue_wake(struct scheduler *s, const struct view *tip)
{
    wake_for_storage(s, tip);
    bool retell = s->nodes_moved && s->nodes_present <= RETELL_NODES && s->stats.parked <= RETELL_PODS;
    s->nodes_moved = false;
    if (s->woken == s->helpful && s->places.woken == s->places.changes && !retell) {
        /* a class that was parked since has seen that much: hundreds of them are not walked at each turn */
        return false;
    }
    unsigned tables = 0;
    bool left = false;
    s->woken = s->helpful;
    s->places.woken = s->places.changes;
    LIST_FOR_SAFE(at, &s->parked_classes)
    {
        struct sched_class *c = LIST_ENTRY(at, struct sched_class, parked_link);
        bool places = places_helped(s, c);
        if (c->helpful_seen == s->helpful && !places && !retell) {
            continue;
        }
        enum help help = retell ? HELP_ROOM : class_helped(s, c);
        if (help != HELP_ROOM && places) {
            if (tables == TOPO_WAKE_TABLES) {
                left = true; /* the next time */
                continue;
            }
            tables++;
            help = class_helped_by_places(s, c)                    ? HELP_ROOM
                   : c->parked_count > 0 && preempt_may_help(s, c) ? HELP_PREEMPTION
                                                                   : help;
        }
        c->helpful_seen = s->helpful;
        c->places->seen = s->places.changes;
        if (help != HELP_NONE) {
            class_wake(s, c, retell ? UINT32_MAX : WAKE_MAX, help == HELP_ROOM);
        }
    }
    if (left) {
        s->places.woken = s->places.changes - 1;
    }
    return left;
}
