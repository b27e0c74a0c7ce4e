/* The index of merged lists against a walk over all elements, on random lists of hostile keys; and that a long list
 * takes steps in proportion to its length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/env.h"
#include "proto/patch/elements.h"
#include "proto/text/text.h"

#define MOST 48u

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

static const struct field *field_of(const char *kind, const char *path)
{
    const struct field *f = NULL;
    const struct schema *s = kind_by_name(str_of(kind))->schema;
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *save, *word = strtok_r(copy, ".", &save); word != NULL; word = strtok_r(NULL, ".", &save)) {
        f = schema_field(s, str_of(word));
        assert_non_null(f);
        s = f->sub;
    }
    return f;
}

/* ---- The model: a walk over all ---- */

struct model {
    const struct field *f;
    struct value *items[MOST];
    unsigned count;
};

static const struct value *first_of(const struct field *f, const struct value *e)
{
    return f->type == FIELD_OBJECT ? value_get(e, f->merge_key) : e;
}

static bool same_first(const struct field *f, const struct value *a, const struct value *b)
{
    const struct value *ka = first_of(f, a), *kb = first_of(f, b);
    return (f->type != FIELD_OBJECT || (!value_is_null(ka) && !value_is_null(kb))) && value_equal(ka, kb);
}

static struct str second_of(const struct field *f, const struct value *e)
{
    const struct value *v = value_get(e, f->merge_key2);
    return value_is_null(v) ? str_of(schema_field(f->sub, str_of(f->merge_key2))->fallback) : value_to_str(v);
}

static bool same(const struct field *f, const struct value *a, const struct value *b)
{
    return same_first(f, a, b) && (f->merge_key2 == NULL || str_eq(second_of(f, a), second_of(f, b)));
}

static bool answers(const struct field *f, const struct value *probe, const struct value *e)
{
    bool any = f->merge_key2 == NULL || value_is_null(value_get(probe, f->merge_key2));
    return same_first(f, probe, e) && (any || same(f, probe, e));
}

typedef bool match_fn(const struct field *f, const struct value *a, const struct value *b);

static unsigned model_find(const struct model *m, const struct value *like, match_fn *match)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->items[i] != NULL && match(m->f, like, m->items[i])) {
            return i;
        }
    }
    return ELEMENTS_NONE;
}

static unsigned model_target(const struct model *m, const struct value *probe)
{
    unsigned found = model_find(m, probe, same), with_first = 0;
    if (found != ELEMENTS_NONE) {
        return found;
    }
    for (unsigned i = 0; i < m->count; i++) {
        with_first += m->items[i] != NULL && same_first(m->f, probe, m->items[i]);
    }
    bool any = m->f->merge_key2 != NULL && value_is_null(value_get(probe, m->f->merge_key2));
    return with_first == 1 || any ? model_find(m, probe, same_first) : ELEMENTS_NONE;
}

static void model_take(struct model *m, const struct value *probe, struct value *out)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->items[i] != NULL && answers(m->f, probe, m->items[i])) {
            value_append(&arena, out, m->items[i]);
            m->items[i] = NULL;
        }
    }
}

/* ---- Random elements ---- */

/* Equal as numbers, as maps in another order, as integers that are one float. */
static const char *const keys[] = {
    "80",
    "80.0",
    "81",
    "'80'",
    "a",
    "b",
    "c",
    "d",
    "true",
    "null",
    "[1, 2]",
    "[1, 3]",
    "{x: 1, y: 2}",
    "{y: 2, x: 1}",
    "{x: 1}",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "-0.0",
    "0",
    "1.5",
    "''",
};
static const char *const seconds[] = {"TCP", "UDP", "null", "1", "''", "tcp"};

static struct value *document(const char *text)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml_read(&arena, str_of(text), NULL, &docs, &count, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return count == 0 ? value_null(&arena) : docs[0];
}

static struct value *random_element(struct rng *r, const struct field *f)
{
    const char *key = keys[rng_below(r, ARRAY_SIZE(keys))];
    if (f->type != FIELD_OBJECT) {
        return document(key);
    }
    if (rng_below(r, 20) == 0) {
        return value_int(&arena, 1);
    }
    struct value *e = value_map(&arena);
    if (rng_below(r, 12) > 0) {
        value_set(&arena, e, f->merge_key, document(key));
    }
    if (f->merge_key2 != NULL && rng_below(r, 3) > 0) {
        value_set(&arena, e, f->merge_key2, document(seconds[rng_below(r, ARRAY_SIZE(seconds))]));
    }
    return e;
}

static void compare(const struct model *m, const struct elements *x)
{
    assert_int_equal(m->count, x->count);
    struct value *list = elements_list(&arena, x);
    unsigned at = 0;
    for (unsigned i = 0; i < m->count; i++) {
        assert_ptr_equal(m->items[i], elements_at(x, i));
        if (m->items[i] != NULL) {
            assert_ptr_equal(value_item(list, at++), m->items[i]);
        }
    }
    assert_int_equal(value_count(list), at);
}

