/* Whole requests through evaluation, controllers and scheduler, until all is quiet. Input: a byte of options, then
 * requests one after the other; each is made from a sound document of a kind and some edits, which put hostile values
 * (kit_hostile.h) at places that the kind's table has, and at some that it has not. Users' requests pass admission,
 * nodes' reports the check of fields; and what is stored without any check stands for a log or a snapshot that another
 * program wrote.
 *
 * Whatever comes in, nobody stops and nothing is busy for ever: deciders come to rest at every instant, the state is
 * sound, and a follower that applies the same entries has the same. */
#include "controllers/controller.h"
#include "controllers/deletion.h"
#include "controllers/usage.h"
#include "master/api/admission.h"
#include "master/master.h"
#include "proto/patch/patch.h"
#include "raft-store/store/view_edit.h"
#include "scheduler/scheduler.h"
#include "tests/fuzz/kit_hostile.h"
#include "tests/fuzz/kit_store.h"

#define REQUESTS_MAX 16
#define EDITS_MAX    3
#define PODS_MAX     100 /* above it there is no room for deciders: nothing grows for ever here */
#define INSTANT_MAX  2000u
#define INSTANTS_MAX 12u

enum { OPTION_SEALED = 1, OPTION_RESYNC = 2, OPTION_FOLLOW = 4, OPTION_SNAPSHOT = 8 };

struct world {
    struct env env;
    struct rng rng;
    int64_t now_ms;
    struct store *store, *follower;
    uint64_t index;
    struct controllers *controllers;
    struct scheduler *scheduler;
    uint64_t decisions;
};

static int64_t world_now(void *data)
{
    return ((struct world *)data)->now_ms;
}
static int64_t world_wall(void *data)
{
    return 1767225600000 + ((struct world *)data)->now_ms;
}
static void world_random(void *data, void *bytes, size_t n)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng_next(&((struct world *)data)->rng);
    }
}

static const struct view *tip(void *data)
{
    return store_tip(((struct world *)data)->store);
}

static bool room(void *data)
{
    struct world *w = data;
    return view_count(tip(w), kind_by_id(KIND_POD)) < PODS_MAX && w->decisions < INSTANT_MAX;
}

/* One transaction: evaluated, seen by the deciders, committed, applied by a follower. */
static int submit(void *data, const struct txn *t, struct error *err)
{
    struct world *w = data;
    struct txn_result result;
    w->decisions++;
    int rc = store_eval(w->store, t, &result, err);
    if (rc != 0) {
        CHECK(rc < 0 && err->code == rc && err->message[0] != '\0');
        return rc;
    }
    unsigned count;
    const struct change *changes = store_last_changes(w->store, &count);
    controllers_observe(w->controllers, changes, count);
    scheduler_observe(w->scheduler, changes, count);
    if (result.unchanged || result.repeated) {
        return 0;
    }
    CLEANUP_BUF struct buf entry = BUF_INIT;
    store_batch_take(w->store, &entry);
    w->index++;
    CHECK(store_apply(w->store, w->index, entry.data, entry.size, err) == 0);
    if (w->follower != NULL && store_apply(w->follower, w->index, entry.data, entry.size, err) != 0) {
        fprintf(stderr, "the follower: %s\n", err->message);
        abort();
    }
    return 0;
}

static int64_t heartbeat_age_ms(void *data, struct str node)
{
    (void)node;
    return ((struct world *)data)->now_ms % 100000;
}

/* Of any pod something, now and then nothing. */
static bool usage_of(void *data, const struct object *pod, struct usage_pod *out)
{
    static const struct usage_container some = {{"c", 1}, INT64_MAX / 2, INT64_MAX / 2}, little = {{"c", 1}, 1, 1};
    const struct world *w = data;
    int64_t turn = (w->now_ms / 1000 + (int64_t)pod->name.n) % 3;
    *out = (struct usage_pod){w->now_ms, 15000, turn == 0 ? &some : &little, 1};
    return turn != 2;
}

