/* The ring of events: against a plain list, on versions that are held meanwhile; what falls off and what does not; on
 * leader, follower and fork alike. */
#include <lz4.h>
#include <xxhash.h>

#include "base/le.h"
#include "raft-store/store/event_ring.h"
#include "raft-store/store/snapshot.h"
#include "raft-store/store/store_int.h"
#include "raft-store/store/world.h"

#include "tests/unit/raft-store_help.h"

/* ---- Help ---- */

static struct object *event(const char *ns, const char *name, const char *about, unsigned words)
{
    char message[4096];
    assert_true(words < sizeof message);
    memset(message, 'm', words);
    message[words] = '\0';
    return yaml_object("{apiVersion: v1, kind: Event, metadata: {name: %s, namespace: %s}, involvedObject: {kind: Pod, "
                       "apiVersion: v1, namespace: %s, name: %s}, reason: R, message: '%s', source: {component: c}}",
                       name, ns, ns, about, message);
}

static const struct kind *kind_event_of(void)
{
    return kind_by_id(KIND_EVENT);
}

static struct store *store_bounded(struct fake_env *fake, uint64_t bytes_max)
{
    struct store_config config = {.env = &fake->env, .events_bytes_max = bytes_max};
    struct store *s = store_new(&config);
    store_set_level(s, release.level);
    return s;
}

static void put_event(struct store *s, const char *ns, const char *name, unsigned words)
{
    struct error err = {0};
    must(eval_create(s, event(ns, name, "p", words), &err), &err);
}

static void touch(struct arena *a, struct value *doc)
{
    value_set(a, doc, "count", value_int(a, 1 + value_to_int(value_get(doc, "count"), 0)));
}

static void again(struct store *s, const char *ns, const char *name)
{
    struct error err = {0};
    must(eval_update(s, edited(find(store_tip(s), KIND_EVENT, ns, name), touch), TXN_PART_ALL, 0, NULL, &err), &err);
}

static bool is_there(const struct view *v, const char *ns, const char *name)
{
    return find(v, KIND_EVENT, ns, name) != NULL;
}

static uint64_t weight_of(const struct view *v, const char *ns)
{
    uint64_t weight = 0;
    struct view_iter it;
    view_iter(&it, v, kind_event_of(), str_of(ns));
    VIEW_FOR(o, &it)
    {
        weight += event_ring_weight(o);
    }
    return weight;
}

/* The weight of an event that put_event makes with so many words. */
static uint64_t weight_with(unsigned words)
{
    struct fake_env fake;
    fake_init(&fake, 1);
    struct store *s = store_bounded(&fake, UINT64_MAX);
    store_tip_open(s, 1);
    put_event(s, "a", "e0000", words);
    uint64_t weight = weight_of(store_tip(s), "a");
    store_free(s);
    return weight;
}

/* The leader's batch as an entry, applied by it and by a follower. */
static void commit(struct store *s, struct store *follower)
{
    CLEANUP_BUF struct buf entry = BUF_INIT;
    struct error err = {0};
    if (store_batch_empty(s)) {
        return;
    }
    store_batch_take(s, &entry);
    must(store_apply(s, store_applied_index(s) + 1, entry.data, entry.size, &err), &err);
    if (follower != NULL) {
        must(store_apply(follower, store_applied_index(follower) + 1, entry.data, entry.size, &err), &err);
    }
}

static void in_namespace(char out[16], const char *ns, unsigned i)
{
    snprintf(out, 16, "%s%04u", ns, i);
}

/* ---- The structure ---- */

static int age_order(const void *a, const void *b)
{
    const struct object *x = *(const struct object *const *)a, *y = *(const struct object *const *)b;
    int c = str_cmp(x->ns, y->ns);
    c = c != 0 ? c : (x->revision > y->revision) - (x->revision < y->revision);
    return c != 0 ? c : str_cmp(x->name, y->name);
}

