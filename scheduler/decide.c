/* Decisions: the best node for the next pod, or who has to go for it, or why there is none. */
#include <assert.h>
#include <stdlib.h>

#include "proto/facts/gang.h"
#include "scheduler/core.h"

bool round_full(struct round *r)
{
    if (r->end_ms != 0 && ++r->looks % LOOK_EVERY == 0) {
        r->late = r->late || env_now_ms(r->s->config.env) >= r->end_ms;
    }
    return r->late || r->left == 0 || r->t->size_bytes >= TXN_BYTES_MAX || r->t->count + 2 > TXN_OPS_MAX;
}

static void park_with_reason(struct round *r, struct sched_pod *p, const char *message)
{
    struct arena a;
    arena_init(&a);
    const struct sched_class *c = p->class;
    bool event = c->parked_count + c->nominated_count < EVENTS_MAX;
    if (unschedulable_write(r->t, &a, r->tip, p->obj, message, p->node == NULL ? NULL : p->node->name, event,
                            r->wall_ms)) {
        p->round = r->s->round;
        r->left--;
    }
    arena_close(&a);
    r->s->stats.unschedulable++;
    queue_park(r->s, p);
}

/* The same words as long as it waits: that another victim has gone is not worth a write. */
static void park_nominee(struct round *r, struct sched_pod *p)
{
    struct arena a;
    arena_init(&a);
    const char *name = p->node->name;
    park_with_reason(r, p,
                     arena_printf(&a,
                                  "no node has room; preemption: node %s will have some when the pods that are being "
                                  "deleted there have gone",
                                  name));
    arena_close(&a);
}

static const char *class_reasons(struct round *r, struct sched_class *c)
{
    class_resolve(r->s, c, r->tip);
    uint64_t seq = r->s->changes + r->s->places.changes; /* neither ever falls */
    /* "In a large cluster the numbers may be a little old": all nodes are asked for them. */
    unsigned nodes = r->s->nodes_present, old = nodes > RETELL_NODES ? nodes / REASONS_SHARE : 0;
    if (c->reasons == NULL || seq - c->reasons_seq > old) {
        struct buf text = BUF_INIT;
        reasons_write(r->s, c, &text);
        if (text.size ==
            /* the table and the reasons come from the same filters; should they disagree, the pod waits all the same */
            0) {
            buf_printf(&text, "no node takes the pod, for no reason that is known");
            r->s->stats.violations++;
        }
        free(c->reasons);
        c->reasons = xstrndup((const char *)text.data, text.size);
        c->reasons_seq = seq;
        buf_close(&text);
    }
    return c->reasons;
}

/* A round writes to a pod once: its revision is the precondition. */
static bool is_written(struct round *r, const struct sched_pod *p)
{
    if (p->round == r->s->round) {
        r->left = 0;
    }
    return p->round == r->s->round;
}

/* No node takes a pod of the class. */
static void class_park(struct round *r, struct sched_class *c)
{
    bool vain = false;
    while (c->active_count > 0 && !round_full(r) && !is_written(r, queue_head(c))) {
        struct sched_pod *p = queue_head(c);
        if (p->node != NULL && nominee_fits(r->s, p)) {
            return; /* one has its place: it is next */
        }
        if (p->node != NULL && nomination_holds(&r->preemption, p)) {
            park_nominee(r, p);
            if (queue_served(r->s, c, 1)) {
                return;
            }
            continue;
        }
        if (p->node != NULL) {
            nominee_drop(r->s, p);
            vain = false;
        }
        enum preempt_result result = vain ? PREEMPT_NONE : preempt_for(&r->preemption, p);
        if (result == PREEMPT_DONE) {
            park_nominee(r, p);
            r->preempted = true;
            r->looks = LOOK_EVERY - 1; /* it was more work than others */
            queue_served(r->s, c, 1);
            return; /* who leaves is not counted where pods are spread: the next one may fit somewhere */
        }
        if (result == PREEMPT_LATER) {
            r->left = 0;
        } else {
            vain = true;
            park_with_reason(r, p, class_reasons(r, c));
        }
        /* A search that goes on in the next round lets others pass as well: there may be many that search in vain. */
        if (queue_served(r->s, c, result == PREEMPT_LATER ? TURN_MAX : 1)) {
            return;
        }
    }
}

/* ---- Events of bindings ---- */

