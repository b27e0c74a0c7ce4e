/* What becomes of a gang whose turn it is: bound, all or nobody; nominated, and others go for it; or it waits. */
#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "scheduler/gang_attempt.h"

/* ---- What is known without an attempt ---- */

static struct sched_class *only_class(const struct attempt *x)
{
    struct sched_class *c = x->seats[0].pod->class;
    for (unsigned i = 0; i < x->count; i++) {
        if (x->seats[i].pod->class != c || x->seats[i].pod->node != NULL) {
            return NULL;
        }
    }
    return c->claims == NULL ? c : NULL;
}

/* The nodes that have changed for the better since take none of the class: then it is as it was. */
static bool is_as_it_was(struct scheduler *s, struct sched_class *c)
{
    if (s->helpful - c->gang_most_at > GANG_LOOKS_MAX || (places_any(c) && c->gang_most_places != s->places.changes)) {
        return false;
    }
    for (uint64_t n = c->gang_most_at + 1; n <= s->helpful; n++) {
        uint32_t slot = s->helpful_ring[n % CHANGES_MAX];
        if (s->slot_helpful[slot] == n && s->slots[slot] != NULL && sched_node_fits(c, s->slots[slot], NULL)) {
            return false;
        }
    }
    c->gang_most_at = s->helpful;
    return true;
}

/* reasons NULL: those of before. */
static void remember(struct scheduler *s, struct sched_class *c, unsigned most, const char *reasons)
{
    if (reasons != NULL) {
        free(c->gang_reasons);
        c->gang_reasons = xstrdup(reasons);
    }
    c->gang_most = most;
    c->gang_most_at = s->helpful;
    c->gang_most_places = s->places.changes;
}

/* What the first member without a place is told of the nodes, while the others have theirs. */
static char *reasons_of(struct attempt *x)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < x->count && x->why == NULL; i++) {
        if (x->seats[i].node == NULL) {
            reasons_write(x->s, x->seats[i].pod->class, &text);
            break;
        }
    }
    if (x->why != NULL) {
        buf_puts(&text, x->why);
    } else if (text.size == 0) {
        buf_puts(&text, "there is no room for more of them at a time");
    }
    return xstrndup((const char *)text.data, text.size);
}

/* ---- Bound ---- */

/* The first `count` of those that were assumed wait again; nothing is another than it was at `before`. Room that only
 * they have left wakes no gang: the next turn would try this one again, and every turn after it. */
static void unassume(struct attempt *x, unsigned count, const struct gangs_seen *before)
{
    while (count > 0) {
        pod_unassume(x->s, x->seats[x->order[--count]].pod);
    }
    gang_is_settled(x->g);
    gangs_carry(x->s, before);
}

static int write_bindings(struct attempt *x, struct sched_node *const *nodes, unsigned count, struct error *err)
{
    struct round *r = x->r;
    int rv = 0;
    for (unsigned i = 0; i < count && rv == 0; i++) {
        const struct seat *seat = &x->seats[x->order[i]];
        if (seat->placing != NULL) {
            rv = claims_write(r->t, &x->arena, r->tip, seat->pod->class->claims, nodes[i], seat->placing, r->wall_ms,
                              err);
        }
        rv = rv != 0 ? rv
                     : binding_write(r->t, &x->arena, r->tip, seat->pod->obj, nodes[i]->name, bound_event_take(x->s),
                                     r->wall_ms, err);
    }
    /* Volumes that were there already may be large. */
    if (rv == 0 && (r->t->count > TXN_OPS_MAX - 2 || r->t->size_bytes > TXN_SIZE_MAX - TXN_SIZE_MAX / 16)) {
        rv = error_set(err, ERR_TOO_LARGE, "its members and their claims are too large for one transaction");
    }
    return rv;
}

