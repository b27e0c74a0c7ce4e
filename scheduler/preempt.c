/* Preemption: a pod that fits nowhere, and who has to go so that it fits somewhere.
 *
 * Nodes are asked from a random one on. Sums by priority (levels.c) tell at once on which of them the going of others
 * could help at all, and up to which priority they would have to go; SAMPLE_MAX of those are taken, and tried, those
 * with the least important pods first. On a node all pods of lower priority are thought away; if the pod fits then, as
 * many as possible are given back, first those whose budget would be broken, the more important and the older first.
 * The rest are the victims. Best is the node where the fewest budgets are broken; then where the most important victim
 * is the least important; then the smallest sum of priorities, the fewest victims, the one whose most important victims
 * began last.
 *
 *  - Whoever is being deleted already is as good as gone: a node that they leave costs nobody, so nobody is deleted
 *    twice for the same pod, nor two for one. But one that should have gone by LEAVE_MS and has not is not waited for.
 *  - A node whose own properties (labels, taints, cordon) keep the pod away cannot be cured. Volumes neither.
 *  - One decision tries at most TRIALS_MAX nodes; the search goes on in the next round where it was left
 *    (sched_class.search_at), and is not begun anew before something has changed for the better.
 *  - Victims and nomination are one transaction with the revisions of all of them as preconditions: all of it happens,
 *    or nothing, whoever leads.
 * Source: Kubernetes' plugin DefaultPreemption. Unlike there, pods of equal priority that leave are counted as gone. */
#include <assert.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "proto/facts/disruption.h"
#include "proto/facts/pod_state.h"
#include "scheduler/core.h"

#define SAMPLE_MAX 100u               /* nodes on which somebody's going could help, of which the best are tried */
#define GOOD_MAX   16u                /* of them, with which the search is content if they break no budget */
#define TRIALS_MAX 200u               /* of one decision */
#define LOOKS_MAX  20000u             /* nodes of one decision whose sums are looked at */
#define LEAVE_MS   30000              /* beyond its grace */
#define BYTES_MAX  (TXN_SIZE_MAX / 2) /* of all victims of a node */
#define SPARE      4096u              /* what a deletion may add to a pod that is nearly as large as it may be */

/* What a node costs. */
struct price {
    unsigned breaks, victims;
    int64_t highest; /* INT64_MIN: nobody */
    __int128 sum;    /* of priorities, each made positive */
    int64_t start_ms;
};

void preemption_init(struct preemption *x, struct scheduler *s, const struct view *tip, int64_t wall_ms, struct txn *t)
{
    *x = (struct preemption){.s = s, .tip = tip, .wall_ms = wall_ms, .t = t};
    arena_init(&x->arena);
}

void preemption_close(struct preemption *x)
{
    arena_close(&x->arena);
    free(x->items);
}

/* ---- Who is on the node ---- */

static const struct object *object_of(const struct preemption *x, const struct sched_pod *p)
{
    const char *slash = memchr(p->key, '/', p->key_size);
    size_t ns = (size_t)(slash - p->key);
    return view_get(x->tip, kind_by_id(KIND_POD), (struct str){p->key, ns},
                    (struct str){slash + 1, p->key_size - ns - 1});
}

static int64_t ms_of(struct mp m)
{
    int64_t ms;
    return timefmt_parse(mp_str(m), &ms) ? ms : 0;
}

/* It should be gone by now: nobody knows whether it ever will. */
static bool is_stuck(const struct preemption *x, const struct object *pod)
{
    int64_t end_ms = ms_of(mp_path(object_mp(pod), "metadata.deletionTimestamp"));
    return end_ms + LEAVE_MS < x->wall_ms;
}

/* In whole seconds. Of a pod that has begun it is remembered: a search looks at a hundred pods, and to read one is to
 * put its body together, which may be packed. */
static int64_t start_ms_of(struct sched_pod *p, const struct object *o)
{
    if (p->start_s == 0) {
        struct str phase = pod_phase(o);
        int64_t start_ms = ms_of(mp_get(object_status(o), "startTime")), start_s;
        start_s = (start_ms != 0 ? start_ms : object_created_ms(o)) / 1000;
        if (str_empty(phase) || str_is(phase, "Pending") || start_s <= 0 || start_s > UINT32_MAX) {
            return start_s * 1000;
        }
        p->start_s = (uint32_t)start_s;
    }
    return (int64_t)p->start_s * 1000;
}

