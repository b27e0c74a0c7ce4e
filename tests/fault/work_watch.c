/* Watches, and informers over REST: objects are created, changed, deleted, and changed two in one transaction; a
 * watcher that began at each master is told all of it, going on elsewhere whenever its stream breaks. Claimed: every
 * transaction once, whole, in order, all watchers alike. Over REST each object is told by itself, with a version of its
 * own, and what an informer holds at the end is what is there. */
#include <stdio.h>

#include "tests/fault/kit.h"
#include "tests/fault/watcher.h"
#include "tests/fault/works.h"

#define KEYS          12u
#define WATCHERS      5u
#define FIRST_WATCHER 500 /* its number in the history; clients are below */
#define TOLD_MS       60000
#define LAST          "watched-last"
#define LISTS_ONE_IN  8u  /* streams that are gone on with */
#define TWIN          100 /* added to a client's number: who did the first of two writes in one transaction */

struct watching {
    struct watcher watchers[WATCHERS];
    bool rest;
};

static const char *key_name(struct arena *a, uint64_t i)
{
    return arena_printf(a, "watched-%llu", (unsigned long long)i);
}

static void record(struct client *c, size_t op, enum hist_outcome outcome, const struct api_reply *reply)
{
    if (outcome == HIST_OK) {
        hist_set_revision(&c->hist, op, (uint64_t)mp_int(mp_get(reply->result, "revision"), 0));
    }
    client_done(c, op, outcome);
}

static enum hist_outcome put(struct client *c, struct arena *a, const char *method, const char *name)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    int64_t value = client_unique(c), start_us = fault_now_us();
    struct value *object = client_object(a, name, "watch", arena_printf(a, "%lld", (long long)value), 0);
    enum hist_outcome outcome = client_write(c, a, method, client_object_params(a, object), &reply, &code);
    record(c, hist_write(&c->hist, c->process, name, value, start_us), outcome, &reply);
    return outcome;
}

/* Of two objects in one transaction, which over REST are told one by one: the other's version is the one before. */
static void record_first(struct client *c, const char *name, int64_t value, int64_t start_us, enum hist_outcome outcome,
                         const struct api_reply *reply)
{
    const struct watching *all = c->trial->own;
    size_t op = hist_write(&c->hist, c->process + TWIN, name, value, start_us);
    if (outcome == HIST_OK && all->rest) {
        hist_set_revision(&c->hist, op, (uint64_t)mp_int(mp_get(reply->result, "revision"), 0) - 1);
    }
    hist_complete(&c->hist, op, outcome, fault_now_us());
}

static void put_two(struct client *c, struct arena *a, const char *one, const char *other)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    int64_t value = client_unique(c), start_us = fault_now_us();
    const char *text = arena_printf(a, "%lld", (long long)value);
    struct value *params = value_map(a), *ops = value_list(a);
    value_set(a, params, "ops", ops);
    client_op(a, ops, "update", client_object(a, one, "watch", text, 0));
    client_op(a, ops, "update", client_object(a, other, "watch", text, 0));
    enum hist_outcome outcome = client_write(c, a, "txn", params, &reply, &code);
    record_first(c, one, value, start_us, outcome, &reply);
    /* The answer has the version of the last one. */
    record(c, hist_write(&c->hist, c->process, other, value, start_us), outcome, &reply);
}

static void remove_one(struct client *c, struct arena *a, const char *name)
{
    CLEANUP_REPLY struct api_reply reply = {0};
    int code;
    int64_t start_us = fault_now_us();
    struct value *params = value_map(a);
    value_set(a, params, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, params, "namespace", value_cstr(a, "default"));
    value_set(a, params, "name", value_cstr(a, name));
    enum hist_outcome outcome = client_write(c, a, "delete", params, &reply, &code);
    record(c, hist_remove(&c->hist, c->process, name, start_us), outcome, &reply);
}

static void turn(struct client *c)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    uint64_t i = rng_below(&c->rng, KEYS), what = rng_below(&c->rng, 10);
    if (what == 0) {
        remove_one(c, &a, key_name(&a, i));
    } else if (what < 3) {
        put_two(c, &a, key_name(&a, i), key_name(&a, (i + 1) % KEYS));
    } else {
        put(c, &a, what < 6 ? "create" : "update", key_name(&a, i));
    }
}

static bool wait_for(const bool *flag, int64_t end_us)
{
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
        if (fault_now_us() > end_us) {
            return false;
        }
        fault_sleep_ms(10);
    }
    return true;
}

