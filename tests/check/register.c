/* Linearizability of registers with read, write and compare-and-swap.
 *
 * Wing and Gong, "Testing and verifying concurrent objects" (1993): try every operation that may come next, that is,
 * each that began before the first one still missing had ended; go back when stuck. With the memory of Lowe, "Testing
 * for linearizability" (2017): the same set of operations done and the same value need not be tried twice.
 * Linearizability is local (Herlihy and Wing 1990): each key is judged alone.
 *
 * The set is remembered as 128 bits: the exclusive or of a random number for each operation done, and of one for the
 * value. Two that differ are taken for one with a chance below 2^-80 at the limit of states.
 *
 * Operations of unknown outcome may take effect any time after their start, or never: the search needs not place them.
 * A write of unknown outcome whose value no operation has read or expected is left out: without it the same orders
 * remain. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/env.h"
#include "tests/check/by_key.h"
#include "tests/check/check.h"

#define VALUES_SHOWN 6u

/* A start or an end in a list ordered by time; what is placed is taken out of the list and put back behind its
 * neighbour. */
struct mark {
    const struct hist_op *op;
    int64_t us;
    size_t entry; /* number of the operation in this key */
    bool is_end;
    struct mark *prev, *next, *end; /* end: of a start; NULL if it never ends */
};
struct fingerprint {
    uint64_t hi, lo;
};
struct placed {
    struct mark *start;
    struct hist_value before;
    bool forced; /* nothing else need be tried in its stead */
};
struct search {
    const struct key_ops *key;
    struct mark head, *marks;
    struct fingerprint *salts; /* by entry */
    struct placed *stack;
    size_t depth, missing; /* placed; not placed, of those that ended */
    struct hist_value value;
    struct fingerprint done;
    struct fingerprint *memory; /* open addressing; all zero = free */
    size_t memory_cap, memory_count, states_max;
    /* The farthest end that could not be passed: what was tried before it proves that the history is wrong. */
    struct mark *stuck;
    struct hist_value possible[VALUES_SHOWN];
    unsigned possible_count, possible_more;
};

static bool same_value(struct hist_value a, struct hist_value b)
{
    return a.there == b.there && (!a.there || a.number == b.number);
}

/* ---- What operations do ---- */

/* False if the operation can't have its result when the register holds *v. */
static bool apply(const struct hist_op *op, struct hist_value *v)
{
    const struct hist_step *s = &op->steps[0];
    if (op->f == HIST_READ) {
        return same_value(*v, s->value);
    }
    if (op->refused) {
        return !same_value(*v, s->expected);
    }
    if (op->f == HIST_CAS && !same_value(*v, s->expected)) {
        return false;
    }
    *v = s->value;
    return true;
}

static bool tells_nothing(const struct hist_op *op)
{
    return (op->outcome == HIST_FAIL && !op->refused) || (op->outcome == HIST_INFO && op->f == HIST_READ);
}

