/* Requests that meet an election: they wait here for its end, inside their own deadline.
 *
 * A request comes here instead of failing when what it failed of is that nobody leads at the moment: no leader is
 * known, the leader could not be reached or had just ceased to lead (nothing was done), a read was not confirmed by a
 * majority; or when the outcome of a write is unknown that may be repeated safely. As soon as a leader is known all of
 * them are handled anew, in their order, as if they had just come in; where one was known already and it went wrong all
 * the same, each after a pause of its own that grows.
 *
 *   handled -> fails of the election -> PARKED -> leader known, or pause over -> handled anew -> ...
 *                                         |-> deadline: the last error; ERR_UNKNOWN_OUTCOME if any attempt may have
 *                                         been done
 *                                         |-> whoever asked has hung up: dropped
 *
 * Only the master that a client is connected to parks its requests: one that another master forwarded fails there and
 * waits here. An agent's request that is the leader's alone (METHOD_LEADER) waits only while no leader is known; then
 * it is done, or told who leads. Bounded by MASTER_PARKED_MAX; their bytes are on the account of their connections
 * (errand_count). */
#include "master/front/parked.h"

#include <assert.h>
#include <stdlib.h>

#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS   800
#define LEADER_TRIES   3u /* an agent's request: then it looks for the leader by itself */

struct parked {
    struct list link; /* master.parked */
    struct errand *errand;
    int64_t again_ms; /* env now_ms; INT64_MAX: when a leader is known */
    struct error why;
};

static int64_t now_ms(const struct master *m)
{
    return env_now_ms(m->env);
}

/* A leader is known that may be asked: another master, or ourselves with the tip open. */
static bool leader_there(const struct master *m)
{
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    return leader == m->config.id ? replica_leading(m->replica) : leader != 0;
}

/* May it be handled anew although it may have been done? */
static bool may_repeat(const struct errand *e)
{
    return (e->flags & METHOD_AGAIN) != 0 || e->repeatable;
}

static bool waits_for(const struct errand *e, const struct error *why)
{
    int code = why->code;
    if (e->flags & METHOD_LEADER) {
        /* The leadership went while it was being done: handled anew, it is told who has it now. */
        bool unnamed = why->field[0] == '\0' && e->tries < LEADER_TRIES;
        return (code == ERR_NOT_LEADER && (!leader_there(e->api.m) || unnamed)) ||
               (code == ERR_UNKNOWN_OUTCOME && may_repeat(e));
    }
    if ((e->flags & METHOD_MOVES_LEADER) && !may_repeat(e)) {
        return false; /* the leadership has moved, which may be all that was wanted */
    }
    return code == ERR_NOT_LEADER || code == ERR_NO_QUORUM || (code == ERR_UNKNOWN_OUTCOME && may_repeat(e));
}

static int64_t pause_of(const struct errand *e)
{
    return e->tries > 5 ? PAUSE_MAX_MS : PAUSE_FIRST_MS << e->tries;
}

static void on_timer(uv_timer_t *timer);

/* The timer goes off when the first of them is due. */
static void arm(struct master *m)
{
    int64_t at = INT64_MAX;
    LIST_FOR(it, &m->parked)
    {
        const struct parked *p = LIST_ENTRY(it, struct parked, link);
        at = MIN(at, MIN(p->again_ms, p->errand->deadline_ms));
    }
    if (at == INT64_MAX || m->stopping) {
        uv_timer_stop(&m->parked_timer);
    } else {
        int64_t wait = at - now_ms(m);
        uv_timer_start(&m->parked_timer, on_timer, wait < 0 ? 0 : (uint64_t)wait, 0);
    }
}

