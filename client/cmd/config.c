/* rctl config: which clusters this client knows. */
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/config.h"
#include "proto/text/text.h"

static int load(struct rctl *r, struct error *err)
{
    return config_load(&r->arena, rctl_config_path(r), &r->config, err);
}

static const char *text(struct rctl *r, const struct value *v)
{
    struct str s = value_to_str(v);
    return s.n == 0 ? "" : arena_strndup(&r->arena, s.p, s.n);
}

/* ---- What there is ---- */

static const struct option_row get_contexts_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "name"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
};

static int no_such(struct rctl *r, const char *what, const char *name)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND, "%s: there is no %s called \"%s\"", r->config.path, what, name);
    return rctl_fail(r, &err);
}

static int run_get_contexts(struct rctl *r)
{
    struct error err = {0};
    const char *form = opt(r, "output"), *only = r->args.words_count > 0 ? r->args.words[0] : NULL;
    if (form != NULL && strcmp(form, "name") != 0) {
        return rctl_usage(r, "--output is name, not \"%s\"", form);
    }
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (only != NULL && config_entry(&r->config, "contexts", only) == NULL) {
        return no_such(r, "context", only);
    }
    const struct value *contexts = value_get(r->config.doc, "contexts");
    const char *current = config_current(&r->arena, &r->config);
    const char **cells = arena_alloc(&r->arena, 5 * ((size_t)value_count(contexts) + 1) * sizeof(*cells));
    static const char *const head[] = {"CURRENT", "NAME", "CLUSTER", "USER", "NAMESPACE"};
    unsigned rows = 0;
    if (!opt_flag(r, "no-headers")) {
        memcpy(cells, head, sizeof(head));
        rows = 1;
    }
    VALUE_FOR(i, contexts)
    {
        const struct value *entry = value_item(contexts, i), *c = value_get(entry, "context");
        const char *name = text(r, value_get(entry, "name"));
        if (only != NULL && strcmp(only, name) != 0) {
            continue;
        }
        if (form != NULL) {
            fprintf(r->out, "%s\n", name);
            continue;
        }
        const char *row[] = {strcmp(name, current) == 0 ? "*" : "", name, text(r, value_get(c, "cluster")),
                             text(r, value_get(c, "user")), text(r, value_get(c, "namespace"))};
        memcpy(cells + 5 * (size_t)rows++, row, sizeof(row));
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (form == NULL) {
        grid_print(&out, cells, 5, rows);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

static int print_names(struct rctl *r, const char *list)
{
    struct error err = {0};
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fputs("NAME\n", r->out);
    const struct value *entries = value_get(r->config.doc, list);
    VALUE_FOR(i, entries)
    {
        fprintf(r->out, "%s\n", text(r, value_get(value_item(entries, i), "name")));
    }
    return EXIT_DONE;
}

static int run_get_clusters(struct rctl *r)
{
    return print_names(r, "clusters");
}

static int run_get_users(struct rctl *r)
{
    return print_names(r, "users");
}

static int run_use_context(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one context is needed; \"rctl config get-contexts\" lists them");
    }
    if (load(r, &err) != 0 || config_use_context(&r->arena, &r->config, r->args.words[0], &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "Switched to context \"%s\".\n", r->args.words[0]);
    return EXIT_DONE;
}

/* Without words: those that the cluster names. */
static int run_set_servers(struct rctl *r)
{
    struct error err = {0};
    const char *addresses[CONFIG_SERVERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        char *save = NULL;
        for (char *p = strtok_r(arena_strdup(&r->arena, r->args.words[i]), ",", &save); p != NULL;
             p = strtok_r(NULL, ",", &save)) {
            if (count == CONFIG_SERVERS_MAX) {
                return rctl_usage(r, "more than %u masters", CONFIG_SERVERS_MAX);
            }
            addresses[count++] = p;
        }
    }
    if (count == 0 && r->args.words_count > 0) {
        return rctl_usage(r, "\"%s\" is no HOST:PORT", r->args.words[0]);
    }
    if (count == 0) {
        CLEANUP_REPLY struct api_reply reply = {0};
        if (rctl_connect(r, &err) != 0 || api_read(r->api, "cluster", value_map(&r->arena), &reply, &err) != 0) {
            return rctl_fail(r, &err);
        }
        for (struct mp_iter it = mp_iter(mp_get(reply.result, "members")); mp_next(&it);) {
            struct str s = mp_str(mp_get(it.value, "address"));
            if (s.n > 0 && count < CONFIG_SERVERS_MAX) {
                addresses[count++] = arena_strndup(&r->arena, s.p, s.n);
            }
        }
    }
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *context = opt(r, "context") != NULL ? opt(r, "context") : config_current(&r->arena, &r->config);
    if (config_set_servers(&r->arena, &r->config, context, addresses, count, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "%s knows %u %s now:", r->config.path, count, count == 1 ? "master" : "masters");
    for (unsigned i = 0; i < count; i++) {
        fprintf(r->out, " %s", addresses[i]);
    }
    fputc('\n', r->out);
    return EXIT_DONE;
}

static int run_current_context(struct rctl *r)
{
    struct error err = {0};
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *current = config_current(&r->arena, &r->config);
    if (current[0] == '\0') {
        error_set(&err, ERR_NOT_FOUND, "current-context is not set in %s", r->config.path);
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "%s\n", current);
    return EXIT_DONE;
}

static const struct option_row view_options[] = {
    {"minify", 0, OPTION_FLAG, NULL, NULL, NULL, "only what the context needs"},
    {"flatten", 0, OPTION_FLAG, NULL, NULL, NULL, "with the contents of certificates that are files of their own"},
    {"raw", 0, OPTION_FLAG, NULL, NULL, NULL, "with keys and certificates as they are: SECRETS"},
    {"output", 'o', OPTION_VALUE, "yaml", NULL, "FORM", "yaml, json, jsonpath=..., go-template=..."},
    {"merge", 0, OPTION_MAYBE, NULL, "true", NULL, NULL},
};

/* Leaves one entry of a list. */
static void keep_entry(struct rctl *r, const char *list, struct str name)
{
    struct value *kept = value_list(&r->arena), *entry = value_find(value_get(r->config.doc, list), "name", name);
    if (entry != NULL) {
        value_append(&r->arena, kept, entry);
    }
    value_set(&r->arena, r->config.doc, list, kept);
}

static int minify(struct rctl *r, struct error *err)
{
    const char *name = opt(r, "context") != NULL ? opt(r, "context") : config_current(&r->arena, &r->config);
    const struct value *entry = config_entry(&r->config, "contexts", name);
    if (entry == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s: there is no context called \"%s\"", r->config.path, name);
    }
    keep_entry(r, "clusters", value_path_str(entry, "context.cluster"));
    keep_entry(r, "users", value_path_str(entry, "context.user"));
    keep_entry(r, "contexts", str_of(name));
    value_set(&r->arena, r->config.doc, "current-context", value_cstr(&r->arena, name));
    return 0;
}

static int run_view(struct rctl *r)
{
    struct error err = {0};
    struct print_options o = {0};
    if (print_parse_form(&r->arena, opt(r, "output"), NULL, &o, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (load(r, &err) != 0 || (opt_flag(r, "minify") && minify(r, &err) != 0) ||
        (opt_flag(r, "flatten") && config_flatten(&r->arena, &r->config, &err) != 0)) {
        return rctl_fail(r, &err);
    }
    const struct value *doc = opt_flag(r, "raw") ? r->config.doc : config_redacted(&r->arena, &r->config);
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (print_any_document(&r->arena, &out, &o, doc, &err) != 0) {
        return rctl_fail(r, &err);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

#define SUB_COMMAND(var, title, words, text, lines, rows, function)                                                    \
    static const struct command var = {.name = title,                                                                  \
                                       .usage = words,                                                                 \
                                       .summary = text,                                                                \
                                       .examples = lines,                                                              \
                                       .options = rows,                                                                \
                                       .options_count = sizeof(rows) / sizeof(struct option_row),                      \
                                       .run = function}
#define NO_OPTIONS ((const struct option_row[]){})
SUB_COMMAND(config_get_contexts, "get-contexts", "[NAME] [-o name]", "List the contexts",
            "  rctl config get-contexts\n", get_contexts_options, run_get_contexts);
SUB_COMMAND(config_get_clusters, "get-clusters", "", "List the clusters", "  rctl config get-clusters\n", NO_OPTIONS,
            run_get_clusters);
SUB_COMMAND(config_get_users, "get-users", "", "List the users", "  rctl config get-users\n", NO_OPTIONS,
            run_get_users);
static const struct command config_use = {.name = "use-context",
                                          .alias = "use",
                                          .usage = "NAME",
                                          .summary = "Make a context the current one",
                                          .examples = "  rctl config use-context reeve\n",
                                          .run = run_use_context};
static const struct command config_servers = {.name = "set-servers",
                                              .usage = "[HOST:PORT[,HOST:PORT...]]",
                                              .summary = "Which masters this client asks; without words: all there are",
                                              .examples = "  # after masters have come or gone\n"
                                                          "  rctl config set-servers\n"
                                                          "  # when the only one that the configuration knows is dead\n"
                                                          "  rctl config set-servers 10.0.0.2:7400\n",
                                              .run = run_set_servers};
static const struct command config_current_context = {.name = "current-context",
                                                      .usage = "",
                                                      .summary = "Name of the current context",
                                                      .examples = "  rctl config current-context\n",
                                                      .run = run_current_context};
SUB_COMMAND(config_view, "view", "[--minify] [--flatten] [--raw] [-o FORM]", "The configuration, without secrets",
            "  rctl config view\n"
            "  rctl config view --config other/config\n"
            "  # a file for another machine, with what the current context needs\n"
            "  rctl config view --minify --flatten --raw > config\n",
            view_options, run_view);
static const struct command *const config_subs[] = {&config_get_contexts,
                                                    &config_get_clusters,
                                                    &config_get_users,
                                                    &config_current_context,
                                                    &config_view,
                                                    &config_kubeconfig,
                                                    &config_use,
                                                    &config_set_context,
                                                    &config_set_cluster,
                                                    &config_set_credentials,
                                                    &config_rename_context,
                                                    &config_delete_context,
                                                    &config_delete_cluster,
                                                    &config_delete_user,
                                                    &config_set,
                                                    &config_unset,
                                                    &config_servers,
                                                    NULL};
const struct command command_config = {
    .name = "config",
    .usage = "get-contexts|use-context NAME|view|set-context|...",
    .summary = "Look at the client configuration, choose a context, change it",
    .examples = "  rctl config get-contexts\n"
                "  rctl config use-context reeve\n"
                "  rctl config set-context --current --namespace=team\n"
                "  rctl config view\n",
    .subs = config_subs,
};
