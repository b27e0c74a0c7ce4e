/* What the scheduler knows when leadership begins: built from the state, in steps.
 *
 * There may be a million pods, so the way through all objects takes many rounds, in which nothing is decided: a node
 * whose pods have not all been counted would be given too many. The state changes meanwhile:
 *
 *      kinds in their row, objects in the row of their names       waiting pods, the oldest first
 *   -> walked: as if it had just come | not yet: its changes are  -> each as it is by then  -> decisions
 *      changes are seen as always     | not looked at
 *
 * Pods that wait have their place in the queue by age, so they are put aside until all are known. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/core.h"

static const enum kind_id kinds[] = {KIND_NAMESPACE, KIND_NODE, KIND_PERSISTENTVOLUME, KIND_PODGROUP, KIND_POD};

void build_begin(struct scheduler *s)
{
    build_end(s);
    s->build.going = true;
}

size_t build_drop_waiting(struct scheduler *s, size_t most)
{
    struct build *b = &s->build;
    size_t count = MIN(most, b->waiting_count);
    for (size_t i = 0; i < count; i++) {
        object_unref(b->waiting[--b->waiting_count].pod);
    }
    return count;
}

void build_end(struct scheduler *s)
{
    struct build *b = &s->build;
    object_unref(b->last);
    build_drop_waiting(s, SIZE_MAX);
    free(b->waiting);
    *b = (struct build){0};
}

bool build_has(const struct scheduler *s, const struct object *o)
{
    const struct build *b = &s->build;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (o->kind->id == kinds[i]) {
            return i < b->kind || (i == b->kind && b->last != NULL && object_key_cmp(o, b->last) <= 0);
        }
    }
    return true; /* of kinds that are asked for when they are needed */
}

/* ---- Pods that wait: a heap, the oldest first ---- */

static bool older(const struct build_waiting *x, const struct build_waiting *y)
{
    return x->created_ms != y->created_ms ? x->created_ms < y->created_ms : object_key_cmp(x->pod, y->pod) < 0;
}

void build_wait(struct scheduler *s, const struct object *pod)
{
    struct build *b = &s->build;
    if (b->waiting_count == b->waiting_cap) {
        b->waiting_cap = MAX((size_t)64, b->waiting_cap * 2);
        b->waiting = xrealloc(b->waiting, b->waiting_cap * sizeof *b->waiting);
    }
    const struct build_waiting one = {object_created_ms(pod), object_ref(pod)};
    size_t at = b->waiting_count++;
    for (; at > 0 && older(&one, &b->waiting[(at - 1) / 2]); at = (at - 1) / 2) {
        b->waiting[at] = b->waiting[(at - 1) / 2];
    }
    b->waiting[at] = one;
}

/* With its ref. */
static struct object *take_oldest(struct build *b)
{
    struct object *oldest = b->waiting[0].pod;
    const struct build_waiting last = b->waiting[--b->waiting_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= b->waiting_count) {
            break;
        }
        child += child + 1 < b->waiting_count && older(&b->waiting[child + 1], &b->waiting[child]);
        if (!older(&b->waiting[child], &last)) {
            break;
        }
        b->waiting[at] = b->waiting[child];
        at = child;
    }
    if (b->waiting_count > 0) {
        b->waiting[at] = last;
    }
    return oldest;
}

/* ---- The way ---- */

static void walk(struct scheduler *s, const struct view *tip, unsigned *left)
{
    struct build *b = &s->build;
    const struct kind *k = kind_by_id(kinds[b->kind]);
    const struct object *last = NULL;
    struct view_iter it;
    if (b->last != NULL) {
        view_iter_after(&it, tip, k, STR_NONE, b->last->ns, b->last->name);
    } else {
        view_iter(&it, tip, k, STR_NONE);
    }
    while (*left > 0) {
        const struct object *o = view_next(&it);
        if (o == NULL) {
            b->kind++;
            object_unref(TAKE_PTR(b->last));
            return;
        }
        scheduler_see(s, NULL, o);
        last = o;
        --*left;
    }
    struct object *former = b->last;
    b->last = last != NULL ? object_ref(last) : former;
    if (last != NULL) {
        object_unref(former);
    }
}

bool build_step(struct scheduler *s, const struct view *tip, unsigned objects)
{
    struct build *b = &s->build;
    assert(b->going);
    while (objects > 0 && b->kind < ARRAY_SIZE(kinds)) {
        walk(s, tip, &objects);
    }
    for (; objects > 0 && b->waiting_count > 0; objects--) {
        CLEANUP_OBJECT struct object *pod = take_oldest(b);
        pod_come(s, view_get(tip, pod->kind, pod->ns, pod->name));
    }
    if (s->places.individual_due) {
        scheduler_resync(s, tip); /* a selector was found that tells pods of one template apart */
    } else if (b->kind == ARRAY_SIZE(kinds) && b->waiting_count == 0) {
        build_end(s);
    }
    return s->build.going;
}
