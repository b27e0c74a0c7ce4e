/* YAML and JSON: types, errors with places, limits, layout, round trips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/env.h"
#include "proto/text/text.h"

struct fixture {
    struct arena arena;
    struct buf buf;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->arena);
    buf_close(&f->buf);
    cleanup_free_p(state);
    return 0;
}

/* The only document of the text. */
static struct value *read_one(struct fixture *f, const char *text)
{
    struct value **docs;
    unsigned count;
    if (yaml_read(&f->arena, str_of(text), "f.yaml", &docs, &count, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    assert_int_equal(count, 1);
    return docs[0];
}

static void assert_refused(struct fixture *f, const char *text, int code, const char *message_part)
{
    struct value **docs;
    unsigned count;
    f->err = (struct error){0};
    assert_int_equal(yaml_read(&f->arena, str_of(text), "f.yaml", &docs, &count, &f->err), code);
    if (strstr(f->err.message, message_part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", message_part, f->err.message);
    }
}

/* What the YAML means, as JSON. */
static void assert_json(struct fixture *f, const char *yaml, const char *json)
{
    buf_reset(&f->buf);
    json_write(&f->buf, read_one(f, yaml), 0);
    assert_string_equal(buf_cstr(&f->buf), json);
}

static void assert_yaml(struct fixture *f, const char *json, const char *yaml)
{
    struct value *v;
    assert_int_equal(json_read(&f->arena, str_of(json), &v, &f->err), 0);
    buf_reset(&f->buf);
    yaml_write(&f->buf, v);
    assert_string_equal(buf_cstr(&f->buf), yaml);
    if (v->type != VALUE_NULL) {
        assert_true(value_equal(read_one(f, buf_cstr(&f->buf)), v));
    }
}

static void plain_scalars_have_the_types_of_kubectl(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"~", "null"},
        {"null", "null"},
        {"Null", "null"},
        {"true", "true"},
        {"Yes", "true"},
        {"on", "true"},
        {"y", "true"},
        {"off", "false"},
        {"N", "false"},
        {"nO", "\"nO\""},
        {"12", "12"},
        {"-7", "-7"},
        {"+7", "7"},
        {"0x1F", "31"},
        {"0o17", "15"},
        {"0644", "420"},
        {"0b101", "5"},
        {"1_000", "1000"},
        {"08", "8"},
        {"1.5", "1.5"},
        {"1e3", "1000"},
        {".5", "0.5"},
        {"5.", "5"},
        {"1.2.3", "\"1.2.3\""},
        {"-", "[null]"},
        {"100m", "\"100m\""},
        {"1e", "\"1e\""},
        {"-x", "\"-x\""},
        {"2001-01-01", "\"2001-01-01\""},
        {"22:22", "\"22:22\""},
        {"\"12\"", "\"12\""},
        {"'true'", "\"true\""},
        {"!!str 12", "\"12\""},
        {"!!int \"12\"", "12"},
        {"! 12", "\"12\""},
        {"!!float 2", "2"},
        {"!!binary aGk=", "\"hi\""},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"0", "0"},
        {"-0", "0"},
        {"1e400", "\"1e400\""},
        {"9223372036854775808", "9.223372036854776e+18"},
        {"0x", "\"0x\""},
        {"+", "\"+\""},
        {"0.10", "0.1"},
        {"a: b", "{\"a\":\"b\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char yaml[128], json[128];
        snprintf(yaml, sizeof yaml, "v: \n  %s\n", cases[i][0]);
        snprintf(json, sizeof json, "{\"v\":%s}", cases[i][1]);
        assert_json(f, yaml, json);
    }
}

static void keys_become_strings(void **state)
{
    assert_json(*state, "1: a\ntrue: b\n\"x\": c\n1.50: d\n0x10: e\n",
                "{\"1\":\"a\",\"true\":\"b\",\"x\":\"c\",\"1.50\":\"d\",\"16\":\"e\"}");
}

static void manifests_know_their_lines(void **state)
{
    struct value *v = read_one(*state, "apiVersion: v1\nspec:\n  containers:\n  - name: a\n    image: b\n");
    const struct value *c = value_item(value_path(v, "spec.containers"), 0);
    assert_int_equal(c->line, 4);
    assert_int_equal(c->column, 5);
    assert_int_equal(value_get(c, "image")->line, 5);
    assert_int_equal(value_get(c, "image")->column, 12);
    assert_int_equal(c->map.members[1].line, 5);
    assert_int_equal(c->map.members[1].column, 5);
}

static void json_text_knows_its_lines(void **state)
{
    struct value *v = read_one(*state, "{\n\t\"a\": {\n  \"b\": [1,\n 2]}}");
    const struct value *b = value_path(v, "a.b");
    assert_int_equal(b->line, 3);
    assert_int_equal(b->column, 8);
    assert_int_equal(value_item(b, 1)->line, 4);
}

static void streams_give_all_documents_but_empty_ones(void **state)
{
    struct fixture *f = *state;
    struct value **docs;
    unsigned count;
    const char *text = "# head\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n---\n[3]\n---\n";
    assert_int_equal(yaml_read(&f->arena, str_of(text), NULL, &docs, &count, &f->err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(value_path_int(docs[1], "b", 0), 2);
    assert_int_equal(yaml_read(&f->arena, STR(""), NULL, &docs, &count, &f->err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(yaml_read(&f->arena, STR_NONE, NULL, &docs, &count, &f->err), 0);
    assert_int_equal(count, 0);
}

static void aliases_and_merge_keys_work(void **state)
{
    assert_json(*state,
                "base: &b {x: 1, w: {z: 2}}\nl: [*b, *b]\nm:\n  <<: *b\n  x: 5\nk:\n  <<: [{x: 7}, *b]\n  q: 1\n",
                "{\"base\":{\"x\":1,\"w\":{\"z\":2}},\"l\":[{\"x\":1,\"w\":{\"z\":2}},{\"x\":1,\"w\":{\"z\":2}}],"
                "\"m\":{\"x\":5,\"w\":{\"z\":2}},\"k\":{\"q\":1,\"x\":7,\"w\":{\"z\":2}}}");
}

static void aliases_do_not_share_nodes(void **state)
{
    struct value *v = read_one(*state, "a: &x {k: 1}\nb: *x\n");
    value_get(value_get(v, "a"), "k")->integer = 9;
    assert_int_equal(value_path_int(v, "b.k", 0), 1);
}

static void a_billion_laughs_is_an_error(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "a0: &a0 [l,l,l,l,l,l,l,l,l]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++) {
            buf_printf(&b, "%s*a%d", k ? "," : "", i - 1);
        }
        buf_puts(&b, "]\n");
    }
    assert_refused(f, buf_cstr(&b), ERR_TOO_LARGE, "unfolds");
    assert_true(f->arena.total_bytes < 300u << 20);
    /* Few nodes, long text. */
    buf_reset(&b);
    buf_puts(&b, "a: &a ");
    for (int i = 0; i < 1 << 16; i++) {
        buf_puts(&b, "xxxxxxxxxxxxxxxx");
    }
    buf_puts(&b, "\nb: [*a");
    for (int i = 0; i < 1000; i++) {
        buf_puts(&b, ", *a");
    }
    buf_puts(&b, "]\n");
    assert_refused(f, buf_cstr(&b), ERR_TOO_LARGE, "aliases unfold");
}

static void depth_is_limited(void **state)
{
    struct fixture *f = *state;
    char text[2 * VALUE_DEPTH_MAX + 8] = {0};
    memset(text, '[', VALUE_DEPTH_MAX);
    memset(text + VALUE_DEPTH_MAX, ']', VALUE_DEPTH_MAX);
    read_one(f, text);
    struct value *v;
    assert_int_equal(json_read(&f->arena, str_of(text), &v, &f->err), 0);
    memset(text, '[', VALUE_DEPTH_MAX + 1);
    memset(text + VALUE_DEPTH_MAX + 1, ']', VALUE_DEPTH_MAX + 1);
    assert_refused(f, text, ERR_INVALID, "nested deeper");
    assert_int_equal(json_read(&f->arena, str_of(text), &v, &f->err), ERR_INVALID);
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_puts(&b, "{\"a\":[");
    }
    assert_refused(f, buf_cstr(&b), ERR_INVALID, "nested deeper");
    /* Through aliases: each one is one level deeper. */
    buf_reset(&b);
    buf_puts(&b, "a0: &a0 []\n");
    for (int i = 1; i < 100; i++) {
        buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    }
    assert_refused(f, buf_cstr(&b), ERR_TOO_LARGE, "levels");
}

static void errors_name_file_line_and_column(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "a: 1\nb:\n\t- x\n", ERR_INVALID, "f.yaml:3:1: ");
    assert_refused(f, "a: 1\nb:\n\t- x\n", ERR_INVALID, "tab");
    assert_refused(f, "a: [1\nb: 2\n", ERR_INVALID, "f.yaml:");
    assert_refused(f, "a: 1\n b: 2\n", ERR_INVALID, "f.yaml:2:3: ");
    assert_refused(f, "x: 1\ny: 2\nx: 3\n", ERR_INVALID, "f.yaml:3:1: key \"x\" was given already on line 1");
    assert_refused(f, "x: *nope\n", ERR_INVALID, "f.yaml:1:4: alias *nope");
    assert_refused(f, "x: &a [*a]\n", ERR_INVALID, "inside of what it names");
    assert_refused(f, "? [a]\n: 1\n", ERR_INVALID, "key");
    assert_refused(f, "~: 1\n", ERR_INVALID, "key");
    assert_refused(f, "x: !foo 1\n", ERR_INVALID, "tag !foo");
    assert_refused(f, "x: !foo {}\n", ERR_INVALID, "tag !foo");
    assert_refused(f, "x: !!int yes\n", ERR_INVALID, "tag");
    assert_refused(f, "x: .inf\n", ERR_INVALID, "no number");
    assert_refused(f, "x: 1\ny: \xff\n", ERR_INVALID, "f.yaml:2:4: ");
    assert_refused(f, "x:\n  <<: 5\n", ERR_INVALID, "<<");
    assert_refused(f, "{\"a\": 1, \"a\": 2}", ERR_INVALID, "given already");
    assert_refused(f, "{a: }}", ERR_INVALID, "f.yaml:1:");
    struct value **docs;
    unsigned count;
    assert_int_equal(yaml_read(&f->arena, STR("a: ]"), NULL, &docs, &count, &f->err), ERR_INVALID);
    assert_non_null(strstr(f->err.message, "line 1"));
}

static void text_above_the_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t n = TEXT_SIZE_MAX + 1;
    CLEANUP_FREE char *text = xmalloc(n);
    memset(text, ' ', n);
    struct value **docs, *v;
    unsigned count;
    assert_int_equal(yaml_read(&f->arena, (struct str){text, n}, "f", &docs, &count, &f->err), ERR_TOO_LARGE);
    assert_int_equal(json_read(&f->arena, (struct str){text, n}, &v, &f->err), ERR_TOO_LARGE);
}

