/* A queue of unique ids, to try whether a request that is repeated is carried out once: each id is put by a create that
 * lets the master choose the name, so only the transaction id can tell a repeat. The client gives up early, and then
 * asks again and again with the same transaction id until it is told how it went. At the end the queue is drained:
 * each acknowledged id is there once. */
#include <stdlib.h>

#include "tests/fault/kit.h"
#include "tests/fault/works.h"

#define REPEATS_MAX 60u

static struct value *queued(struct arena *a, const char *text)
{
    struct value *object = client_object(a, "x", "queue", text, 0), *metadata = value_get(object, "metadata");
    value_remove(metadata, "name");
    value_set(a, metadata, "generateName", value_cstr(a, "item-"));
    return object;
}

/* The same request once more, whatever became of the one before. */
static enum hist_outcome enqueue(struct client *c, struct arena *a, struct value *params)
{
    uint8_t id[16];
    for (unsigned i = 0; i < sizeof id; i += 8) {
        uint64_t r = rng_next(&c->rng);
        memcpy(id + i, &r, 8);
    }
    value_set(a, params, "id", value_bin(a, id, sizeof id));
    bool maybe = false;
    for (unsigned i = 0; i < REPEATS_MAX; i++) {
        CLEANUP_REPLY struct api_reply reply = {0};
        int code = api_read(c->api, "create", params, &reply, &c->error); /* api_write would choose another id */
        if (code == 0) {
            return HIST_OK;
        }
        client_judge_refusal(c, code); /* what nobody else can put, nobody can have put before */
        if (err_class(code) == ERR_CLASS_CALLER) {
            return maybe ? HIST_INFO : HIST_FAIL;
        }
        maybe = true;
        if (__atomic_load_n(&c->trial->stop, __ATOMIC_ACQUIRE)) {
            break;
        }
        fault_sleep_ms(50);
    }
    return HIST_INFO;
}

static void turn(struct client *c)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    int64_t value = client_unique(c);
    struct value *object = queued(&a, arena_printf(&a, "%lld", (long long)value));
    size_t op = hist_enqueue(&c->hist, c->process, "queue", value, fault_now_us());
    client_done(c, op, enqueue(c, &a, client_object_params(&a, object)));
}

static void finish(struct trial *t)
{
    CLEANUP_LIST struct api_list all = {0};
    struct client *c = t->main;
    size_t op = hist_drain(&c->hist, c->process, "queue", fault_now_us());
    int code = client_list(c, "queue", &all);
    int64_t *values = xcalloc(all.count + 1, sizeof *values);
    for (unsigned i = 0; i < all.count; i++) {
        values[i] = client_number(all.items[i]);
    }
    hist_result_list(&c->hist, op, 0, values, all.count);
    client_done(c, op, code == 0 ? HIST_OK : HIST_FAIL);
    free(values);
}

const struct workload work_queue = {
    .name = "queue",
    .about = "unique ids put by requests that are repeated after unknown outcomes; each there once",
    .clients = 10,
    .pause_ms = 5,
    .turn = turn,
    .finish = finish,
    .check = check_queue,
};
