/* strmap against a plain array, buf, arena, times, errors, rng. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena_small.h"
#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "base/timefmt.h"

#define KEYS 64

static void strmap_agrees_with_an_array_under_random_changes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rng rng = {seed};
        struct strmap m;
        strmap_init(&m);
        void *model[KEYS] = {0};
        for (int step = 0; step < 2000; step++) {
            unsigned k = (unsigned)rng_below(&rng, KEYS);
            char key[16];
            int n = snprintf(key, sizeof key, "key-%u", k);
            struct str s = {key, (size_t)n};
            switch (rng_below(&rng, 3)) {
            case 0: {
                void *v = &model[rng_below(&rng, KEYS)];
                assert_ptr_equal(strmap_set(&m, s, v), model[k]);
                model[k] = v;
                break;
            }
            case 1:
                assert_ptr_equal(strmap_remove(&m, s), model[k]);
                model[k] = NULL;
                break;
            default:
                assert_ptr_equal(strmap_get(&m, s), model[k]);
            }
        }
        size_t expected = 0;
        for (int i = 0; i < KEYS; i++) {
            expected += model[i] != NULL;
        }
        size_t seen = 0, cursor = 0;
        while (strmap_next(&m, &cursor) != NULL) {
            seen++;
        }
        assert_int_equal(m.count, expected);
        assert_int_equal(seen, expected);
        strmap_close(&m);
    }
}

#define MANY 12000u

static struct str numbered_key(char *text, size_t size, unsigned k)
{
    return (struct str){text, (size_t)snprintf(text, size, "namespace-%u/pod-%u", k % 7, k)};
}

/* Each value is the place of its key in the model: all that are there, once each. */
static void assert_walks_once_over(const struct strmap *m, void *const *model, unsigned *steps)
{
    size_t cursor = 0, expected = 0, seen = 0;
    const struct strmap_entry *e;
    char text[40];
    for (unsigned k = 0; k < MANY; k++) {
        struct str key = numbered_key(text, sizeof text, k);
        assert_ptr_equal(strmap_get(m, key), model[k]);
        expected += model[k] != NULL;
    }
    while ((e = strmap_next(m, &cursor)) != NULL) {
        unsigned k = (unsigned)strtoul(strrchr(e->key, '-') + 1, NULL, 10);
        assert_true(e->value != NULL && e->value == model[k]);
        assert_true(steps[k] == 0);
        steps[k] = 1;
        seen++;
    }
    memset(steps, 0, MANY * sizeof *steps);
    assert_int_equal(m->count, expected);
    assert_int_equal(seen, expected);
}

/* While it grows, too: most steps below are taken while entries are in both tables. */
static void a_large_strmap_agrees_with_an_array_under_random_changes(void **state)
{
    (void)state;
    static void *model[MANY];
    static unsigned steps[MANY];
    char text[40], byte[3];
    unsigned grown = 0, in_steps = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct rng rng = {seed};
        struct strmap m;
        strmap_init(&m);
        memset(model, 0, sizeof model);
        for (unsigned step = 0; step < 60000; step++) {
            unsigned k = (unsigned)rng_below(&rng, MANY), removes = step < 40000 ? 2 : 7;
            struct str key = numbered_key(text, sizeof text, k);
            size_t cap = m.cap;
            if (rng_below(&rng, 10) < removes) {
                assert_ptr_equal(strmap_remove(&m, key), model[k]);
                model[k] = NULL;
            } else {
                void *value = &byte[rng_below(&rng, 3)];
                assert_ptr_equal(strmap_set(&m, key, value), model[k]);
                model[k] = value;
            }
            assert_ptr_equal(strmap_get(&m, key), model[k]);
            grown += m.cap > cap && cap > STRMAP_AT_ONCE;
            in_steps += m.former != NULL;
            if (step % 4001 == 0 || (m.cap > cap && cap >= STRMAP_AT_ONCE) || (m.former != NULL && step % 97 == 0)) {
                assert_walks_once_over(&m, model, steps);
            }
        }
        strmap_close(&m);
    }
    assert_true(grown >= 6 && in_steps > 1000);
}