static void json_is_read_strictly(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {
        "null",        " true ",   "-0.5e+10", "\"\\u00e4\\ud83d\\ude00\\/\"", "[]", "{}", "[1, {\"a\": [null]}]",
        "\"\\u0000\"", "\"\x7f\"", "1E5",
    };
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "tru",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "[1,]",
        "[1 2]",
        "[",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\n\"",
        "\"\\",
        "\"\\u12\"",
        "1 2",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "// c\n1",
        "NaN",
        "Infinity",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "{\"a\":1,\"a\":1}",
        "1e999",
        "[}",
        "\xef\xbb\xbf"
        "1",
    };
    struct value *v;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(json_read(&f->arena, str_of(good[i]), &v, &f->err), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        f->err = (struct error){0};
        assert_int_equal(json_read(&f->arena, str_of(bad[i]), &v, &f->err), ERR_INVALID);
        assert_int_equal(strncmp(f->err.message, "line ", 5), 0);
    }
    assert_int_equal(json_read(&f->arena, STR("\"\\ud83d\\ude00\""), &v, &f->err), 0);
    assert_true(str_is(v->str, "\xf0\x9f\x98\x80"));
}

static void json_files_may_have_tabs_and_surrogates(void **state)
{
    assert_json(*state, "{\n\t\"a\":\t[\"\\ud83d\\ude00\"]\n}\n", "{\"a\":[\"\xf0\x9f\x98\x80\"]}");
}

