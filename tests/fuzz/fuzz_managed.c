/* Who manages which fields. The first byte: 0, the rest is the stored form; 1, it is metadata.managedFields in JSON; 2,
 * a YAML stream of what is there, what is applied, and what was applied before, for a kind (the next byte). What is
 * read is written the same again, in every form; applying the same twice changes nothing more. */
#include "proto/managed/managed.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void check_same(struct arena *a, const struct managed *m)
{
    CLEANUP_BUF struct buf stored = BUF_INIT;
    CLEANUP_BUF struct buf json = BUF_INIT;
    struct managed again, third;
    managed_write(&stored, m);
    CHECK(managed_read(a, buf_str(&stored), &again) && managed_same(m, &again));
    CHECK(managed_write_json(&json, buf_str(&stored), STR("v1")) == (m->count > 0));
    if (m->count > 0 && m->count <= MANAGED_ENTRIES_MAX) {
        struct value *list = managed_to_value(a, buf_str(&stored), STR("v1"));
        fuzz_check_value(list);
        CHECK(value_count(list) == m->count);
        (void)managed_from_value(a, list, &third, NULL); /* k: of the stored form may be no JSON */
    }
}

static void run_stored(struct arena *a, struct str bytes)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    struct managed m;
    bool good = managed_read(a, bytes, &m);
    CHECK(!managed_write_json(&json, bytes, STR("v1")) || good);
    if (good) {
        CLEANUP_BUF struct buf stored = BUF_INIT;
        struct managed again;
        managed_write(&stored, &m);
        CHECK(managed_read(a, buf_str(&stored), &again) && again.count == m.count);
    }
}

static void run_list(struct arena *a, struct str text)
{
    struct value *list = NULL;
    struct managed m;
    struct error err = {0};
    if (json_read(a, text, &list, NULL) != 0) {
        return;
    }
    int rc = managed_from_value(a, list, &m, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    for (unsigned i = 0; i < m.count; i++) {
        const struct managed_set *s = &m.entries[i].set, none = {0};
        struct managed_set both = managed_union(a, s, s), rest = managed_difference(a, s, s),
                           common = managed_intersection(a, s, s), all = managed_union(a, &none, s);
        CHECK(managed_equal(&both, s) && rest.count == 0 && managed_equal(&common, s) && managed_equal(&all, s));
    }
    bool twice = false; /* two of one name are one to managed_same */
    for (unsigned i = 0; i < m.count; i++) {
        for (unsigned k = 0; k < i; k++) {
            twice |= str_eq(m.entries[i].manager, m.entries[k].manager);
        }
    }
    if (!twice) {
        check_same(a, &m);
    }
}

static void run_apply(struct arena *a, const struct kind *k, struct str text)
{
    struct value **docs, *out = NULL, *again = NULL;
    unsigned count;
    struct managed m = {0};
    struct managed_writer w = {.manager = STR("one"), .now_s = 1};
    struct error err = {0};
    if (yaml_read(a, text, NULL, &docs, &count, NULL) != 0 || count < 2 || !value_is_map(docs[0]) ||
        !value_is_map(docs[1])) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (kind_check_fields(k, a, docs[i], KIND_CHECK_LENIENT, NULL) != 0) {
            return;
        }
    }
    if (count > 2 && value_is_map(docs[2]) &&
        managed_apply(k, a, &m, docs[0], docs[2], &w, true, NULL, &docs[0], NULL) != 0) {
        return;
    }
    int rc = managed_apply(k, a, &m, docs[0], docs[1], &w, true, NULL, &out, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    fuzz_check_value(out);
    struct managed was = m;
    was.entries = m.count == 0 ? NULL : arena_memdup(a, m.entries, m.count * sizeof *m.entries);
    rc = managed_apply(k, a, &m, out, docs[1], &w, false, NULL, &again, &err);
    CHECK(rc == 0 && managed_same(&was, &m));
    check_same(a, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f) % 3;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (head == 0) {
        run_stored(&a, fuzz_rest(&f));
    } else if (head == 1) {
        run_list(&a, fuzz_rest(&f));
    } else {
        const struct kind *k = kinds_at(fuzz_byte(&f) % kinds_count());
        run_apply(&a, k, fuzz_rest(&f));
    }
    return 0;
}
