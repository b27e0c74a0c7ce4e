/* What clients saw, and nothing else: each operation from when it was asked to when its answer came, as a history of
 * tests/check. At the end the checkers there judge it without knowing the log, revisions, or which master did what:
 * registers and counters must be linearizable key by key, lists strictly serializable over several objects, the
 * accounts' sum the same in every read, and each acknowledged name there in the end. What a client gave up on may
 * happen at any time after it was asked. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "controllers/util.h"
#include "tests/check/check.h"
#include "tests/sim/cluster.h"

#define STATES_MAX (1u << 20)
#define SET        "unique"

static int64_t now_us(const struct cluster *c)
{
    return c->sim.now_ms * 1000;
}

static const char *key_of(unsigned cell, char name[32])
{
    cell_name(cell, name);
    return name;
}

void witness_open(struct cluster *c)
{
    hist_init(&c->history);
    c->history.initial =
        (struct hist_value){true, -1}; /* the operation that wrote it; the first objects were nobody's */
    c->history.total = (struct hist_value){true, (int64_t)ACCOUNTS * BALANCE_START};
    c->history.overdraft = true;
}

void witness_close(struct cluster *c)
{
    hist_close(&c->history);
}

/* ---- Operations ---- */

static void ask_lists(struct cluster *c, struct op *op, int64_t at, int64_t process)
{
    char name[32];
    op->seen = hist_invoke(&c->history, process, HIST_TXN, now_us(c));
    for (unsigned i = 0; i < LISTS; i++) {
        if ((op->lists >> i & 1) != 0) {
            list_name(i, name);
            if (op->kind == OP_APPEND) {
                hist_step_append(&c->history, op->seen, name, at);
            } else {
                hist_step_read(&c->history, op->seen, name);
            }
        }
    }
}

static void ask_cell(struct cluster *c, struct op *op, int64_t at, int64_t process)
{
    char name[32];
    const char *key = key_of(op->cell, name);
    bool reads = op->kind == OP_READ || op->kind == OP_READ_NEAR;
    if (op->cell >= REGISTERS + COUNTERS) {
        return; /* accounts are judged by transfers and balances */
    }
    op->seen = reads                ? hist_read(&c->history, process, key, now_us(c))
               : op->kind == OP_SET ? hist_write(&c->history, process, key, at, now_us(c))
                                    : hist_cas(&c->history, process, key, op->expected,
                                               op->kind == OP_TOUCH ? op->expected : at, now_us(c));
}

void witness_ask(struct cluster *c, int64_t at, unsigned client)
{
    struct op *op = &c->ops[at];
    int64_t process = client;
    char from[32], to[32];
    op->seen = WITNESS_NONE;
    switch (op->kind) {
    case OP_SET:
    case OP_CAS:
    case OP_TOUCH:
    case OP_INCREMENT:
    case OP_READ:
    case OP_READ_NEAR:
        ask_cell(c, op, at, process);
        break;
    case OP_APPEND:
    case OP_READ_LISTS:
        ask_lists(c, op, at, process);
        break;
    case OP_TRANSFER:
        op->seen =
            hist_transfer(&c->history, process, key_of(op->cell, from), key_of(op->other, to), op->amount, now_us(c));
        break;
    case OP_BALANCES:
        op->seen = hist_invoke(&c->history, process, HIST_BALANCES, now_us(c));
        break;
    case OP_UNIQUE:
        op->seen = hist_add(&c->history, process, SET, at, now_us(c));
        break;
    default:
        break;
    }
}

void witness_answer(struct cluster *c, int64_t at, bool done, const struct reading *r)
{
    struct op *op = &c->ops[at];
    char name[32];
    if (op->seen == WITNESS_NONE) {
        return;
    }
    if (done && (op->kind == OP_READ || op->kind == OP_READ_NEAR) && r->object_revision != 0) {
        hist_result(&c->history, op->seen, 0, r->writer);
    } else if (done && (op->kind == OP_READ || op->kind == OP_READ_NEAR)) {
        hist_result_none(&c->history, op->seen, 0);
    } else if (done && op->kind == OP_BALANCES) {
        for (unsigned i = 0; i < ACCOUNTS; i++) {
            hist_result_account(&c->history, op->seen, key_of(REGISTERS + COUNTERS + i, name), r->balances[i]);
        }
    } else if (done && op->kind == OP_READ_LISTS) {
        unsigned step = 0;
        for (unsigned i = 0; i < LISTS; i++) {
            if ((op->lists >> i & 1) != 0) {
                hist_result_list(&c->history, op->seen, step++, r->lists[i], r->counts[i]);
            }
        }
    }
    hist_complete(&c->history, op->seen, done ? HIST_OK : HIST_FAIL, now_us(c));
}

/* ---- The end ---- */

/* One more client, who looks at the names in the end. */
static void read_names(struct cluster *c)
{
    int64_t *names = NULL, at;
    unsigned count = 0;
    const enum kind_id kinds[] = {KIND_CONFIGMAP, KIND_SECRET};
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct view_iter it;
        view_iter(&it, c->ledger.model, kind_by_id(kinds[k]), STR(NAMESPACE));
        VIEW_FOR(o, &it)
        {
            size_t n = strlen("unique-");
            if (str_starts(o->name, STR("unique-")) && str_to_int64((struct str){o->name.p + n, o->name.n - n}, &at)) {
                names = xrealloc(names, (count + 1) * sizeof *names);
                names[count++] = at;
            }
        }
    }
    size_t op = hist_members(&c->history, CLIENTS_MAX, SET, now_us(c) + 1);
    hist_result_list(&c->history, op, 0, names, count);
    hist_complete(&c->history, op, HIST_OK, now_us(c) + 2);
    free(names);
}

void witness_judge(struct cluster *c)
{
    const struct check_options options = {.states_max = STATES_MAX};
    CLEANUP_BUF struct buf out = BUF_INIT;
    read_names(c);
    enum verdict v = check_all(&c->history, &options, &out);
    buf_append(&out, "", 1);
    if (v == VERDICT_INVALID) {
        cluster_violate(c, "what the clients saw cannot be: %s", (const char *)out.data);
    }
    c->unjudged += v == VERDICT_UNKNOWN;
}