/* What stands in the ring, by age and by name, is what an iteration over all objects finds. */
static void check_order(const struct view *v)
{
    const struct object *all[1024];
    unsigned count = 0;
    struct view_iter it;
    view_check(v);
    view_iter_all(&it, v);
    VIEW_FOR(o, &it)
    {
        assert_ptr_equal(view_get(v, o->kind, o->ns, o->name), o);
        if (o->kind->id == KIND_EVENT) {
            assert_true(count < ARRAY_SIZE(all));
            all[count++] = o;
        } else {
            assert_int_equal(count, 0); /* events come last */
        }
    }
    assert_int_equal(count, view_count(v, kind_event_of()));
    view_iter(&it, v, kind_event_of(), STR_NONE);
    for (unsigned i = 0; i < count; i++) {
        struct view_iter page;
        assert_ptr_equal(view_next(&it), all[i]);
        view_iter_after(&page, v, kind_event_of(), STR_NONE, all[i]->ns, all[i]->name);
        assert_ptr_equal(view_next(&page), i + 1 < count ? all[i + 1] : NULL);
    }
    assert_null(view_next(&it));
    qsort(all, count, sizeof all[0], age_order);
    view_iter_events(&it, v, STR_NONE, 0, STR_NONE);
    for (unsigned i = 0; i < count; i++) {
        struct view_iter rest, next;
        unsigned n = i;
        assert_ptr_equal(view_next(&it), all[i]);
        view_iter_events(&rest, v, all[i]->ns, all[i]->revision, all[i]->name);
        assert_ptr_equal(view_next(&rest), i + 1 < count ? all[i + 1] : NULL);
        view_iter_events(&next, v, all[i]->ns, UINT64_MAX, STR_NONE);
        while (n < count && str_eq(all[n]->ns, all[i]->ns)) {
            n++;
        }
        assert_ptr_equal(view_next(&next), n < count ? all[n] : NULL);
    }
    assert_null(view_next(&it));
}

static void events_by_name_and_by_age_are_the_same_on_versions_that_are_held(void **state)
{
    (void)state;
    static const char *const spaces[] = {"a", "b", "c"};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct rng rng = {seed};
        struct view *v = view_new(), *held[8] = {NULL};
        struct view_hash hashes[8];
        for (unsigned step = 1; step <= 1500; step++) {
            char name[16];
            const char *ns = spaces[rng_below(&rng, ARRAY_SIZE(spaces))];
            snprintf(name, sizeof name, "e%u", (unsigned)rng_below(&rng, 200));
            struct object *gone = NULL;
            if (rng_below(&rng, 3) == 0) {
                gone = view_remove(v, kind_event_of(), str_of(ns), str_of(name));
            } else {
                struct object *plain = rng_below(&rng, 8) == 0 ? config_map(ns, name, "k", "v")
                                                               : event(ns, name, "p", (unsigned)rng_below(&rng, 2000));
                struct object *o = object_with_revision(plain, step / (1 + seed % 3)); /* or several of one revision */
                gone = view_put(v, o);
                object_unref(o);
                object_unref(plain);
            }
            object_unref(gone);
            if (step % 50 == 0) {
                unsigned at = (unsigned)rng_below(&rng, ARRAY_SIZE(held));
                if (held[at] != NULL) {
                    check_order(held[at]);
                    struct view_hash h = view_state_hash(held[at]);
                    assert_true(h.lo == hashes[at].lo && h.hi == hashes[at].hi);
                    view_unref(held[at]);
                }
                held[at] = v;
                hashes[at] = view_state_hash(v);
                v = view_fork(v);
                check_order(v);
            }
        }
        for (unsigned i = 0; i < ARRAY_SIZE(held); i++) {
            view_unref(held[i]);
        }
        view_unref(v);
    }
}

/* Former programs compare one hash of all; so it is the sum of the two. */
static void the_hash_of_a_state_covers_its_events(void **state)
{
    (void)state;
    struct view *v = view_new();
    struct object *o = event("a", "e", "p", 10), *map = config_map("a", "m", "k", "v");
    struct view_hash empty = view_state_hash(v), whole = view_object_hash(o);
    object_unref(view_put(v, map));
    struct view_hash without = view_state_hash(v);
    object_unref(view_put(v, o));
    struct view_hash with = view_state_hash(v), events = view_events_hash(v);
    assert_true(events.lo == whole.lo && events.hi == whole.hi);
    unsigned __int128 sum =
        ((unsigned __int128)without.hi << 64 | without.lo) + ((unsigned __int128)events.hi << 64 | events.lo);
    assert_true(with.lo == (uint64_t)sum && with.hi == (uint64_t)(sum >> 64));
    object_unref(view_remove(v, map->kind, map->ns, map->name));
    object_unref(view_remove(v, o->kind, o->ns, o->name));
    struct view_hash last = view_state_hash(v);
    assert_true(last.lo == empty.lo && last.hi == empty.hi);
    object_unref(o);
    object_unref(map);
    view_unref(v);
}

