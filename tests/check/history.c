#include "tests/check/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"

/* ---- Life ---- */

void hist_init(struct hist *h)
{
    *h = (struct hist){0};
    arena_init(&h->arena);
    strmap_init(&h->keys);
}

void hist_close(struct hist *h)
{
    strmap_close(&h->keys);
    arena_close(&h->arena);
    free(h->ops);
    *h = (struct hist){0};
}

static const char *intern(struct hist *h, const char *key)
{
    const char *known = strmap_get(&h->keys, str_of(key));
    if (known == NULL) {
        char *copy = arena_strdup(&h->arena, key);
        strmap_set(&h->keys, str_of(key), copy);
        known = copy;
    }
    return known;
}

/* ---- Operations and steps ---- */

size_t hist_invoke(struct hist *h, int64_t process, enum hist_f f, int64_t start_us)
{
    assert(h->count < HIST_OPS_MAX);
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 256 : 2 * h->cap;
        h->ops = xrealloc(h->ops, h->cap * sizeof *h->ops);
    }
    h->ops[h->count] =
        (struct hist_op){.number = h->count, .process = process, .f = f, .start_us = start_us, .end_us = HIST_NEVER};
    return h->count++;
}

static struct hist_step *step_add(struct hist *h, size_t op, enum hist_verb verb, const char *key)
{
    assert(op < h->count && key != NULL);
    struct hist_op *o = &h->ops[op];
    if (o->steps_count == o->steps_cap) {
        unsigned cap = o->steps_cap == 0 ? 1 : 2 * o->steps_cap;
        struct hist_step *steps = arena_alloc(&h->arena, cap * sizeof *steps);
        if (o->steps_count > 0) {
            memcpy(steps, o->steps, o->steps_count * sizeof *steps);
        }
        o->steps = steps;
        o->steps_cap = cap;
    }
    struct hist_step *s = &o->steps[o->steps_count++];
    *s = (struct hist_step){.verb = verb, .key = intern(h, key)};
    return s;
}

static struct hist_value number_of(int64_t number)
{
    return (struct hist_value){true, number};
}

void hist_step_read(struct hist *h, size_t op, const char *key)
{
    step_add(h, op, STEP_READ, key);
}

void hist_step_write(struct hist *h, size_t op, const char *key, int64_t value)
{
    step_add(h, op, STEP_WRITE, key)->value = number_of(value);
}

void hist_step_cas(struct hist *h, size_t op, const char *key, struct hist_value expected, int64_t value)
{
    struct hist_step *s = step_add(h, op, STEP_CAS, key);
    s->expected = expected;
    s->value = number_of(value);
}

void hist_step_append(struct hist *h, size_t op, const char *key, int64_t value)
{
    step_add(h, op, STEP_APPEND, key)->value = number_of(value);
}

void hist_step_move(struct hist *h, size_t op, const char *key, int64_t gain)
{
    step_add(h, op, STEP_MOVE, key)->value = number_of(gain);
}

void hist_step_put(struct hist *h, size_t op, const char *key, struct hist_value value)
{
    step_add(h, op, STEP_PUT, key)->value = value;
}

void hist_step_delete(struct hist *h, size_t op, const char *key)
{
    step_add(h, op, STEP_DELETE, key);
}

static struct hist_step *read_step(struct hist *h, size_t op, unsigned step)
{
    assert(op < h->count && step < h->ops[op].steps_count);
    struct hist_step *s = &h->ops[op].steps[step];
    assert(s->verb == STEP_READ);
    s->answered = true;
    return s;
}

void hist_result(struct hist *h, size_t op, unsigned step, int64_t value)
{
    read_step(h, op, step)->value = number_of(value);
}

void hist_result_none(struct hist *h, size_t op, unsigned step)
{
    read_step(h, op, step)->value = (struct hist_value){0};
}

void hist_result_list(struct hist *h, size_t op, unsigned step, const int64_t *values, unsigned count)
{
    struct hist_step *s = read_step(h, op, step);
    s->is_list = true;
    s->list = arena_memdup(&h->arena, values, count * sizeof *values);
    s->list_count = count;
}

void hist_result_account(struct hist *h, size_t op, const char *key, int64_t balance)
{
    struct hist_step *s = step_add(h, op, STEP_READ, key);
    s->answered = true;
    s->value = number_of(balance);
}

