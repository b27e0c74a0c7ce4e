/* Large histories of a correct store under concurrent clients, some of whose answers get lost: all checkers must pass
 * them. The same with one lie in it, put where it can be proved to be one, must be caught, every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/env.h"
#include "tests/check/check.h"

#define PROCESSES_MAX 16u
#define KEYS_MAX      10u
#define ELEMENTS_MAX  4096u
#define ACCOUNTS      4u
#define GHOSTS_MAX    64u /* under way still when their client had given up */
#define LIES          200u

/* ---- A correct store ---- */

struct store {
    struct hist_value registers[KEYS_MAX];
    int64_t lists[KEYS_MAX][ELEMENTS_MAX]; /* also sets and queues */
    unsigned counts[KEYS_MAX];
    int64_t accounts[ACCOUNTS];
};
struct client {
    bool busy, applied, done; /* applied: by the store; done: it took effect */
    size_t op;
};
struct world {
    struct hist *h;
    struct rng rng;
    struct store store;
    struct client clients[PROCESSES_MAX];
    size_t ghosts[GHOSTS_MAX];
    unsigned processes, keys, ghosts_count;
    int64_t now_us, next_value;
    void (*ask)(struct world *w, unsigned process);
};

static const char *const names[KEYS_MAX] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"};

static unsigned key_number(const char *name)
{
    return (unsigned)(name[1] - '0');
}

/* Executes the operation; false: refused. */
static bool store_apply(struct world *w, size_t at)
{
    struct hist_op *op = &w->h->ops[at];
    for (unsigned i = 0; i < op->steps_count; i++) {
        const struct hist_step *s = &op->steps[i];
        unsigned key = key_number(s->key);
        struct hist_value *v = &w->store.registers[key];
        switch (s->verb) {
        case STEP_READ:
            if (op->f != HIST_READ) {
                hist_result_list(w->h, at, i, w->store.lists[key], w->store.counts[key]);
            } else if (v->there) {
                hist_result(w->h, at, i, v->number);
            } else {
                hist_result_none(w->h, at, i);
            }
            break;
        case STEP_CAS:
            if (v->there != s->expected.there || (v->there && v->number != s->expected.number)) {
                hist_set_refused(w->h, at);
                return false;
            }
            *v = s->value;
            break;
        case STEP_WRITE:
            *v = s->value;
            break;
        case STEP_APPEND:
            assert_true(w->store.counts[key] < ELEMENTS_MAX);
            w->store.lists[key][w->store.counts[key]++] = s->value.number;
            break;
        case STEP_MOVE:
            w->store.accounts[key] += s->value.number;
            break;
        default:
            fail();
        }
    }
    for (unsigned i = 0; op->f == HIST_BALANCES && i < ACCOUNTS; i++) {
        hist_result_account(w->h, at, names[i], w->store.accounts[i]);
    }
    return true;
}

/* ---- Its clients ---- */

static void client_step(struct world *w, unsigned p)
{
    struct client *c = &w->clients[p];
    if (!c->busy) {
        *c = (struct client){.busy = true, .op = w->h->count};
        w->ask(w, p);
    } else if (!c->applied && rng_below(&w->rng, 50) == 0) {
        hist_complete(w->h, c->op, HIST_INFO, 0); /* the client gives up; its request may be under way */
        if (w->ghosts_count < GHOSTS_MAX && rng_below(&w->rng, 2) == 0) {
            w->ghosts[w->ghosts_count++] = c->op;
        }
        c->busy = false;
    } else if (!c->applied) {
        c->done = store_apply(w, c->op);
        c->applied = true;
    } else {
        bool lost = rng_below(&w->rng, 50) == 0; /* the answer */
        hist_complete(w->h, c->op, lost ? HIST_INFO : c->done ? HIST_OK : HIST_FAIL, w->now_us);
        w->h->ops[c->op].refused &= !lost;
        c->busy = false;
    }
}

static void ghost_step(struct world *w)
{
    unsigned i = (unsigned)rng_below(&w->rng, w->ghosts_count);
    size_t op = w->ghosts[i];
    w->ghosts[i] = w->ghosts[--w->ghosts_count];
    struct hist_op before = w->h->ops[op];
    store_apply(w, op);
    for (unsigned k = 0; k < w->h->ops[op].steps_count && k < before.steps_count; k++) {
        w->h->ops[op].steps[k].answered = false; /* nobody heard it */
        w->h->ops[op].steps[k].is_list = false;
    }
    w->h->ops[op].steps_count = before.steps_count;
    w->h->ops[op].refused = false;
}

