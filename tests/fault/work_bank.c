/* A bank: transfers between accounts, each one transaction over two objects; others read all accounts at one revision.
 * Claimed: the sum stays, no account falls below zero, every acknowledged transfer counts once. */
#include <stdio.h>

#include "tests/fault/kit.h"
#include "tests/fault/works.h"

#define ACCOUNTS 8u
#define BALANCE  100

static void account_name(unsigned i, char out[24])
{
    snprintf(out, 24, "account-%u", i);
}

static const struct object *find(const struct api_list *all, const char *name)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (str_is(all->items[i]->name, name)) {
            return all->items[i];
        }
    }
    return NULL;
}

static void read_balances(struct client *c)
{
    CLEANUP_LIST struct api_list all = {0};
    size_t op = hist_invoke(&c->hist, c->process, HIST_BALANCES, fault_now_us());
    int code = client_list(c, "bank", &all);
    for (unsigned i = 0; i < all.count && code == 0; i++) {
        CLEANUP_FREE char *name = xstrndup(all.items[i]->name.p, all.items[i]->name.n);
        hist_result_account(&c->hist, op, name, client_number(all.items[i]));
    }
    client_done(c, op, code == 0 ? HIST_OK : HIST_FAIL);
}

static void add_balance(struct arena *a, struct value *ops, const char *name, int64_t balance, uint64_t revision)
{
    client_op(a, ops, revision == 0 ? "create" : "update",
              client_object(a, name, "bank", arena_printf(a, "%lld", (long long)balance), revision));
}

static void transfer(struct client *c)
{
    CLEANUP_LIST struct api_list all = {0};
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    char from[24], to[24];
    int code;
    arena_init(&a);
    unsigned k = (unsigned)rng_below(&c->rng, ACCOUNTS);
    account_name(k, from);
    account_name((k + 1 + (unsigned)rng_below(&c->rng, ACCOUNTS - 1)) % ACCOUNTS, to);
    int64_t amount = 1 + (int64_t)rng_below(&c->rng, 30);
    if (client_list(c, "bank", &all) != 0) {
        return;
    }
    const struct object *source = find(&all, from), *target = find(&all, to);
    if (source == NULL || target == NULL || client_number(source) < amount) {
        return;
    }
    struct value *params = value_map(&a), *ops = value_list(&a);
    value_set(&a, params, "ops", ops);
    add_balance(&a, ops, from, client_number(source) - amount, source->revision);
    add_balance(&a, ops, to, client_number(target) + amount, target->revision);
    size_t op = hist_transfer(&c->hist, c->process, from, to, amount, fault_now_us());
    enum hist_outcome outcome = client_write(c, &a, "txn", params, &reply, &code);
    if (outcome == HIST_OK) {
        hist_set_revision(&c->hist, op, (uint64_t)mp_int(mp_get(reply.result, "revision"), 0));
    }
    client_done(c, op, outcome);
}

/* All accounts in one transaction: nobody ever sees some of them. */
static void set_up(struct trial *t)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    arena_init(&a);
    struct value *params = value_map(&a), *ops = value_list(&a);
    value_set(&a, params, "ops", ops);
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        char name[24];
        account_name(i, name);
        add_balance(&a, ops, name, BALANCE, 0);
    }
    if (client_write(t->main, &a, "txn", params, &reply, &code) != HIST_OK) {
        trial_fail(t, "the accounts could not be made");
    }
    t->hist.total = (struct hist_value){.there = true, .number = (int64_t)ACCOUNTS * BALANCE};
    read_balances(t->main);
}

static void turn(struct client *c)
{
    if (rng_below(&c->rng, 3) == 0) {
        read_balances(c);
    } else {
        transfer(c);
    }
}

static void finish(struct trial *t)
{
    read_balances(t->main);
}

const struct workload work_bank = {
    .name = "bank",
    .about = "transfers between 8 accounts in transactions over two objects; the sum is kept",
    .clients = 8,
    .pause_ms = 15,
    .refusals = {ERR_CONFLICT},
    .set_up = set_up,
    .turn = turn,
    .finish = finish,
    .check = check_bank,
};