/* Once more, and for good. False: one does not fit after all, and none is placed. */
static bool assume(struct attempt *x, struct sched_node *const *nodes, unsigned count, const struct gangs_seen *before)
{
    struct scheduler *s = x->s;
    for (unsigned i = 0; i < count; i++) {
        struct sched_pod *p = x->seats[x->order[i]].pod;
        if (p->class->claims == NULL && !sched_node_fits(p->class, nodes[i], NULL)) {
            log_error(s->config.log, "scheduler",
                      "pod %s does not fit on node %s, which was chosen for it: its gang waits", p->key,
                      nodes[i]->name);
            s->stats.violations++;
            unassume(x, i, before);
            return false;
        }
        pod_assume(s, p, nodes[i]);
    }
    return true;
}

/* "If some claims are to be made by others first the node is not the pod's yet": the gang waits until they are. */
static bool ask_others(struct attempt *x)
{
    struct error err = {0};
    bool asked = false;
    for (unsigned i = 0; i < x->count; i++) {
        const struct seat *seat = &x->seats[i];
        if (seat->node == NULL || seat->placing == NULL ||
            !claims_need_others(seat->pod->class->claims, seat->placing)) {
            continue;
        }
        asked = true;
        if (claims_ask_others(x->r->t, &x->arena, seat->pod->class->claims, seat->node->name, seat->placing, &err) !=
            0) {
            log_warn(x->s->config.log, "scheduler", "the claims of pod %s cannot have a node: %s", seat->pod->key,
                     err.message);
        }
    }
    return asked;
}

static void wait_for(struct attempt *x, char *why);

/* All members that found a place, in the order in which they found it, which makes each of them right. */
static void commit(struct attempt *x)
{
    struct round *r = x->r;
    struct scheduler *s = x->s;
    struct gang *g = x->g;
    struct error err = {0};
    unsigned ops = r->t->count, bound = x->found, all = g->placed + g->done + bound;
    size_t bytes = r->t->size_bytes;
    bool asked = ask_others(x);
    struct sched_node **nodes = arena_alloc(&x->arena, x->count * sizeof *nodes);
    for (unsigned i = 0; i < bound; i++) {
        nodes[i] = x->seats[x->order[i]].node;
    }
    attempt_stand_up(x);
    attempt_count_nominations(x, true);
    if (asked) {
        wait_for(x, xstrdup("waiting for volumes of its claims to be made"));
        r->left = 0; /* whoever is next sees what has been asked */
        return;
    }
    attempt_drop_nominations(x);
    const struct gangs_seen before = gangs_see(s);
    if (!assume(x, nodes, bound, &before)) {
        wait_for(x, xstrdup("a member did not fit where it was to go"));
        return;
    }
    if (write_bindings(x, nodes, bound, &err) != 0) {
        round_cut(r->t, ops, bytes);
        unassume(x, bound, &before);
        log_warn(s->config.log, "scheduler", "gang %s cannot be bound: %s", g->key, err.message);
        wait_for(x, xstrdup(err.message));
        return;
    }
    for (unsigned i = 0; i < bound; i++) {
        x->seats[x->order[i]].pod->round = s->round;
    }
    const char *message =
        arena_printf(&x->arena, "%u members have a node, %" PRId64 " are needed", all, gang_min_count(g->obj));
    gang_write(r, g, true, message);
    struct sched_class *c = only_class(x);
    if (g->forced && c != NULL && !places_any(c) && s->gangs.woken == s->helpful) {
        s->stats.retry_found++;
        log_warn(s->config.log, "scheduler", "gang %s waited although there was room for it: no change had woken it",
                 g->key);
    }
    g->forced = false;
    s->stats.bound += bound;
    gang_was_bound(s, g);
    gang_rest(s, g);
    g->lack = GANG_OPEN;
    bool claims = false;
    for (unsigned i = 0; i < bound; i++) {
        claims = claims || x->seats[x->order[i]].pod->class->claims != NULL;
    }
    r->left = claims ? 0 : r->left - MIN(r->left, bound); /* the next one sees who uses which claim */
}