static void json_is_written_in_three_forms(void **state)
{
    struct fixture *f = *state;
    struct value *v = read_one(f, "{b: [1, {}], a: {z: \"q\\\"\\n\\x01\", w: 1.5}, c: []}");
    buf_reset(&f->buf);
    json_write(&f->buf, v, 0);
    assert_string_equal(buf_cstr(&f->buf), "{\"b\":[1,{}],\"a\":{\"z\":\"q\\\"\\n\\u0001\",\"w\":1.5},\"c\":[]}");
    buf_reset(&f->buf);
    json_write_canonical(&f->buf, v);
    assert_string_equal(buf_cstr(&f->buf), "{\"a\":{\"w\":1.5,\"z\":\"q\\\"\\n\\u0001\"},\"b\":[1,{}],\"c\":[]}");
    buf_reset(&f->buf);
    json_write(&f->buf, value_get(v, "b"), 4);
    assert_string_equal(buf_cstr(&f->buf), "[\n    1,\n    {}\n]");
    buf_reset(&f->buf);
    struct value *bytes = value_list(&f->arena);
    value_append(&f->arena, bytes, value_bin(&f->arena, "hi", 2));
    value_append(&f->arena, bytes,
                 value_str(&f->arena, STR("a\xff"
                                          "b")));
    json_write(&f->buf, bytes, 0);
    assert_string_equal(buf_cstr(&f->buf), "[\"aGk=\",\"a\xef\xbf\xbd"
                                           "b\"]");
}

