/* [10 kept-json] JSON that is kept (rest/kept.h) is what would be made anew: of random objects, whatever was asked for before, and of
 * a state behind every write. It is bounded, and what lists many does not push out what others use. */
#include "master/rest/form.h"
#include "master/rest/gzip.h"
#include "tests/unit/api_rest_world.h"

#define OBJECTS 300u

/* ---- By itself ---- */

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void put_random_text(struct buf *out, uint64_t *seed, unsigned most)
{
    static const char *const pieces[] = {"a", "bc", "\\\"", "\\n", "\u00e4", "\\u0001", "-", "7", "\U0001f600", " "};
    buf_putc(out, '"');
    for (unsigned i = next(seed) % most; i > 0; i--) {
        buf_puts(out, pieces[next(seed) % ARRAY_SIZE(pieces)]);
    }
    buf_putc(out, '"');
}

/* Of few names and revisions, so that many differ in little. */
static struct object *random_object(uint64_t *seed)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct value *doc;
    struct object *o;
    struct error err = {0};
    arena_init(&a);
    buf_printf(&text, "{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"n-%u\",\"namespace\":\"x\"",
               next(seed) % 2 == 0 ? "ConfigMap" : "Pod", next(seed) % 4);
    buf_puts(&text, ",\"annotations\":{\"note\":");
    put_random_text(&text, seed, 30);
    buf_puts(&text, "}}}");
    must(json_read(&a, buf_str(&text), &doc, &err), &err);
    must(object_from_value(kind_by_name(value_path_str(doc, "kind")), doc, 1 + next(seed) % 50, &o, &err), &err);
    return o;
}

static void assert_as_made(struct rest_kept *k, const struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf kept = BUF_INIT, made = BUF_INIT;
    buf_puts(&kept, "in front,");
    rest_kept_write(k, &kept, o, revision);
    buf_puts(&made, "in front,");
    object_write_json(&made, o, revision);
    assert_int_equal(kept.size, made.size);
    assert_memory_equal(kept.data, made.data, made.size);
}

static void kept_json_is_what_would_be_made(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct object *objects[OBJECTS];
    struct rest_kept_stats stats;
    struct rest_kept *k = rest_kept_new(24u << 10);
    for (unsigned i = 0; i < OBJECTS; i++) {
        objects[i] = random_object(&seed);
    }
    for (unsigned i = 0; i < 40 * OBJECTS; i++) {
        const struct object *o = objects[next(&seed) % (i % 3 == 0 ? OBJECTS : 20)];
        unsigned what = next(&seed) % 100;
        assert_as_made(k, o, what < 10 ? o->revision + next(&seed) % 3 : o->revision);
        if (what == 99) {
            rest_kept_tick(k, (int64_t)i * 100);
        } else if (what == 98) {
            rest_kept_forget(k);
        }
        rest_kept_stats(k, &stats);
        assert_in_range(stats.bytes, 0, 24u << 10);
    }
    assert_true(stats.found > 1000 && stats.made > 1000);
    for (unsigned i = 0; i < OBJECTS; i++) {
        object_unref(objects[i]);
    }
    rest_kept_free(k);
}

static struct object *large_map(unsigned n, size_t bytes)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct value *doc;
    struct object *o;
    struct error err = {0};
    arena_init(&a);
    buf_printf(&text,
               "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"n-%u\",\"namespace\":"
               "\"x\"},\"data\":{\"k\":\"",
               n);
    memset(buf_reserve(&text, bytes), 'x', bytes);
    text.size += bytes;
    buf_puts(&text, "\"}}");
    must(json_read(&a, buf_str(&text), &doc, &err), &err);
    must(object_from_value(kind_by_id(KIND_CONFIGMAP), doc, 100 + n, &o, &err), &err);
    return o;
}

static uint64_t found_in(struct rest_kept *k, struct object **objects, unsigned count)
{
    struct rest_kept_stats before, after;
    rest_kept_stats(k, &before);
    for (unsigned i = 0; i < count; i++) {
        assert_as_made(k, objects[i], objects[i]->revision);
    }
    rest_kept_stats(k, &after);
    return after.found - before.found;
}