bool errand_park(struct errand *e, const struct error *why)
{
    struct master *m = e->api.m;
    if (e->forwarded || m->stopping || e->front->session(e) == NULL || !waits_for(e, why) ||
        now_ms(m) >= e->deadline_ms) {
        return false;
    }
    e->maybe_done |= why->code == ERR_UNKNOWN_OUTCOME;
    if (m->parked_count >= MASTER_PARKED_MAX) {
        m->stats.park_refused++;
        struct error full = {0};
        error_set(
            &full, ERR_BUSY,
            "%.*s: %u requests wait for a leader already, which is the most that may; nothing was done; try again",
            STR_ARG(e->name), m->parked_count);
        errand_fail_now(e, e->maybe_done ? why : &full);
        return true;
    }
    struct parked *p = xcalloc(1, sizeof *p);
    *p = (struct parked){.errand = e, .why = *why, .again_ms = leader_there(m) ? now_ms(m) + pause_of(e) : INT64_MAX};
    e->tries++;
    list_push_back(&m->parked, &p->link);
    m->parked_count++;
    m->stats.parked++;
    if (!uv_is_active((uv_handle_t *)&m->parked_timer)) {
        arm(m);
    } else if (MIN(p->again_ms, e->deadline_ms) < now_ms(m) + (int64_t)uv_timer_get_due_in(&m->parked_timer)) {
        arm(m);
    }
    return true;
}

static struct errand *take(struct parked *p, struct error *why)
{
    struct errand *e = p->errand;
    *why = p->why;
    list_remove(&p->link);
    e->api.m->parked_count--;
    free(p);
    return e;
}

static void give_up(struct parked *p)
{
    struct error why;
    struct errand *e = take(p, &why);
    errand_find_again(e);
    if (e->maybe_done && why.code != ERR_UNKNOWN_OUTCOME) {
        struct error last = why;
        error_set(
            &why, ERR_UNKNOWN_OUTCOME,
            "the leader went away while it held the request, and since then: %s; it may or may not have been done: "
            "look, or repeat it with the same id",
            last.message);
    }
    errand_fail_now(e, &why);
}

/* All that are due, in their order. What is parked again meanwhile stands behind the last one and is not looked at. */
void parked_look(struct master *m)
{
    int64_t now = now_ms(m);
    unsigned count = m->parked_count;
    struct list *it = m->parked.next;
    for (unsigned i = 0; i < count && !m->stopping; i++) {
        struct parked *p = LIST_ENTRY(it, struct parked, link);
        it = it->next;
        if (now >= p->errand->deadline_ms) {
            give_up(p);
        } else if (now >= p->again_ms) {
            struct error why;
            errand_again(take(p, &why));
        }
    }
    arm(m);
}

static void on_timer(uv_timer_t *timer)
{
    parked_look(timer->data);
    master_wake(timer->data);
}

void parked_on_leader(struct master *m)
{
    if (list_empty(&m->parked) || m->stopping || !leader_there(m)) {
        return;
    }
    LIST_FOR(it, &m->parked)
    {
        struct parked *p = LIST_ENTRY(it, struct parked, link);
        if (p->again_ms == INT64_MAX) {
            p->errand->tries = 0;
        }
        p->again_ms = now_ms(m);
    }
    arm(m); /* not here: we may be in the middle of the node's turn */
}

void parked_on_session_closed(struct session *s)
{
    struct error gone = {0};
    error_set(&gone, ERR_CLOSED, "the connection was closed");
    LIST_FOR_SAFE(it, &s->m->parked)
    {
        struct parked *p = LIST_ENTRY(it, struct parked, link);
        struct session *of = p->errand->front->session(p->errand);
        if (of == s || of == NULL) {
            struct error why;
            errand_fail_now(take(p, &why), &gone); /* into the void */
        }
    }
}

void parked_close(struct master *m)
{
    struct error stopping = {0};
    error_set(&stopping, ERR_NOT_LEADER, "this master is stopping; nothing was done; ask another one");
    uv_timer_stop(&m->parked_timer);
    LIST_FOR_SAFE(it, &m->parked)
    {
        struct parked *p = LIST_ENTRY(it, struct parked, link);
        if (!p->errand->maybe_done) {
            p->why = stopping;
        }
        give_up(p);
    }
}