/* ---- What falls off ---- */

static void the_oldest_of_a_namespace_fall_off_in_the_transaction_that_writes(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    uint64_t one = weight_with(100);
    struct store *s = store_bounded(&fake, EVENT_NAMESPACE_PART * (10 * one + 100)); /* ten in a namespace */
    store_tip_open(s, 1);
    char name[16];
    for (unsigned i = 0; i < 10; i++) {
        in_namespace(name, "e", i);
        put_event(s, "a", name, 100);
        unsigned count;
        store_last_changes(s, &count);
        assert_int_equal(count, 1);
    }
    again(s, "a", "e0000"); /* it was seen lately: others are older now */
    put_event(s, "a", "e0010", 100);
    unsigned count;
    const struct change *changes = store_last_changes(s, &count);
    assert_int_equal(count, 2);
    assert_null(changes[1].new);
    assert_true(str_is(changes[1].old->name, "e0001"));
    assert_false(is_there(store_tip(s), "a", "e0001"));
    assert_true(is_there(store_tip(s), "a", "e0000") && is_there(store_tip(s), "a", "e0010"));
    assert_true(weight_of(store_tip(s), "a") <= 10 * one + 100);
    view_check(store_tip(s));
    store_free(s);
}

static void a_flood_takes_nothing_from_other_namespaces(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    uint64_t part = 300 << 10;
    struct store *s = store_bounded(&fake, EVENT_NAMESPACE_PART * part);
    store_tip_open(s, 1);
    char name[16];
    for (unsigned i = 0; i < 50; i++) {
        in_namespace(name, "q", i);
        put_event(s, "quiet", name, 50);
    }
    for (unsigned i = 0; i < 3000; i++) {
        in_namespace(name, "e", i);
        put_event(s, i % 2 == 0 ? "flood" : "high-tide", name, 1000);
        assert_true(weight_of(store_tip(s), i % 2 == 0 ? "flood" : "high-tide") <= part);
        if (i % 16 == 0) {
            commit(s, NULL);
        }
    }
    for (unsigned i = 0; i < 50; i++) {
        in_namespace(name, "q", i);
        assert_true(is_there(store_tip(s), "quiet", name));
    }
    view_check(store_tip(s));
    store_free(s);
}

static void above_the_bound_of_all_the_heaviest_namespace_pays(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    uint64_t bytes_max = 2u << 20;
    struct store *s = store_bounded(&fake, bytes_max);
    store_tip_open(s, 1);
    char name[16], ns[16];
    for (unsigned i = 0; i < 20; i++) {
        in_namespace(name, "q", i);
        put_event(s, "quiet", name, 50);
    }
    for (unsigned i = 0; i < 4000; i++) { /* ten that take all there is */
        in_namespace(ns, "n", i % 10);
        in_namespace(name, "e", i);
        put_event(s, ns, name, 1000);
        assert_true(view_events(store_tip(s))->weight <= bytes_max);
        if (i % 16 == 0) {
            commit(s, NULL);
        }
    }
    assert_int_equal(view_events(store_tip(s))->spaces.count, 11);
    for (unsigned i = 0; i < 10; i++) { /* each has about its share */
        in_namespace(ns, "n", i);
        assert_true(weight_of(store_tip(s), ns) > bytes_max / 11 - 2 * EVENT_STEP_BYTES);
    }
    for (unsigned i = 0; i < 20; i++) {
        in_namespace(name, "q", i);
        assert_true(is_there(store_tip(s), "quiet", name));
    }
    view_check(store_tip(s));
    store_free(s);
}

/* One transaction with many small ones, then a large one: it drops as many as it weighs. */
static void what_a_large_event_pushes_out_is_bounded_by_what_it_weighs(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    uint64_t part = 400 * weight_with(10);
    struct store *s = store_bounded(&fake, EVENT_NAMESPACE_PART * part);
    store_tip_open(s, 1);
    char name[16];
    for (unsigned i = 0; i < 400; i++) {
        in_namespace(name, "e", i);
        put_event(s, "a", name, 10);
    }
    assert_int_equal(view_count(store_tip(s), kind_event_of()), 400);
    put_event(s, "a", "large", 4000);
    unsigned count;
    store_last_changes(s, &count);
    assert_true(count > 2 && count < 10);
    assert_true(weight_of(store_tip(s), "a") <= part);
    store_free(s);
}