static void yaml_is_laid_out_like_kubectl(void **state)
{
    assert_yaml(
        *state,
        "{\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"name\":\"x\",\"args\":[\"--port=80\",\"-v\"],\"env\":[]},"
        "{\"name\":\"y\"}],\"nodeSelector\":{}},\"l\":[[1,2],[[]],{}],\"m\":null}",
        "apiVersion: v1\nspec:\n  containers:\n  - name: x\n    args:\n    - --port=80\n    - -v\n    env: []\n"
        "  - name: \"y\"\n  nodeSelector: {}\nl:\n- - 1\n  - 2\n- - []\n- {}\nm: null\n");
}

static void strings_are_quoted_where_needed(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"true", "\"true\""},
        {"yes", "\"yes\""},
        {"null", "\"null\""},
        {"~", "\"~\""},
        {"", "\"\""},
        {"12", "\"12\""},
        {"1e3", "\"1e3\""},
        {"0x1", "\"0x1\""},
        {"1.5", "\"1.5\""},
        {"100m", "100m"},
        {"a: b", "'a: b'"},
        {"a:b", "a:b"},
        {"a #b", "'a #b'"},
        {"a#b", "a#b"},
        {"#a", "'#a'"},
        {"-", "'-'"},
        {"- a", "'- a'"},
        {"-a", "-a"},
        {"?", "'?'"},
        {"*", "'*'"},
        {"it's", "it's"},
        {"'a", "'''a'"},
        {" a", "' a'"},
        {"a ", "'a '"},
        {"%a", "'%a'"},
        {"@a", "'@a'"},
        {"`a", "'`a'"},
        {"{a", "'{a'"},
        {"[a", "'[a'"},
        {"a]", "a]"},
        {"---", "'---'"},
        {"--- a", "'--- a'"},
        {"...", "'...'"},
        {"a:", "'a:'"},
        {":", "':'"},
        {"2001-01-01", "\"2001-01-01\""},
        {"12:30", "\"12:30\""},
        {"<<", "\"<<\""},
        {"a\tb", "\"a\\tb\""},
        {".inf", "\".inf\""},
        {"=", "\"=\""},
        {"1_0", "\"1_0\""},
        {"!x", "'!x'"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"\xc2\x85", "\"\\u0085\""},
        {"a, b", "a, b"},
        {"2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\""},
        {"\x1b", "\"\\u001B\""},
        {"\r", "\"\\r\""},
        {"192.168.0.1", "192.168.0.1"},
        {"\\", "\\"},
        {"\"", "'\"'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_BUF struct buf want = BUF_INIT;
        struct value *v = value_map(&f->arena);
        value_set(&f->arena, v, "k", value_cstr(&f->arena, cases[i][0]));
        buf_printf(&want, "k: %s\n", cases[i][1]);
        buf_reset(&f->buf);
        yaml_write(&f->buf, v);
        assert_string_equal(buf_cstr(&f->buf), buf_cstr(&want));
        assert_true(value_equal(read_one(f, buf_cstr(&f->buf)), v));
    }
}