/* Whatever filters count of placed pods must be counted here, too. */
static void shift(struct scheduler *s, struct sched_pod *p, int sign)
{
    sched_node_account(p->node, p->class, sign);
    s->places.guess = true;
    places_account(s, p->class, p->node, sign, !p->leaving);
    s->places.guess = false;
}

static void think_away(struct scheduler *s, struct sched_pod *p)
{
    shift(s, p, -1);
}

static void give_back(struct scheduler *s, struct sched_pod *p)
{
    shift(s, p, 1);
}

/* Those that are being deleted are thought away; those of lower priority are counted as items [from, ...). Returns how
 * many items there are: the first *leaving of them are the former. In a trial whose victims nobody asks for (x->brief)
 * the objects of those whose beginning is known are not looked for: a search would find a hundred of them in the tree
 * for each pod. */
static unsigned items_read(struct preemption *x, const struct sched_node *n, int64_t priority, unsigned *leaving)
{
    unsigned count = 0;
    *leaving = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        LIST_FOR(at, &n->pods)
        {
            struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, on_node);
            bool spared = p->gang != NULL && p->gang == x->spared;
            bool wanted = pass == 0 ? p->leaving : !p->leaving && p->class->priority < priority && !spared;
            if (!wanted || p->state != POD_BOUND || p->away) {
                continue;
            }
            bool brief = pass == 1 && x->brief && p->start_s != 0;
            const struct object *o = brief ? NULL : object_of(x, p);
            if (!brief &&
                (o == NULL || (pass == 0 ? o->deleting && is_stuck(x, o) : o->body_size + SPARE > OBJECT_SIZE_MAX))) {
                continue;
            }
            if (count == x->cap) {
                x->cap = x->cap == 0 ? 128 : x->cap * 2;
                x->items = xrealloc(x->items, x->cap * sizeof *x->items);
            }
            x->items[count++] = (struct victim){p, o, start_ms_of(p, o), false, true};
        }
        *leaving = pass == 0 ? count : *leaving;
    }
    return count;
}

/* The more important, the older first. */
static int by_importance(const void *pa, const void *pb)
{
    const struct victim *a = pa, *b = pb;
    if (a->pod->class->priority != b->pod->class->priority) {
        return a->pod->class->priority > b->pod->class->priority ? -1 : 1;
    }
    if (a->start_ms != b->start_ms) {
        return a->start_ms < b->start_ms ? -1 : 1;
    }
    int order = memcmp(a->pod->key, b->pod->key, MIN(a->pod->key_size, b->pod->key_size));
    return order != 0 ? order : (a->pod->key_size > b->pod->key_size) - (a->pod->key_size < b->pod->key_size);
}

/* ---- Budgets ---- */

/* Items in the order of their importance: what is taken first counts for those behind it. */
static void budgets_judge(struct preemption *x, struct victim *items, unsigned count)
{
    if (x->budgets == NULL) {
        struct view_iter it;
        x->budgets = disruption_budgets_new(&x->arena);
        view_iter(&it, x->tip, kind_by_id(KIND_PODDISRUPTIONBUDGET), STR_NONE);
        VIEW_FOR(budget, &it)
        {
            disruption_budgets_add(x->budgets, budget);
        }
    }
    disruption_budgets_restart(x->budgets);
    for (unsigned i = 0; i < count && disruption_budgets_count(x->budgets) > 0; i++) {
        items[i].breaks = disruption_take(x->budgets, items[i].obj);
    }
}

/* ---- One node ---- */

static void reprieve(struct scheduler *s, const struct sched_class *c, struct sched_node *n, struct victim *items,
                     unsigned count, bool breaks)
{
    for (unsigned i = 0; i < count; i++) {
        if (items[i].breaks != breaks) {
            continue;
        }
        give_back(s, items[i].pod);
        if (sched_node_fits(c, n, NULL)) {
            items[i].goes = false;
        } else {
            think_away(s, items[i].pod);
        }
    }
}

