/* What people see of gangs: the condition and the events of the group, and what its waiting pods say of themselves. */
#include <inttypes.h>
#include <stdlib.h>

#include "scheduler/core.h"

void gang_untold(struct scheduler *s, struct gang *g)
{
    list_remove(&g->untold_link);
    list_push_back(&s->gangs.untold, &g->untold_link);
}

void gangs_retell(struct scheduler *s)
{
    struct gangs *q = &s->gangs;
    if (q->retell_ms == 0 || env_now_ms(s->config.env) < q->retell_ms) {
        return;
    }
    q->retell_ms = 0;
    LIST_FOR_SAFE(at, &q->later)
    {
        gang_untold(s, LIST_ENTRY(at, struct gang, untold_link));
    }
}

static struct str name_of(const struct gang *g)
{
    return (struct str){g->key + g->ns_size + 1, g->key_size - g->ns_size - 1};
}

/* "3 of 8 members exist" */
static const char *text_of(const struct gang *g, struct arena *a)
{
    switch (g->lack) {
    case GANG_ABSENT:
        return arena_printf(a, "pod group \"%.*s\" does not exist", STR_ARG(name_of(g)));
    case GANG_SHORT:
        return arena_printf(a, "%u of %" PRId64 " members exist", g->placed + g->done + g->waiting_count,
                            gang_min_count(g->obj));
    case GANG_UNFIT:
        return g->message;
    case GANG_OPEN:
        return arena_printf(a, "%u members have a node, %" PRId64 " are needed", g->placed + g->done,
                            gang_min_count(g->obj));
    case GANG_UNKNOWN:
        break;
    }
    return "";
}

bool gang_write(struct round *r, struct gang *g, bool placed, const char *message)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (!group_condition_write(r->t, &a, r->tip, g->obj, placed, message, r->wall_ms)) {
        return false;
    }
    g->round = r->s->round;
    return true;
}

/* Its waiting pods say always the same, so that what changes is written once, in the group. */
static const char *pod_text(const struct gang *g, const struct sched_pod *p, struct arena *a)
{
    struct str name = name_of(g);
    if (g->lack == GANG_ABSENT) {
        return arena_printf(a, "waiting for pod group \"%.*s\", which does not exist", STR_ARG(name));
    }
    return p->node != NULL
               ? "no node has room; preemption: there will be when the pods that are being deleted have gone"
               : arena_printf(a, "waiting for all of pod group \"%.*s\" to be placed: see there", STR_ARG(name));
}

static void write_pod(struct round *r, const struct gang *g, struct sched_pod *p, uint8_t told, bool event)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *node = p->node == NULL ? NULL : p->node->name;
    if (unschedulable_write(r->t, &a, r->tip, p->obj, pod_text(g, p, &a), node, event, r->wall_ms)) {
        p->round = r->s->round;
        r->left -= MIN(r->left, 1u);
    }
    p->told = told;
}

void gang_tell_nominee(struct round *r, const struct gang *g, struct sched_pod *p, bool event)
{
    write_pod(r, g, p, GANG_UNFIT, event);
}

/* False: it is to be told in the next round. */
static bool tell_pod(struct round *r, const struct gang *g, struct sched_pod *p, bool event)
{
    uint8_t told = g->lack == GANG_ABSENT ? GANG_ABSENT : p->node != NULL ? GANG_UNFIT : GANG_SHORT;
    if (p->told == told) {
        return true;
    }
    if (p->round == r->s->round || round_full(r)) {
        return false;
    }
    write_pod(r, g, p, told, event);
    return true;
}

/* False: not all have been told yet. */
static bool tell_pods(struct round *r, struct gang *g)
{
    unsigned seen = 0;
    LIST_FOR(at, &g->waiting)
    {
        bool event = ++seen <= GANG_POD_EVENTS && r->s->gangs.ganged <= EVENTS_MAX;
        if (!tell_pod(r, g, LIST_ENTRY(at, struct sched_pod, in_gang), event)) {
            return false;
        }
    }
    return true;
}

/* In a large cluster what is told changes all the time. */
static bool is_put_off(struct scheduler *s, struct gang *g)
{
    if (g->lack != GANG_UNFIT || g->told_ms == 0 || s->config.env == NULL || s->nodes_present <= RETELL_NODES) {
        return false;
    }
    int64_t due_ms = g->told_ms + GANG_RETELL_MS;
    if (env_now_ms(s->config.env) >= due_ms) {
        return false;
    }
    list_remove(&g->untold_link);
    list_push_back(&s->gangs.later, &g->untold_link);
    s->gangs.retell_ms = s->gangs.retell_ms == 0 ? due_ms : MIN(s->gangs.retell_ms, due_ms);
    return true;
}

/* False: in the next round. */
static bool tell(struct round *r, struct gang *g)
{
    struct scheduler *s = r->s;
    if (g->obj != NULL && g->round == s->round) {
        return g->lack == GANG_OPEN; /* that is what was written */
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    bool gang = g->obj != NULL && gang_min_count(g->obj) > 0;
    if (gang && !(g->lack == GANG_OPEN && gang_is_placed(g->obj)) &&
        gang_write(r, g, g->lack == GANG_OPEN, text_of(g, &a))) {
        r->left--;
    }
    g->told_ms = g->lack == GANG_UNFIT && s->config.env != NULL ? env_now_ms(s->config.env) : 0;
    return g->lack == GANG_OPEN || tell_pods(r, g);
}

void gangs_tell(struct round *r)
{
    struct gangs *q = &r->s->gangs;
    struct list *at = q->untold.next;
    while (at != &q->untold && !round_full(r)) {
        struct gang *g = LIST_ENTRY(at, struct gang, untold_link);
        at = at->next;
        if (g->lack == GANG_UNKNOWN) { /* it is about to be tried */
            list_remove(&g->untold_link);
        } else if (!is_put_off(r->s, g) && tell(r, g)) {
            list_remove(&g->untold_link);
        }
    }
}

bool gang_explain(const struct scheduler *s, const struct gang *g, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    (void)s;
    arena_init(&a);
    if (g->lack == GANG_UNKNOWN || g->lack == GANG_OPEN) {
        return false;
    }
    buf_printf(out, "pod group \"%.*s\": %s", STR_ARG(name_of(g)), text_of(g, &a));
    return true;
}
