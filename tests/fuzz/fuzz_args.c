/* Command lines. Input: words, each ended by NUL. */
#include "client/cmd/args.h"
#include "tests/fuzz/fuzz.h"

static const struct option_row own_rows[] = {
    {"all", 'A', OPTION_FLAG, NULL, NULL, NULL, "all"},
    {"filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", "file"},
    {"dry-run", 0, OPTION_MAYBE, "none", "client", "MODE", "try"},
    {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, "in"},
    {"tty", 't', OPTION_FLAG, "true", NULL, NULL, "tty"},
};
static const struct option_row global_rows[] = {
    {"namespace", 'n', OPTION_VALUE, "default", NULL, "NAME", "namespace"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORMAT", "output"},
};
static const struct option_table tables[2] = {{own_rows, ARRAY_SIZE(own_rows)}, {global_rows, ARRAY_SIZE(global_rows)}};

#define WORDS_MAX 200

static void check_table(const struct args *out, const struct option_table *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const char *name = t->rows[i].name;
        args_get(out, tables, name);
        args_given(out, name);
        if (t->rows[i].type == OPTION_FLAG) {
            args_flag(out, tables, name);
        }
        for (unsigned k = 0, n = args_count(out, name); k < n && k < 64; k++) {
            CHECK(args_at(out, name, k) != NULL);
        }
        CHECK(args_at(out, name, args_count(out, name)) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    CLEANUP_ARENA struct arena a;
    const char *argv[WORDS_MAX + 1];
    int argc = 0;
    struct args out;
    struct error err = {0};
    int64_t number;
    arena_init(&a);
    while (f.p < f.end && argc < WORDS_MAX) {
        struct str word = fuzz_until(&f, 0);
        argv[argc++] = arena_strndup(&a, word.p, word.n);
    }
    argv[argc] = NULL;
    for (int i = 0; i < argc && i < 4; i++) {
        int rc = args_int("--n", argv[i], -10, 1000000, &number, &err);
        CHECK(rc == 0 ? number >= -10 && number <= 1000000 : rc == err.code);
        rc = args_duration_ms("--t", argv[i], &number, &err);
        CHECK(rc == 0 || rc == err.code);
    }
    int rc = args_parse(&a, tables, argc, argv, &out, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CHECK(out.words_count <= (unsigned)argc && out.dash <= out.words_count);
    for (unsigned i = 0; i < out.words_count; i++) {
        CHECK(out.words[i] != NULL);
    }
    check_table(&out, &tables[0]);
    check_table(&out, &tables[1]);
    return 0;
}