/* ---- Not bound ---- */

/* It is looked at again when something changes. why: given to it; NULL: as it was. */
static void wait_for(struct attempt *x, char *why)
{
    struct gang *g = x->g;
    bool told = g->lack == GANG_UNFIT && (why == NULL || (g->message != NULL && strcmp(g->message, why) == 0));
    for (unsigned i = 0; i < x->count && told; i++) {
        told = x->seats[i].pod->told != 0;
    }
    if (why != NULL) {
        free(g->message);
        g->message = why;
        g->fitted = UINT_MAX;
    }
    g->lack = GANG_UNFIT;
    g->forced = false;
    gang_park(x->s, g);
    if (!told) {
        gang_untold(x->s, g);
    }
}

static char *with_count(const struct attempt *x, unsigned found, const char *reasons)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const struct gang *g = x->g;
    buf_printf(&b, "%u of %" PRId64 " members fit: %s", g->placed + g->done + found, gang_min_count(g->obj), reasons);
    return xstrndup((const char *)b.data, b.size);
}

/* Enough members have a place, or will when those that are being deleted have gone. */
static bool nominations_hold(struct attempt *x)
{
    unsigned hold = 0, nominated = 0;
    for (unsigned i = 0; i < x->count; i++) {
        struct sched_pod *p = x->seats[i].pod;
        if (p->node != NULL) {
            nominated++;
            hold += nominee_fits(x->s, p) || nomination_holds(&x->r->preemption, p);
        }
    }
    return nominated > 0 && hold >= x->need;
}

/* Nodes without any pods would take so many members: others do not wait for what can never be. */
static bool is_possible(const struct attempt *x)
{
    struct sched_class *c = x->seats[0].pod->class;
    int64_t room = 0;
    unsigned of_class = 0, others = 0;
    for (unsigned i = 0; i < x->count; i++) {
        of_class += x->seats[i].pod->class == c;
        others += x->seats[i].pod->class != c;
    }
    for (unsigned slot = 0; slot < x->s->slots_count; slot++) {
        const struct sched_node *n = x->s->slots[slot];
        if (n == NULL || sched_node_fixed_score(c, n) < 0) {
            continue;
        }
        int64_t pods = MAX(0, n->pods_alloc);
        for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
            pods = c->request.fixed[i] > 0 ? MIN(pods, n->alloc.fixed[i] / c->request.fixed[i]) : pods;
        }
        room += pods;
    }
    unsigned need = x->need;
    return room >= MIN(of_class, need > others ? need - others : 0);
}

/* ---- Preemption ---- */

/* A search that found nothing is not repeated before this has changed. */
static uint64_t search_mark(const struct scheduler *s)
{
    return s->helpful + s->places.changes + 1;
}

static bool may_preempt(const struct attempt *x)
{
    const struct scheduler *s = x->s;
    if (s->bound.count == 0 || x->binds_claims || x->g->vain == search_mark(s)) {
        return false;
    }
    for (unsigned i = 0; i < x->count; i++) {
        const struct sched_class *c = x->seats[i].pod->class;
        if (c->preempts && s->bound.items[0].priority < c->priority) {
            return true;
        }
    }
    return false;
}

/* Tables look at their nodes anew. */
static void away_changed(struct attempt *x, const struct away *away, unsigned from)
{
    x->s->places.trial = true;
    for (; from < away->count; from++) {
        sched_node_changed(x->s, away->items[from].pod->node, false, false);
    }
    x->s->places.trial = false;
}