static void world_run(struct world *w, struct hist *h, uint64_t seed, unsigned processes, unsigned keys, size_t ops,
                      void (*ask)(struct world *w, unsigned process))
{
    *w = (struct world){.h = h, .rng = {seed}, .processes = processes, .keys = keys, .ask = ask};
    hist_init(h);
    while (h->count < ops) {
        w->now_us += (int64_t)rng_below(&w->rng, 20);
        client_step(w, (unsigned)rng_below(&w->rng, processes));
        if (w->ghosts_count > 0 && rng_below(&w->rng, 30) == 0) {
            ghost_step(w);
        }
    }
    for (unsigned p = 0; p < processes; p++) {
        while (w->clients[p].busy) {
            w->now_us++;
            client_step(w, p);
        }
    }
    w->now_us++;
}

static const char *any_key(struct world *w)
{
    return names[rng_below(&w->rng, w->keys)];
}

/* Writes have values of their own; comparisons mostly expect what is there. */
static void ask_registers(struct world *w, unsigned p)
{
    const char *key = any_key(w);
    struct hist_value now = w->store.registers[key_number(key)];
    switch (rng_below(&w->rng, 4)) {
    case 0:
        hist_write(w->h, p, key, ++w->next_value, w->now_us);
        break;
    case 1:
        if (now.there && rng_below(&w->rng, 8) != 0) {
            hist_cas(w->h, p, key, now.number, ++w->next_value, w->now_us);
        } else {
            hist_create(w->h, p, key, ++w->next_value, w->now_us);
        }
        break;
    default:
        hist_read(w->h, p, key, w->now_us);
    }
}

/* Few values that come again and again. */
static void ask_small_registers(struct world *w, unsigned p)
{
    const char *key = any_key(w);
    int64_t value = (int64_t)rng_below(&w->rng, 4);
    switch (rng_below(&w->rng, 3)) {
    case 0:
        hist_write(w->h, p, key, value, w->now_us);
        break;
    case 1:
        hist_cas(w->h, p, key, (int64_t)rng_below(&w->rng, 4), value, w->now_us);
        break;
    default:
        hist_read(w->h, p, key, w->now_us);
    }
}

static void ask_lists(struct world *w, unsigned p)
{
    size_t op = hist_invoke(w->h, p, HIST_TXN, w->now_us);
    unsigned steps = 1 + (unsigned)rng_below(&w->rng, 4);
    for (unsigned i = 0; i < steps; i++) {
        if (rng_below(&w->rng, 2) == 0) {
            hist_step_append(w->h, op, any_key(w), ++w->next_value);
        } else {
            hist_step_read(w->h, op, any_key(w));
        }
    }
}

static void ask_sets(struct world *w, unsigned p)
{
    if (rng_below(&w->rng, 3) != 0) {
        hist_add(w->h, p, any_key(w), ++w->next_value, w->now_us);
    } else {
        hist_members(w->h, p, any_key(w), w->now_us);
    }
}

static void ask_queues(struct world *w, unsigned p)
{
    if (rng_below(&w->rng, 20) != 0) {
        hist_enqueue(w->h, p, any_key(w), ++w->next_value, w->now_us);
    } else {
        hist_drain(w->h, p, any_key(w), w->now_us);
    }
}

static void ask_bank(struct world *w, unsigned p)
{
    if (rng_below(&w->rng, 3) != 0) {
        unsigned from = (unsigned)rng_below(&w->rng, ACCOUNTS);
        hist_transfer(w->h, p, names[from], names[(from + 1) % ACCOUNTS], 1 + (int64_t)rng_below(&w->rng, 9),
                      w->now_us);
    } else {
        hist_invoke(w->h, p, HIST_BALANCES, w->now_us);
    }
}

/* ---- Verdicts ---- */

static void must_pass(struct hist *h, const char *what, uint64_t seed)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    hist_sort(h);
    if (check_all(h, &(struct check_options){0}, &out) != VERDICT_VALID) {
        fail_msg("%s, seed %llu, should pass:\n%s", what, (unsigned long long)seed, buf_cstr(&out));
    }
}

static bool is_caught(struct hist *h)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    hist_sort(h);
    return check_all(h, &(struct check_options){0}, &out) == VERDICT_INVALID;
}

/* ---- Lies: each returns false if the history has no place for it ---- */

typedef bool lie_fn(struct hist *h, struct rng *rng);

static struct hist_op *any_op(struct hist *h, struct rng *rng, enum hist_f f)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *op = &h->ops[rng_below(rng, h->count)];
        if (op->f == f && op->outcome == HIST_OK && op->steps_count > 0) {
            return op;
        }
    }
    return NULL;
}