static void bound_events_refill(struct scheduler *s)
{
    int64_t now_ms = env_now_ms(s->config.env), past_ms = now_ms - s->bound_events_ms;
    if (s->bound_events_ms == 0 || past_ms * BOUND_EVENTS_RATE >= BOUND_EVENTS_MAX * 1000ll) {
        s->bound_events = BOUND_EVENTS_MAX;
        s->bound_events_ms = now_ms;
        return;
    }
    int64_t more = past_ms * BOUND_EVENTS_RATE / 1000;
    if (more > 0) {
        s->bound_events = (uint32_t)MIN((int64_t)BOUND_EVENTS_MAX, s->bound_events + more);
        s->bound_events_ms += more * 1000 / BOUND_EVENTS_RATE;
    }
}

bool bound_event_take(struct scheduler *s)
{
    bool any = s->bound_events > 0;
    s->bound_events -= any;
    return any;
}

static void pod_bind(struct round *r, struct sched_pod *p, struct sched_node *n);

/* The place that was kept for it comes first. */
static bool nominee_bind(struct round *r, struct sched_pod *p)
{
    struct sched_node *n = p->node;
    if (n == NULL || !nominee_fits(r->s, p)) {
        return false;
    }
    nominee_drop(r->s, p);
    pod_bind(r, p, n);
    return true;
}

/* The pod stays where it is in the queue: with the claims as they are then it is told what it waits for. */
static void ask_others(struct round *r, struct arena *a, struct sched_pod *p, const struct sched_node *n,
                       const struct claims_placing *placing)
{
    struct error err = {0};
    if (claims_ask_others(r->t, a, p->class->claims, n->name, placing, &err) != 0) {
        log_warn(r->s->config.log, "scheduler", "the claims of pod %s cannot have a node: %s", p->key, err.message);
        queue_park(r->s, p);
    }
    r->left = 0; /* whoever is next sees what has been asked */
}

void round_cut(struct txn *t, unsigned count, size_t bytes)
{
    while (t->count > count) {
        object_unref(t->ops[--t->count].object);
    }
    t->size_bytes = bytes;
}

/* A pod's claims are written with it, and may be large: what is above the bound of a transaction would be refused as a
 * whole, with the pods of others. */
static bool is_too_large(const struct txn *t)
{
    return t->count > TXN_OPS_MAX || t->size_bytes > TXN_SIZE_MAX - TXN_SIZE_MAX / 16;
}

static void pod_bind(struct round *r, struct sched_pod *p, struct sched_node *n)
{
    struct arena a;
    struct error err = {0};
    struct claims_placing placing;
    const char *why;
    const struct sched_claims *claims = p->class->claims;
    if (!sched_node_fits(p->class, n, NULL) ||
        (claims != NULL && !claims_place(claims, n, &placing, &why))) { /* the table says so */
        log_error(r->s->config.log, "scheduler", "pod %s does not fit on node %s, which was chosen for it: it waits",
                  p->key, n->name);
        r->s->stats.violations++;
        queue_park(r->s, p);
        r->left--;
        return;
    }
    arena_init(&a);
    unsigned before = r->t->count;
    size_t bytes = r->t->size_bytes;
    if (claims != NULL && claims_need_others(claims, &placing)) {
        ask_others(r, &a, p, n, &placing);
        arena_close(&a);
        return;
    }
    int rv = claims == NULL ? 0 : claims_write(r->t, &a, r->tip, claims, n, &placing, r->wall_ms, &err);
    rv = rv != 0 ? rv : binding_write(r->t, &a, r->tip, p->obj, n->name, bound_event_take(r->s), r->wall_ms, &err);
    bool large = rv == 0 && is_too_large(r->t);
    if (large) {
        rv = error_set(&err, ERR_TOO_LARGE, "its claims are too large for one transaction");
    }
    if (rv != 0) {
        round_cut(r->t, before, bytes);
    }
    if (large && before > 0) { /* the next transaction begins with it */
        r->left = 0;
        arena_close(&a);
        return;
    }
    if (rv == 0) {
        pod_assume(r->s, p, n);
        r->s->stats.bound++;
    } else {
        log_warn(r->s->config.log, "scheduler", "pod %s cannot be bound: %s", p->key, err.message);
        queue_park(r->s, p);
    }
    arena_close(&a);
    r->left = claims != NULL && r->t->count > before ? 0 : r->left - 1; /* the next one sees who uses which claim */
}