static void what_is_kept_is_bounded_and_goes_when_nobody_asks(void **state)
{
    (void)state;
    enum { MANY = 1000, MOST = 200u << 10 };
    struct object *objects[MANY];
    struct rest_kept_stats stats;
    struct rest_kept *k = rest_kept_new(MOST);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = large_map(i, 900);
    }
    rest_kept_tick(k, 1000);
    assert_int_equal(found_in(k, objects, MANY), 0);
    rest_kept_stats(k, &stats);
    assert_in_range(stats.bytes, MOST - 2000, MOST);
    unsigned kept = stats.count;

    /* Who lists more than there is room for finds the same part of it again and again. */
    for (unsigned i = 0; i < 5; i++) {
        rest_kept_tick(k, 2000 + 1000 * i);
        assert_int_equal(found_in(k, objects, MANY), kept);
    }
    /* What was not used lately makes room. */
    rest_kept_tick(k, 6000 + REST_KEPT_FRESH_MS);
    assert_in_range(found_in(k, objects + MANY - kept, kept), 0, 1); /* the last one was made last */
    assert_int_equal(found_in(k, objects + MANY - kept, kept), kept);
    rest_kept_stats(k, &stats);
    assert_in_range(stats.bytes, MOST - 2000, MOST);

    rest_kept_tick(k, 6000 + REST_KEPT_FRESH_MS + REST_KEPT_MS - 1);
    rest_kept_stats(k, &stats);
    assert_in_range(stats.count, kept - 1, kept);
    rest_kept_tick(k, 6000 + REST_KEPT_FRESH_MS + REST_KEPT_MS);
    rest_kept_stats(k, &stats);
    assert_true(stats.count == 0 && stats.bytes == 0);
    for (unsigned i = 0; i < MANY; i++) {
        object_unref(objects[i]);
    }

    /* A very large one is made for each who asks, but for those who follow each other. */
    struct object *large = large_map(1, REST_KEPT_ONE_BYTES), *small = large_map(2, 10);
    struct rest_kept *roomy = rest_kept_new(8u << 20);
    assert_int_equal(found_in(roomy, (struct object *[]){large, large, small, large, large}, 5), 3);
    rest_kept_stats(roomy, &stats);
    assert_int_equal(stats.count, 1);
    object_unref(large);
    object_unref(small);
    rest_kept_free(roomy);
    rest_kept_free(k);
}

/* Thousands of pods are not put together, and stay so, because somebody lists them. */
static void an_object_that_is_apart_stays_so(void **state)
{
    (void)state;
    struct object_packer scratch = {0};
    struct object *base = large_map(1, 2000), *o = large_map(2, 2000);
    struct object *packed = object_pack(o, base, &scratch);
    struct rest_kept *k = rest_kept_new(1u << 20);
    assert_true(packed != NULL && object_is_apart(packed));
    CLEANUP_BUF struct buf once = BUF_INIT, twice = BUF_INIT, made = BUF_INIT;
    rest_kept_write(k, &once, packed, packed->revision);
    rest_kept_write(k, &twice, packed, packed->revision);
    assert_true(object_is_apart(packed));
    object_write_json(&made, o, o->revision);
    assert_true(str_eq(buf_str(&once), buf_str(&made)) && str_eq(buf_str(&twice), buf_str(&made)));
    object_unref(packed);
    object_unref(base);
    object_unref(o);
    object_packer_close(&scratch);
    rest_kept_free(k);
}

/* ---- Behind the API ---- */

static char *ask(struct world *w, const char *request, const char *body)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct wire *wire = wire_named(w, NULL, "admin");
    buf_printf(&text, "%s HTTP/1.1\r\nHost: reeve\r\n%sContent-Length: %zu\r\n\r\n%s", request,
               strncmp(request, "PATCH", 5) == 0 ? "Content-Type: application/merge-patch+json\r\n" : "", strlen(body),
               body);
    feed(wire, buf_str(&text), NULL);
    wait_for_answer(w, wire, false);
    char *answer = xstrndup((const char *)wire->out.data, wire->out.size);
    wire_hang_up(wire);
    run_ms(w, 1);
    return answer;
}

static void do_and_see(struct world *w, const char *request, const char *body, unsigned status)
{
    CLEANUP_FREE char *answer = ask(w, request, body);
    if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || (unsigned)atoi(answer + 9) != status) {
        fail_msg("%s %s: %.400s", request, body, answer);
    }
}

/* The same, with what is kept, twice, and without. */
static void assert_same_answer(struct world *w, const char *request)
{
    struct rest_kept *kept = w->m->kept;
    CLEANUP_FREE char *once = ask(w, request, ""), *twice = ask(w, request, "");
    w->m->kept = NULL;
    CLEANUP_FREE char *made = ask(w, request, "");
    w->m->kept = kept;
    assert_string_equal(once, made);
    assert_string_equal(twice, made);
}

