#include "scheduler/gang_attempt.h"

#include <stdlib.h>

static int by_weight(const void *pa, const void *pb)
{
    const struct seat *a = pa, *b = pb;
    const struct sched_class *ca = a->pod->class, *cb = b->pod->class;
    if ((a->pod->node != NULL) != (b->pod->node != NULL)) {
        return a->pod->node != NULL ? -1 : 1; /* for them room is kept */
    }
    if (ca->priority != cb->priority) {
        return ca->priority > cb->priority ? -1 : 1;
    }
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        if (ca->request.fixed[i] != cb->request.fixed[i]) {
            return ca->request.fixed[i] > cb->request.fixed[i] ? -1 : 1;
        }
    }
    return a->pod->seq < b->pod->seq ? -1 : 1;
}

/* What a member adds to the transaction that binds it. */
static void member_weigh(const struct sched_pod *p, size_t *bytes, unsigned *ops)
{
    const struct sched_claims *claims = p->class->claims;
    *bytes = p->obj->body_size + GANG_POD_BYTES;
    *ops = 2; /* an event */
    for (unsigned i = 0; claims != NULL && i < claims->count; i++) {
        const struct sched_claim *one = &claims->items[i];
        if (one->volume == NULL && one->claim != NULL) { /* a new volume names its claim, and there may be an event */
            *bytes += one->claim->body_size + GANG_POD_BYTES;
            *ops += 3;
        }
    }
}

void attempt_open(struct attempt *x, struct round *r, struct gang *g)
{
    *x = (struct attempt){.r = r, .s = r->s, .g = g, .need = gang_need(g)};
    x->enough = MAX(x->need, GANG_AT_ONCE);
    arena_init(&x->arena);
    size_t largest = 0, bytes;
    unsigned most = 0, ops;
    unsigned max = MIN(g->waiting_count, (unsigned)GANG_MEMBERS_MAX);
    x->seats = arena_alloc(&x->arena, max * sizeof *x->seats);
    x->order = arena_alloc(&x->arena, max * sizeof *x->order);
    LIST_FOR(at, &g->waiting)
    {
        if (x->count == max) {
            break;
        }
        struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, in_gang);
        x->seats[x->count++] = (struct seat){.pod = p};
        class_resolve(x->s, p->class, r->tip);
        member_weigh(p, &bytes, &ops);
        largest = MAX(largest, bytes);
        most = MAX(most, ops);
        x->bytes += bytes;
        x->ops += ops;
        for (unsigned i = 0; p->class->claims != NULL && i < p->class->claims->count; i++) {
            x->binds_claims |= p->class->claims->items[i].volume == NULL;
        }
    }
    if (x->bytes > GANG_BYTES_MAX || x->ops > GANG_OPS_MAX) { /* fewer come along, but as many as are needed */
        size_t fit = MIN(GANG_BYTES_MAX / MAX(largest, 1u), GANG_OPS_MAX / MAX(most, 1u));
        x->enough = (unsigned)MAX((size_t)x->need, MIN((size_t)x->enough, fit));
    }
    x->bytes = MIN(x->bytes, largest * x->enough);
    x->ops = MIN(x->ops, most * x->enough);
    qsort(x->seats, x->count, sizeof *x->seats, by_weight);
}

void attempt_close(struct attempt *x)
{
    for (unsigned i = 0; i < x->count && x->taken_count > 0; i++) {
        struct sched_class *c = x->seats[i].pod->class;
        if (c->claims != NULL && c->claims->seen == 0) { /* claims_avoid: as it was */
            table_drop(x->s, c);
            class_resolve(x->s, c, x->r->tip);
        }
    }
    for (unsigned i = 0; i < x->taken_count; i++) {
        object_unref((struct object *)x->taken[i].object);
    }
    free(x->taken);
    arena_close(&x->arena);
}

/* For the time of the attempt: tables see it, and nobody is woken by it. */
static void shift(struct scheduler *s, const struct seat *seat, int sign)
{
    sched_node_account(seat->node, seat->pod->class, sign);
    s->places.trial = true;
    places_account(s, seat->pod->class, seat->node, sign, true);
    sched_node_changed(s, seat->node, false, false);
    s->places.trial = false;
}

void attempt_count_nominations(struct attempt *x, bool counted)
{
    struct scheduler *s = x->s;
    for (unsigned i = 0; i < x->count; i++) {
        struct sched_pod *p = x->seats[i].pod;
        if (p->node != NULL) {
            nominee_count(p, counted);
            s->places.trial = true;
            sched_node_changed(s, p->node, false, false);
            s->places.trial = false;
        }
    }
}

void attempt_drop_nominations(struct attempt *x)
{
    for (unsigned i = 0; i < x->count; i++) {
        struct sched_pod *p = x->seats[i].pod;
        if (p->node != NULL) {
            nominee_drop(x->s, p);
            p->told = 0;
        }
    }
}

/* ---- Claims ---- */

static const struct taken *find_taken(const struct attempt *x, const struct object *o)
{
    for (unsigned i = 0; i < x->taken_count; i++) {
        if (x->taken[i].object->kind == o->kind && object_key_cmp(x->taken[i].object, o) == 0) {
            return &x->taken[i];
        }
    }
    return NULL;
}

