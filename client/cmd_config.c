/* rctl config: which clusters this client knows. */
#include <string.h>

#include "client/common.h"
#include "proto/text.h"

static int load(struct rctl *r, struct error *err)
{
    return config_load(&r->arena, rctl_config_path(r), &r->config, err);
}

static const char *text(struct rctl *r, const struct value *v)
{
    struct str s = value_to_str(v);
    return s.n == 0 ? "" : arena_strndup(&r->arena, s.p, s.n);
}

static int run_get_contexts(struct rctl *r)
{
    struct error err = {0};
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const struct value *contexts = value_get(r->config.doc, "contexts");
    const char *current = config_current(&r->arena, &r->config);
    unsigned n = value_count(contexts);
    const char **cells = arena_alloc(&r->arena, 5 * ((size_t)n + 1) * sizeof(*cells));
    static const char *const head[] = {"CURRENT", "NAME", "CLUSTER", "USER", "NAMESPACE"};
    memcpy(cells, head, sizeof(head));
    VALUE_FOR(i, contexts)
    {
        const struct value *entry = value_item(contexts, i), *c = value_get(entry, "context");
        const char *name = text(r, value_get(entry, "name"));
        const char *row[] = {strcmp(name, current) == 0 ? "*" : "", name, text(r, value_get(c, "cluster")),
                             text(r, value_get(c, "user")), text(r, value_get(c, "namespace"))};
        memcpy(cells + 5 * ((size_t)i + 1), row, sizeof(row));
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    print_grid(&out, cells, 5, n + 1);
    rctl_write(r, &out);
    return EXIT_DONE;
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

static const struct option_row set_context_options[] = {
    {"current", 0, OPTION_FLAG, NULL, NULL, NULL, "the current context, instead of one by name"},
};

static int run_set_context(struct rctl *r)
{
    struct error err = {0};
    const char *ns = opt(r, "namespace");
    if (r->args.words_count != (opt_flag(r, "current") ? 0 : 1)) {
        return rctl_usage(r, "one context is needed: its name or --current");
    }
    if (ns == NULL || !name_is_dns_label(str_of(ns))) {
        return rctl_usage(r, "which namespace? --namespace NAME");
    }
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *name = opt_flag(r, "current") ? config_current(&r->arena, &r->config) : r->args.words[0];
    if (config_set_namespace(&r->arena, &r->config, name, ns, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "Context \"%s\" modified.\n", name);
    return EXIT_DONE;
}

/* Without words: those that the cluster names. */
static int run_set_servers(struct rctl *r)
{
    struct error err = {0};
    const char *addresses[CONFIG_SERVERS_MAX];
    unsigned count = 0;
    for (; count < r->args.words_count && count < CONFIG_SERVERS_MAX; count++) {
        addresses[count] = r->args.words[count];
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

static int run_view(struct rctl *r)
{
    struct error err = {0};
    if (load(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    yaml_write(&out, config_redacted(&r->arena, &r->config));
    rctl_write(r, &out);
    return EXIT_DONE;
}

static const struct command config_get_contexts = {.name = "get-contexts",
                                                   .usage = "",
                                                   .summary = "List the contexts",
                                                   .examples = "  rctl config get-contexts\n",
                                                   .run = run_get_contexts};
static const struct command config_use = {.name = "use-context",
                                          .usage = "NAME",
                                          .summary = "Make a context the current one",
                                          .examples = "  rctl config use-context reeve\n",
                                          .run = run_use_context};
static const struct command config_set = {.name = "set-context",
                                          .usage = "NAME | --current --namespace NAMESPACE",
                                          .summary = "Set the namespace of a context",
                                          .examples = "  rctl config set-context --current --namespace=team\n",
                                          .options = set_context_options,
                                          .options_count = ARRAY_SIZE(set_context_options),
                                          .run = run_set_context};
static const struct command config_servers = {.name = "set-servers",
                                              .usage = "[HOST:PORT...]",
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
static const struct command config_view = {.name = "view",
                                           .usage = "",
                                           .summary = "The configuration, without secrets",
                                           .examples = "  rctl config view\n"
                                                       "  rctl config view --config other/config\n",
                                           .run = run_view};
static const struct command *const config_subs[] = {&config_get_contexts,    &config_use,  &config_set, &config_servers,
                                                    &config_current_context, &config_view, NULL};
const struct command command_config = {
    .name = "config",
    .usage = "get-contexts|use-context NAME|set-context --current -n NAMESPACE|set-servers|current-context|view",
    .summary = "Look at the client configuration, choose a context",
    .examples = "  rctl config get-contexts\n"
                "  rctl config use-context reeve\n"
                "  rctl config view\n",
    .subs = config_subs,
};