/* A watch that begins later lists what it missed, newest versions only: all must be there before the first write. */
static void begin(struct trial *t, bool rest)
{
    struct watching *all = t->own = xcalloc(1, sizeof *all);
    all->rest = rest;
    int64_t end_us = fault_now_us() + TOLD_MS * 1000;
    for (unsigned i = 0; i < WATCHERS; i++) {
        struct watcher *w = &all->watchers[i];
        *w = (struct watcher){.index = i,
                              .process = FIRST_WATCHER + i,
                              .label = "watch",
                              .last = LAST,
                              .target = &t->cluster.target,
                              .seed = rng_next(&t->rng),
                              .rest = rest};
        hist_init(&w->hist);
        watcher_start(w);
    }
    for (unsigned i = 0; i < WATCHERS; i++) {
        if (!wait_for(&all->watchers[i].synced, end_us)) {
            trial_fail(t, "watcher %u was not told what is there", i + 1);
        }
    }
}

static void set_up(struct trial *t)
{
    begin(t, false);
}

static void set_up_informers(struct trial *t)
{
    begin(t, true);
}

/* Nothing is written any more: a copy is what is there, or has missed something. */
static void compare(struct trial *t, unsigned i, const struct watcher *w)
{
    CLEANUP_LIST struct api_list all = {0};
    const struct watched *held = (const void *)w->held.data;
    size_t count = w->held.size / sizeof *held, same = 0;
    if (w->wrong[0] != '\0') {
        trial_fail(t, "informer %u was told: %s", i + 1, w->wrong);
    }
    if (client_list(t->main, "watch", &all) != 0) {
        trial_fail(t, "the list at the end: %s", t->main->error.message);
        return;
    }
    for (unsigned k = 0; k < all.count; k++) {
        const struct object *o = all.items[k];
        for (size_t n = 0; n < count; n++) {
            same += str_eq(str_of(held[n].name), o->name) && held[n].number == client_number(o);
        }
    }
    if (same != all.count || same != count) {
        trial_fail(t, "informer %u holds %zu objects, %zu of them as they are; there are %u", i + 1, count, same,
                   all.count);
    }
}

/* A list behind a 410 hides what would have been lost: of what was written seconds ago the masters have the history,
 * but for one that has lost all it had. */
static void judge_lists(struct trial *t, unsigned resumed, unsigned relisted)
{
    if (relisted > WATCHERS + resumed / LISTS_ONE_IN) {
        trial_fail(t, "watchers were told to list again %u times, and went on %u times", relisted, resumed);
    }
}

static void finish(struct trial *t)
{
    CLEANUP_ARENA struct arena a;
    struct watching *all = t->own;
    unsigned resumed = 0, relisted = 0, killed = 0, marked = 0;
    arena_init(&a);
    if (put(t->main, &a, "create", LAST) != HIST_OK) {
        trial_fail(t, "the last object could not be made: %s", t->main->error.message);
    }
    int64_t end_us = fault_now_us() + TOLD_MS * 1000;
    t->hist.watch_complete = true;
    for (unsigned i = 0; i < WATCHERS; i++) {
        struct watcher *w = &all->watchers[i];
        if (!wait_for(&w->complete, end_us)) {
            trial_fail(t, "watcher %u was not told the last write within %d s", i + 1, TOLD_MS / 1000);
            t->hist.watch_complete = false;
        }
        __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
        watcher_join(w);
        resumed += w->resumed;
        relisted += w->relisted;
        killed += w->killed;
        marked += w->marked;
        if (w->rest && w->complete) {
            compare(t, i, w);
        }
        hist_join(&t->hist, &w->hist);
        buf_close(&w->held);
    }
    judge_lists(t, resumed, relisted);
    trial_say(t, "watchers: %u times resumed, %u times listed again, %u times begun anew; %u marks", resumed, relisted,
              killed, marked);
}

const struct workload work_watch = {
    .name = "watch",
    .about = "5 watchers over all masters, resumed when cut; every transaction once, whole, in order",
    .clients = 5,
    .pause_ms = 15,
    .refusals = {ERR_CONFLICT, ERR_EXISTS, ERR_NOT_FOUND},
    .set_up = set_up,
    .turn = turn,
    .finish = finish,
    .check = check_watch,
};

const struct workload work_informer = {
    .name = "informer",
    .about =
        "5 informers over REST, cut, moved and begun anew; every object once, in order, and what they hold is there",
    .clients = 5,
    .pause_ms = 15,
    .refusals = {ERR_CONFLICT, ERR_EXISTS, ERR_NOT_FOUND},
    .set_up = set_up_informers,
    .turn = turn,
    .finish = finish,
    .check = check_watch,
};
