/* The checkers of registers and of lists against one that simply tries all orders, on small random histories, right
 * and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/env.h"
#include "tests/check/check.h"

#define OPS_MAX   7u
#define KEYS      2u
#define LIST_MAX  8u
#define HISTORIES 30000u

/* ---- All orders ---- */

struct state {
    struct hist_value registers; /* one key */
    int64_t lists[KEYS][LIST_MAX * 2];
    unsigned counts[KEYS];
};

static bool register_step(const struct hist_op *op, struct state *s)
{
    const struct hist_step *p = &op->steps[0];
    struct hist_value *v = &s->registers;
    struct hist_value seen = op->f == HIST_READ ? p->value : p->expected;
    bool same = v->there == seen.there && (!v->there || v->number == seen.number);
    if (op->f == HIST_READ) {
        return same;
    }
    if (op->refused) {
        return !same;
    }
    if (op->f == HIST_CAS && !same) {
        return false;
    }
    *v = p->value;
    return true;
}

static bool append_step(const struct hist_op *op, struct state *s)
{
    for (unsigned i = 0; i < op->steps_count; i++) {
        const struct hist_step *p = &op->steps[i];
        unsigned key = p->key[0] == 'x' ? 0 : 1;
        if (p->verb == STEP_APPEND) {
            s->lists[key][s->counts[key]++] = p->value.number;
        } else if (op->outcome == HIST_OK &&
                   (p->list_count != s->counts[key] ||
                    (p->list_count > 0 && memcmp(p->list, s->lists[key], p->list_count * sizeof(int64_t)) != 0))) {
            return false;
        }
    }
    return true;
}

typedef bool step_fn(const struct hist_op *op, struct state *s);

/* Whether what is not in `placed` can follow, in an order that real time allows. */
static bool any_order(const struct hist *h, step_fn *step, unsigned placed, struct state before, bool realtime)
{
    int64_t first_end_us = HIST_NEVER; /* of what is missing */
    bool missing = false;
    for (unsigned i = 0; i < h->count; i++) {
        bool must = h->ops[i].outcome == HIST_OK || h->ops[i].refused;
        if ((placed & 1u << i) == 0 && must) {
            missing = true;
            first_end_us = MIN(first_end_us, h->ops[i].end_us);
        }
    }
    for (unsigned i = 0; i < h->count && missing; i++) {
        const struct hist_op *op = &h->ops[i];
        struct state after = before;
        bool takes_part = op->outcome != HIST_FAIL || op->refused;
        if ((placed & 1u << i) == 0 && takes_part && (!realtime || op->start_us <= first_end_us) &&
            (op->outcome != HIST_INFO || op->f != HIST_READ) && step(op, &after) &&
            any_order(h, step, placed | 1u << i, after, realtime)) {
            return true;
        }
    }
    return !missing;
}

/* ---- Histories ---- */

static void finish(struct hist *h, size_t op, int64_t start_us, struct rng *rng)
{
    uint64_t die = rng_below(rng, 10);
    enum hist_outcome outcome = die < 7 ? HIST_OK : die < 9 ? HIST_INFO : HIST_FAIL;
    if (outcome == HIST_FAIL && h->ops[op].f == HIST_CAS && rng_below(rng, 2) == 0) {
        hist_set_refused(h, op);
    }
    hist_complete(h, op, outcome, start_us + (int64_t)rng_below(rng, 6));
}

static void random_registers(struct hist *h, struct rng *rng)
{
    unsigned count = 2 + (unsigned)rng_below(rng, OPS_MAX - 1);
    for (unsigned i = 0; i < count; i++) {
        int64_t start_us = (int64_t)rng_below(rng, 12), value = (int64_t)rng_below(rng, 3);
        size_t op;
        switch (rng_below(rng, 4)) {
        case 0:
            op = hist_write(h, i, "x", value, start_us);
            break;
        case 1:
            op = hist_cas(h, i, "x", (int64_t)rng_below(rng, 3), value, start_us);
            break;
        case 2:
            op = hist_create(h, i, "x", value, start_us);
            break;
        default:
            op = hist_read(h, i, "x", start_us);
            if (rng_below(rng, 5) == 0) {
                hist_result_none(h, op, 0);
            } else {
                hist_result(h, op, 0, value);
            }
        }
        finish(h, op, start_us, rng);
    }
    hist_sort(h);
}