static void a_bound_that_was_lowered_is_reached_step_by_step(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    struct world *w = world_new(NULL, &fake.env, release.level);
    struct error err = {0};
    struct txn_result result;
    struct txn t;
    txn_init(&t, "test");
    for (unsigned i = 0; i < 600; i++) {
        char name[16];
        in_namespace(name, "e", i);
        txn_create(&t, event(i < 500 ? "a" : "b", name, "p", 100));
    }
    must(world_eval(w, &t, &result, &err), &err);
    txn_reset(&t);
    assert_int_equal(view_count(world_view(w), NULL), 600); /* no bound */
    uint64_t part = 50 * weight_with(100);
    world_bound_events(w, EVENT_NAMESPACE_PART * part);
    unsigned steps = 0;
    for (; event_ring_space(view_events(world_view(w)), STR("a")) > part; steps++) {
        char name[16];
        in_namespace(name, "c", steps);
        txn_create(&t, event("c", name, "p", 0)); /* elsewhere */
        must(world_eval(w, &t, &result, &err), &err);
        txn_reset(&t);
        unsigned count;
        world_last_changes(w, &count);
        assert_true(count <= 1 + EVENT_DROPS_MORE + 2);
        assert_true(steps < 20);
    }
    assert_true(steps > 5);
    view_check(world_view(w));
    /* What is not about events drops none. */
    uint64_t before = view_count(world_view(w), kind_event_of());
    world_bound_events(w, 1);
    txn_create(&t, config_map("a", "m", "k", "v"));
    must(world_eval(w, &t, &result, &err), &err);
    assert_int_equal(view_count(world_view(w), kind_event_of()), before);
    txn_close(&t);
    world_free(w);
}

static void what_a_transaction_has_written_stays(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    struct store *s = store_bounded(&fake, 1);
    store_tip_open(s, 1);
    put_event(s, "a", "first", 100);
    assert_true(is_there(store_tip(s), "a", "first"));
    put_event(s, "a", "second", 100);
    assert_true(is_there(store_tip(s), "a", "second") && !is_there(store_tip(s), "a", "first"));
    struct error err = {0};
    assert_int_equal(eval_create(s, event("a", "second", "p", 1), &err), ERR_EXISTS); /* a refusal drops nothing */
    assert_true(is_there(store_tip(s), "a", "second"));
    store_free(s);
}

/* The heaviest namespaces may be all the transaction's own: then others pay, and the bound of all holds. */
static void above_the_bound_of_all_others_pay_where_the_heaviest_are_new(void **state)
{
    (void)state;
    struct fake_env fake;
    fake_init(&fake, 1);
    uint64_t one = weight_with(3000);
    struct store *s = store_bounded(&fake, 40 * one);
    store_tip_open(s, 1);
    for (unsigned i = 0; i < 40; i++) {
        char ns[16];
        in_namespace(ns, "n", i % 20);
        char name[16];
        in_namespace(name, "e", i);
        put_event(s, ns, name, 3000);
    }
    for (unsigned turn = 0; turn < 30; turn++) {
        struct txn t;
        struct txn_result result;
        struct error err = {0};
        txn_init(&t, "test");
        for (unsigned i = 0; i < 18; i++) { /* two namespaces, each as heavy as it may be */
            char ns[16], name[16];
            in_namespace(ns, "new", 2 * turn + i % 2);
            in_namespace(name, "f", i);
            txn_create(&t, event(ns, name, "p", 3000));
        }
        must(store_eval(s, &t, &result, &err), &err);
        txn_close(&t);
        assert_true(view_events(store_tip(s))->weight <= 40 * one);
        commit(s, NULL);
    }
    view_check(store_tip(s));
    store_free(s);
}

/* ---- Replicas ---- */