static void answers_are_those_of_the_newest_version_behind_every_write(void **state)
{
    (void)state;
    struct world w = {0};
    struct rest_kept_stats stats;
    uint64_t seed = 3;
    world_open(&w, 1);
    for (unsigned i = 0; i < 120; i++) {
        char path[128], body[256], name[16];
        unsigned what = next(&seed) % 5;
        snprintf(name, sizeof name, "c-%u", next(&seed) % 4);
        snprintf(path, sizeof path, "%s /api/v1/namespaces/default/configmaps%s%s%s",
                 what == 0   ? "POST"
                 : what == 1 ? "PATCH"
                 : what == 2 ? "DELETE"
                             : "PUT",
                 what == 0 ? "" : "/", what == 0 ? "" : name, what == 4 ? "?dryRun=All" : "");
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"%u\"}}", name, next(&seed));
        free(ask(&w, path, what == 2 ? "" : body)); /* some are refused: it is there, or is not */
        snprintf(path, sizeof path, "GET /api/v1/namespaces/default/configmaps/%s", name);
        assert_same_answer(&w, path);
        assert_same_answer(&w, "GET /api/v1/configmaps");
    }
    rest_kept_stats(w.m->kept, &stats);
    assert_true(stats.found > 200);
    world_close(&w);
}

/* What a dry run answers has a revision that the next write gets. */
static void what_only_would_be_is_not_kept(void **state)
{
    (void)state;
    struct world w = {0};
    world_open(&w, 1);
    do_and_see(&w, "POST /api/v1/namespaces/default/configmaps?dryRun=All",
               "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"would be\"}}", 201);
    struct rest_kept_stats stats;
    rest_kept_stats(w.m->kept, &stats);
    assert_true(stats.count == 0 && stats.made == 0);
    do_and_see(&w, "POST /api/v1/namespaces/default/configmaps",
               "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"is\"}}", 201);
    assert_same_answer(&w, "GET /api/v1/namespaces/default/configmaps/a");
    world_close(&w);
}

static void secrets_are_never_kept(void **state)
{
    (void)state;
    struct world w = {0};
    struct rest_kept_stats stats;
    world_open(&w, 1);
    do_and_see(&w, "POST /api/v1/namespaces/default/secrets",
               "{\"metadata\":{\"name\":\"s\"},\"data\":{\"k\":\"c2Vj\"}}", 201);
    do_and_see(&w, "GET /api/v1/namespaces/default/secrets/s", "", 200);
    do_and_see(&w, "GET /api/v1/secrets", "", 200);
    struct wire *watch = wire_named(&w, "watch", "admin");
    feed(watch, STR("GET /api/v1/secrets?watch=1 HTTP/1.1\r\nHost: reeve\r\n\r\n"), NULL);
    wait_for_answer(&w, watch, true);
    do_and_see(&w, "PATCH /api/v1/namespaces/default/secrets/s", "{\"data\":{\"k\":\"YW5v\"}}", 200);
    run_ms(&w, 100);
    assert_non_null(memmem(watch->out.data, watch->out.size, "YW5v", 4));
    rest_kept_stats(w.m->kept, &stats);
    assert_true(stats.count == 0 && stats.made == 0 && stats.found == 0);
    world_close(&w);
}

/* A list, gets and watches of one version: it is made once, whoever asks first. */
static void one_version_is_made_once(void **state)
{
    (void)state;
    struct world w = {0};
    struct rest_kept_stats stats;
    struct wire *watches[5];
    world_open(&w, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(watches); i++) {
        char name[16];
        snprintf(name, sizeof name, "w-%u", i);
        watches[i] = wire_named(&w, name, "admin");
        feed(watches[i], STR("GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: reeve\r\n\r\n"), NULL);
        wait_for_answer(&w, watches[i], true);
    }
    do_and_see(&w, "POST /api/v1/namespaces/default/configmaps",
               "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"told to all\"}}", 201);
    run_ms(&w, 100);
    do_and_see(&w, "GET /api/v1/configmaps", "", 200);
    do_and_see(&w, "GET /api/v1/namespaces/default/configmaps/a", "", 200);
    for (unsigned i = 0; i < ARRAY_SIZE(watches); i++) {
        assert_non_null(memmem(watches[i]->out.data, watches[i]->out.size, "told to all", 11));
    }
    rest_kept_stats(w.m->kept, &stats);
    assert_int_equal(stats.made, 1);
    assert_int_equal(stats.found, ARRAY_SIZE(watches) + 1);
    /* A deletion is told with its own revision, made once too. */
    do_and_see(&w, "DELETE /api/v1/namespaces/default/configmaps/a", "", 200);
    run_ms(&w, 100);
    rest_kept_stats(w.m->kept, &stats);
    assert_int_equal(stats.made, 2);
    world_close(&w);
}

