/* Lists that grow: a transaction appends to one or two lists and says what it saw of up to three, all or nothing;
 * others read all lists at one revision. Claimed: strict serializability.
 *
 * A transaction reads all lists at one revision and then writes under the condition that none of those it names has
 * moved (txn: update with a revision, check), so at its commit it has read what it says. A list that has grown long
 * is left for a new one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/kit.h"
#include "tests/fault/works.h"

#define SLOTS    6u
#define LIST_MAX 150u
#define TOUCHED  3u

struct lists {
    unsigned generation[SLOTS]; /* atomic */
};

/* A list as it was read. */
struct list_seen {
    char name[24];
    const struct object *o; /* NULL = not there */
    int64_t values[LIST_MAX + TRIAL_CLIENTS_MAX];
    unsigned count;
};

static void see(struct trial *t, unsigned slot, const struct api_list *all, struct list_seen *s)
{
    struct lists *l = t->own;
    snprintf(s->name, sizeof s->name, "list-%u-%u", slot, __atomic_load_n(&l->generation[slot], __ATOMIC_ACQUIRE));
    s->o = NULL;
    s->count = 0;
    for (unsigned i = 0; i < all->count && s->o == NULL; i++) {
        s->o = str_is(all->items[i]->name, s->name) ? all->items[i] : NULL;
    }
    if (s->o == NULL) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct str text = client_text(s->o);
    char *save = NULL;
    for (char *w = strtok_r(arena_strndup(&a, text.p, text.n), " ", &save);
         w != NULL && s->count < ARRAY_SIZE(s->values); w = strtok_r(NULL, " ", &save)) {
        s->values[s->count++] = strtoll(w, NULL, 10);
    }
    if (s->count >= LIST_MAX) { /* the next who comes finds a new one */
        unsigned now = 0;
        sscanf(s->name, "list-%*u-%u", &now);
        __atomic_compare_exchange_n(&l->generation[slot], &now, now + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
}

static void add_append(struct client *c, struct arena *a, struct value *ops, const struct list_seen *s, int64_t value)
{
    struct str before = s->o == NULL ? STR("") : client_text(s->o);
    const char *text = arena_printf(a, "%.*s%s%lld", STR_ARG(before), before.n > 0 ? " " : "", (long long)value);
    (void)c;
    client_op(a, ops, s->o == NULL ? "create" : "update",
              client_object(a, s->name, "append", text, s->o == NULL ? 0 : s->o->revision));
}

static void add_check(struct arena *a, struct value *ops, const struct list_seen *s)
{
    struct value *row = client_op(a, ops, "check", NULL);
    value_set(a, row, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, row, "namespace", value_cstr(a, "default"));
    value_set(a, row, "name", value_cstr(a, s->name));
    if (s->o == NULL) {
        value_set(a, row, "absent", value_bool(a, true));
    } else {
        value_set(a, row, "revision", value_int(a, (int64_t)s->o->revision));
    }
}

/* appends to the first `appends` of them, reads all. */
static void transact(struct client *c, struct list_seen *seen, unsigned count, unsigned appends, int64_t start_us)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    arena_init(&a);
    struct value *params = value_map(&a), *ops = value_list(&a);
    value_set(&a, params, "ops", ops);
    size_t op = hist_invoke(&c->hist, c->process, HIST_TXN, start_us);
    for (unsigned i = 0; i < count; i++) {
        hist_step_read(&c->hist, op, seen[i].name);
        if (i < appends) {
            int64_t value = client_unique(c);
            hist_step_append(&c->hist, op, seen[i].name, value);
            add_append(c, &a, ops, &seen[i], value);
        } else {
            add_check(&a, ops, &seen[i]);
        }
    }
    enum hist_outcome outcome = client_write(c, &a, "txn", params, &reply, &code);
    for (unsigned i = 0, step = 0; i < count && outcome == HIST_OK; step += i < appends ? 2 : 1, i++) {
        hist_result_list(&c->hist, op, step, seen[i].values, seen[i].count);
    }
    if (outcome == HIST_OK) {
        hist_set_revision(&c->hist, op, (uint64_t)mp_int(mp_get(reply.result, "revision"), 0));
    }
    client_done(c, op, outcome);
}

static void read_all(struct client *c)
{
    CLEANUP_LIST struct api_list all = {0};
    struct list_seen *seen = xcalloc(SLOTS, sizeof *seen);
    size_t op = hist_invoke(&c->hist, c->process, HIST_TXN, fault_now_us());
    int code = client_list(c, "append", &all);
    for (unsigned i = 0; i < SLOTS; i++) {
        see(c->trial, i, &all, &seen[i]);
        hist_step_read(&c->hist, op, seen[i].name);
        if (code == 0) {
            hist_result_list(&c->hist, op, i, seen[i].values, seen[i].count);
        }
    }
    client_done(c, op, code == 0 ? HIST_OK : HIST_FAIL);
    free(seen);
}

static void turn(struct client *c)
{
    if (rng_below(&c->rng, 4) == 0) {
        read_all(c);
        return;
    }
    CLEANUP_LIST struct api_list all = {0};
    int64_t start_us = fault_now_us();
    if (client_list(c, "append", &all) != 0) {
        return;
    }
    struct list_seen *seen = xcalloc(TOUCHED, sizeof *seen);
    unsigned count = 1 + (unsigned)rng_below(&c->rng, TOUCHED), first = (unsigned)rng_below(&c->rng, SLOTS);
    for (unsigned i = 0; i < count; i++) {
        see(c->trial, (first + i) % SLOTS, &all, &seen[i]);
    }
    transact(c, seen, count, 1 + (unsigned)rng_below(&c->rng, MIN(count, 2u)), start_us);
    free(seen);
}

static void set_up(struct trial *t)
{
    t->own = xcalloc(1, sizeof(struct lists));
}

/* All lists that there are, also those that have been left. */
static void finish(struct trial *t)
{
    CLEANUP_LIST struct api_list all = {0};
    struct client *c = t->main;
    struct lists *l = t->own;
    size_t op = hist_invoke(&c->hist, c->process, HIST_TXN, fault_now_us());
    int code = client_list(c, "append", &all);
    unsigned step = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        unsigned last = l->generation[slot];
        for (unsigned g = 0; g <= last; g++, step++) {
            struct list_seen s;
            l->generation[slot] = g;
            see(t, slot, &all, &s);
            hist_step_read(&c->hist, op, s.name);
            hist_result_list(&c->hist, op, step, s.values, s.count);
        }
        l->generation[slot] = last;
    }
    client_done(c, op, code == 0 ? HIST_OK : HIST_FAIL);
}

const struct workload work_append = {
    .name = "append",
    .about = "transactions that append to several lists and read others; strictly serializable",
    .clients = 8,
    .pause_ms = 20,
    .refusals = {ERR_CONFLICT, ERR_EXISTS},
    .set_up = set_up,
    .turn = turn,
    .finish = finish,
    .check = check_append,
};
