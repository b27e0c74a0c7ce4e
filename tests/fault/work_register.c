/* Registers: reads, blind writes, and compare-and-swap by resourceVersion. Claimed: each is linearizable.
 *
 * A swap takes the value read and its revision; that the revision has not moved implies that the value has not, so it
 * is recorded as a swap of values. What is refused for its revision did not happen, and as no value comes twice it
 * says that the value was another. */
#include <stdio.h>

#include "tests/fault/kit.h"
#include "tests/fault/works.h"

#define REGISTERS 5u
#define BUSY      8u /* clients that read and write; the others rest and read */

static void register_name(unsigned i, char out[16])
{
    snprintf(out, 16, "reg-%u", i);
}

/* The object for who wants to write it; NULL: no answer, or not there. */
static struct object *read_one(struct client *c, const char *name)
{
    struct object *o = NULL;
    size_t op = hist_read(&c->hist, c->process, name, fault_now_us());
    int code = api_get(c->api, kind_by_id(KIND_CONFIGMAP), "default", name, false, &o, &c->error);
    if (code == ERR_NOT_FOUND) {
        hist_result_none(&c->hist, op, 0);
    } else if (code == 0) {
        hist_result(&c->hist, op, 0, client_number(o));
    }
    client_done(c, op, code == 0 || code == ERR_NOT_FOUND ? HIST_OK : HIST_FAIL); /* a read changes nothing */
    return o;
}

static void write_one(struct client *c, size_t op, const char *method, const char *name, int64_t value,
                      uint64_t revision)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    arena_init(&a);
    const char *text = arena_printf(&a, "%lld", (long long)value);
    struct value *params = client_object_params(&a, client_object(&a, name, "register", text, revision));
    enum hist_outcome outcome = client_write(c, &a, method, params, &reply, &code);
    if (outcome == HIST_OK) {
        hist_set_revision(&c->hist, op, (uint64_t)mp_int(mp_get(reply.result, "revision"), 0));
    }
    if (code == ERR_CONFLICT) {
        hist_set_refused(&c->hist, op);
    }
    client_done(c, op, outcome);
}

static void set_up(struct trial *t)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        char name[16];
        register_name(i, name);
        int64_t value = client_unique(t->main);
        size_t op = hist_create(&t->main->hist, t->main->process, name, value, fault_now_us());
        write_one(t->main, op, "create", name, value, 0);
    }
}

/* A reader that stays with one master and rests between reads, long enough to ask a leader that has been deposed
 * without knowing it. */
static void rest_and_read(struct client *c, const char *name)
{
    if (c->own == NULL) {
        c->own = c;
        api_pin(c->api, c->target.servers[0]);
    }
    object_unref(read_one(c, name));
    fault_sleep_ms(300 + (int64_t)rng_below(&c->rng, 1500));
}

static void turn(struct client *c)
{
    char name[16];
    register_name((unsigned)rng_below(&c->rng, REGISTERS), name);
    if (c->index >= BUSY) {
        rest_and_read(c, name);
        return;
    }
    uint64_t what = rng_below(&c->rng, 10);
    if (what < 2) {
        int64_t value = client_unique(c);
        write_one(c, hist_write(&c->hist, c->process, name, value, fault_now_us()), "update", name, value, 0);
        return;
    }
    CLEANUP_OBJECT struct object *o = read_one(c, name);
    if (o != NULL && what < 6) {
        int64_t value = client_unique(c);
        size_t op = hist_cas(&c->hist, c->process, name, client_number(o), value, fault_now_us());
        write_one(c, op, "update", name, value, o->revision);
    }
}

static void finish(struct trial *t)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        char name[16];
        register_name(i, name);
        object_unref(read_one(t->main, name));
    }
}

const struct workload work_register = {
    .name = "register",
    .about = "reads, writes and compare-and-swap of 5 registers; linearizable",
    .clients = BUSY + 6,
    .pause_ms = 10,
    .refusals = {ERR_CONFLICT},
    .set_up = set_up,
    .turn = turn,
    .finish = finish,
    .check = check_register,
};