static int by_number(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

/* Numbers that somebody read or expected, sorted. *refusals: some were refused for any value but the one they
 * expected. */
static int64_t *observed_values(const struct key_ops *k, size_t *count, bool *refusals)
{
    int64_t *numbers = xmalloc((k->count + 1) * sizeof *numbers);
    *count = 0;
    *refusals = false;
    for (size_t i = 0; i < k->count; i++) {
        const struct hist_step *s = &k->ops[i]->steps[0];
        *refusals |= k->ops[i]->refused;
        if (!tells_nothing(k->ops[i]) && k->ops[i]->f != HIST_WRITE) {
            numbers[(*count)++] = k->ops[i]->f == HIST_READ ? s->value.number : s->expected.number;
        }
    }
    qsort(numbers, *count, sizeof *numbers, by_number);
    return numbers;
}

/* ---- The list ---- */

static void take_out(struct mark *m)
{
    m->prev->next = m->next;
    if (m->next != NULL) {
        m->next->prev = m->prev;
    }
}

static void put_back(struct mark *m)
{
    m->prev->next = m;
    if (m->next != NULL) {
        m->next->prev = m;
    }
}

/* At the same time starts come before ends: such operations are concurrent. */
static int by_time(const void *pa, const void *pb)
{
    const struct mark *a = pa, *b = pb;
    int c = (a->us > b->us) - (a->us < b->us);
    c = c != 0 ? c : (int)a->is_end - (int)b->is_end;
    return c != 0 ? c : (a->entry > b->entry) - (a->entry < b->entry);
}

static void search_init(struct search *s, const struct key_ops *k, struct hist_value initial, size_t states_max)
{
    struct rng rng = {k->count};
    size_t observed_count, count = 0;
    bool refusals;
    CLEANUP_FREE int64_t *observed = observed_values(k, &observed_count, &refusals);
    *s = (struct search){.key = k, .value = initial, .states_max = states_max};
    s->marks = xcalloc(2 * k->count + 1, sizeof *s->marks);
    s->salts = xcalloc(k->count + 1, sizeof *s->salts);
    s->stack = xcalloc(k->count + 1, sizeof *s->stack);
    for (size_t i = 0; i < k->count; i++) {
        const struct hist_op *op = k->ops[i];
        int64_t written = op->steps[0].value.number;
        bool unseen = op->outcome == HIST_INFO && !refusals &&
                      bsearch(&written, observed, observed_count, sizeof written, by_number) == NULL;
        if (tells_nothing(op) || unseen) {
            continue;
        }
        s->salts[i] = (struct fingerprint){rng_next(&rng), rng_next(&rng)};
        s->marks[count++] = (struct mark){.op = op, .us = op->start_us, .entry = i};
        if (op->end_us != HIST_NEVER) {
            s->marks[count++] = (struct mark){.op = op, .us = op->end_us, .entry = i, .is_end = true};
            s->missing++;
        }
    }
    qsort(s->marks, count, sizeof *s->marks, by_time);
    CLEANUP_FREE struct mark **starts = xcalloc(k->count + 1, sizeof(struct mark *));
    struct mark *last = &s->head;
    for (size_t i = 0; i < count; i++) {
        struct mark *m = &s->marks[i];
        m->prev = last;
        last->next = m;
        last = m;
        if (m->is_end) {
            starts[m->entry]->end = m;
        } else {
            starts[m->entry] = m;
        }
    }
}

static void search_close(struct search *s)
{
    free(s->marks);
    free(s->salts);
    free(s->stack);
    free(s->memory);
}

/* ---- Memory of states ---- */

static void memory_insert(struct search *s, struct fingerprint f)
{
    size_t at = f.lo & (s->memory_cap - 1);
    while (s->memory[at].hi != 0 || s->memory[at].lo != 0) {
        at = (at + 1) & (s->memory_cap - 1);
    }
    s->memory[at] = f;
}

/* True if it is new. */
static bool remember(struct search *s, struct fingerprint done, struct hist_value v)
{
    struct rng rng = {(uint64_t)v.number * 2 + v.there};
    struct fingerprint f = {done.hi ^ rng_next(&rng), done.lo ^ rng_next(&rng)};
    if (2 * (s->memory_count + 1) > s->memory_cap) {
        struct fingerprint *old = s->memory;
        size_t old_cap = s->memory_cap;
        s->memory_cap = old_cap == 0 ? 1024 : 2 * old_cap;
        s->memory = xcalloc(s->memory_cap, sizeof *s->memory);
        for (size_t i = 0; i < old_cap; i++) {
            if (old[i].hi != 0 || old[i].lo != 0) {
                memory_insert(s, old[i]);
            }
        }
        free(old);
    }
    for (size_t at = f.lo & (s->memory_cap - 1);; at = (at + 1) & (s->memory_cap - 1)) {
        const struct fingerprint *m = &s->memory[at];
        if (m->hi == 0 && m->lo == 0) {
            memory_insert(s, f);
            s->memory_count++;
            return true;
        }
        if (m->hi == f.hi && m->lo == f.lo) {
            return false;
        }
    }
}

/* ---- The search ---- */

static void place(struct search *s, struct mark *m, struct hist_value after, bool forced)
{
    s->stack[s->depth++] = (struct placed){m, s->value, forced};
    s->value = after;
    s->done.hi ^= s->salts[m->entry].hi;
    s->done.lo ^= s->salts[m->entry].lo;
    take_out(m);
    if (m->end != NULL) {
        take_out(m->end);
        s->missing--;
    }
}

static struct placed unplace(struct search *s)
{
    assert(s->depth > 0);
    struct placed p = s->stack[--s->depth];
    if (p.start->end != NULL) {
        put_back(p.start->end);
        s->missing++;
    }
    put_back(p.start);
    s->done.hi ^= s->salts[p.start->entry].hi;
    s->done.lo ^= s->salts[p.start->entry].lo;
    s->value = p.before;
    return p;
}

/* An operation that may come next and changes nothing; NULL if there is none. */
static struct mark *find_quiet(const struct search *s)
{
    for (struct mark *m = s->head.next; m != NULL && !m->is_end; m = m->next) {
        struct hist_value v = s->value;
        if ((m->op->f == HIST_READ || m->op->refused) && apply(m->op, &v)) {
            return m;
        }
    }
    return NULL;
}

static void place_quiet(struct search *s)
{
    for (struct mark *m; (m = find_quiet(s)) != NULL;) {
        place(s, m, s->value, true);
    }
}

/* Back to the last choice; what to try next in its stead. False if there was none. */
static bool go_back(struct search *s, struct mark **next)
{
    while (s->depth > 0) {
        struct placed p = unplace(s);
        if (!p.forced) {
            *next = p.start->next;
            return true;
        }
    }
    return false;
}

/* No further: remember how far it came and which values were possible there. */
static void note_stuck(struct search *s, struct mark *end)
{
    if (end == NULL || (s->stuck != NULL && end < s->stuck)) {
        return;
    }
    if (end != s->stuck) {
        s->stuck = end;
        s->possible_count = s->possible_more = 0;
    }
    for (unsigned i = 0; i < s->possible_count; i++) {
        if (same_value(s->possible[i], s->value)) {
            return;
        }
    }
    if (s->possible_count < VALUES_SHOWN) {
        s->possible[s->possible_count++] = s->value;
    } else {
        s->possible_more++;
    }
}

static enum verdict search_run(struct search *s)
{
    place_quiet(s);
    struct mark *m = s->head.next;
    while (s->missing > 0) {
        if (m == NULL || m->is_end) {
            note_stuck(s, m);
            if (!go_back(s, &m)) {
                return VERDICT_INVALID;
            }
            continue;
        }
        struct hist_value after = s->value;
        struct fingerprint done = {s->done.hi ^ s->salts[m->entry].hi, s->done.lo ^ s->salts[m->entry].lo};
        if (!apply(m->op, &after) || !remember(s, done, after)) {
            m = m->next;
            continue;
        }
        if (s->memory_count > s->states_max) {
            return VERDICT_UNKNOWN;
        }
        place(s, m, after, false);
        place_quiet(s);
        m = s->head.next;
    }
    return VERDICT_VALID;
}

/* ---- Words ---- */

static void put_value(struct buf *out, struct hist_value v)
{
    if (v.there) {
        buf_printf(out, "%" PRId64, v.number);
    } else {
        buf_puts(out, "nothing");
    }
}

struct writers {
    const struct hist_op *any, *failed, *later; /* of a value: might have been in time; told as not done; too late */
};

static struct writers writers_of(const struct key_ops *k, struct hist_value v, int64_t end_us)
{
    struct writers w = {0};
    for (size_t i = 0; i < k->count; i++) {
        const struct hist_op *op = k->ops[i];
        if (op->f == HIST_READ || !same_value(op->steps[0].value, v)) {
            continue;
        }
        if (op->outcome == HIST_FAIL) {
            w.failed = op;
        } else if (op->start_us > end_us) {
            w.later = w.later == NULL ? op : w.later;
        } else {
            w.any = op;
        }
    }
    return w;
}

static struct anomaly *tell_stuck(const struct search *s, struct hist_value initial, struct findings *out)
{
    const struct hist_op *op = s->stuck->op;
    const struct hist_step *step = &op->steps[0];
    CLEANUP_BUF struct buf possible = BUF_INIT, wanted = BUF_INIT;
    for (unsigned i = 0; i < s->possible_count; i++) {
        buf_puts(&possible, i == 0 ? "" : " or ");
        put_value(&possible, s->possible[i]);
    }
    buf_puts(&possible, s->possible_more > 0 ? " or others" : "");
    struct hist_value want = op->f == HIST_READ ? step->value : step->expected;
    put_value(&wanted, want);
    const char *could = buf_cstr(&possible);
    if (op->refused) {
        return findings_add(out, "wrong-refusal",
                            "%s: op %zu was refused since %s is not %s, but before it ended it could only have been %s",
                            step->key, op->number, step->key, buf_cstr(&wanted), could);
    }
    if (op->f == HIST_CAS) {
        return findings_add(out, "lost-update",
                            "%s: op %zu changed it from %s to %" PRId64
                            ", but before it ended it could only have been %s",
                            step->key, op->number, buf_cstr(&wanted), step->value.number, could);
    }
    struct writers w = writers_of(s->key, want, op->end_us);
    bool known = w.any != NULL || same_value(want, initial);
    const char *name = known              ? "stale-read"
                       : w.failed != NULL ? "aborted-read"
                       : w.later != NULL  ? "read-from-future"
                       : !want.there      ? "lost-write"
                                          : "value-from-nowhere";
    struct anomaly *a = NULL;
    if (known) {
        a = findings_add(out, same_value(want, initial) && w.any == NULL ? "lost-write" : name,
                         "%s: op %zu read %s, but before it ended it could only have been %s", step->key, op->number,
                         buf_cstr(&wanted), could);
    } else if (w.failed != NULL) {
        a = findings_add(out, name, "%s: op %zu read %s, which only op %zu wrote, and that was told as not done",
                         step->key, op->number, buf_cstr(&wanted), w.failed->number);
        anomaly_op(a, w.failed);
    } else if (w.later != NULL) {
        a = findings_add(out, name, "%s: op %zu read %s before op %zu, which writes it, had begun", step->key,
                         op->number, buf_cstr(&wanted), w.later->number);
        anomaly_op(a, w.later);
    } else {
        a = findings_add(out, name, "%s: op %zu read %s, which nobody wrote; it could only have been %s", step->key,
                         op->number, buf_cstr(&wanted), could);
    }
    return a;
}

/* The culprit, who wrote the values that were possible, and what ended last before it. */
static void tell(const struct search *s, struct hist_value initial, struct findings *out)
{
    const struct hist_op *op = s->stuck->op;
    struct anomaly *a = tell_stuck(s, initial, out);
    anomaly_op(a, op);
    for (unsigned i = 0; i < s->possible_count; i++) {
        struct writers w = writers_of(s->key, s->possible[i], op->end_us);
        if (w.any != NULL) {
            anomaly_op(a, w.any);
        }
    }
    unsigned shown = 0;
    for (const struct mark *m = s->stuck; m-- > s->marks && shown < 4;) {
        if (m->is_end && m->us < op->start_us) {
            anomaly_op(a, m->op);
            shown++;
        }
    }
}

void check_register(const struct hist *h, const struct check_options *o, struct findings *out)
{
    struct by_key keys;
    size_t states_max = o->states_max == 0 ? STATES_MAX_NORMAL : o->states_max;
    by_key_init(&keys, h, 1u << HIST_READ | 1u << HIST_WRITE | 1u << HIST_CAS);
    for (size_t i = 0; i < keys.count; i++) {
        struct search s;
        search_init(&s, &keys.keys[i], h->initial, states_max);
        enum verdict v = search_run(&s);
        if (v == VERDICT_INVALID) {
            tell(&s, h->initial, out);
        } else if (v == VERDICT_UNKNOWN) {
            findings_give_up(out, "%s: more than %zu states; shorten the history or raise --states", keys.keys[i].key,
                             states_max);
        }
        search_close(&s);
    }
    out->checked = (unsigned)keys.ops;
    by_key_close(&keys);
}
