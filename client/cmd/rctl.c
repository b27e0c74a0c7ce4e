#include "client/cmd/rctl.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "client/cmd/complete.h"
#include "client/cmd/renew.h"
#include "client/ui/harmless.h"
#include "proto/rpc/api.h"
#include "proto/schema/kind.h"

static const struct command *const commands[] = {
#define X(name) &command_##name,
    RCTL_COMMANDS(X)
#undef X
};

static const struct option_row global_rows[] = {
    {"namespace", 'n', OPTION_VALUE, NULL, NULL, "NAME", "the namespace (otherwise that of the context)"},
    {"config", 0, OPTION_VALUE, NULL, NULL, "FILE", "configuration file"},
    {"kubeconfig", 0, OPTION_VALUE, NULL, NULL, "FILE", NULL},
    {"context", 0, OPTION_VALUE, NULL, NULL, "NAME", "context of the configuration"},
    {"cluster", 0, OPTION_VALUE, NULL, NULL, "NAME", "another cluster of the configuration than the context's"},
    {"user", 0, OPTION_VALUE, NULL, NULL, "NAME", "another user of the configuration than the context's"},
    {"as", 0, OPTION_VALUE, NULL, NULL, "USER", "ask as this user, if you may impersonate him"},
    {"as-group", 0, OPTION_REPEAT, NULL, NULL, "GROUP", "... and as one of this group"},
    {"as-uid", 0, OPTION_VALUE, NULL, NULL, "UID", NULL},
    {"server", 's', OPTION_VALUE, NULL, NULL, "HOST:PORT,...", "ask these masters"},
    {"request-timeout", 0, OPTION_VALUE, "30s", NULL, "DURATION", "give up a request after so long"},
    {"validate", 0, OPTION_MAYBE, "true", "true", "BOOL", "false: let unknown fields of manifests pass"},
    {"verbose", 'v', OPTION_LEVEL, NULL, "1", "N", "say which masters are asked"},
    {"v", 0, OPTION_LEVEL, NULL, "1", NULL,
     NULL}, /* rows without a text are kubectl's spellings, accepted and not listed */
    {"cache-dir", 0, OPTION_VALUE, NULL, NULL, "DIR", NULL},
    {"match-server-version", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"disable-compression", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"help", 'h', OPTION_FLAG, NULL, NULL, NULL, "this help"},
};

const struct command *rctl_commands_at(unsigned i)
{
    return i < ARRAY_SIZE(commands) ? commands[i] : NULL;
}

/* ---- Help ---- */

static void print_options(FILE *f, const struct option_row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        char left[64];
        if (row->help == NULL) {
            continue;
        }
        const char *value = row->type == OPTION_FLAG ? "" : row->what == NULL ? "VALUE" : row->what;
        const char *sep = row->type == OPTION_FLAG                                 ? ""
                          : row->type == OPTION_MAYBE || row->type == OPTION_LEVEL ? "[="
                                                                                   : " ";
        const char *end = row->type == OPTION_MAYBE || row->type == OPTION_LEVEL ? "]" : "";
        if (row->letter != 0) {
            snprintf(left, sizeof(left), "-%c, --%s%s%s%s", row->letter, row->name, sep, value, end);
        } else {
            snprintf(left, sizeof(left), "    --%s%s%s%s", row->name, sep, value, end);
        }
        fprintf(f, "  %-34s %s\n", left, row->help);
    }
}

static void print_overview(FILE *f)
{
    fputs("rctl controls a Reeve cluster.\n\nUsage: rctl COMMAND [arguments] [options]\n\nCommands:\n", f);
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        fprintf(f, "  %-15s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nOptions of all commands:\n", f);
    print_options(f, global_rows, ARRAY_SIZE(global_rows));
    fputs("\n\"rctl COMMAND --help\" tells more, with examples.\n"
          "Exit codes: 0 done, 1 failed, 2 usage, 3 conflict, 4 outcome unknown, 5 not found, 6 denied, 7 no quorum\n",
          f);
}

