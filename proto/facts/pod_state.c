#include "proto/facts/pod_state.h"

#include <assert.h>

#include "base/timefmt.h"

static int64_t time_ms(struct str text)
{
    int64_t ms = 0;
    return !str_empty(text) && timefmt_parse(text, &ms) ? ms : 0;
}

struct str pod_phase(const struct object *pod)
{
    return mp_str(mp_get(object_status(pod), "phase"));
}

/* A ReplicaSet of 100,000 pods asks each of them at every step: what the body says is read once and kept beside it. */
enum { MEMO_READ = 1, MEMO_FINISHED = 2, MEMO_READY = 4, MEMO_BOUND = 8, MEMO_UNPLACED = 16 };
#define MEMO_NODE_SHIFT 8 /* above it, where spec.nodeName stands in the body; 0: not bound */
static_assert(OBJECT_SIZE_MAX < 1u << (32 - MEMO_NODE_SHIFT), "a body may be larger than its places can tell");

struct memo {
    uint32_t bits;
    int64_t ready_ms;
};

static void memo_condition(struct memo *m, struct mp c)
{
    struct str type = mp_str(mp_get(c, "type")), status = mp_str(mp_get(c, "status"));
    if (str_is(type, "Ready")) {
        m->bits = str_is(status, "True") ? m->bits | MEMO_READY : m->bits & ~(uint32_t)MEMO_READY;
        m->ready_ms = time_ms(mp_str(mp_get(c, "lastTransitionTime")));
    } else if (str_is(type, "PodScheduled") && str_is(status, "False")) {
        m->bits |= MEMO_UNPLACED;
    }
}

static struct memo memo_read(const struct object *pod)
{
    struct memo m = {.bits = MEMO_READ};
    struct mp node = mp_get(object_spec(pod), "nodeName");
    if (!str_empty(mp_str(node))) {
        m.bits |= MEMO_BOUND | (uint32_t)(node.p - object_mp(pod).p) << MEMO_NODE_SHIFT;
    }
    for (struct mp_iter it = mp_iter(object_status(pod)); mp_next(&it);) {
        if (str_is(it.key, "phase")) {
            struct str phase = mp_str(it.value);
            m.bits |= str_is(phase, "Succeeded") || str_is(phase, "Failed") ? MEMO_FINISHED : 0;
        } else if (str_is(it.key, "conditions")) {
            for (struct mp_iter c = mp_iter(it.value); mp_next(&c);) {
                memo_condition(&m, c.value);
            }
        }
    }
    return m;
}

/* Two threads that read the same pod for the first time write the same. */
static struct memo memo_of(const struct object *pod)
{
    struct memo m = {.bits = __atomic_load_n(&pod->memo, __ATOMIC_ACQUIRE)};
    if (m.bits != 0) {
        m.ready_ms = __atomic_load_n(&pod->memo_ms, __ATOMIC_RELAXED);
        return m;
    }
    struct object *o = (struct object *)pod; /* the note is no part of what is immutable */
    m = memo_read(pod);
    __atomic_store_n(&o->memo_ms, m.ready_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&o->memo, m.bits, __ATOMIC_RELEASE);
    return m;
}

struct str pod_node(const struct object *pod)
{
    uint32_t place = memo_of(pod).bits >> MEMO_NODE_SHIFT;
    struct mp body = object_mp(pod);
    return place == 0 ? STR_NONE : mp_str((struct mp){body.p + place, body.end});
}

bool pod_finished(const struct object *pod)
{
    return memo_of(pod).bits & MEMO_FINISHED;
}

bool pod_active(const struct object *pod)
{
    return !pod->deleting && !pod_finished(pod);
}

struct pod_state pod_state_of(const struct object *pod)
{
    struct memo m = memo_of(pod);
    return (struct pod_state){
        .active = !pod->deleting && !(m.bits & MEMO_FINISHED),
        .ready = m.bits & MEMO_READY,
        .bound = m.bits & MEMO_BOUND,
        .unplaced = (m.bits & MEMO_UNPLACED) && !(m.bits & MEMO_BOUND),
        .ready_since_ms = m.ready_ms,
    };
}

bool pod_state_available(const struct pod_state *s, int64_t min_ready_s, int64_t wall_ms, int64_t *wait_ms)
{
    int64_t at_ms = s->ready_since_ms + min_ready_s * 1000;
    bool available = s->ready && (min_ready_s == 0 || (s->ready_since_ms > 0 && at_ms <= wall_ms));
    if (wait_ms != NULL) {
        *wait_ms = s->ready && !available && s->ready_since_ms > 0 ? at_ms - wall_ms : 0;
    }
    return available;
}

bool pod_ready(const struct object *pod, int64_t *since_ms)
{
    struct pod_state s = pod_state_of(pod);
    if (since_ms != NULL) {
        *since_ms = s.ready_since_ms;
    }
    return s.ready;
}

bool pod_available(const struct object *pod, int64_t min_ready_s, int64_t wall_ms, int64_t *wait_ms)
{
    struct pod_state s = pod_state_of(pod);
    return pod_state_available(&s, min_ready_s, wall_ms, wait_ms);
}