/* No key pays for all of those that are there. The numbers are those of seed 0, which tests have. */
static void a_large_strmap_moves_a_few_entries_with_each_key(void **state)
{
    (void)state;
    struct strmap m;
    char text[40], byte;
    size_t most = 0, growths = 0;
    strmap_init(&m);
    for (unsigned k = 0; k < 200000; k++) {
        size_t cap = m.cap, moved = m.moved;
        bool grows = m.former != NULL;
        strmap_set(&m, numbered_key(text, sizeof text, k), &byte);
        growths += m.cap > cap && cap > STRMAP_AT_ONCE;
        if (grows && m.former != NULL && m.cap == cap) {
            assert_true(m.moved >= moved + 16);
            most = MAX(most, m.moved - moved);
        }
        assert_true(m.cap == cap || cap <= STRMAP_AT_ONCE || (m.moved == 0 && m.former_cap == cap));
    }
    assert_int_equal(growths, 8); /* 2,048 places to 524,288 */
    assert_in_range(most, 16, 300);
    strmap_close(&m);
}

static void a_strmap_is_drained_in_steps_though_others_go_too(void **state)
{
    (void)state;
    for (unsigned count = 1; count < 8000; count = count * 5 / 4 + 1) {
        struct strmap m;
        struct rng rng = {count};
        char text[40], byte;
        size_t cursor = 0, gone = 0;
        strmap_init(&m);
        for (unsigned k = 0; k < count; k++) {
            strmap_set(&m, numbered_key(text, sizeof text, k), &byte);
        }
        for (const struct strmap_entry *e; (e = strmap_drain(&m, &cursor)) != NULL; gone++) {
            if (rng_below(&rng, 4) > 0) {
                struct str key = {text, (size_t)snprintf(text, sizeof text, "%s", e->key)};
                assert_ptr_equal(strmap_remove(&m, key), &byte);
            } else { /* what goes with it; the drained one comes again */
                struct str key = numbered_key(text, sizeof text, (unsigned)rng_below(&rng, count));
                gone -= strmap_remove(&m, key) == NULL;
            }
        }
        assert_int_equal(gone, count);
        assert_int_equal(m.count, 0);
        strmap_close(&m);
    }
}

static void buf_grows_consumes_and_hands_over(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 1000; i++) {
        buf_printf(&b, "%d,", i);
    }
    assert_memory_equal(b.data, "0,1,2,", 6);
    buf_consume(&b, 4);
    assert_memory_equal(b.data, "2,3,", 4);
    size_t size;
    uint8_t *p = buf_take(&b, &size);
    assert_int_equal(b.size, 0);
    assert_int_equal(p[size - 1], ',');
    free(p);
    assert_string_equal(buf_cstr(&b), "");
    buf_put_u32(&b, 0x01020304);
    assert_memory_equal(b.data, "\x04\x03\x02\x01", 4);
    buf_close(&b);
}

static void an_array_in_an_arena_doubles_and_keeps_its_items(void **state)
{
    (void)state;
    struct arena a;
    unsigned *items = NULL, cap = 0;
    arena_init(&a);
    for (unsigned i = 0; i < 100; i++) {
        unsigned before = cap, *there = items;
        items = arena_grow(&a, items, i, &cap, sizeof *items, 3);
        assert_true(i < before ? items == there && cap == before : cap == MAX(2 * before, 3u));
        items[i] = i;
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(items[i], i);
    }
    arena_close(&a);
}

static void a_small_arena_begins_with_what_was_asked_for_and_grows(void **state)
{
    (void)state;
    struct arena a;
    arena_init_small(&a, 240);
    assert_int_equal(a.total_bytes, 240);
    for (unsigned i = 0; i < 15; i++) {
        memset(arena_alloc(&a, 16), 1, 16);
    }
    assert_int_equal(a.total_bytes, 240);
    const uint8_t *p = arena_alloc(&a, 16);
    assert_int_equal(a.total_bytes, 240 + 1024);
    assert_int_equal(p[0] + p[15], 0);
    assert_non_null(arena_alloc(&a, 3000));
    assert_int_equal(a.total_bytes, 240 + 1024 + 4096);
    arena_close(&a);
    assert_int_equal(a.total_bytes, 0);
}