static void think(struct attempt *x, struct away *away)
{
    x->s->gangs.attempt++;
    for (unsigned i = 0; i < x->count; i++) {
        struct seat *seat = &x->seats[i];
        struct sched_class *c = seat->pod->class;
        if (x->found + (x->count - i) < x->need) {
            return; /* not the whole gang: nobody goes */
        }
        if (x->found >= x->need) {
            return; /* nobody goes for those beyond */
        }
        if (attempt_sit(x, seat, attempt_place_for(x, seat->pod)) || c->gang_unfit == x->s->gangs.attempt) {
            continue;
        }
        unsigned from = away->count;
        struct sched_node *n = preempt_think(&x->r->preemption, c, away);
        away_changed(x, away, from);
        if (!attempt_sit(x, seat, n)) {
            away_changed(x, away, from);
            preempt_give_back(&x->r->preemption, away, from);
            c->gang_unfit = x->s->gangs.attempt;
        }
    }
}

/* The transaction holds the victims' deletions and what is written of the members. */
static bool has_room(const struct attempt *x, const struct away *away)
{
    const struct txn *t = x->r->t;
    size_t ops = 2u * away->goes + 2u * x->count + 4;
    size_t bytes = away->bytes + away->goes * (size_t)GANG_POD_BYTES + x->bytes;
    return t->count == 0 || (t->count + ops <= TXN_OPS_MAX && t->size_bytes + bytes <= TXN_BYTES_MAX);
}

static bool is_too_large(const struct attempt *x, const struct away *away)
{
    return away->bytes + x->bytes > GANG_BYTES_MAX || 2u * (away->goes + x->count) + 4 > TXN_OPS_MAX;
}

static const struct seat *seat_at(const struct attempt *x, struct sched_node *const *nodes, const struct sched_node *n)
{
    for (unsigned i = 0; i < x->count; i++) {
        if (nodes[i] == n) {
            return &x->seats[i];
        }
    }
    return NULL;
}

/* Nobody is outranked by a member of the same gang: all others go first. */
static void nominate(struct attempt *x, struct sched_node *const *nodes)
{
    for (unsigned i = 0; i < x->count; i++) {
        if (nodes[i] != NULL) {
            preempt_outrank(x->s, nodes[i], x->seats[i].pod->class->priority);
        }
    }
    for (unsigned i = 0; i < x->count; i++) {
        struct sched_pod *p = x->seats[i].pod;
        if (nodes[i] != NULL) {
            nominee_set(x->s, p, nodes[i]);
            gang_tell_nominee(x->r, x->g, p, i < GANG_POD_EVENTS); /* in the transaction of the victims */
        }
    }
}

static enum preempt_result preempt(struct attempt *x)
{
    struct scheduler *s = x->s;
    struct away away = {0};
    if (!may_preempt(x)) {
        return PREEMPT_NONE;
    }
    if (x->r->gangs_searched >= GANG_SEARCHES_MAX) {
        return PREEMPT_LATER;
    }
    x->r->gangs_searched++;
    x->r->preemption.spared = x->g; /* its own members are no victims */
    think(x, &away);
    x->r->preemption.spared = NULL;
    bool whole = x->found >= x->need && !is_too_large(x, &away);
    bool fits = whole && has_room(x, &away);
    unsigned found = x->found, goes = away.goes, count = away.count;
    struct sched_node **nodes = arena_alloc(&x->arena, x->count * sizeof *nodes);
    for (unsigned i = 0; i < x->count; i++) {
        nodes[i] = x->seats[i].node;
    }
    struct victim *victims = arena_alloc(&x->arena, MAX(1u, count) * sizeof *victims);
    memcpy(victims, count == 0 ? victims : away.items, count * sizeof *victims);
    attempt_stand_up(x);
    away_changed(x, &away, 0);
    preempt_give_back(&x->r->preemption, &away, 0);
    if (!whole) {
        x->g->vain = search_mark(s);
        return PREEMPT_NONE;
    }
    if (!fits) {
        return PREEMPT_LATER;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct seat *seat = seat_at(x, nodes, victims[i].pod->node);
        if (victims[i].goes && seat != NULL) {
            preempt_delete(&x->r->preemption, &victims[i], seat->pod);
        }
    }
    nominate(x, nodes);
    x->r->left -= MIN(x->r->left, found);
    x->r->preempted = true;
    s->stats.gang_preemptions += goes > 0;
    s->stats.victims += goes;
    return PREEMPT_DONE;
}