static void several_lines_become_literal_blocks(void **state)
{
    struct fixture *f = *state;
    assert_yaml(f, "{\"a\":\"x\\ny\\n\"}", "a: |\n  x\n  y\n");
    assert_yaml(f, "{\"a\":\"x\\n\\n  y\"}", "a: |-\n  x\n\n    y\n");
    assert_yaml(f, "{\"a\":\"x\\n\\n\", \"b\": 1}", "a: |+\n  x\n\nb: 1\n");
    assert_yaml(f, "{\"a\":\"  x\\ny\"}", "a: |2-\n    x\n  y\n");
    assert_yaml(f, "{\"a\":{\"b\":[\"x\\ny\\n\"]}}", "a:\n  b:\n  - |\n    x\n    y\n");
    assert_yaml(f, "{\"a\":\"x \\ny\"}", "a: \"x \\ny\"\n");
    assert_yaml(f, "{\"a\":\"\\n\"}", "a: \"\\n\"\n");
    assert_yaml(f, "\"x\\ny\\n\"", "|\n  x\n  y\n");
}

/* Text made of what is dangerous. */
static struct str random_text(struct arena *a, struct rng *r)
{
    static const char *const pieces[] = {" ",
                                         "\n",
                                         "\t",
                                         ":",
                                         "#",
                                         "-",
                                         "a",
                                         "1",
                                         "'",
                                         "\"",
                                         "\\",
                                         "|",
                                         ">",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         "&",
                                         "*",
                                         "!",
                                         "%",
                                         "@",
                                         "?",
                                         "\r",
                                         "\x01",
                                         "\xc3\xa4",
                                         "true",
                                         "null",
                                         "0x",
                                         ".",
                                         "---",
                                         "...",
                                         "=",
                                         "<<",
                                         "~",
                                         "\xef\xbb\xbf",
                                         "\xe2\x80\xa8",
                                         "\xf0\x9f\x98\x80",
                                         "e",
                                         "\x7f",
                                         "\xc2\x85"};
    char *s = arena_alloc(a, 64);
    for (uint64_t n = rng_below(r, 9); n > 0; n--) {
        strcat(s, pieces[rng_below(r, ARRAY_SIZE(pieces))]);
    }
    return str_of(s);
}

static struct value *random_value(struct arena *a, struct rng *r, unsigned depth)
{
    uint64_t pick = rng_below(r, depth > 3 ? 6 : 10);
    if (pick >= 8) {
        struct value *l = value_list(a);
        for (uint64_t n = rng_below(r, 5); n > 0; n--) {
            value_append(a, l, random_value(a, r, depth + 1));
        }
        return l;
    }
    if (pick >= 6) {
        struct value *m = value_map(a);
        for (uint64_t n = rng_below(r, 5); n > 0; n--) {
            value_set_str_key(a, m, random_text(a, r), random_value(a, r, depth + 1));
        }
        return m;
    }
    switch (pick) {
    case 0:
        return value_int(a, (int64_t)rng_next(r) >> rng_below(r, 64));
    case 1:
        return value_float(a, (double)(int64_t)rng_next(r) / (double)(1 + rng_below(r, 1000000)));
    case 2:
        return rng_below(r, 2) ? value_bool(a, rng_below(r, 2)) : value_null(a);
    default:
        return value_str(a, random_text(a, r));
    }
}

static void documents_survive_the_round_trip_in_both_forms(void **state)
{
    (void)state;
    struct rng r = {99};
    for (int i = 0; i < 3000; i++) {
        struct fixture f = {.buf = BUF_INIT};
        struct value *v = value_map(&f.arena), *back;
        value_set(&f.arena, v, "v", random_value(&f.arena, &r, 0));
        yaml_write(&f.buf, v);
        struct value **docs;
        unsigned count;
        int rc = yaml_read(&f.arena, buf_str(&f.buf), NULL, &docs, &count, &f.err);
        if (rc != 0 || count != 1 || !value_equal(docs[0], v)) {
            fail_msg("seed step %d: %s\n%s", i, f.err.message, buf_cstr(&f.buf));
        }
        buf_reset(&f.buf);
        json_write(&f.buf, v, i % 3);
        assert_int_equal(json_read(&f.arena, buf_str(&f.buf), &back, &f.err), 0);
        assert_true(value_equal(back, v));
        arena_close(&f.arena);
        buf_close(&f.buf);
    }
}

