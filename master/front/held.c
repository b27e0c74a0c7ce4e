/* What connections hold of this master's memory in all: answers and events that are not read, messages that have come
 * in half, requests that wait.
 *
 * A connection has bounds of its own (rpc.h, MASTER_SESSION_BYTES_MAX), which many connections can reach at once. So
 * there is one for all of them, and a quarter of it for one subject, whatever the number of its connections. It is
 * looked at when a sixteenth of it has gone through the queues since last time; who holds most goes first: of the
 * subject with the most bytes, the connection with the most. What is sent reliably is not lost by that: a watch is
 * resumed, a list begun anew. */
#include "master/front/held.h"

#include <inttypes.h>
#include <stdio.h>

#include "master/master.h"

#define LOOKS    16u
#define AGAIN_MS 10 /* between two looks for room */

static uint64_t share_of(const struct master *m)
{
    return m->held.max / 4;
}

/* Bytes of the sessions that are open, by subject and in all. */
static uint64_t count(struct master *m)
{
    uint64_t all = 0;
    struct subject *s;
    for (size_t i = 0; (s = turns_next(m->turns, &i)) != NULL;) {
        s->bytes = 0;
    }
    LIST_FOR(it, &m->sessions)
    {
        const struct session *one = LIST_ENTRY(it, struct session, link);
        if (one->way->is_open(one)) {
            size_t bytes = one->way->held(one) + one->request_bytes;
            one->subject->bytes += bytes;
            all += bytes;
        }
    }
    return all;
}

static struct subject *largest_subject(const struct master *m)
{
    struct subject *s, *most = NULL;
    for (size_t i = 0; (s = turns_next(m->turns, &i)) != NULL;) {
        most = most == NULL || s->bytes > most->bytes ? s : most;
    }
    return most;
}

static struct session *largest_of(struct master *m, const struct subject *s, size_t *bytes)
{
    struct session *most = NULL;
    *bytes = 0;
    LIST_FOR(it, &m->sessions)
    {
        struct session *one = LIST_ENTRY(it, struct session, link);
        if (one->subject == s && one->way->is_open(one)) {
            size_t here = one->way->held(one) + one->request_bytes;
            if (most == NULL || here > *bytes) {
                most = one;
                *bytes = here;
            }
        }
    }
    return most;
}

static void look(struct master *m)
{
    m->held.looked_at = m->rpc_stats.bytes;
    m->held.bytes = count(m);
    m->held.most = MAX(m->held.most, m->held.bytes);
    for (;;) {
        struct subject *s = largest_subject(m);
        if (s == NULL || s->bytes == 0 || (m->held.bytes <= m->held.max && s->bytes <= share_of(m))) {
            return;
        }
        size_t bytes;
        struct session *one = largest_of(m, s, &bytes);
        if (one == NULL) {
            return;
        }
        m->held.shed++;
        char why[ERROR_MESSAGE_MAX];
        snprintf(why, sizeof why,
                 "%s holds %zu bytes here with all its connections, at most %" PRIu64 ", and all together %" PRIu64
                 ", at most %" PRIu64 " (queueMegabytes in master.yaml); this one holds most of them, %zu bytes, "
                 "and does not read",
                 s->name, s->bytes, share_of(m), m->held.bytes, m->held.max, bytes);
        one->way->shed(one, why);
        s->bytes -= MIN(bytes, s->bytes);
        m->held.bytes -= MIN((uint64_t)bytes, m->held.bytes);
    }
}

static uint64_t queued_since(const struct master *m)
{
    return m->rpc_stats.bytes - m->held.looked_at;
}

void held_look(struct master *m)
{
    if (queued_since(m) >= m->held.max / LOOKS) {
        look(m);
    }
}

bool held_has_room(struct master *m)
{
    int64_t now_ms = env_now_ms(m->env);
    if (m->held.bytes + queued_since(m) > m->held.max / 2 && now_ms - m->held.looked_ms >= AGAIN_MS) {
        look(m);
        m->held.looked_ms = now_ms;
    }
    if (m->held.bytes + queued_since(m) <= m->held.max / 2) {
        m->held.room_ms = now_ms;
    }
    return now_ms == m->held.room_ms || now_ms - m->held.room_ms > HELD_PATIENCE_MS;
}