/* ---- Decided ---- */

/* A round writes to an object once, and a transaction holds all of a gang. False: in the next round. */
static bool is_its_turn(const struct attempt *x)
{
    const struct txn *t = x->r->t;
    if (x->g->round == x->s->round) {
        return false;
    }
    for (unsigned i = 0; i < x->count; i++) {
        if (x->seats[i].pod->round == x->s->round) {
            return false;
        }
    }
    return t->count == 0 || (t->count + x->ops + 2 <= TXN_OPS_MAX && t->size_bytes + x->bytes <= TXN_BYTES_MAX);
}

static void fail(struct attempt *x, unsigned found, char *reasons)
{
    struct round *r = x->r;
    struct gang *g = x->g;
    r->gangs_failed++;
    r->left -= MIN(r->left, 1 + found / 8);
    r->looks = LOOK_EVERY - 1; /* it was more work than others */
    if (nominations_hold(x)) {
        wait_for(x, xstrdup("there will be room when the pods that are being deleted have gone"));
        free(reasons);
        return;
    }
    attempt_drop_nominations(x);
    enum preempt_result result = preempt(x);
    if (result == PREEMPT_LATER) {
        r->gangs_failed = GANG_FAILS_MAX; /* it is the first of the next round; other pods have the rest of this one */
    } else if (result == PREEMPT_DONE) {
        wait_for(x, xstrdup("there will be room when the pods that are being deleted have gone"));
    } else {
        if (!gang_has_patience(x->s, g)) {
            if (is_possible(x)) {
                gang_hold(x->s, g);
            } else {
                g->passed_from = x->s->gangs.bound;
            }
        }
        wait_for(x, reasons == NULL ? NULL : with_count(x, found, reasons));
        g->fitted = found;
    }
    free(reasons);
}

void gang_decide(struct round *r, struct gang *g)
{
    struct scheduler *s = r->s;
    struct attempt x;
    assert(g->state == GANG_READY && g->waiting_count > 0);
    attempt_open(&x, r, g);
    struct sched_class *c = only_class(&x);
    if (!is_its_turn(&x)) {
        r->left = 0;
    } else if (x.bytes > GANG_BYTES_MAX || x.ops > GANG_OPS_MAX || x.count < x.need) {
        wait_for(&x, xstrdup("its members are too many, or too large, for one transaction"));
    } else if (gang_is_held(s, g)) {
        if (g->message == NULL) {
            wait_for(&x, xstrdup("an older gang that needs more room has its turn first"));
        }
        gang_park(s, g);
    } else if (c != NULL && c->gang_reasons != NULL && c->gang_most < x.need && !g->forced && !may_preempt(&x) &&
               gang_has_patience(s, g) && is_as_it_was(s, c)) {
        unsigned most = c->gang_most;
        wait_for(&x, g->message != NULL && g->fitted == most ? NULL : with_count(&x, most, c->gang_reasons));
        g->fitted = most;
    } else {
        s->stats.gang_attempts++;
        attempt_count_nominations(&x, false);
        attempt_sit_down(&x);
        unsigned found = x.found;
        if (found >= x.need) {
            commit(&x);
        } else {
            /* In a large cluster the words are looked for when the number is another: that is much work. */
            bool again = g->message != NULL && g->fitted == found && s->nodes_present > RETELL_NODES;
            char *reasons = again ? NULL : reasons_of(&x);
            attempt_stand_up(&x);
            attempt_count_nominations(&x, true);
            if (c != NULL) {
                remember(s, c, found, reasons);
            }
            fail(&x, found, reasons);
        }
    }
    attempt_close(&x);
}
