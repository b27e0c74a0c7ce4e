/* A set: objects of unique names are created; now and then, and at the end, all are listed. Claimed: what was
 * acknowledged is there, once; what was refused is not; a list shows all that was acknowledged before it was asked
 * for. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fault/kit.h"
#include "tests/fault/works.h"

static void list_members(struct client *c)
{
    CLEANUP_LIST struct api_list all = {0};
    size_t op = hist_members(&c->hist, c->process, "set", fault_now_us());
    int code = client_list(c, "set", &all);
    if (code == 0) {
        int64_t *values = xcalloc(all.count + 1, sizeof *values);
        for (unsigned i = 0; i < all.count; i++) {
            values[i] = client_number(all.items[i]);
        }
        hist_result_list(&c->hist, op, 0, values, all.count);
        free(values);
    }
    client_done(c, op, code == 0 ? HIST_OK : HIST_FAIL);
}

static void add(struct client *c)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    arena_init(&a);
    int64_t value = client_unique(c);
    const char *text = arena_printf(&a, "%lld", (long long)value);
    struct value *object = client_object(&a, arena_printf(&a, "member-%s", text), "set", text, 0);
    size_t op = hist_add(&c->hist, c->process, "set", value, fault_now_us());
    enum hist_outcome outcome = client_write(c, &a, "create", client_object_params(&a, object), &reply, &code);
    client_done(c, op, outcome);
}

static void turn(struct client *c)
{
    if (c->index == 0 && rng_below(&c->rng, 30) == 0) {
        list_members(c);
    } else {
        add(c);
    }
}

static void finish(struct trial *t)
{
    list_members(t->main);
}

const struct workload work_set = {
    .name = "set",
    .about = "objects of unique names created, all listed at the end; none lost, none doubled",
    .clients = 10,
    .pause_ms = 5,
    .turn = turn,
    .finish = finish,
    .check = check_set,
};