static void followers_and_forks_hold_the_same_events(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (unsigned level = 0; level <= 1; level++) {
            struct rng rng = {seed};
            struct fake_env fake, twin;
            fake_init(&fake, seed);
            struct store *s = store_bounded(&fake, 40000), *follower = store_bounded(&fake, UINT64_MAX);
            store_set_level(s, level);
            store_tip_open(s, 1);
            char name[16];
            for (unsigned i = 0; i < 400; i++) {
                in_namespace(name, "e", (unsigned)rng_below(&rng, 60));
                const char *ns = rng_below(&rng, 3) == 0 ? "b" : "a";
                if (!is_there(store_tip(s), ns, name)) {
                    fake_init(&twin, i);
                    fake_init(&fake, i);
                    struct world *w = world_new(store_tip(s), &twin.env, level);
                    world_bound_events(w, store_events_bytes_max(s));
                    struct txn t;
                    struct txn_result result;
                    struct error err = {0};
                    txn_init(&t, "test");
                    txn_create(&t, event(ns, name, "p", (unsigned)rng_below(&rng, 1500)));
                    must(world_eval(w, &t, &result, &err), &err);
                    must(store_eval(s, &t, &result, &err), &err);
                    assert_views_equal(world_view(w), store_tip(s));
                    txn_close(&t);
                    world_free(w);
                } else {
                    again(s, ns, name);
                }
                if (rng_below(&rng, 5) == 0) {
                    commit(s, follower);
                    assert_views_equal(store_committed(s), store_committed(follower));
                }
            }
            commit(s, follower);
            assert_views_equal(store_committed(s), store_committed(follower));
            assert_true(view_count(store_committed(s), kind_event_of()) < 60);
            store_free(s);
            store_free(follower);
        }
    }
}

/* ---- Snapshots ---- */

static int append_sink(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static void save(struct store *s, struct buf *out)
{
    struct store_fork *f = store_fork_new(s);
    assert_int_equal(store_fork_write(f, append_sink, out), 0);
    store_fork_free(f);
}

/* The records of a snapshot of one block. */
static void unpack(const struct buf *snapshot, struct buf *records)
{
    uint32_t packed = le_load_u32(snapshot->data + 8), raw = le_load_u32(snapshot->data + 12);
    uint8_t *to = buf_reserve(records, raw);
    if (packed == raw) {
        memcpy(to, snapshot->data + 24, raw);
    } else {
        assert_int_equal(LZ4_decompress_safe((const char *)snapshot->data + 24, (char *)to, (int)packed, (int)raw),
                         raw);
    }
    records->size = raw;
}

/* A snapshot of one block with these records and the trailer of v. */
static void pack(struct buf *out, const struct buf *records, const struct view *v)
{
    struct view_hash hash = view_state_hash(v);
    buf_append(out, "RVS1\2\0\0\0", 8);
    buf_put_u32(out, (uint32_t)records->size);
    buf_put_u32(out, (uint32_t)records->size);
    buf_put_u64(out, XXH3_64bits_withSeed(records->data, records->size, 0));
    buf_append(out, records->data, records->size);
    buf_put_u64(out, 0);
    size_t head = out->size;
    buf_put_u64(out, 0);
    buf_put_u64(out, view_revision(v));
    buf_put_u64(out, view_count(v, NULL));
    buf_put_u64(out, 0);
    buf_put_u64(out, hash.lo);
    buf_put_u64(out, hash.hi);
    le_store_u64(out->data + head, XXH3_64bits_withSeed(out->data + head + 8, 40, 1));
}

/* Some objects, and events that were written in another order than that of their names. */
static struct store *filled(struct fake_env *fake, unsigned level)
{
    struct error err = {0};
    fake_init(fake, 1);
    struct store *s = store_bounded(fake, 0);
    store_set_level(s, level);
    store_tip_open(s, 1);
    for (unsigned i = 0; i < 12; i++) {
        char name[16];
        in_namespace(name, "e", i * 7 % 12);
        put_event(s, i % 3 == 0 ? "a" : "b", name, 100);
        must(eval_create(s, config_map("a", name, "k", "v"), &err), &err);
    }
    again(s, "a", "e0000");
    commit(s, NULL);
    return s;
}

static void must_restore(struct store *s, const struct buf *snapshot, const struct view *want)
{
    struct error err = {0};
    must(store_restore(s, snapshot->data, snapshot->size, 7, &err), &err);
    assert_views_equal(store_committed(s), want);
    check_order(store_committed(s));
}

static void a_snapshot_says_what_its_events_must_be_where_all_programs_can_read_it(void **state)
{
    (void)state;
    for (unsigned level = 0; level <= RELEASE_LEVEL_CARRIED; level++) {
        CLEANUP_BUF struct buf snapshot = BUF_INIT, records = BUF_INIT;
        struct fake_env fake;
        struct store *s = filled(&fake, level), *other = store_bounded(&fake, 0);
        save(s, &snapshot);
        unpack(&snapshot, &records);
        struct view_hash hash = view_events_hash(store_committed(s));
        uint8_t told[17] = {12};
        le_store_u64(told + 1, hash.lo);
        le_store_u64(told + 9, hash.hi);
        assert_true((memmem(records.data, records.size, told, sizeof told) != NULL) == (level > 0));
        must_restore(other, &snapshot, store_committed(s));
        store_free(s);
        store_free(other);
    }
}

static void a_snapshot_with_other_events_than_it_says_is_damaged(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf snapshot = BUF_INIT, records = BUF_INIT;
    struct fake_env fake;
    struct error err = {0};
    struct store *s = filled(&fake, 1), *other = store_bounded(&fake, 0);
    save(s, &snapshot);
    unpack(&snapshot, &records);
    const uint8_t head[3] = {128, 17, 12}; /* a record of 17 bytes: twelve, and the hash */
    uint8_t *told = memmem(records.data, records.size, head, sizeof head);
    assert_non_null(told);
    buf_reset(&snapshot);
    pack(&snapshot, &records, store_committed(s));
    must_restore(other, &snapshot, store_committed(s));
    static const unsigned at[] = {2, 3, 18}; /* count, hash */
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
        told[at[i]] ^= 1;
        buf_reset(&snapshot);
        pack(&snapshot, &records, store_committed(s));
        assert_int_equal(store_restore(other, snapshot.data, snapshot.size, 8, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.message, "the events in it are not those that were written"));
        told[at[i]] ^= 1;
    }
    told[1] = 9; /* cut short: what follows is read as other records */
    buf_reset(&snapshot);
    pack(&snapshot, &records, store_committed(s));
    assert_int_equal(store_restore(other, snapshot.data, snapshot.size, 8, &err), ERR_CORRUPT);
    store_free(s);
    store_free(other);
}