/* Who wrote it, acknowledged. */
static struct hist_op *writer_of(struct hist *h, const char *key, int64_t value)
{
    for (size_t i = 0; i < h->count; i++) {
        struct hist_op *op = &h->ops[i];
        for (unsigned k = 0; op->outcome == HIST_OK && k < op->steps_count; k++) {
            if (op->steps[k].verb != STEP_READ && op->steps[k].key == key && op->steps[k].value.number == value) {
                return op;
            }
        }
    }
    return NULL;
}

static bool lie_unwritten(struct hist *h, struct rng *rng)
{
    struct hist_op *op = any_op(h, rng, HIST_READ);
    op->steps[0].value = (struct hist_value){true, -1};
    return true;
}

/* A read or comparison sees a value that another had replaced before: both writes done one after the other, and
 * before it began. */
static bool lie_stale(struct hist *h, struct rng *rng, enum hist_f f)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *op = any_op(h, rng, f), *first = any_op(h, rng, HIST_WRITE);
        const char *key = op->steps[0].key;
        for (size_t i = 0; i < h->count && first->steps[0].key == key && first->end_us < op->start_us; i++) {
            struct hist_op *second = &h->ops[i];
            if (second->f == HIST_WRITE && second->outcome == HIST_OK && second->steps[0].key == key &&
                second->start_us > first->end_us && second->end_us < op->start_us) {
                struct hist_value *seen = f == HIST_READ ? &op->steps[0].value : &op->steps[0].expected;
                *seen = first->steps[0].value;
                return true;
            }
        }
    }
    return false;
}

static bool lie_stale_read(struct hist *h, struct rng *rng)
{
    return lie_stale(h, rng, HIST_READ);
}

static bool lie_stale_cas(struct hist *h, struct rng *rng)
{
    return lie_stale(h, rng, HIST_CAS);
}

static bool lie_told_as_not_done(struct hist *h, struct rng *rng)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *op = any_op(h, rng, HIST_READ);
        struct hist_op *w = op->steps[0].value.there ? writer_of(h, op->steps[0].key, op->steps[0].value.number) : NULL;
        if (w != NULL) {
            w->outcome = HIST_FAIL;
            return true;
        }
    }
    return false;
}

/* Acknowledged just before the end and then read as what was there before. */
static bool lie_lost_write(struct hist *h, struct rng *rng)
{
    int64_t end_us = 0;
    for (size_t i = 0; i < h->count; i++) {
        end_us = MAX(end_us, h->ops[i].outcome == HIST_INFO ? h->ops[i].start_us : h->ops[i].end_us);
    }
    const char *key = names[rng_below(rng, 3)];
    hist_complete(h, hist_write(h, 99, key, -1, end_us + 1), HIST_OK, end_us + 2);
    hist_complete(h, hist_write(h, 99, key, -2, end_us + 3), HIST_OK, end_us + 4);
    size_t read = hist_read(h, 99, key, end_us + 5);
    hist_result(h, read, 0, -1);
    hist_complete(h, read, HIST_OK, end_us + 6);
    return true;
}

static struct hist_step *any_list(struct hist *h, struct rng *rng, enum hist_f f, unsigned least,
                                  struct hist_op **reader)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *op = any_op(h, rng, f);
        struct hist_step *s = &op->steps[rng_below(rng, op->steps_count)];
        if (s->verb == STEP_READ && s->list_count >= least) {
            *reader = op;
            return s;
        }
    }
    return NULL;
}

/* The list without its element at `at`. */
static void drop_element(struct hist_step *s, unsigned at)
{
    memmove(s->list + at, s->list + at + 1, (s->list_count - at - 1u) * sizeof *s->list);
    s->list_count--;
}

static bool lie_element_left_out(struct hist *h, struct rng *rng)
{
    struct hist_op *reader;
    struct hist_step *s = any_list(h, rng, HIST_TXN, 3, &reader);
    if (s == NULL) {
        return false;
    }
    unsigned at = (unsigned)rng_below(rng, s->list_count - 1);
    int64_t next = s->list[at + 1];
    drop_element(s, at);
    for (size_t i = 0; i < h->count; i++) { /* somebody else saw both */
        for (unsigned k = 0; k < h->ops[i].steps_count; k++) {
            const struct hist_step *o = &h->ops[i].steps[k];
            if (o != s && h->ops[i].outcome == HIST_OK && o->verb == STEP_READ && o->key == s->key &&
                o->list_count > at + 1 && o->list[at + 1] == next) {
                return true;
            }
        }
    }
    return false;
}