static void damaged_text_is_an_error_or_a_document(void **state)
{
    (void)state;
    static const char text[] = "a: &x {b: [1, 'two', \"th\\u00e9\"], c: |\n  d\n  e\n}\nf: *x\n? g\n: - h\n  - !!str "
                               "5\n<<: *x\n---\n{\"j\": [true, 1e5]}\n";
    struct rng r = {3};
    for (int i = 0; i < 5000; i++) {
        char *t = xmemdup(text, sizeof text - 1);
        for (uint64_t k = rng_below(&r, 4); k > 0; k--) {
            t[rng_below(&r, sizeof text - 1)] =
                rng_below(&r, 2) ? (char)rng_next(&r) : text[rng_below(&r, sizeof text - 1)];
        }
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct value **docs, *v;
        unsigned count;
        struct error err = {0};
        size_t n = rng_below(&r, sizeof text);
        char *exact = xmemdup(t, n);
        int rc = yaml_read(&a, (struct str){exact, n}, NULL, &docs, &count, &err);
        assert_true(rc == 0 || err.message[0] != '\0');
        json_read(&a, (struct str){exact, n}, &v, NULL);
        cleanup_free_p(&exact);
        cleanup_free_p(&t);
    }
}

static void long_keys_read_back(void **state)
{
    struct fixture *f = *state;
    char key[3000];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    struct value *v = value_map(&f->arena), *inner = value_map(&f->arena);
    value_set(&f->arena, inner, key, value_int(&f->arena, 1));
    value_set(&f->arena, inner, "b", value_int(&f->arena, 2));
    value_set(&f->arena, v, key, inner);
    yaml_write(&f->buf, v);
    assert_true(value_equal(read_one(f, buf_cstr(&f->buf)), v));
}

static void sorting_goes_all_the_way_down(void **state)
{
    struct fixture *f = *state;
    struct value *v = read_one(f, "{b: [{z: 1, a: 2}], a: {w: 1, v: 2}, B: 1}");
    value_sort(v);
    json_write(&f->buf, v, 0);
    assert_string_equal(buf_cstr(&f->buf), "{\"B\":1,\"a\":{\"v\":2,\"w\":1},\"b\":[{\"a\":2,\"z\":1}]}");
}

/* What is left of the text, and where keys stood twice: "JSON [paths]". */
static void tell_twice(struct fixture *f, const char *text, bool yaml)
{
    struct value *doc = NULL, *twice = value_list(&f->arena), **docs = &doc;
    unsigned count = 1;
    int rv = yaml ? yaml_read_twice(&f->arena, str_of(text), NULL, TEXT_NODES_MAX, &docs, &count, twice, &f->err)
                  : json_read_twice(&f->arena, str_of(text), TEXT_NODES_MAX, &doc, twice, &f->err);
    assert_int_equal(rv, 0);
    assert_int_equal(count, 1);
    buf_reset(&f->buf);
    json_write(&f->buf, docs[0], 0);
    buf_putc(&f->buf, ' ');
    json_write(&f->buf, twice, 0);
}

static void of_keys_that_stand_twice_the_last_one_counts_where_that_is_asked_for(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][2] = {
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2} []"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":3} [\"a\"]"},
        {"{\"a\":1,\"a\":2,\"a\":3}", "{\"a\":3} [\"a\",\"a\"]"},
        {"{\"s\":{\"l\":[{\"n\":1},{\"n\":1,\"n\":2}]}}", "{\"s\":{\"l\":[{\"n\":1},{\"n\":2}]}} [\"s.l[1].n\"]"},
        {"{\"a\":{\"x\":1,\"x\":2},\"a\":{\"y\":1,\"y\":2}}", "{\"a\":{\"y\":2}} [\"a\",\"a.y\"]"},
        {"[[{\"a\":1,\"a\":2}]]", "[[{\"a\":2}]] [\"[0][0].a\"]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned yaml = 0; yaml < 2; yaml++) {
            tell_twice(f, rows[i][0], yaml == 1);
            assert_string_equal(buf_cstr(&f->buf), rows[i][1]);
        }
    }
    tell_twice(f, "a: 1\nb: &b {c: 1, c: 2}\na: *b\nd: {<<: *b, c: 3}\n", true);
    assert_string_equal(buf_cstr(&f->buf), "{\"b\":{\"c\":2},\"a\":{\"c\":2},\"d\":{\"c\":3}} "
                                           "[\"a\",\"b.c\",\"a.c\"]");
    CLEANUP_BUF struct buf many = BUF_INIT;
    struct value *doc, *twice = value_list(&f->arena);
    buf_puts(&many, "{\"a\":0");
    for (unsigned i = 0; i < TEXT_TWICE_MAX + 1; i++) {
        buf_puts(&many, ",\"a\":1");
    }
    buf_putc(&many, '}');
    assert_int_equal(json_read_twice(&f->arena, buf_str(&many), TEXT_NODES_MAX, &doc, twice, &f->err), ERR_INVALID);
    assert_int_equal(value_count(twice), TEXT_TWICE_MAX);
    assert_int_equal(json_read(&f->arena, STR("{\"a\":1,\"a\":2}"), &doc, &f->err), ERR_INVALID);
}