static void a_list_whose_reader_leaves_midway_leaves_nothing_wrong(void **state)
{
    (void)state;
    struct world w = {0};
    world_open(&w, 1);
    for (unsigned i = 0; i < 30; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        buf_printf(&body, "{\"metadata\":{\"name\":\"c-%02u\"},\"data\":{\"k\":\"", i);
        memset(buf_reserve(&body, 60000), 'a' + (int)i % 26, 60000);
        body.size += 60000;
        buf_puts(&body, "\"}}");
        do_and_see(&w, "POST /api/v1/namespaces/default/configmaps", buf_cstr(&body), 201);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct wire *leaver = wire_named(&w, "leaver", "admin");
        leaver->deaf = true; /* it waits in the middle, with more to come */
        feed(leaver, STR("GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n"), NULL);
        run_ms(&w, 20);
        assert_in_range(leaver->held.size, 1, 1u << 20);
        if (i % 2 == 0) {
            do_and_see(&w, "PATCH /api/v1/namespaces/default/configmaps/c-25",
                       i == 0 ? "{\"data\":{\"k\":\"1\"}}" : "{\"data\":{\"k\":\"2\"}}", 200);
        }
        wire_hang_up(leaver);
        assert_same_answer(&w, "GET /api/v1/configmaps");
    }
    world_close(&w);
}

/* The sizes of the chunks of an answer. */
static unsigned chunk_sizes(const char *answer, size_t *sizes, unsigned most)
{
    const char *at = strstr(answer, "\r\n\r\n");
    unsigned count = 0;
    for (at = at == NULL ? NULL : at + 4; at != NULL; count++) {
        char *end;
        size_t n = strtoul(at, &end, 16);
        assert_true(count < most && strncmp(end, "\r\n", 2) == 0);
        sizes[count] = n;
        assert_memory_equal(end + 2 + n, "\r\n", 2);
        at = n == 0 ? NULL : end + 2 + n + 2;
    }
    return count;
}

static void no_piece_of_a_list_grows_with_those_before_it(void **state)
{
    (void)state;
    enum { COUNT = 120, BYTES = 15000 };
    struct world w = {0};
    world_open(&w, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        buf_printf(&body, "{\"metadata\":{\"name\":\"c-%03u\"},\"data\":{\"k\":\"", i);
        memset(buf_reserve(&body, BYTES), 'x', BYTES);
        body.size += BYTES;
        buf_puts(&body, "\"}}");
        do_and_see(&w, "POST /api/v1/namespaces/default/configmaps", buf_cstr(&body), 201);
    }
    CLEANUP_FREE char *answer = ask(&w, "GET /api/v1/configmaps", "");
    size_t sizes[COUNT];
    unsigned count = chunk_sizes(answer, sizes, COUNT);
    assert_in_range(count, COUNT * BYTES / (TURNS_PIECE_BYTES + 2 * BYTES), COUNT * BYTES / TURNS_PIECE_BYTES + 2);
    for (unsigned i = 0; i < count; i++) { /* the first one leaves when it is known whether gzip is worth it */
        size_t most = TURNS_PIECE_BYTES + BYTES + 1000;
        assert_in_range(sizes[i], 0, i == 0 ? MAX(most, REST_GZIP_MIN + TURNS_PIECE_BYTES) : most);
    }
    assert_same_answer(&w, "GET /api/v1/configmaps");
    world_close(&w);
}

static void what_a_list_has_written_before_does_not_end_its_next_piece(void **state)
{
    (void)state;
    enum { COUNT = 120, BYTES = 650 }; /* less than leaves at once, so all of it stands unsent till the end */
    struct world w = {0};
    world_open(&w, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        buf_printf(&body, "{\"metadata\":{\"name\":\"c-%03u\"},\"data\":{\"k\":\"", i);
        memset(buf_reserve(&body, BYTES), 'x', BYTES);
        body.size += BYTES;
        buf_puts(&body, "\"}}");
        do_and_see(&w, "POST /api/v1/namespaces/default/configmaps", buf_cstr(&body), 201);
    }
    uint64_t before = w.m->stats.list_pieces;
    CLEANUP_FREE char *answer = ask(&w, "GET /api/v1/configmaps", "");
    size_t n = strlen(answer);
    assert_in_range(n, 3 * TURNS_PIECE_BYTES, REST_GZIP_MIN);
    assert_in_range(w.m->stats.list_pieces - before, 3, n / TURNS_PIECE_BYTES + 2);
    world_close(&w);
}