static bool lie_swapped(struct hist *h, struct rng *rng)
{
    struct hist_op *reader;
    struct hist_step *s = any_list(h, rng, HIST_TXN, 2, &reader);
    if (s == NULL) {
        return false;
    }
    unsigned at = (unsigned)rng_below(rng, s->list_count - 1u);
    int64_t first = s->list[at];
    s->list[at] = s->list[at + 1];
    s->list[at + 1] = first;
    for (size_t i = 0; i < h->count; i++) {
        for (unsigned k = 0; k < h->ops[i].steps_count; k++) {
            const struct hist_step *o = &h->ops[i].steps[k];
            if (o != s && h->ops[i].outcome == HIST_OK && o->verb == STEP_READ && o->key == s->key &&
                o->list_count > at && o->list[at] == first) {
                return true;
            }
        }
    }
    return false;
}

/* A read lacks the last element, whose append had ended before it began. */
static bool lie_end_left_out(struct hist *h, struct rng *rng)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *reader;
        struct hist_step *s = any_list(h, rng, HIST_TXN, 1, &reader);
        struct hist_op *w = s == NULL ? NULL : writer_of(h, s->key, s->list[s->list_count - 1]);
        if (w != NULL && w->end_us < reader->start_us) {
            drop_element(s, s->list_count - 1);
            return true;
        }
    }
    return false;
}

/* One of two lists that a transaction read lacks what another transaction appended to both, while the other has it:
 * a torn read. */
static bool lie_torn(struct hist *h, struct rng *rng)
{
    for (unsigned tries = 0; tries < 4000; tries++) {
        struct hist_op *op = any_op(h, rng, HIST_TXN);
        for (unsigned i = 0; i + 1 < op->steps_count; i++) {
            struct hist_step *a = &op->steps[i], *b = &op->steps[i + 1];
            if (a->verb != STEP_READ || b->verb != STEP_READ || a->key == b->key || a->list_count == 0) {
                continue;
            }
            struct hist_op *w = writer_of(h, a->key, a->list[a->list_count - 1]);
            for (unsigned k = 0; w != NULL && w != op && k < b->list_count; k++) {
                if (writer_of(h, b->key, b->list[k]) == w) {
                    drop_element(a, a->list_count - 1);
                    return true;
                }
            }
        }
    }
    return false;
}

static bool lie_append_forgotten(struct hist *h, struct rng *rng)
{
    struct hist_op *reader;
    struct hist_step *s = any_list(h, rng, HIST_TXN, 1, &reader);
    struct hist_op *w = s == NULL ? NULL : writer_of(h, s->key, s->list[rng_below(rng, s->list_count)]);
    if (w == NULL || w == reader) {
        return false;
    }
    w->outcome = HIST_FAIL;
    return true;
}

static bool lie_doubled(struct hist *h, struct rng *rng, enum hist_f f)
{
    struct hist_op *reader;
    struct hist_step *s = any_list(h, rng, f, 2, &reader);
    if (s == NULL) {
        return false;
    }
    s->list[s->list_count - 1] = s->list[rng_below(rng, s->list_count - 1u)];
    return true;
}

static bool lie_append_doubled(struct hist *h, struct rng *rng)
{
    return lie_doubled(h, rng, HIST_TXN);
}

static bool lie_member_doubled(struct hist *h, struct rng *rng)
{
    return lie_doubled(h, rng, HIST_MEMBERS);
}

static bool lie_id_doubled(struct hist *h, struct rng *rng)
{
    return lie_doubled(h, rng, HIST_DRAIN);
}

/* What had been acknowledged before the read began is not in it. */
static bool lie_left_out(struct hist *h, struct rng *rng, enum hist_f f)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        struct hist_op *reader;
        struct hist_step *s = any_list(h, rng, f, 1, &reader);
        unsigned at = s == NULL ? 0 : (unsigned)rng_below(rng, s->list_count);
        struct hist_op *w = s == NULL ? NULL : writer_of(h, s->key, s->list[at]);
        if (w != NULL && w->end_us < reader->start_us) {
            drop_element(s, at);
            return true;
        }
    }
    return false;
}

static bool lie_member_left_out(struct hist *h, struct rng *rng)
{
    return lie_left_out(h, rng, HIST_MEMBERS);
}

static bool lie_id_left_out(struct hist *h, struct rng *rng)
{
    return lie_left_out(h, rng, HIST_DRAIN);
}