void hist_set_revision(struct hist *h, size_t op, uint64_t revision)
{
    assert(op < h->count);
    h->ops[op].revision = revision;
}

void hist_set_refused(struct hist *h, size_t op)
{
    assert(op < h->count && h->ops[op].f == HIST_CAS);
    h->ops[op].refused = true;
}

void hist_set_error(struct hist *h, size_t op, const char *text)
{
    assert(op < h->count);
    h->ops[op].error = arena_strdup(&h->arena, text);
}

void hist_complete(struct hist *h, size_t op, enum hist_outcome outcome, int64_t end_us)
{
    assert(op < h->count);
    struct hist_op *o = &h->ops[op];
    assert(o->outcome == HIST_INFO && o->end_us == HIST_NEVER);
    assert(outcome == HIST_INFO || end_us >= o->start_us);
    for (unsigned i = 0; i < o->steps_count && outcome == HIST_OK; i++) {
        assert(o->steps[i].verb != STEP_READ || o->steps[i].answered);
    }
    o->outcome = outcome;
    o->end_us = outcome == HIST_INFO ? HIST_NEVER : end_us;
}

/* ---- In one go ---- */

size_t hist_read(struct hist *h, int64_t process, const char *key, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_READ, start_us);
    hist_step_read(h, op, key);
    return op;
}

size_t hist_write(struct hist *h, int64_t process, const char *key, int64_t value, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_WRITE, start_us);
    hist_step_write(h, op, key, value);
    return op;
}

size_t hist_remove(struct hist *h, int64_t process, const char *key, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_REMOVE, start_us);
    hist_step_delete(h, op, key);
    return op;
}

size_t hist_cas(struct hist *h, int64_t process, const char *key, int64_t expected, int64_t value, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_CAS, start_us);
    hist_step_cas(h, op, key, number_of(expected), value);
    return op;
}

size_t hist_create(struct hist *h, int64_t process, const char *key, int64_t value, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_CAS, start_us);
    hist_step_cas(h, op, key, (struct hist_value){0}, value);
    return op;
}

size_t hist_add(struct hist *h, int64_t process, const char *set, int64_t value, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_ADD, start_us);
    hist_step_append(h, op, set, value);
    return op;
}

size_t hist_members(struct hist *h, int64_t process, const char *set, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_MEMBERS, start_us);
    hist_step_read(h, op, set);
    return op;
}

size_t hist_enqueue(struct hist *h, int64_t process, const char *queue, int64_t id, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_ENQUEUE, start_us);
    hist_step_append(h, op, queue, id);
    return op;
}

size_t hist_drain(struct hist *h, int64_t process, const char *queue, int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_DRAIN, start_us);
    hist_step_read(h, op, queue);
    return op;
}

size_t hist_transfer(struct hist *h, int64_t process, const char *from, const char *to, int64_t amount,
                     int64_t start_us)
{
    size_t op = hist_invoke(h, process, HIST_TRANSFER, start_us);
    hist_step_move(h, op, from, -amount);
    hist_step_move(h, op, to, amount);
    return op;
}

size_t hist_told(struct hist *h, int64_t process, enum hist_f f, uint64_t revision, int64_t now_us)
{
    assert(f == HIST_RESUME || f == HIST_LIST || f == HIST_EVENT || f == HIST_LOG);
    size_t op = hist_invoke(h, process, f, now_us);
    h->ops[op].revision = revision;
    hist_complete(h, op, HIST_OK, now_us);
    return op;
}

/* ---- Joining ---- */

static int by_start(const void *pa, const void *pb)
{
    const struct hist_op *a = pa, *b = pb;
    int c = (a->start_us > b->start_us) - (a->start_us < b->start_us);
    return c != 0 ? c : (a->number > b->number) - (a->number < b->number);
}

void hist_sort(struct hist *h)
{
    if (h->count > 0) {
        qsort(h->ops, h->count, sizeof *h->ops, by_start);
    }
    for (size_t i = 0; i < h->count; i++) {
        h->ops[i].number = i;
    }
}