/* ---- Rows of tables ---- */

#define ROWS_NOW_MS INT64_C(1700000000000)
static const char *const rows[] = {
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"x\",\"creationTimestamp\":"
    "\"2023-11-14T20:00:00Z\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]},\"status\":{\"phase\":"
    "\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"restartCount\":3,\"state\":{\"running\":{}},"
    "\"lastState\":{\"terminated\":{\"exitCode\":1,\"finishedAt\":\"2023-11-14T22:13:00Z\"}}}]}}",
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"young\",\"namespace\":\"x\","
    "\"creationTimestamp\":"
    "\"2023-11-14T22:13:19Z\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
    "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"j\",\"namespace\":\"x\"},\"spec\":{"
    "\"template\":{}},\"status\":{\"startTime\":\"2023-11-14T22:00:00Z\"}}",
    "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"done\",\"namespace\":\"x\"},\"spec\":{"
    "\"template\":{}},\"status\":{\"startTime\":\"2023-11-14T22:00:00Z\",\"completionTime\":\"2023-11-14T22:00:09Z\"}}",
    "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"e\",\"namespace\":\"x\"},\"involvedObject\":{},"
    "\"firstTimestamp\":\"2023-11-14T22:00:00Z\",\"lastTimestamp\":\"2023-11-14T22:13:20Z\",\"message\":\"a \\\"b\\\" "
    "\u00e4\"}",
    "{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\",\"metadata\":{\"name\":\"c\",\"namespace\":\"x\"},\"spec\":{"
    "\"schedule\":\"* * * * *\"},\"status\":{\"lastScheduleTime\":\"2023-11-14T22:13:00Z\"}}",
};

static struct object *row_object(unsigned i)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    struct object *o;
    struct error err = {0};
    arena_init(&a);
    must(json_read(&a, str_of(rows[i]), &doc, &err), &err);
    must(object_from_value(kind_by_name(value_path_str(doc, "kind")), doc, 7 + i, &o, &err), &err);
    return o;
}

/* Each cell is what it is for people, at that time. */
static void assert_cells(struct str row, const struct object *o, int64_t now_ms)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    struct error err = {0};
    arena_init(&a);
    must(json_read(&a, row, &doc, &err), &err);
    const struct value *cells = value_get(doc, "cells");
    assert_int_equal(value_count(cells), o->kind->columns_count);
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT, is = BUF_INIT;
        const struct value *cell = value_item(cells, i);
        kind_write_cell(&text, &o->kind->columns[i], o, now_ms);
        if (cell->type == VALUE_STR) {
            buf_append_str(&is, cell->str);
        } else {
            json_write(&is, cell, 0);
        }
        assert_string_equal(buf_cstr(&is), buf_cstr(&text));
    }
}

static void rows_that_are_kept_tell_ages_as_of_now(void **state)
{
    (void)state;
    static const int64_t later_ms[] = {0, 900, 1000, 61000, 61999, 3600000, 90000000};
    struct rest_kept_stats stats;
    struct rest_kept *k = rest_kept_new(1u << 20);
    struct rest_view v = {.form = {.type = REST_FORM_TABLE}};
    for (unsigned i = 0; i < ARRAY_SIZE(later_ms) * ARRAY_SIZE(rows) * 12; i++) {
        CLEANUP_OBJECT struct object *o = row_object(i % ARRAY_SIZE(rows));
        CLEANUP_BUF struct buf kept = BUF_INIT, made = BUF_INIT;
        uint64_t revision = o->revision + (i % 5 == 0);
        v.now_ms = ROWS_NOW_MS + later_ms[i / ARRAY_SIZE(rows) % ARRAY_SIZE(later_ms)];
        v.form.version = i % 2 == 0 ? "v1" : "v1beta1";
        v.include = (enum rest_include)(i / 7 % 3);
        v.kept = k;
        rest_write_single(&kept, &v, o, revision, false);
        v.kept = NULL;
        rest_write_single(&made, &v, o, revision, false);
        assert_string_equal(buf_cstr(&kept), buf_cstr(&made));
        buf_reset(&kept);
        v.kept = k;
        rest_write_item(&kept, &v, o, true);
        assert_cells(buf_str(&kept), o, v.now_ms);
    }
    rest_kept_stats(k, &stats);
    assert_true(stats.found > 500);
    assert_in_range(stats.count, 2 * ARRAY_SIZE(rows), 3 * ARRAY_SIZE(rows)); /* cells, with metadata, the object */
    rest_kept_free(k);
}