static void world_open(struct world *w, unsigned options)
{
    *w = (struct world){.rng = {7}, .index = 1};
    w->env = (struct env){w, world_now, world_wall, world_random, NULL};
    const struct store_config config = {.env = &w->env,
                                        .seal_keys = (options & OPTION_SEALED) ? &fuzz_seal_keys : NULL,
                                        .history_bytes_max = 4096,
                                        .txn_ids_max = 64};
    w->store = store_new(&config);
    w->follower = (options & OPTION_FOLLOW) ? store_new(&config) : NULL;
    store_tip_open(w->store, 1);
    w->scheduler = scheduler_new(&(struct scheduler_config){.env = &w->env, .seed = 1});
    w->controllers = controllers_new(&(struct controllers_config){
        .env = &w->env,
        .seed = 1,
        .soft = {.data = w, .heartbeat_age_ms = heartbeat_age_ms, .node_grace_ms = 40000, .usage = usage_of},
        .submit = submit,
        .tip = tip,
        .room = room,
        .data = w,
    });
    controllers_resync(w->controllers);
    scheduler_resync(w->scheduler, tip(w));
}

static void world_close(struct world *w)
{
    controllers_free(w->controllers);
    scheduler_free(w->scheduler);
    store_free(w->store);
    store_free(w->follower);
}

static void schedule(struct world *w)
{
    struct txn t;
    struct error err = {0};
    bool more = true;
    while (more && room(w)) {
        txn_init(&t, "scheduler");
        more = scheduler_run(w->scheduler, tip(w), env_wall_ms(&w->env), 64, &t);
        if (t.count > 0 && submit(w, &t, &err) != 0) {
            scheduler_failed(w->scheduler, &t);
            more = false;
        }
        txn_close(&t);
    }
}

/* Until nothing is left to do, and then on to the next deadline, some times. At one instant deciders come to rest: what
 * they write leads nobody round in a circle. */
static void world_settle(struct world *w)
{
    for (unsigned i = 0; i < INSTANTS_MAX; i++) {
        struct controllers_stats stats;
        unsigned queued;
        uint64_t before;
        w->decisions = 0;
        do {
            before = w->decisions;
            while (room(w) && controllers_run(w->controllers, 1)) {
            }
            schedule(w);
            controllers_stats(w->controllers, &stats);
            queued = stats.queued;
        } while (room(w) && (queued > 0 || w->decisions != before));
        CHECK(w->decisions < INSTANT_MAX);
        int64_t next = controllers_next_deadline(w->controllers);
        if (next == INT64_MAX || next > w->now_ms + 3600 * 1000) {
            break;
        }
        w->now_ms = MAX(next, w->now_ms);
    }
    view_check(tip(w));
}

/* ---- Requests ---- */

static struct value *document(struct world *w, struct fuzz_input *f, struct arena *a, const struct kind **k)
{
    *k = kinds_at(fuzz_byte(f) % kinds_count());
    struct value *doc = hostile_base(a, *k, fuzz_byte(f));
    for (unsigned edits = fuzz_byte(f) % (EDITS_MAX + 1); edits > 0; edits--) {
        hostile_edit(f, a, (*k)->schema, doc, tip(w));
    }
    return doc;
}

static const struct object *stored(struct world *w, const struct kind *k, const struct value *doc)
{
    struct str ns = value_path_str(doc, "metadata.namespace");
    return view_get(tip(w), k, str_empty(ns) ? STR("default") : ns, value_path_str(doc, "metadata.name"));
}

static int put_created(const struct admission *ad, struct txn *t, const struct kind *k, struct value *doc,
                       struct error *err)
{
    struct object *o = NULL;
    int rc = admit_create(ad, k, doc, &o, err);
    if (rc == 0) {
        txn_create(t, o);
    }
    return rc;
}

static int put_updated(const struct admission *ad, struct txn *t, const struct object *old, struct value *before,
                       struct value *doc, enum txn_part part, struct error *err)
{
    struct object *o = NULL;
    uint64_t revision = 0;
    int rc = admit_version(doc, old->kind, &revision, err);
    rc = rc != 0 ? rc : admit_update(ad, doc, old, before, part, &o, err);
    if (rc == 0) {
        txn_update(t, o, part, 0);
    }
    return rc;
}

enum what {
    CREATE,
    REPLACE,
    APPLY,
    PATCH,
    STATUS,
    REPORT,
    DELETE,
    TIME,
    STORE,
    WHATS = STORE + 3
}; /* STORE more often */