void hist_join(struct hist *h, struct hist *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct hist_op *o = &from->ops[i];
        size_t at = hist_invoke(h, o->process, o->f, o->start_us);
        for (unsigned k = 0; k < o->steps_count; k++) {
            struct hist_step *s = step_add(h, at, o->steps[k].verb, o->steps[k].key);
            const char *key = s->key;
            *s = o->steps[k];
            s->key = key;
            if (s->is_list) {
                s->list = arena_memdup(&h->arena, s->list, s->list_count * sizeof *s->list);
            }
        }
        if (o->error != NULL) {
            hist_set_error(h, at, o->error);
        }
        hist_set_revision(h, at, o->revision);
        h->ops[at].refused = o->refused;
        h->ops[at].outcome = o->outcome;
        h->ops[at].end_us = o->end_us;
    }
    h->initial = h->initial.there ? h->initial : from->initial;
    h->total = h->total.there ? h->total : from->total;
    h->overdraft |= from->overdraft;
    h->watch_complete |= from->watch_complete;
    hist_close(from);
    hist_init(from);
    hist_sort(h);
}

/* ---- For people ---- */

#define LIST_SHOWN 12u /* elements of a long list: its end, which is what differs */

static const char *const f_names[HIST_FS] = {
    [HIST_READ] = "read",         [HIST_WRITE] = "write",       [HIST_CAS] = "cas",         [HIST_TXN] = "txn",
    [HIST_ADD] = "add",           [HIST_MEMBERS] = "members",   [HIST_ENQUEUE] = "enqueue", [HIST_DRAIN] = "drain",
    [HIST_TRANSFER] = "transfer", [HIST_BALANCES] = "balances", [HIST_RESUME] = "resume",   [HIST_LIST] = "list",
    [HIST_EVENT] = "event",       [HIST_LOG] = "log",           [HIST_REMOVE] = "remove",
};

const char *hist_f_name(enum hist_f f)
{
    assert(f < HIST_FS);
    return f_names[f];
}

static void put_value(struct buf *out, struct hist_value v)
{
    if (v.there) {
        buf_printf(out, "%" PRId64, v.number);
    } else {
        buf_puts(out, "nothing");
    }
}

static void put_list(struct buf *out, const struct hist_step *s)
{
    unsigned first = s->list_count > LIST_SHOWN ? s->list_count - LIST_SHOWN : 0;
    buf_puts(out, "[");
    if (first > 0) {
        buf_printf(out, "(%u more) ", first);
    }
    for (unsigned i = first; i < s->list_count; i++) {
        buf_printf(out, "%s%" PRId64, i == first ? "" : " ", s->list[i]);
    }
    buf_puts(out, "]");
}

static void describe_step(const struct hist_step *s, struct buf *out)
{
    switch (s->verb) {
    case STEP_READ:
        buf_printf(out, "%s = ", s->key);
        if (!s->answered) {
            buf_puts(out, "?");
        } else if (s->is_list) {
            put_list(out, s);
        } else {
            put_value(out, s->value);
        }
        break;
    case STEP_WRITE:
        buf_printf(out, "%s := %" PRId64, s->key, s->value.number);
        break;
    case STEP_CAS:
        buf_printf(out, "%s from ", s->key);
        put_value(out, s->expected);
        buf_printf(out, " to %" PRId64, s->value.number);
        break;
    case STEP_APPEND:
        buf_printf(out, "%" PRId64 " to %s", s->value.number, s->key);
        break;
    case STEP_MOVE:
        buf_printf(out, "%s %+" PRId64, s->key, s->value.number);
        break;
    case STEP_PUT:
        buf_printf(out, "%s is ", s->key);
        put_value(out, s->value);
        break;
    case STEP_DELETE:
        buf_printf(out, "%s is gone", s->key);
        break;
    }
}

void hist_describe(const struct hist_op *op, struct buf *out)
{
    static const char *const outcomes[] = {"unknown outcome", "done", "not done"};
    buf_printf(out, "op %zu, process %" PRId64 ": %s", op->number, op->process, f_names[op->f]);
    for (unsigned i = 0; i < op->steps_count; i++) {
        buf_puts(out, i == 0 ? " " : ", ");
        describe_step(&op->steps[i], out);
    }
    if (op->revision != 0) {
        buf_printf(out, ", revision %" PRIu64, op->revision);
    }
    buf_printf(out, "; %s, at %.6f s", op->refused ? "refused" : outcomes[op->outcome], (double)op->start_us / 1e6);
    if (op->end_us != HIST_NEVER && op->end_us != op->start_us) {
        buf_printf(out, " to %.6f s", (double)op->end_us / 1e6);
    }
}