static void a_row_of_an_object_that_is_apart_leaves_it_so(void **state)
{
    (void)state;
    struct object_packer scratch = {0};
    struct object *base = large_map(1, 2000), *o = large_map(2, 2000);
    struct object *packed = object_pack(o, base, &scratch);
    struct rest_view v = {.form = {.type = REST_FORM_TABLE, .version = "v1"}, .now_ms = ROWS_NOW_MS};
    CLEANUP_BUF struct buf of_packed = BUF_INIT, of_plain = BUF_INIT;
    assert_true(packed != NULL && object_is_apart(packed));
    for (unsigned i = 0; i < 3; i++) {
        v.include = (enum rest_include)i;
        rest_write_item(&of_packed, &v, packed, true);
        rest_write_item(&of_plain, &v, o, true);
    }
    assert_true(object_is_apart(packed));
    assert_string_equal(buf_cstr(&of_packed), buf_cstr(&of_plain));
    object_unref(packed);
    object_unref(base);
    object_unref(o);
    object_packer_close(&scratch);
}

/* A byte that begins an open age, in a text that is no UTF-8: it is a text like others. */
static void bytes_that_are_no_text_stay_within_their_cell(void **state)
{
    (void)state;
    static const char *const words[] = {"\xff",
                                        "a\xff\"}]",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                                        "\xff\"\"\"\"\"\"\"\"x",
                                        "x\xff"
                                        "12345678y",
                                        "\xff\1\1\1\1\1\1\1\x80",
                                        "\xff\xe2\xff 5s \xff"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf row = BUF_INIT;
        CLEANUP_OBJECT struct object *o = NULL;
        struct rest_view v = {.form = {.type = REST_FORM_TABLE, .version = "v1"}, .now_ms = ROWS_NOW_MS};
        struct value *doc;
        struct error err = {0};
        arena_init(&a);
        must(json_read(&a, str_of(rows[4]), &doc, &err), &err);
        value_set(&a, doc, "message", value_cstr(&a, words[i]));
        must(object_from_value(kind_by_name(STR("Event")), doc, 7, &o, &err), &err);
        rest_write_item(&row, &v, o, true);
        must(json_read(&a, buf_str(&row), &doc, &err), &err);
        assert_int_equal(value_count(value_get(doc, "cells")), o->kind->columns_count);
        struct rest_kept *k = rest_kept_new(1u << 20);
        for (unsigned turn = 0; turn < 3; turn++) { /* made, kept, found: the text of every cell, as JSON has it */
            v.kept = turn == 0 ? NULL : k;
            buf_reset(&row);
            rest_write_item(&row, &v, o, true);
            for (unsigned j = 0; j < o->kind->columns_count; j++) {
                CLEANUP_BUF struct buf cell = BUF_INIT, text = BUF_INIT;
                kind_write_cell(&cell, &o->kind->columns[j], o, ROWS_NOW_MS);
                json_write_text(&text, buf_str(&cell));
                text.size--; /* without quotes: numbers have none */
                assert_non_null(strstr(buf_cstr(&row), buf_cstr(&text) + 1));
            }
        }
        rest_kept_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_json_is_what_would_be_made),
        cmocka_unit_test(what_is_kept_is_bounded_and_goes_when_nobody_asks),
        cmocka_unit_test(an_object_that_is_apart_stays_so),
        cmocka_unit_test(answers_are_those_of_the_newest_version_behind_every_write),
        cmocka_unit_test(what_only_would_be_is_not_kept),
        cmocka_unit_test(secrets_are_never_kept),
        cmocka_unit_test(one_version_is_made_once),
        cmocka_unit_test(a_list_whose_reader_leaves_midway_leaves_nothing_wrong),
        cmocka_unit_test(no_piece_of_a_list_grows_with_those_before_it),
        cmocka_unit_test(what_a_list_has_written_before_does_not_end_its_next_piece),
        cmocka_unit_test(rows_that_are_kept_tell_ages_as_of_now),
        cmocka_unit_test(a_row_of_an_object_that_is_apart_leaves_it_so),
        cmocka_unit_test(bytes_that_are_no_text_stay_within_their_cell),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