static int patched(struct fuzz_input *f, const struct object *old, struct value *current, struct arena *a,
                   struct value *patch, struct value **out, struct error *err)
{
    enum patch_type type = fuzz_byte(f) % 2 == 0 ? PATCH_STRATEGIC : PATCH_MERGE;
    int rc = patch_apply(type, old->kind, a, current, patch, out, err);
    if (rc == 0) {
        *out = value_copy(a, *out);
        struct str name = value_path_str(*out, "metadata.name"), ns = value_path_str(*out, "metadata.namespace");
        rc = value_is_map(*out) && str_eq(name, old->name) && str_eq(ns, old->ns)
                 ? 0
                 : error_set(err, ERR_INVALID, "another name");
    }
    return rc;
}

/* As master/api/object.c, apply.c, delete.c, nodes.c do it. */
static int request(struct world *w, struct fuzz_input *f, struct arena *a, struct txn *t, struct error *err)
{
    struct admission ad = {.arena = a, .tip = tip(w), .env = &w->env, .same_txn = t, .lenient = fuzz_byte(f) % 4 == 0};
    enum what what = fuzz_byte(f) % WHATS;
    const struct kind *k;
    if (what == TIME) {
        w->now_ms += 1000 * (int64_t)fuzz_byte(f) * fuzz_byte(f);
        return 0;
    }
    struct value *doc = document(w, f, a, &k), *out = NULL, *current;
    if (what >= STORE) {
        return txn_create_value(t, k, doc, err);
    }
    struct str ns, name;
    const struct kind *named;
    if (admit_document_kind(&ad, doc, &named, &ns, &name, err) != 0) {
        return err->code;
    }
    const struct object *old = stored(w, named, doc);
    if (what == CREATE || (what != DELETE && old == NULL)) {
        if (what == APPLY) {
            int rc = kind_check_fields(named, a, doc, 0, err);
            if (rc != 0) {
                return rc;
            }
            doc = value_copy(a, patch_first_apply(a, doc));
        }
        return put_created(&ad, t, named, doc, err);
    }
    if (old == NULL) {
        return 0;
    }
    const struct deletion_options deletion = {.grace_s = (int64_t)fuzz_byte(f) - 1,
                                              .policy = (enum deletion_policy)(fuzz_byte(f) % 4)};
    int rc = 0;
    switch (what) {
    case REPLACE:
        return put_updated(&ad, t, old, NULL, doc, TXN_PART_SPEC, err);
    case STATUS:
        return put_updated(&ad, t, old, NULL, doc, TXN_PART_STATUS, err);
    case PATCH:
        rc = patched(f, old, current = object_to_value(a, old), a, doc, &out, err);
        return rc != 0 ? rc : put_updated(&ad, t, old, current, out, TXN_PART_SPEC, err);
    case APPLY:
        rc = kind_check_fields(named, a, doc, 0, err);
        rc = rc != 0 ? rc : patch_three_way(named, a, NULL, doc, current = object_to_value(a, old), &out, err);
        return rc != 0 ? rc : put_updated(&ad, t, old, current, value_copy(a, out), TXN_PART_SPEC, err);
    case REPORT: /* of a node: fields are checked, no more */
        out = object_to_value(a, old);
        value_set(a, out, "status", value_get(doc, "status"));
        rc = kind_check_fields(named, a, out, KIND_CHECK_LENIENT, err);
        return rc != 0 || !named->has_status ? rc : txn_update_value(t, named, out, TXN_PART_STATUS, 0, err);
    default:
        return deletion_request(t, a, old, &deletion, env_wall_ms(&w->env), err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned options = fuzz_byte(&f);
    struct world w;
    world_open(&w, options);
    hostile_cluster(&w, submit, &w.env);
    for (unsigned i = 0; i < REQUESTS_MAX && f.p < f.end; i++) {
        CLEANUP_ARENA struct arena a;
        struct error err = {0};
        struct txn t;
        arena_init(&a);
        txn_init(&t, "api");
        int rc = request(&w, &f, &a, &t, &err);
        if (rc != 0) {
            CHECK(err.code == rc && err.message[0] != '\0');
        } else if (t.count > 0) {
            submit(&w, &t, &err);
        }
        txn_close(&t);
        world_settle(&w);
    }
    if (options & OPTION_RESYNC) { /* the next leader finds it all at once */
        controllers_resync(w.controllers);
        scheduler_resync(w.scheduler, tip(&w));
        world_settle(&w);
    }
    if (w.follower != NULL) {
        fuzz_check_same_view(store_committed(w.store), store_committed(w.follower));
        if (options & OPTION_SNAPSHOT) {
            fuzz_store_check(w.follower, (options & OPTION_SEALED) != 0);
        }
    }
    world_close(&w);
    return 0;
}