/* Reads are prefixes of one random order per key, so that only the order between transactions is in question. */
static void random_lists(struct hist *h, struct rng *rng)
{
    static const char *const names[KEYS] = {"x", "y"};
    unsigned count = 2 + (unsigned)rng_below(rng, OPS_MAX - 2);
    int64_t order[KEYS][LIST_MAX];
    unsigned counts[KEYS] = {0};
    bool appends[OPS_MAX][KEYS];
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < KEYS; k++) {
            appends[i][k] = rng_below(rng, 5) < 2;
            if (appends[i][k]) {
                unsigned at = (unsigned)rng_below(rng, counts[k] + 1);
                memmove(&order[k][at + 1], &order[k][at], (counts[k] - at) * sizeof order[k][0]);
                order[k][at] = i;
                counts[k]++;
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t start_us = (int64_t)rng_below(rng, 12);
        size_t op = hist_invoke(h, i, HIST_TXN, start_us);
        for (unsigned k = 0; k < KEYS; k++) {
            if (rng_below(rng, 2) == 0) {
                hist_step_read(h, op, names[k]);
                hist_result_list(h, op, h->ops[op].steps_count - 1, order[k], (unsigned)rng_below(rng, counts[k] + 1));
            }
            if (appends[i][k]) {
                hist_step_append(h, op, names[k], i);
            }
        }
        finish(h, op, start_us, rng);
    }
    hist_sort(h);
}

/* ---- Both must say the same ---- */

static void compare(void (*make)(struct hist *h, struct rng *rng), step_fn *step, check_fn *check, bool realtime)
{
    unsigned wrong = 0;
    for (unsigned seed = 1; seed <= HISTORIES; seed++) {
        struct rng rng = {seed};
        struct hist h;
        struct findings f;
        hist_init(&h);
        findings_init(&f);
        make(&h, &rng);
        bool right = any_order(&h, step, 0, (struct state){0}, realtime);
        check(&h, &(struct check_options){.serializable_only = !realtime}, &f);
        enum verdict v = findings_verdict(&f);
        if (v != (right ? VERDICT_VALID : VERDICT_INVALID)) {
            CLEANUP_BUF struct buf out = BUF_INIT;
            findings_print(&f, &h, &out);
            buf_puts(&out, "the history:\n");
            for (size_t i = 0; i < h.count; i++) {
                buf_puts(&out, "  ");
                hist_describe(&h.ops[i], &out);
                buf_puts(&out, "\n");
            }
            fail_msg("seed %u: %s order explains it, but the checker found:\n%s", seed, right ? "an" : "no",
                     buf_cstr(&out));
        }
        wrong += !right;
        findings_close(&f);
        hist_close(&h);
    }
    print_message("%u histories, %u of them wrong: the same verdict on all\n", HISTORIES, wrong);
    assert_true(wrong > HISTORIES / 10 && wrong < HISTORIES - HISTORIES / 10);
}

static void registers_are_judged_as_by_trying_all_orders(void **state)
{
    (void)state;
    compare(random_registers, register_step, check_register, true);
}

static void lists_are_judged_as_by_trying_all_orders_in_real_time(void **state)
{
    (void)state;
    compare(random_lists, append_step, check_append, true);
}

static void lists_are_judged_as_by_trying_all_orders(void **state)
{
    (void)state;
    compare(random_lists, append_step, check_append, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_judged_as_by_trying_all_orders),
        cmocka_unit_test(lists_are_judged_as_by_trying_all_orders_in_real_time),
        cmocka_unit_test(lists_are_judged_as_by_trying_all_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