static void price_add(struct price *p, const struct victim *v, bool first)
{
    int64_t priority = v->pod->class->priority;
    p->victims++;
    p->breaks += v->breaks;
    p->sum += (__int128)priority + INT32_MAX + 1;
    p->start_ms = first || priority > p->highest ? v->start_ms
                  : priority == p->highest       ? MIN(p->start_ms, v->start_ms)
                                                 : p->start_ms;
    p->highest = first ? priority : MAX(p->highest, priority);
}

/* Nominees of lower priority lose their room: whoever takes it makes others go for them. */
static void price_nominees(struct price *p, const struct sched_class *c, const struct sched_node *n)
{
    for (unsigned i = 0; i < n->nominees_count; i++) {
        int64_t priority = n->nominees[i].class->priority;
        if (priority < c->priority) {
            p->sum += (__int128)priority + INT32_MAX + 1;
            p->highest = MAX(p->highest, priority);
        }
    }
}

/* Is there a way for the class on this node? The victims are those of *items that go. Nothing is changed. */
static bool node_try(struct preemption *x, const struct sched_class *c, struct sched_node *n, struct price *out,
                     struct victim **items, unsigned *items_count)
{
    unsigned leaving, count = items_read(x, n, c->priority, &leaving), bytes = 0;
    *items = x->items + leaving;
    *items_count = count - leaving;
    for (unsigned i = 0; i < count; i++) {
        think_away(x->s, x->items[i].pod);
    }
    bool fits = sched_node_fits(c, n, NULL);
    if (fits && *items_count > 0) {
        qsort(*items, *items_count, sizeof **items, by_importance);
        budgets_judge(x, *items, *items_count);
        reprieve(x->s, c, n, *items, *items_count, true);
        reprieve(x->s, c, n, *items, *items_count, false);
    }
    *out = (struct price){.highest = INT64_MIN};
    for (unsigned i = 0; i < *items_count; i++) {
        struct victim *v = &(*items)[i];
        if (v->goes) {
            give_back(x->s, v->pod);
            price_add(out, v, out->victims == 0);
            bytes += v->obj == NULL ? 0 : (unsigned)v->obj->body_size;
        }
    }
    price_nominees(out, c, n);
    for (unsigned i = 0; i < leaving; i++) {
        give_back(x->s, x->items[i].pod);
    }
    return fits && bytes <= BYTES_MAX;
}

static bool is_better(const struct price *a, const struct price *b)
{
    if (a->breaks != b->breaks) {
        return a->breaks < b->breaks;
    }
    if (a->highest != b->highest) {
        return a->highest < b->highest;
    }
    if (a->sum != b->sum) {
        return a->sum < b->sum;
    }
    return a->victims != b->victims ? a->victims < b->victims : a->start_ms > b->start_ms;
}

static bool is_curable(const struct sched_class *c, const struct sched_node *n)
{
    return c->table != NULL && n->slot < c->table->cap ? c->table->fixed[n->slot] >= 0
                                                       : sched_node_fixed_score(c, n) >= 0;
}

static bool may_push_out(const struct scheduler *s, const struct sched_class *c)
{
    return c->preempts && s->bound.count > 0 && s->bound.items[0].priority < c->priority &&
           (c->claims == NULL || c->claims->blocked == NULL);
}

bool preempt_could_help(struct scheduler *s, const struct sched_class *c, struct sched_node *n)
{
    int64_t highest;
    if (!may_push_out(s, c) || !levels_reach(n, c, &highest) || sched_node_fixed_score(c, n) < 0) {
        return false;
    }
    LIST_FOR(at, &n->pods)
    {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, on_node);
        if (p->leaving || p->class->priority < c->priority) {
            think_away(s, p);
        }
    }
    bool fits = sched_node_fits(c, n, NULL);
    LIST_FOR(at, &n->pods)
    {
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, on_node);
        if (p->leaving || p->class->priority < c->priority) {
            give_back(s, p);
        }
    }
    return fits;
}