void rctl_print_help(struct rctl *r)
{
    const struct command *c = r->command;
    if (c == NULL) {
        print_overview(r->out);
        return;
    }
    fprintf(r->out, "%s\n\nUsage: rctl %s %s\n", c->summary, r->command_name, c->usage == NULL ? "" : c->usage);
    if (c->subs != NULL) {
        fputs("\nCommands:\n", r->out);
        for (unsigned i = 0; c->subs[i] != NULL; i++) {
            fprintf(r->out, "  %-15s %s\n", c->subs[i]->name, c->subs[i]->summary);
        }
    }
    if (c->examples != NULL) {
        fprintf(r->out, "\nExamples:\n%s", c->examples);
    }
    if (c->options_count > 0) {
        fputs("\nOptions:\n", r->out);
        print_options(r->out, c->options, c->options_count);
    }
    fputs("\nOptions of all commands:\n", r->out);
    print_options(r->out, global_rows, ARRAY_SIZE(global_rows));
}

/* ---- Errors ---- */

static const char *hint_for(const struct error *err)
{
    switch (err->code) {
    case ERR_NO_QUORUM:
    case ERR_NOT_LEADER:
        return "\"rctl cluster status\" shows which masters are missing; \"get --stale\" reads without a quorum";
    case ERR_UNAUTHORIZED:
        return "\"rctl config view\" shows the user of this context";
    default:
        return NULL;
    }
}

static const char *paint(const struct rctl *r, const char *color)
{
    return r->color ? color : "";
}

static int fail(struct rctl *r, const struct error *err, bool from_server)
{
    assert(err->code != 0);
    const char *red = paint(r, "\033[31m"), *plain = paint(r, "\033[0m");
    fflush(r->out);
    if (from_server) {
        fprintf(r->err_out, "%sError from server (%s):%s %s\n", red, err_reason(err->code), plain, err->message);
    } else {
        fprintf(r->err_out, "%serror:%s %s\n", red, plain, err->message);
    }
    const char *hint = hint_for(err);
    if (hint != NULL) {
        fprintf(r->err_out, "hint: %s\n", hint);
    }
    bool answered = r->api != NULL && api_refused(r->api);
    return err->code == ERR_USAGE && answered ? EXIT_FAILED : (int)exit_code_of(err->code);
}

int rctl_fail(struct rctl *r, const struct error *err)
{
    return fail(r, err, r->api != NULL && api_refused(r->api));
}

int rctl_fail_here(struct rctl *r, const struct error *err)
{
    return fail(r, err, false);
}

int rctl_usage(struct rctl *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(r->err_out, "%serror:%s ", paint(r, "\033[31m"), paint(r, "\033[0m"));
    vfprintf(r->err_out, fmt, ap);
    va_end(ap);
    if (r->command != NULL) {
        fprintf(r->err_out, "\nusage: rctl %s %s\nSee 'rctl %s --help' for examples.\n", r->command_name,
                r->command->usage == NULL ? "" : r->command->usage, r->command_name);
    } else {
        fputs("\nSee 'rctl --help' for the commands.\n", r->err_out);
    }
    return EXIT_USAGE;
}

void rctl_note(struct rctl *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(r->err_out, fmt, ap);
    va_end(ap);
    fputc('\n', r->err_out);
}

void rctl_write(struct rctl *r, const struct buf *b)
{
    if (b->size > 0) {
        fwrite(b->data, 1, b->size, r->out);
    }
}

void rctl_write_data(struct rctl *r, const struct buf *b)
{
    int fd = fileno(r->raw_out);
    if (fd >= 0 && isatty(fd)) {
        rctl_write(r, b);
        return;
    }
    fflush(r->out);
    if (b->size > 0) {
        fwrite(b->data, 1, b->size, r->raw_out);
    }
}

/* ---- For commands ---- */