static void base64_follows_the_rfc(void **state)
{
    struct fixture *f = *state;
    static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        buf_reset(&f->buf);
        base64_write(&f->buf, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(buf_cstr(&f->buf), pairs[i][1]);
        buf_reset(&f->buf);
        assert_true(base64_read(&f->buf, str_of(pairs[i][1])));
        assert_string_equal(buf_cstr(&f->buf), pairs[i][0]);
    }
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "=", "====", "Z===", "Zg=a", "Zm9v ", "Zm9-", "Zg===", "\x80gg="};
    buf_reset(&f->buf);
    buf_puts(&f->buf, "kept");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(base64_read(&f->buf, str_of(bad[i])));
        assert_string_equal(buf_cstr(&f->buf), "kept");
    }
    buf_reset(&f->buf);
    assert_true(base64_read(&f->buf, STR("Zm9\nvYg\r\n==\n")));
    assert_string_equal(buf_cstr(&f->buf), "foob");
}

/* Each value of up to two bytes has one text, and no other text has a value. */
static void base64url_has_one_form(void **state)
{
    struct fixture *f = *state;
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=\n .\x80";
    unsigned taken[4] = {0};
    for (unsigned i = 0; i < 1u << 18; i++) {
        const char text[3] = {set[i & 63], set[i >> 6 & 63], set[i >> 12]};
        for (size_t n = 1; n <= 3; n++) {
            CLEANUP_BUF struct buf again = BUF_INIT;
            buf_reset(&f->buf);
            if ((n == 3 || i < 1u << 6 * n) && base64url_read(&f->buf, (struct str){text, n})) {
                base64url_write(&again, f->buf.data, f->buf.size);
                assert_true(str_eq(buf_str(&again), (struct str){text, n}));
                taken[n]++;
            }
        }
    }
    assert_int_equal(taken[1], 0);
    assert_int_equal(taken[2], 256);
    assert_int_equal(taken[3], 65536);
    for (const char *bad = set + 64; *bad != '\0'; bad++) {
        for (size_t n = 1; n <= 9; n++) {
            for (size_t at = 0; at < n; at++) {
                char text[10] = "AAAAAAAAA";
                text[at] = *bad;
                assert_false(base64url_read(&f->buf, (struct str){text, n}));
            }
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_scalars_have_the_types_of_kubectl),
        TEST(keys_become_strings),
        TEST(manifests_know_their_lines),
        TEST(json_text_knows_its_lines),
        TEST(streams_give_all_documents_but_empty_ones),
        TEST(aliases_and_merge_keys_work),
        TEST(aliases_do_not_share_nodes),
        TEST(a_billion_laughs_is_an_error),
        TEST(depth_is_limited),
        TEST(errors_name_file_line_and_column),
        TEST(text_above_the_limit_is_refused),
        TEST(json_is_read_strictly),
        TEST(json_files_may_have_tabs_and_surrogates),
        TEST(json_is_written_in_three_forms),
        TEST(yaml_is_laid_out_like_kubectl),
        TEST(strings_are_quoted_where_needed),
        TEST(several_lines_become_literal_blocks),
        TEST(documents_survive_the_round_trip_in_both_forms),
        TEST(damaged_text_is_an_error_or_a_document),
        TEST(long_keys_read_back),
        TEST(sorting_goes_all_the_way_down),
        TEST(of_keys_that_stand_twice_the_last_one_counts_where_that_is_asked_for),
        TEST(base64_follows_the_rfc),
        TEST(base64url_has_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
