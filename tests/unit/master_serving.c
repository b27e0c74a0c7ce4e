/* The table of services: whoever follows it, at whatever pace, ends with what the state holds
 * (master/nodes/serving.h). */
#include "base/strmap.h"
#include "master/nodes/serving.h"
#include "tests/unit/raft-store_help.h"

#define NAMES     40u
#define FOLLOWERS 6u

struct follower {
    struct strmap known; /* "Kind/name" -> its resourceVersion */
    struct serving_place place;
    bool complete;
    uint64_t revision; /* of the last complete message */
    unsigned wholes;
};

static void forget_all(struct follower *f)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&f->known, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&f->known);
}

static struct str key_of(struct str kind, struct str name, char out[128])
{
    int n = snprintf(out, 128, "%.*s/%.*s", STR_ARG(kind), STR_ARG(name));
    return (struct str){out, (size_t)n};
}

/* One message. */
static void follow(struct follower *f, struct serving *s)
{
    char key[128];
    struct serving_place next;
    struct str message = serving_message(s, &f->place, &next);
    struct mp m = mp_of(message.p, message.n);
    assert_true(mp_valid(m));
    if (mp_bool(mp_get(m, "whole"), false)) {
        forget_all(f);
        f->wholes++;
    }
    for (struct mp_iter it = mp_iter(mp_get(m, "gone")); mp_next(&it);) {
        assert_true(str_is(mp_str(mp_get(it.value, "namespace")), "default"));
        free(strmap_remove(&f->known, key_of(mp_str(mp_get(it.value, "kind")), mp_str(mp_get(it.value, "name")), key)));
    }
    for (struct mp_iter it = mp_iter(mp_get(m, "changed")); mp_next(&it);) {
        struct str version = mp_str(mp_path(it.value, "metadata.resourceVersion"));
        free(strmap_set(&f->known,
                        key_of(mp_str(mp_get(it.value, "kind")), mp_str(mp_path(it.value, "metadata.name")), key),
                        xstrndup(version.p, version.n)));
    }
    assert_true(next.sent > f->place.sent || mp_bool(mp_get(m, "whole"), false));
    f->place = next;
    f->complete = mp_bool(mp_get(m, "complete"), false);
    assert_int_equal(f->complete, !serving_is_behind(s, &f->place));
    f->revision = f->complete ? (uint64_t)mp_int(mp_get(m, "revision"), 0) : f->revision;
}

static void assert_equals(const struct follower *f, const struct view *v)
{
    static const enum kind_id kinds[] = {KIND_SERVICE, KIND_ENDPOINTSLICE};
    size_t there = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct view_iter it;
        view_iter(&it, v, kind_by_id(kinds[k]), STR_NONE);
        VIEW_FOR(o, &it)
        {
            char key[128], version[32];
            snprintf(version, sizeof version, "%llu", (unsigned long long)o->revision);
            const char *known = strmap_get(&f->known, key_of(str_of(o->kind->name), o->name, key));
            assert_non_null(known);
            assert_string_equal(known, version);
            there++;
        }
    }
    assert_int_equal(f->known.count, there);
}

static struct object *made(unsigned i, uint64_t revision, size_t bytes)
{
    CLEANUP_ARENA struct arena a;
    struct object *out = NULL;
    struct error err = {0};
    arena_init(&a);
    char *fill = arena_alloc(&a, bytes + 1);
    memset(fill, 'x', bytes);
    fill[bytes] = '\0';
    struct object *o =
        i % 2 == 0 ? yaml_object("{apiVersion: v1, kind: Service, metadata: {name: s%u, annotations: {a: '%s'}}, spec: "
                                 "{ports: [{port: 80}]}}",
                                 i, fill)
                   : yaml_object("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s%u, "
                                 "annotations: {a: '%s'}}, addressType: IPv4}",
                                 i, fill);
    must(object_from_value(o->kind, object_to_value(&a, o), revision, &out, &err), &err);
    object_unref(o);
    return out;
}

/* True: something has changed, and was told of. */
static bool change(struct view *v, struct serving *s, struct rng *rng, uint64_t revision, bool told)
{
    unsigned i = (unsigned)rng_below(rng, NAMES);
    struct object *new = rng_below(rng, 3) == 0 ? NULL : made(i, revision, rng_below(rng, 8) == 0 ? 60000 : 10), *old;
    char name[16];
    snprintf(name, sizeof name, "s%u", i);
    old = new != NULL ? view_put(v, new)
                      : view_remove(v, kind_by_id(i % 2 == 0 ? KIND_SERVICE : KIND_ENDPOINTSLICE), STR("default"),
                                    str_of(name));
    told = told && (old != NULL || new != NULL);
    if (told) {
        serving_change(s, old, new);
        serving_is_at(s, revision);
    }
    object_unref(old);
    object_unref(new);
    return told;
}

static void whoever_follows_ends_with_what_the_state_holds(void **state)
{
    (void)state;
    unsigned parts = 0;
    uint64_t newest;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        struct rng rng = {seed};
        struct view *v = view_new();
        struct serving *s = serving_new();
        struct follower followers[FOLLOWERS] = {0};
        serving_sync(s, v);
        newest = view_revision(v);
        for (unsigned i = 0; i < FOLLOWERS; i++) {
            strmap_init(&followers[i].known);
        }
        for (unsigned step = 0; step < 400; step++) {
            bool told = rng_below(&rng, 20) > 0;
            if (change(v, s, &rng, step + 1, told)) {
                newest = step + 1;
            }
            if (!told) {
                serving_sync(s, v); /* as after a restored snapshot */
                newest = view_revision(v);
            }
            struct follower *f = &followers[rng_below(&rng, FOLLOWERS)];
            if (rng_below(&rng, 3) == 0 && serving_is_behind(s, &f->place)) {
                follow(f, s); /* perhaps a part only */
                parts += !f->complete;
                if (f->complete) {
                    assert_equals(f, v);
                    assert_int_equal(f->revision, newest);
                }
            }
        }
        for (unsigned i = 0; i < FOLLOWERS; i++) {
            while (serving_is_behind(s, &followers[i].place)) {
                follow(&followers[i], s);
            }
            assert_equals(&followers[i], v);
            assert_int_equal(followers[i].wholes, 1);
            forget_all(&followers[i]);
        }
        serving_free(s);
        view_unref(v);
    }
    assert_true(parts > 10);
}

static void who_comes_back_after_too_many_have_gone_hears_all(void **state)
{
    (void)state;
    struct view *v = view_new();
    struct serving *s = serving_new();
    struct follower early = {0}, late = {0}, new = {0};
    for (unsigned i = 0; i < SERVING_GONE_MAX + 100; i++) {
        struct object *o = made(2 * i, i + 1, 1);
        serving_change(s, NULL, o);
        if (i == 0) {
            follow(&early, s);
        } else if (i == SERVING_GONE_MAX + 50) {
            follow(&late, s);
            while (serving_is_behind(s, &late.place)) {
                follow(&late, s);
            }
        }
        serving_change(s, o, NULL);
        object_unref(o);
    }
    struct follower *all[] = {&early, &late, &new};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        while (serving_is_behind(s, &all[i]->place)) {
            follow(all[i], s);
        }
        assert_equals(all[i], v);
        forget_all(all[i]);
    }
    assert_int_equal(early.wholes, 2);
    assert_int_equal(late.wholes, 1);
    assert_int_equal(new.wholes, 1);
    serving_free(s);
    view_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_follows_ends_with_what_the_state_holds),
        cmocka_unit_test(who_comes_back_after_too_many_have_gone_hears_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