bool nomination_holds(struct preemption *x, struct sched_pod *p)
{
    struct sched_node *n = p->node;
    if (n->obj == NULL || sched_node_fixed_score(p->class, n) < 0) {
        return false;
    }
    unsigned leaving;
    items_read(x, n, INT64_MIN, &leaving);
    for (unsigned i = 0; i < leaving; i++) {
        think_away(x->s, x->items[i].pod);
    }
    bool fits = leaving > 0 && nominee_fits(x->s, p);
    for (unsigned i = 0; i < leaving; i++) {
        give_back(x->s, x->items[i].pod);
    }
    return fits;
}

/* ---- Which node ---- */

struct sampled {
    struct sched_node *node;
    int64_t highest;
};

/* Sorted by how important those are that would have to go at least. */
static unsigned sample(struct scheduler *s, struct sched_class *c, struct sampled *out, unsigned *looks)
{
    unsigned count = 0;
    for (; count < SAMPLE_MAX && c->search_left > 0 && *looks > 0; (*looks)--) {
        struct sched_node *n = s->slots[c->search_at];
        int64_t highest;
        c->search_at = c->search_at + 1 >= s->slots_count ? 0 : c->search_at + 1;
        c->search_left--;
        if (n == NULL || !levels_reach(n, c, &highest) || !is_curable(c, n)) {
            continue;
        }
        unsigned at = count++;
        for (; at > 0 && out[at - 1].highest > highest; at--) {
            out[at] = out[at - 1];
        }
        out[at] = (struct sampled){n, highest};
    }
    return count;
}

static struct sched_node *best_of(struct preemption *x, const struct sched_class *c, const struct sampled *from,
                                  unsigned count, unsigned *trials, struct price *best)
{
    struct sched_node *node = NULL;
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++) {
        struct victim *items;
        struct price price;
        unsigned items_count;
        bool content = node != NULL && best->breaks == 0 && (good >= GOOD_MAX || from[i].highest > best->highest);
        if (content) {
            break; /* nothing that follows can be better, or enough was seen */
        }
        (*trials)++;
        if (!node_try(x, c, from[i].node, &price, &items, &items_count)) {
            continue;
        }
        good++;
        if (node == NULL || is_better(&price, best)) {
            node = from[i].node;
            *best = price;
        }
    }
    return node;
}

/* NULL: none; it was seen to the end if search_left is 0. */
static struct sched_node *search(struct preemption *x, struct sched_class *c, struct price *price)
{
    struct scheduler *s = x->s;
    struct sampled *from = arena_alloc(&x->arena, SAMPLE_MAX * sizeof *from);
    unsigned trials = 0, looks = LOOKS_MAX;
    if (c->search_left == 0 || c->search_at >= s->slots_count) {
        c->search_left = s->slots_count;
        c->search_at = (uint32_t)rng_below(&s->rng, s->slots_count);
    }
    while (c->search_left > 0 && trials < TRIALS_MAX && looks > 0) {
        unsigned count = sample(s, c, from, &looks);
        struct sched_node *n = best_of(x, c, from, count, &trials, price);
        if (n != NULL) {
            c->search_left = 0;
            return n;
        }
    }
    return NULL;
}

/* The same, and who goes: those of *items that do. As long as no budgets ask who they are, it is looked for on the one
 * node that was found. */
static struct sched_node *search_whom(struct preemption *x, struct sched_class *c, struct price *price,
                                      struct victim **items, unsigned *count)
{
    bool brief = view_count(x->tip, kind_by_id(KIND_PODDISRUPTIONBUDGET)) == 0;
    for (;;) {
        x->brief = brief;
        struct sched_node *n = search(x, c, price);
        x->brief = false;
        if (n == NULL || node_try(x, c, n, price, items, count)) {
            return n;
        }
        assert(brief); /* one of them is larger than what can be deleted: once more, with all that is known */
        brief = false;
        c->search_left = 0;
    }
}

/* ---- Carried out ---- */

void preempt_outrank(struct scheduler *s, struct sched_node *n, int64_t priority)
{
    for (unsigned i = n->nominees_count; i-- > 0;) {
        struct sched_pod *p = n->nominees[i].pod;
        if (p->class->priority < priority && p->state == POD_GANGED) {
            nominee_drop(s, p);
            gang_wake(s, p->gang);
        } else if (p->class->priority < priority) {
            queue_remove(s, p);
            nominee_drop(s, p);
            queue_add(s, p);
        }
    }
}