const char *opt(const struct rctl *r, const char *name)
{
    return args_get(&r->args, r->tables, name);
}

bool opt_flag(const struct rctl *r, const char *name)
{
    return args_flag(&r->args, r->tables, name);
}

int64_t rctl_now_ms(void)
{
    return env_wall_ms(env_real());
}

const char *rctl_config_path(const struct rctl *r)
{
    return opt(r, "config") != NULL ? opt(r, "config") : opt(r, "kubeconfig");
}

void rctl_print_options(FILE *f)
{
    print_options(f, global_rows, ARRAY_SIZE(global_rows));
}

/* A command that has an option --user of its own (create rolebinding) means somebody else by it. */
static bool means_another(const struct rctl *r, const char *name)
{
    for (unsigned i = 0; i < r->tables[0].count; i++) {
        if (strcmp(r->tables[0].rows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int load_config(struct rctl *r, struct error *err)
{
    if (r->config_loaded) {
        return 0;
    }
    struct config_choice choice = {.context = opt(r, "context"),
                                   .cluster = opt(r, "cluster"),
                                   .user = means_another(r, "user") ? NULL : opt(r, "user"),
                                   .servers = opt(r, "server")};
    int rc = config_load(&r->arena, rctl_config_path(r), &r->config, err);
    if (rc == 0) {
        rc = config_resolve_choice(&r->arena, &r->config, &choice, &r->target, err);
    }
    r->config_loaded = rc == 0;
    return rc;
}

/* As whom requests are made. NULL: as oneself. */
static const struct value *as_whom(struct rctl *r)
{
    struct arena *a = &r->arena;
    const char *user = opt(r, "as"), *uid = opt(r, "as-uid");
    unsigned count = args_count(&r->args, "as-group");
    if (means_another(r, "as") || (user == NULL && uid == NULL && count == 0)) {
        return NULL;
    }
    struct value *as = value_map(a), *groups = value_list(a);
    value_set(a, as, "user", value_cstr(a, user == NULL ? "" : user));
    for (unsigned i = 0; i < count; i++) {
        value_append(a, groups, value_cstr(a, args_at(&r->args, "as-group", i)));
    }
    if (count > 0) {
        value_set(a, as, "groups", groups);
    }
    if (uid != NULL) {
        value_set(a, as, "uid", value_cstr(a, uid));
    }
    return as;
}

int rctl_connect(struct rctl *r, struct error *err)
{
    if (r->api != NULL) {
        return 0;
    }
    int64_t deadline_ms;
    int rc = args_duration_ms("request-timeout", opt(r, "request-timeout"), &deadline_ms, err);
    if (rc != 0) {
        return rc;
    }
    rc = load_config(r, err);
    bool notes = opt(r, "verbose") != NULL || opt(r, "v") != NULL;
    rc = rc != 0 ? rc : api_new(&r->target, MAX(deadline_ms, 1), notes, &r->api, err);
    if (rc == 0) {
        const struct value *as = as_whom(r);
        if (as != NULL) {
            api_set_as(r->api, as);
        }
        api_tell(r->api, r->err_out);
    }
    return rc;
}

const char *rctl_namespace(struct rctl *r)
{
    const char *ns = opt(r, "namespace");
    if (ns != NULL) {
        return ns;
    }
    struct error ignored;
    return load_config(r, &ignored) == 0 ? r->target.ns : "default";
}

/* ---- Dispatch ---- */

static bool is_named(const struct command *c, const char *word)
{
    if (strcmp(c->name, word) == 0) {
        return true;
    }
    size_t n = strlen(word);
    for (const char *p = c->alias; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, ",");
        if (len == n && memcmp(p, word, n) == 0) {
            return true;
        }
        p += len + (p[len] == ',');
    }
    return false;
}

const struct command *rctl_nearest_command(const char *typed)
{
    const struct command *best = NULL;
    unsigned best_distance = 4;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        unsigned d = name_nearness(str_of(typed), str_of(commands[i]->name));
        if (d < best_distance) {
            best_distance = d;
            best = commands[i];
        }
    }
    return best;
}

/* Index of the first word that is no global option (nor its value) from `from` on; argc if there is none. */
static int next_word(int argc, const char *const *argv, int from)
{
    for (int i = from; i < argc; i++) {
        const char *w = argv[i];
        if (w[0] != '-' || w[1] == '\0' || strcmp(w, "--") == 0) {
            return i;
        }
        for (unsigned k = 0; k < ARRAY_SIZE(global_rows); k++) {
            const struct option_row *row = &global_rows[k];
            bool same = (w[1] == '-' && strcmp(w + 2, row->name) == 0) ||
                        (row->letter != 0 && w[1] == row->letter && w[2] == '\0');
            i += same && (row->type == OPTION_VALUE || row->type == OPTION_REPEAT);
        }
    }
    return argc;
}

/* Words of kubectl's that have no command here: what does the same, or that nothing does yet. */
static const char *instead_of(const char *word)
{
    static const char *const table[][2] = {
        {"proxy", "masters speak no HTTP yet; \"rctl get --raw PATH\" reads what is under a path"},
        {"certificate", "\"rctl cert\" tells about certificates and renews them"},
        {"plugin", "there are no plugins"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (strcmp(table[i][0], word) == 0) {
            return table[i][1];
        }
    }
    return NULL;
}

static int unknown_command(struct rctl *r, const char *word)
{
    const char *instead = instead_of(word);
    if (instead != NULL) {
        return rctl_usage(r, "there is no command \"%s\": %s", word, instead);
    }
    const struct command *near = rctl_nearest_command(word);
    if (near != NULL) {
        return rctl_usage(r, "unknown command \"%s\"; did you mean \"rctl %s\"?", word, near->name);
    }
    return rctl_usage(r, "unknown command \"%s\"", word);
}

static int unknown_sub(struct rctl *r, const char *word)
{
    const struct command *const *subs = r->command->subs;
    CLEANUP_BUF struct buf names = BUF_INIT;
    for (unsigned i = 0; subs[i] != NULL; i++) {
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", subs[i]->name);
        if (name_nearness(str_of(word), str_of(subs[i]->name)) < 4) {
            return rctl_usage(r, "unknown command \"%s %s\"; did you mean \"rctl %s %s\"?", r->command_name, word,
                              r->command_name, subs[i]->name);
        }
    }
    return rctl_usage(r, "unknown command \"%s %s\"; there are: %s", r->command_name, word, buf_cstr(&names));
}

/* Removes argv[at] by copying the rest: the result has the words without the command's own name. */
static const char *const *without(struct arena *a, int *argc, const char *const *argv, int at)
{
    const char **copy = arena_alloc(a, ((size_t)*argc + 1) * sizeof(*copy));
    int n = 0;
    for (int i = 0; i < *argc; i++) {
        if (i != at) {
            copy[n++] = argv[i];
        }
    }
    *argc = n;
    return copy;
}

static int run_command(struct rctl *r, int argc, const char *const *argv)
{
    const struct command *c = r->command;
    r->tables[0] = (struct option_table){c->options, c->options_count};
    struct error err = {0};
    for (int i = 0; i < argc && c->raw; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            rctl_print_help(r);
            return EXIT_DONE;
        }
    }
    if (c->raw) {
        return c->run(r);
    }
    if (args_parse(&r->arena, r->tables, argc, argv, &r->args, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (opt_flag(r, "help")) {
        rctl_print_help(r);
        return EXIT_DONE;
    }
    if (c->run == NULL) {
        if (r->args.words_count > 0) {
            return unknown_sub(r, r->args.words[0]);
        }
        rctl_print_help(r);
        return EXIT_USAGE;
    }
    if (c->wordless && r->args.words_count > 0) {
        return rctl_usage(r, "\"%s\" is not expected: \"rctl %s\" takes no names, only options", r->args.words[0],
                          r->command_name);
    }
    return c->run(r);
}

const struct option_row *rctl_global_option(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(global_rows); i++) {
        if (strcmp(global_rows[i].name, name) == 0) {
            return &global_rows[i];
        }
    }
    return NULL;
}

static bool take_sub(struct rctl *r, const char *word)
{
    for (unsigned i = 0; r->command->subs != NULL && r->command->subs[i] != NULL; i++) {
        if (is_named(r->command->subs[i], word)) {
            r->command_name = arena_printf(&r->arena, "%s %s", r->command->name, r->command->subs[i]->name);
            r->command = r->command->subs[i];
            return true;
        }
    }
    return false;
}

bool rctl_take_command(struct rctl *r, const char *word)
{
    bool taken = false;
    for (unsigned i = 0; i < ARRAY_SIZE(commands) && r->command == NULL; i++) {
        if (is_named(commands[i], word)) {
            r->command = commands[i];
            r->command_name = r->command->name;
            taken = true;
        }
    }
    if (r->command != NULL) {
        taken = taken || take_sub(r, word);
        r->tables[0] = (struct option_table){r->command->options, r->command->options_count};
    }
    return taken;
}

static int dispatch(struct rctl *r, int argc, const char *const *argv)
{
    if (argc > 0 && strcmp(argv[0], COMPLETE_COMMAND) == 0) {
        return complete_run(r, argc - 1, argv + 1);
    }
    int at = next_word(argc, argv, 0);
    if (at < argc && strcmp(argv[at], "help") == 0) {
        argv = without(&r->arena, &argc, argv, at);
        const char **more = arena_alloc(&r->arena, ((size_t)argc + 2) * sizeof(*more));
        memcpy(more, argv, (size_t)argc * sizeof(*more));
        more[argc++] = "--help";
        argv = more;
        at = next_word(argc, argv, 0);
    }
    if (at >= argc) {
        bool asked = false;
        for (int i = 0; i < argc; i++) {
            asked = asked || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
            if (strcmp(argv[i], "--version") == 0) {
                fprintf(r->out, "rctl %s\n", REEVE_VERSION);
                return EXIT_DONE;
            }
        }
        print_overview(asked ? r->out : r->err_out);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    if (!rctl_take_command(r, argv[at])) {
        return unknown_command(r, argv[at]);
    }
    argv = without(&r->arena, &argc, argv, at);
    int sub_at = next_word(argc, argv, at);
    if (sub_at < argc && take_sub(r, argv[sub_at])) {
        argv = without(&r->arena, &argc, argv, sub_at);
    }
    return run_command(r, argc, argv);
}

int rctl_main(int argc, const char *const *argv, FILE *out, FILE *err_out)
{
    assert(argc >= 1);
    struct rctl r = {.program = argv[0], .argc = argc, .argv = argv, .raw_out = out, .raw_err_out = err_out};
    struct harmless safe_out, safe_err;
    r.out = harmless_open(&safe_out, out);
    r.err_out = harmless_open(&safe_err, err_out);
    setvbuf(r.err_out, NULL, _IONBF, 0);
    arena_init(&r.arena);
    r.tables[1] = (struct option_table){global_rows, ARRAY_SIZE(global_rows)};
    const char *no_color = getenv("NO_COLOR");
    r.color = isatty(fileno(err_out)) && (no_color == NULL || no_color[0] == '\0');
    int rc = dispatch(&r, argc - 1, argv + 1);
    if (rc == EXIT_DONE) {
        renew_by_the_way(&r);
    }
    if (fflush(r.out) != 0 && rc == EXIT_DONE) {
        rc = EXIT_FAILED;
    }
    harmless_close(&safe_out, r.out);
    harmless_close(&safe_err, r.err_out);
    if (fflush(out) != 0 && rc == EXIT_DONE) {
        rc = EXIT_FAILED;
    }
    api_free(r.api);
    arena_close(&r.arena);
    return rc;
}