static void do_something(struct rng *r, struct model *m, struct elements *x)
{
    struct value *e = random_element(r, m->f);
    switch (rng_below(r, 8)) {
    case 0:
    case 1:
        if (m->count < MOST) {
            m->items[m->count++] = e;
            elements_append(x, e);
        }
        break;
    case 2: {
        struct value *mine = value_list(&arena), *theirs = value_list(&arena);
        model_take(m, e, mine);
        elements_take(&arena, x, e, theirs);
        assert_int_equal(value_count(mine), value_count(theirs));
        for (unsigned i = 0; i < value_count(mine); i++) {
            assert_ptr_equal(value_item(mine, i), value_item(theirs, i));
        }
        break;
    }
    case 3:
        if (rng_below(r, 40) == 0) {
            m->count = 0;
            elements_clear(x);
        }
        break;
    case 4: {
        unsigned at = (unsigned)rng_below(r, MOST);
        if (at < m->count && m->items[at] != NULL) {
            m->items[at] = e;
            elements_set(x, at, e);
        }
        break;
    }
    default:
        assert_int_equal(elements_find(x, e), model_find(m, e, same));
        assert_int_equal(elements_find_first_key(x, e), model_find(m, e, same_first));
        assert_int_equal(elements_target(x, e), model_target(m, e));
        break;
    }
}

static void the_index_finds_what_a_walk_finds(void **state)
{
    (void)state;
    const struct field *fields[] = {
        field_of("Pod", "spec.containers.ports"),
        field_of("Pod", "spec.containers.env"),
        field_of("Pod", "metadata.finalizers"),
    };
    struct rng r = {17};
    unsigned found = 0;
    for (unsigned round = 0; round < 3000; round++) {
        struct model m = {.f = fields[round % ARRAY_SIZE(fields)]};
        struct value *list = value_list(&arena);
        for (uint64_t n = rng_below(&r, MOST / 2); n > 0; n--) {
            value_append(&arena, list, m.items[m.count++] = random_element(&r, m.f));
        }
        struct elements x = elements_of(&arena, m.f, list, MOST - m.count);
        for (unsigned i = 0; i < 60; i++) {
            do_something(&r, &m, &x);
            compare(&m, &x);
        }
        found += elements_find(&x, random_element(&r, m.f)) != ELEMENTS_NONE;
        if (round % 100 == 0) {
            arena_close(&arena);
        }
    }
    assert_true(found > 300);
}

static struct value *numbered(const char *key, const char *second, unsigned from, unsigned count)
{
    struct value *list = value_list(&arena);
    for (unsigned i = from; i < from + count; i++) {
        struct value *e = value_map(&arena);
        value_set(&arena, e, key, second == NULL ? value_strf(&arena, "n%u", i) : value_int(&arena, 80));
        if (second != NULL) {
            value_set(&arena, e, second, value_strf(&arena, "n%u", i));
        }
        value_append(&arena, list, e);
    }
    return list;
}

/* Whether it is the first key that tells them apart or the second alone. */
static void long_lists_are_found_through_and_taken_apart(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        const struct field *f = field_of("Pod", two ? "spec.containers.ports" : "spec.containers.env");
        struct value *list =
            two ? numbered("containerPort", "protocol", 0, PATCH_LIST_MAX) : numbered("name", NULL, 0, PATCH_LIST_MAX);
        struct elements x = elements_of(&arena, f, list, 0);
        struct value *out = value_list(&arena);
        for (unsigned i = PATCH_LIST_MAX; i-- > 0;) {
            assert_int_equal(elements_find(&x, value_item(list, i)), i);
        }
        for (unsigned i = 0; i < PATCH_LIST_MAX; i++) {
            elements_take(&arena, &x, value_item(list, i), out);
        }
        assert_true(value_equal(list, out));
        assert_int_equal(value_count(elements_list(&arena, &x)), 0);
    }
}

static void elements_are_woven_by_where_they_stood(void **state)
{
    (void)state;
    const struct field *f = field_of("Pod", "metadata.finalizers");
    static const struct {
        const char *before, *mine, *others, *after;
    } cases[] = {
        {"[a, b, c, d]", "[c, a]", "[b, d]", "[b, c, a, d]"},
        {"[a, b, c]", "[new, c]", "[a, b]", "[new, a, b, c]"},
        {"[]", "[x]", "[y]", "[x, y]"},
        {"null", "[]", "[y, z]", "[y, z]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct value *out =
            elements_weave(&arena, f, document(cases[i].mine), document(cases[i].others), document(cases[i].before));
        assert_true(value_equal(out, document(cases[i].after)));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_index_finds_what_a_walk_finds),
        TEST(long_lists_are_found_through_and_taken_apart),
        TEST(elements_are_woven_by_where_they_stood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