void preempt_delete(struct preemption *x, const struct victim *v, const struct sched_pod *p)
{
    struct scheduler *s = x->s;
    struct error err = {0};
    if (victim_write(x->t, &x->arena, x->tip, v->obj, p->obj, v->pod->node->name, x->wall_ms, &err) != 0) {
        log_error(s->config.log, "scheduler", "pod %s cannot be deleted for pod %s: %s", v->pod->key, p->key,
                  err.message);
        s->stats.violations++;
    }
    v->pod->round = s->round;
    pod_set_leaving(s, v->pod, true);
}

static bool has_room(const struct txn *t, const struct victim *items, unsigned count)
{
    size_t bytes = 0, ops = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += items[i].goes ? items[i].obj->body_size : 0;
        ops += items[i].goes ? 2 : 0;
    }
    return t->count == 0 || (t->count + ops + 4 <= TXN_OPS_MAX && t->size_bytes + bytes <= TXN_BYTES_MAX);
}

/* A search that found nothing is not repeated before this has changed. */
static uint64_t search_mark(const struct scheduler *s, const struct sched_class *c)
{
    return s->helpful + (places_any(c) ? s->places.changes : 0) + 1;
}

bool preempt_may_help(const struct scheduler *s, const struct sched_class *c)
{
    return may_push_out(s, c) && c->search_vain != search_mark(s, c);
}

enum preempt_result preempt_for(struct preemption *x, struct sched_pod *p)
{
    struct scheduler *s = x->s;
    struct sched_class *c = p->class;
    struct price price;
    if (!preempt_may_help(s, c)) {
        return PREEMPT_NONE;
    }
    x->spared = p->gang; /* its gang would be whole no more, and it recalled */
    struct victim *items;
    unsigned count;
    struct sched_node *n = search_whom(x, c, &price, &items, &count);
    if (n == NULL) {
        c->search_vain = c->search_left == 0 ? search_mark(s, c) : 0;
        return c->search_left == 0 ? PREEMPT_NONE : PREEMPT_LATER;
    }
    if (!has_room(x->t, items, count)) {
        return PREEMPT_LATER;
    }
    for (unsigned i = 0; i < count; i++) {
        if (items[i].goes) {
            preempt_delete(x, &items[i], p);
        }
    }
    preempt_outrank(s, n, c->priority);
    nominee_set(s, p, n);
    s->stats.preemptions += price.victims > 0;
    s->stats.victims += price.victims;
    return PREEMPT_DONE;
}

/* ---- For gangs ---- */

static void away_add(struct scheduler *s, struct away *away, const struct victim *v)
{
    if (away->count == away->cap) {
        away->cap = away->cap == 0 ? 16 : away->cap * 2;
        away->items = xrealloc(away->items, away->cap * sizeof *away->items);
    }
    away->items[away->count++] = *v;
    away->goes += v->goes;
    away->bytes += v->goes ? v->obj->body_size : 0;
    v->pod->away = true;
    think_away(s, v->pod);
}

struct sched_node *preempt_think(struct preemption *x, struct sched_class *c, struct away *away)
{
    struct scheduler *s = x->s;
    struct price price;
    uint32_t at = c->search_at, left = c->search_left;
    struct sched_node *n = NULL;
    struct victim *items;
    unsigned count;
    c->search_left = 0;
    if (c->preempts && s->slots_count > 0) {
        n = search_whom(x, c, &price, &items, &count);
    }
    c->search_at = at;
    c->search_left = left;
    if (n == NULL) {
        return NULL;
    }
    for (struct victim *v = x->items; v < items; v++) {
        v->goes = false; /* it goes already */
        away_add(s, away, v);
    }
    for (unsigned i = 0; i < count; i++) {
        if (items[i].goes) {
            away_add(s, away, &items[i]);
        }
    }
    return n;
}

void preempt_give_back(struct preemption *x, struct away *away, unsigned from)
{
    while (away->count > from) {
        const struct victim *v = &away->items[--away->count];
        away->goes -= v->goes;
        away->bytes -= v->goes ? v->obj->body_size : 0;
        v->pod->away = false;
        give_back(x->s, v->pod);
    }
    if (from == 0) {
        free(away->items);
        *away = (struct away){0};
    }
}
