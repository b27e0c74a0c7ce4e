/* Nominees: pods for which others were deleted (or are being deleted anyway), and the node where that makes room.
 *
 * The room is kept: whoever is of no higher priority finds it taken (plugins.c). It is written down in
 * status.nominatedNodeName, so the next leader keeps it, too. A nominee stays parked until its node changes; then it
 * gets its place, waits on, or is no nominee any more and is decided anew. A place elsewhere is as welcome: it is woken
 * with its class as others are. Source: Kubernetes core/v1 PodStatus.nominatedNodeName. */
#include <assert.h>
#include <stdlib.h>

#include "proto/facts/pod_state.h"
#include "scheduler/core.h"

static struct nominee *nominee_of(const struct sched_pod *p)
{
    struct sched_node *n = p->node;
    unsigned at = 0;
    while (at < n->nominees_count && n->nominees[at].pod != p) {
        at++;
    }
    assert(at < n->nominees_count);
    return &n->nominees[at];
}

void nominee_drop(struct scheduler *s, struct sched_pod *p)
{
    assert(p->state != POD_ASSUMED && p->state != POD_BOUND && "and in no list of parked ones");
    struct sched_node *n = p->node;
    if (n == NULL) {
        return;
    }
    struct nominee *own = nominee_of(p);
    memmove(own, own + 1, (size_t)(n->nominees + --n->nominees_count - own) * sizeof *own);
    p->node = NULL;
    s->nominees--;
    if (n->nominees_count == 0) {
        list_remove(&n->nominated_link);
    }
    sched_node_changed(s, n, false, true);
    node_drop_if_unused(s, n);
}

void nominee_set(struct scheduler *s, struct sched_pod *p, struct sched_node *n)
{
    if (p->node == n) {
        return;
    }
    nominee_drop(s, p);
    p->node = n;
    if (n->nominees_count == 0 && n->nominees_stale) {
        list_push_front(&s->nominated_nodes, &n->nominated_link);
    } else if (n->nominees_count == 0) {
        list_push_back(&s->nominated_nodes, &n->nominated_link);
    }
    n->nominees = xrealloc(n->nominees, (n->nominees_count + 1) * sizeof *n->nominees);
    n->nominees[n->nominees_count++] = (struct nominee){p, p->class};
    s->nominees++;
    sched_node_changed(s, n, false, false);
}

void nominee_read(struct scheduler *s, struct sched_pod *p)
{
    struct str name = mp_str(mp_get(object_status(p->obj), "nominatedNodeName"));
    struct sched_node *n = str_empty(name) ? NULL : strmap_get(&s->nodes, name);
    n = n != NULL && n->obj == NULL ? NULL : n;
    if (p->node == n) {
        return;
    }
    if (p->state != POD_GANGED) {
        queue_remove(s, p); /* somebody else has written it: let us see */
    }
    if (n == NULL) {
        nominee_drop(s, p); /* what is written of a node that is gone stays until the pod is decided on */
    } else {
        nominee_set(s, p, n);
    }
    if (p->state != POD_GANGED) {
        queue_add(s, p);
    } else {
        gang_wake(s, p->gang);
    }
}

void nominee_count(struct sched_pod *p, bool counted)
{
    nominee_of(p)->class = counted ? p->class : NULL;
}

bool nominee_fits(struct scheduler *s, struct sched_pod *p)
{
    (void)s;
    struct nominee *own = nominee_of(p);
    own->class = NULL;
    bool fits = sched_node_fits(p->class, p->node, NULL);
    own->class = p->class;
    return fits;
}

static void node_wake(struct scheduler *s, struct preemption *x, const struct sched_node *n)
{
    for (unsigned i = 0; i < n->nominees_count; i++) {
        struct sched_pod *p = n->nominees[i].pod;
        if (p->state == POD_PARKED && (nominee_fits(s, p) || !nomination_holds(x, p))) {
            queue_remove(s, p);
            queue_add(s, p);
        } else if (p->state == POD_GANGED && !nominee_fits(s, p) && !nomination_holds(x, p)) {
            gang_wake(s, p->gang); /* room that comes wakes it as it wakes all gangs */
        }
    }
}

void nominees_wake(struct scheduler *s, const struct view *tip, int64_t wall_ms)
{
    bool due = false;
    if (s->config.env != NULL && s->nominees_due_ms != 0) {
        due = env_now_ms(s->config.env) >= s->nominees_due_ms;
    }
    struct preemption x;
    preemption_init(&x, s, tip, wall_ms, NULL);
    /* Thousands of nodes may have nominees: without a change they are not even passed by. */
    while (!list_empty(&s->nominated_nodes)) {
        struct sched_node *n = LIST_ENTRY(s->nominated_nodes.next, struct sched_node, nominated_link);
        if (!n->nominees_stale) {
            break;
        }
        n->nominees_stale = false;
        list_remove(&n->nominated_link);
        list_push_back(&s->nominated_nodes, &n->nominated_link);
        if (!due) {
            node_wake(s, &x, n);
        }
    }
    if (due) {
        LIST_FOR_SAFE(at, &s->nominated_nodes)
        {
            node_wake(s, &x, LIST_ENTRY(at, struct sched_node, nominated_link));
        }
    }
    preemption_close(&x);
    s->nominees_due_ms = due ? 0 : s->nominees_due_ms;
}

void nominees_watch(struct scheduler *s)
{
    if (s->nominees == 0 || s->config.env == NULL) {
        s->nominees_due_ms = 0;
    } else if (s->nominees_due_ms == 0) {
        s->nominees_due_ms = env_now_ms(s->config.env) + NOMINEES_LOOK_MS;
    }
}