static bool lie_money(struct hist *h, struct rng *rng)
{
    struct hist_op *op = any_op(h, rng, HIST_BALANCES);
    op->steps[rng_below(rng, op->steps_count)].value.number += 1;
    return true;
}

/* ---- Tests ---- */

struct lie {
    const char *what;
    void (*ask)(struct world *w, unsigned process);
    lie_fn *tell;
};

static void tell_lies(const struct lie *lies, size_t count, size_t ops)
{
    struct world *w = xmalloc(sizeof *w);
    for (size_t i = 0; i < count; i++) {
        unsigned told = 0, caught = 0;
        for (uint64_t seed = 1; seed <= LIES; seed++) {
            struct hist h;
            world_run(w, &h, seed, 5, 3, ops, lies[i].ask);
            h.total = (struct hist_value){lies[i].ask == ask_bank, 0};
            h.overdraft = true;
            struct rng rng = {seed * 7919};
            if (lies[i].tell(&h, &rng)) {
                told++;
                caught += is_caught(&h);
            }
            hist_close(&h);
        }
        print_message("%-60s %u of %u caught\n", lies[i].what, caught, told);
        assert_true(told > LIES / 4);
        assert_int_equal(caught, told);
    }
    free(w);
}

static void histories_of_a_correct_store_pass(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*ask)(struct world *w, unsigned process);
    } asks[] = {{"registers", ask_registers}, {"registers of few values", ask_small_registers},
                {"lists", ask_lists},         {"sets", ask_sets},
                {"queues", ask_queues},       {"bank", ask_bank}};
    struct world *w = xmalloc(sizeof *w);
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
        for (uint64_t seed = 1; seed <= 100; seed++) {
            struct hist h;
            world_run(w, &h, seed, 1 + seed % 8, 1 + seed % 5, 300, asks[i].ask);
            h.total = (struct hist_value){asks[i].ask == ask_bank, 0};
            h.overdraft = true;
            must_pass(&h, asks[i].what, seed);
            hist_close(&h);
        }
    }
    free(w);
}

static void lies_about_registers_are_caught(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        {"a read shows what nobody wrote", ask_registers, lie_unwritten},
        {"a read shows what had been replaced", ask_registers, lie_stale_read},
        {"a comparison holds against what had been replaced", ask_registers, lie_stale_cas},
        {"a write that was seen is told as not done", ask_registers, lie_told_as_not_done},
        {"an acknowledged write is lost", ask_registers, lie_lost_write},
        {"few values: a read shows what nobody wrote", ask_small_registers, lie_unwritten},
        {"few values: an acknowledged write is lost", ask_small_registers, lie_lost_write},
    };
    tell_lies(lies, ARRAY_SIZE(lies), 200);
}

static void lies_about_lists_are_caught(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        {"an element is left out of a list", ask_lists, lie_element_left_out},
        {"two elements are swapped", ask_lists, lie_swapped},
        {"the last element is left out, though acknowledged before", ask_lists, lie_end_left_out},
        {"a transaction is seen in one list and not in another", ask_lists, lie_torn},
        {"an append that was seen is told as not done", ask_lists, lie_append_forgotten},
        {"an element stands twice", ask_lists, lie_append_doubled},
    };
    tell_lies(lies, ARRAY_SIZE(lies), 200);
}

static void lies_about_sets_queues_and_banks_are_caught(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        {"a member is left out", ask_sets, lie_member_left_out},
        {"a member stands twice", ask_sets, lie_member_doubled},
        {"an id is left out", ask_queues, lie_id_left_out},
        {"an id stands twice", ask_queues, lie_id_doubled},
        {"money is made", ask_bank, lie_money},
    };
    tell_lies(lies, ARRAY_SIZE(lies), 200);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ten_thousand_operations_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*ask)(struct world *w, unsigned process);
    } asks[] = {{"registers", ask_registers}, {"registers of few values", ask_small_registers}, {"lists", ask_lists}};
    struct world *w = xmalloc(sizeof *w);
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
        struct hist h;
        world_run(w, &h, 1, 10, 10, 10000, asks[i].ask);
        double start = seconds_now();
        must_pass(&h, asks[i].what, 1);
        print_message("%-24s 10000 operations, 10 keys, 10 processes: %.2f s\n", asks[i].what, seconds_now() - start);
        hist_close(&h);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_of_a_correct_store_pass),
        cmocka_unit_test(lies_about_registers_are_caught),
        cmocka_unit_test(lies_about_lists_are_caught),
        cmocka_unit_test(lies_about_sets_queues_and_banks_are_caught),
        cmocka_unit_test(ten_thousand_operations_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