/* Former programs wrote events where their kind stands among the others, and said nothing of them. */
static void events_in_the_midst_of_a_former_snapshot_come_to_the_ring(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf snapshot = BUF_INIT, records = BUF_INIT;
    struct fake_env fake;
    struct store *s = filled(&fake, 0), *other = store_bounded(&fake, 0);
    const struct view *v = store_committed(s);
    for (unsigned turn = 0; turn < 3; turn++) {
        struct view_iter it;
        unsigned i = 0;
        view_iter_all(&it, v);
        VIEW_FOR(o, &it)
        {
            if (i++ % 3 == turn) { /* in any order */
                buf_put_u8(&records, 1);
                varint_write(&records, o->kind->id);
                buf_put_u8(&records, 0);
                varint_write(&records, o->revision);
                varint_write_str(&records, (struct str){(const char *)object_body(o), o->body_size});
            }
        }
    }
    pack(&snapshot, &records, v);
    must_restore(other, &snapshot, v);
    store_free(s);
    store_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_by_name_and_by_age_are_the_same_on_versions_that_are_held),
        cmocka_unit_test(the_hash_of_a_state_covers_its_events),
        cmocka_unit_test(the_oldest_of_a_namespace_fall_off_in_the_transaction_that_writes),
        cmocka_unit_test(a_flood_takes_nothing_from_other_namespaces),
        cmocka_unit_test(above_the_bound_of_all_the_heaviest_namespace_pays),
        cmocka_unit_test(above_the_bound_of_all_others_pay_where_the_heaviest_are_new),
        cmocka_unit_test(what_a_large_event_pushes_out_is_bounded_by_what_it_weighs),
        cmocka_unit_test(a_bound_that_was_lowered_is_reached_step_by_step),
        cmocka_unit_test(what_a_transaction_has_written_stays),
        cmocka_unit_test(followers_and_forks_hold_the_same_events),
        cmocka_unit_test(a_snapshot_says_what_its_events_must_be_where_all_programs_can_read_it),
        cmocka_unit_test(a_snapshot_with_other_events_than_it_says_is_damaged),
        cmocka_unit_test(events_in_the_midst_of_a_former_snapshot_come_to_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