static void class_decide(struct round *r, struct sched_class *c)
{
    do {
        if (c->active_count == 0 || round_full(r) || is_written(r, queue_head(c))) {
            return;
        }
        class_resolve(r->s, c, r->tip);
        if (!nominee_bind(r, queue_head(c))) {
            c->judged = r->s->helpful;
            c->judged_places = r->s->places.changes;
            uint32_t best = table_pick(r->s, c);
            if (best == TABLE_NONE) {
                class_park(r, c);
                return;
            }
            pod_bind(r, queue_head(c), r->s->slots[best]);
            queue_wake_more(r->s, c);
        }
    } while (!queue_served(r->s, c, 1));
}

/* True: in the next round, too. Half of the budget, so that decisions can follow. */
static bool build_on(struct scheduler *s, const struct view *tip)
{
    unsigned few = s->config.build_objects;
    int64_t end_ms = few > 0 ? 0 : env_now_ms(s->config.env) + MAX(s->config.budget_ms / 2, 1);
    bool going = true;
    while (going) {
        going = build_step(s, tip, few > 0 ? few : BUILD_STEP);
        if (few > 0 || env_now_ms(s->config.env) >= end_ms) {
            break;
        }
    }
    return going;
}

bool scheduler_run(struct scheduler *s, const struct view *tip, int64_t wall_ms, unsigned pods_max, struct txn *t)
{
    assert(pods_max > 0);
    struct round r = {.s = s, .tip = tip, .wall_ms = wall_ms, .t = t, .left = pods_max};
    if (s->config.budget_ms > 0) {
        r.end_ms = env_now_ms(s->config.env) + s->config.budget_ms;
    }
    if (s->places.individual_due) {
        scheduler_resync(s, tip); /* some classes are several from now on */
    }
    if (s->build.going && build_on(s, tip)) {
        return true;
    }
    s->round++;
    bound_events_refill(s);
    preemption_init(&r.preemption, s, tip, wall_ms, t);
    nominees_wake(s, tip, wall_ms);
    bool left = queue_wake(s, tip);
    gangs_wake(s);
    while (!round_full(&r)) {
        struct gang *g = gangs_next(&r); /* first: what it parks may have been the top */
        struct sched_class *c = queue_top(s);
        if (g != NULL && (c == NULL || gang_goes_before(g, c))) {
            gang_decide(&r, g);
        } else if (c != NULL) {
            class_decide(&r, c);
        } else {
            break;
        }
    }
    gangs_tell(&r);
    preemption_close(&r.preemption);
    nominees_watch(s);
    retry_some(s, tip);
    /* What was placed may be what others wait for, or the room that this round has no longer kept. */
    bool helped = s->stats.parked > 0 && (s->places.woken != s->places.changes || s->woken != s->helpful);
    return s->stats.active > 0 || left || helped || s->retry_left > 0 || r.preempted || gangs_are_left(s);
}

void scheduler_failed(struct scheduler *s, const struct txn *t)
{
    /* From the last to the first, so that each goes to the front of its queue. */
    for (unsigned i = t->count; i-- > 0;) {
        if (t->ops[i].kind->id == KIND_PODGROUP) {
            gang_failed(s, t->ops[i].ns, t->ops[i].name);
        }
        if (t->ops[i].kind->id != KIND_POD) {
            continue;
        }
        struct sched_pod *p = pod_find(s, t->ops[i].ns, t->ops[i].name);
        if (p == NULL) {
            continue;
        }
        if (p->state == POD_ASSUMED) {
            pod_unassume(s, p);
        } else if (p->state == POD_PARKED) {
            queue_remove(s, p);
            queue_add(s, p);
            nominee_read(s, p);
        } else if (p->state == POD_GANGED) {
            p->told = 0;
            nominee_read(s, p);
            gang_failed(s, t->ops[i].ns, gang_of_pod(p->obj));
        } else if (p->state == POD_BOUND) {
            pod_set_leaving(s, p, false);
        }
    }
}

void scheduler_explain(struct scheduler *s, const struct view *tip, const struct object *pod, struct buf *out)
{
    const struct sched_pod *known = pod_find(s, pod->ns, pod->name);
    if (known != NULL && (known->state == POD_ASSUMED || known->state == POD_BOUND)) {
        return; /* it has its place */
    }
    if (known != NULL && known->state == POD_GANGED && gang_explain(s, known->gang, out)) {
        return;
    }
    struct sched_class c;
    class_init(&c, pod);
    places_attach(s, &c);
    if (c.claims != NULL) {
        claims_resolve(c.claims, pod, tip);
    }
    reasons_write(s, &c, out);
    table_drop(s, &c);
    places_detach(s, &c);
    class_close(&c);
}