static void take(struct attempt *x, const struct object *o, const struct sched_node *n)
{
    if (x->taken_count == x->taken_cap) {
        x->taken_cap = MAX(16u, x->taken_cap * 2);
        x->taken = xrealloc(x->taken, x->taken_cap * sizeof *x->taken);
    }
    /* A ref of its own: the class lets go of what it has no choice of (claims_avoid), and the tip may have the object
     * in another form by now. */
    x->taken[x->taken_count++] = (struct taken){object_ref((struct object *)o), n};
}

static int64_t kib_of(const struct object *claim)
{
    return (storage_bytes(claim) + 1023) / 1024;
}

/* What other members have got is not counted by the filters: it is not on the tip yet. */
static bool claims_are_free(struct attempt *x, const struct sched_class *c, const struct sched_node *n,
                            const struct claims_placing *placing)
{
    for (unsigned i = 0; i < c->claims->count; i++) {
        const struct sched_claim *one = &c->claims->items[i];
        const struct taken *t = find_taken(x, one->claim);
        bool many = storage_has_mode(one->claim, "ReadWriteMany") || storage_has_mode(one->claim, "ReadOnlyMany");
        bool same_node = storage_has_mode(one->claim, "ReadWriteOnce") && t != NULL && t->node == n;
        if (t != NULL && one->volume == NULL) {
            x->why = "members share a claim that has no volume yet";
            return false;
        }
        if (t != NULL && !many && !same_node) {
            x->why = "members share a claim whose volume one node, or one pod, can use";
            return false;
        }
        if (one->volume == NULL && placing->volumes[i] != NULL && find_taken(x, placing->volumes[i]) != NULL) {
            x->why = "another member has the last volume that is free for its claim";
            return false;
        }
    }
    return true;
}

/* sign 1: the seat gets them; -1: it gives the room of new volumes back. */
static void shift_room(const struct seat *seat, int sign)
{
    const struct sched_claims *claims = seat->pod->class->claims;
    for (unsigned i = 0; i < claims->count; i++) {
        const struct sched_claim *one = &claims->items[i];
        if (one->volume == NULL && seat->placing->volumes[i] == NULL && !one->foreign) {
            seat->node->local_used_kib += sign * kib_of(one->claim);
        }
    }
}

static bool claims_take(struct attempt *x, struct seat *seat, struct sched_node *n)
{
    const struct sched_claims *claims = seat->pod->class->claims;
    if (claims == NULL) {
        return true;
    }
    seat->placing = seat->placing != NULL ? seat->placing : arena_alloc(&x->arena, sizeof *seat->placing);
    if (!claims_place(claims, n, seat->placing, &x->why) || !claims_are_free(x, seat->pod->class, n, seat->placing)) {
        return false;
    }
    for (unsigned i = 0; i < claims->count; i++) {
        take(x, claims->items[i].claim, n);
        if (claims->items[i].volume == NULL && seat->placing->volumes[i] != NULL) {
            take(x, seat->placing->volumes[i], n);
        }
    }
    return true;
}

/* Volumes that other members have got are no choice: the class is judged anew, and by itself. */
static void claims_avoid(struct attempt *x, struct sched_class *c)
{
    if (c->claims == NULL || !x->binds_claims || x->taken_count == 0) {
        return;
    }
    for (unsigned i = 0; i < c->claims->count; i++) {
        struct sched_claim *one = &c->claims->items[i];
        unsigned kept = 0;
        for (unsigned k = 0; k < one->free_count; k++) {
            if (find_taken(x, one->free[k]) != NULL) {
                object_unref(one->free[k]);
            } else {
                one->free[kept++] = one->free[k];
            }
        }
        one->free_count = kept;
    }
    c->claims->seen = 0;
    table_drop(x->s, c);
}

/* ---- Seats ---- */

bool attempt_sit(struct attempt *x, struct seat *seat, struct sched_node *n)
{
    if (n == NULL || !claims_take(x, seat, n)) {
        return false;
    }
    seat->node = n;
    shift(x->s, seat, 1);
    if (seat->placing != NULL) {
        shift_room(seat, 1);
    }
    x->order[x->found++] = (unsigned)(seat - x->seats);
    return true;
}

void attempt_stand_up(struct attempt *x)
{
    while (x->found > 0) {
        struct seat *seat = &x->seats[x->order[--x->found]];
        if (seat->placing != NULL) {
            shift_room(seat, -1);
        }
        shift(x->s, seat, -1);
        seat->node = NULL;
    }
}

struct sched_node *attempt_place_for(struct attempt *x, struct sched_pod *p)
{
    /* "The place that was kept for it comes first." */
    if (p->node != NULL && sched_node_fits(p->class, p->node, NULL)) {
        return p->node;
    }
    claims_avoid(x, p->class);
    uint32_t slot = table_pick(x->s, p->class);
    return slot == TABLE_NONE ? NULL : x->s->slots[slot];
}

void attempt_sit_down(struct attempt *x)
{
    for (unsigned pass = 0; pass < GANG_PASSES; pass++) {
        unsigned before = x->found;
        x->s->gangs.attempt++;
        for (unsigned i = 0; i < x->count && x->found < x->enough; i++) {
            struct seat *seat = &x->seats[i];
            struct sched_class *c = seat->pod->class;
            bool vain = c->gang_unfit == x->s->gangs.attempt && seat->pod->node == NULL;
            if (seat->node == NULL && !vain && !attempt_sit(x, seat, attempt_place_for(x, seat->pod))) {
                c->gang_unfit = x->s->gangs.attempt;
            }
        }
        if (x->found == x->count || x->found >= x->enough || x->found == before) {
            break;
        }
    }
}