static void arena_memory_is_zeroed_aligned_and_distinct(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    uint8_t *last = NULL;
    for (size_t n = 0; n < 3000; n += 7) {
        uint8_t *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, n);
        assert_true(n == 0 || p != last);
        last = p;
    }
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    arena_close(&a);
}

static void times_survive_text_and_back(void **state)
{
    (void)state;
    struct rng rng = {42};
    char text[TIMEFMT_SIZE];
    int64_t back;
    for (int i = 0; i < 10000; i++) {
        int64_t ms = (int64_t)rng_below(&rng, 4102444800000ull);
        timefmt_rfc3339_ms(ms, text);
        assert_true(timefmt_parse(str_of(text), &back));
        assert_int_equal(back, ms);
    }
    timefmt_rfc3339(951782400000, text);
    assert_string_equal(text, "2000-02-29T00:00:00Z");
    assert_true(timefmt_parse(STR("2026-01-02T03:04:05+01:00"), &back));
    timefmt_rfc3339(back, text);
    assert_string_equal(text, "2026-01-02T02:04:05Z");
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01 00:00:00Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00+1",
                                      "2026-01-01T00:00:00Zx"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(timefmt_parse(str_of(bad[i]), &back));
    }
}

static void ages_read_as_kubectl_prints_them(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {{0, "0s"},       {119, "119s"},    {120, "2m"},      {125, "2m5s"}, {600, "10m"},
                 {10799, "179m"}, {10800, "3h"},    {12000, "3h20m"}, {28800, "8h"}, {172799, "47h"},
                 {172800, "2d"},  {180000, "2d2h"}, {691200, "8d"},   {-5, "0s"},    {700000000, "8101d"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[TIMEFMT_SIZE];
        timefmt_age(cases[i].s * 1000, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void errors_wrap_and_carry_class_and_reason(void **state)
{
    (void)state;
    struct error e = {0};
    assert_int_equal(error_set_errno(&e, ENOSPC, "write %s", "log"), ERR_NO_SPACE);
    assert_non_null(strstr(e.message, "write log: No space left"));
    error_wrap(&e, "save snapshot");
    assert_true(strncmp(e.message, "save snapshot: write log", 24) == 0);
    assert_int_equal(err_class(ERR_UNKNOWN_OUTCOME), ERR_CLASS_UNKNOWN);
    assert_string_equal(err_reason(ERR_CONFLICT), "Conflict");
    assert_string_equal(err_reason(-9999), "Unknown");
    assert_int_equal(error_set(NULL, ERR_BUSY, "dropped"), ERR_BUSY);
}

static void keep_line(void *data, enum log_level level, const char *line, unsigned size)
{
    (void)level;
    buf_append(data, line, size);
}

static void log_lines_cannot_be_forged_by_what_is_logged(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct log log = {.name = "m1", .level = LOG_LEVEL_INFO, .sink = keep_line, .sink_data = &out};
    log_info(&log, "test", "name %s", "a\nERROR forged");
    log_debug(&log, "test", "not shown");
    unsigned lines = 0;
    for (size_t i = 0; i < out.size; i++) {
        lines += out.data[i] == '\n';
    }
    assert_int_equal(lines, 1);
    buf_close(&out);
}

static void lists_keep_order_and_tolerate_removal(void **state)
{
    (void)state;
    struct item {
        struct list link;
        int n;
    } items[5];
    struct list head;
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].n = i;
        list_push_back(&head, &items[i].link);
    }
    LIST_FOR_SAFE(it, &head)
    {
        if (LIST_ENTRY(it, struct item, link)->n % 2 == 1) {
            list_remove(it);
            list_remove(it);
        }
    }
    int sum = 0;
    LIST_FOR(it, &head)
    {
        sum = sum * 10 + LIST_ENTRY(it, struct item, link)->n;
    }
    assert_int_equal(sum, 24);
}

static void uuids_are_version_4_and_suffixes_use_the_safe_alphabet(void **state)
{
    (void)state;
    char a[ENV_UUID_SIZE], b[ENV_UUID_SIZE];
    env_uuid(env_real(), a);
    env_uuid(env_real(), b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_string_not_equal(a, b);
    struct rng r1 = {7}, r2 = {7};
    char s1[6], s2[6];
    rng_suffix(&r1, s1);
    rng_suffix(&r2, s2);
    assert_string_equal(s1, s2);
    assert_int_equal(strspn(s1, "bcdfghjklmnpqrstvwxz2456789"), 5);
}

static void fixed_random(void *data, void *bytes, size_t n)
{
    memset(bytes, *(int *)data, n);
}

/* Two processes do not put the same keys into the same places; one that draws nothing always does. */
static void strmap_with_another_seed_has_another_order(void **state)
{
    (void)state;
    struct strmap plain, seeded, again;
    int byte = 0x5a, none = 0;
    struct env env = {.data = &byte, .random = fixed_random};
    strmap_init(&plain);
    hash_seed_draw(&env);
    strmap_init(&seeded);
    env.data = &none;
    hash_seed_draw(&env);
    strmap_init(&again);
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", i);
        strmap_set(&plain, str_of(key), &byte);
        strmap_set(&seeded, str_of(key), &byte);
        strmap_set(&again, str_of(key), &byte);
    }
    unsigned moved = 0;
    for (size_t i = 0; i < plain.cap; i++) {
        const char *a = plain.entries[i].key, *b = again.entries[i].key, *c = seeded.entries[i].key;
        assert_true(a == b || (a != NULL && b != NULL && strcmp(a, b) == 0));
        moved += (a == NULL) != (c == NULL) || (a != NULL && strcmp(a, c) != 0);
    }
    assert_true(moved > 50);
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", i);
        assert_ptr_equal(strmap_remove(&seeded, str_of(key)), &byte);
    }
    assert_int_equal(seeded.count, 0);
    strmap_close(&plain);
    strmap_close(&seeded);
    strmap_close(&again);
}

static void what_was_secret_is_overwritten(void **state)
{
    (void)state;
    char text[] = "a passphrase";
    mem_wipe(text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++) {
        assert_int_equal(text[i], 0);
    }
    mem_wipe(NULL, 0);
    struct buf b = BUF_INIT;
    buf_puts(&b, "another one");
    buf_wipe(&b);
    assert_true(b.data == NULL && b.size == 0);
    buf_wipe(&b);
    /* The arena's next owner gets the same block, and finds nothing in it. */
    struct arena a;
    arena_init(&a);
    arena_strdup(&a, "and a third");
    arena_wipe(&a);
    assert_null(a.blocks);
    arena_init(&a);
    const char *again = arena_alloc(&a, 16);
    assert_int_equal(again[0], 0);
    arena_close(&a);
}

static void test_a_word_is_one_of_a_list(void **state)
{
    (void)state;
    assert_true(str_is_among(STR("get"), "get list watch"));
    assert_true(str_is_among(STR("watch"), "get list watch"));
    assert_false(str_is_among(STR("lis"), "get list watch"));
    assert_false(str_is_among(STR("list watch"), "get list watch"));
    assert_false(str_is_among(STR_NONE, "get"));
    assert_false(str_is_among(STR("get"), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_word_is_one_of_a_list),
        cmocka_unit_test(strmap_agrees_with_an_array_under_random_changes),
        cmocka_unit_test(a_large_strmap_agrees_with_an_array_under_random_changes),
        cmocka_unit_test(a_large_strmap_moves_a_few_entries_with_each_key),
        cmocka_unit_test(a_strmap_is_drained_in_steps_though_others_go_too),
        cmocka_unit_test(buf_grows_consumes_and_hands_over),
        cmocka_unit_test(an_array_in_an_arena_doubles_and_keeps_its_items),
        cmocka_unit_test(a_small_arena_begins_with_what_was_asked_for_and_grows),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_distinct),
        cmocka_unit_test(times_survive_text_and_back),
        cmocka_unit_test(ages_read_as_kubectl_prints_them),
        cmocka_unit_test(errors_wrap_and_carry_class_and_reason),
        cmocka_unit_test(log_lines_cannot_be_forged_by_what_is_logged),
        cmocka_unit_test(lists_keep_order_and_tolerate_removal),
        cmocka_unit_test(uuids_are_version_4_and_suffixes_use_the_safe_alphabet),
        cmocka_unit_test(strmap_with_another_seed_has_another_order),
        cmocka_unit_test(what_was_secret_is_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
