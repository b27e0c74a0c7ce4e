/* rctl config set-*, rename-context, delete-*, set, unset: the client configuration changed from the command line.
 * Comments and order of the file's lines are not kept; everything else is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd/common.h"
#include "client/cmd/config.h"
#include "proto/text/text.h"

static int load(struct rctl *r, bool begin, struct error *err)
{
    const char *path = rctl_config_path(r);
    return begin ? config_load_or_begin(&r->arena, path, &r->config, err)
                 : config_load(&r->arena, path, &r->config, err);
}

static int save(struct rctl *r, const char *fmt, const char *name)
{
    struct error err = {0};
    const char *slash = strrchr(r->config.path, '/');
    if (slash != NULL && slash != r->config.path) {
        mkdir(arena_strndup(&r->arena, r->config.path, (size_t)(slash - r->config.path)), 0700); /* may be there */
    }
    if (config_save(&r->config, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, fmt, name);
    return EXIT_DONE;
}

static void set(struct rctl *r, struct value *map, const char *key, const char *text)
{
    if (text != NULL) {
        value_set(&r->arena, map, key, value_cstr(&r->arena, text));
    }
}

/* ---- set-context ---- */

static const struct option_row set_context_options[] = {
    {"current", 0, OPTION_FLAG, NULL, NULL, NULL, "the current context, instead of one by name"},
};

static int run_set_context(struct rctl *r)
{
    struct error err = {0};
    const char *ns = opt(r, "namespace"), *cluster = opt(r, "cluster"), *user = opt(r, "user");
    if (r->args.words_count != (opt_flag(r, "current") ? 0 : 1)) {
        return rctl_usage(r, "one context is needed: its name or --current");
    }
    if (ns == NULL && cluster == NULL && user == NULL) {
        return rctl_usage(r, "what of it? --namespace, --cluster or --user NAME");
    }
    if (ns != NULL && !name_is_dns_label(str_of(ns))) {
        return rctl_usage(r, "\"%s\" is no name of a namespace", ns);
    }
    if (load(r, !opt_flag(r, "current"), &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *name = opt_flag(r, "current") ? config_current(&r->arena, &r->config) : r->args.words[0];
    bool there = config_entry(&r->config, "contexts", name) != NULL;
    if (!there && opt_flag(r, "current")) {
        error_set(&err, ERR_NOT_FOUND, "%s: there is no current context; name one", r->config.path);
        return rctl_fail(r, &err);
    }
    struct value *c = config_ensure_entry(&r->arena, &r->config, "contexts", "context", name);
    set(r, c, "cluster", cluster);
    set(r, c, "user", user);
    set(r, c, "namespace", ns);
    return save(r, there ? "Context \"%s\" modified.\n" : "Context \"%s\" created.\n", name);
}

const struct command config_set_context = {
    .name = "set-context",
    .usage = "NAME | --current [--namespace NAME] [--cluster NAME] [--user NAME]",
    .summary = "Change a context, or make one",
    .examples = "  rctl config set-context --current --namespace=team\n"
                "  rctl config set-context shop --cluster=reeve --user=admin --namespace=shop\n",
    .options = set_context_options,
    .options_count = ARRAY_SIZE(set_context_options),
    .run = run_set_context,
};

/* ---- set-cluster, set-credentials ---- */

/* A file that is named, or what is in it. Relative to where we are, and so written with its whole path. */
static int set_file(struct rctl *r, struct value *map, const char *option, const char *path, bool embed,
                    struct error *err)
{
    const char *data = arena_printf(&r->arena, "%s-data", option);
    if (path == NULL) {
        return 0;
    }
    CLEANUP_FREE char *whole = realpath(path, NULL);
    if (whole == NULL) {
        return error_set_errno(err, errno, "--%s %s", option, path);
    }
    value_remove(map, embed ? option : data);
    if (!embed) {
        set(r, map, option, whole);
        return 0;
    }
    char *text;
    size_t size;
    int rc = manifest_slurp(whole, CONFIG_SIZE_MAX, &text, &size, err);
    if (rc == 0) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        base64_write(&b, text, size);
        value_set(&r->arena, map, data, value_str(&r->arena, buf_str(&b)));
        memset(b.data, 0, b.size);
        memset(text, 0, size);
        free(text);
    }
    return rc;
}

static const struct option_row set_cluster_options[] = {
    {"certificate-authority", 0, OPTION_VALUE, NULL, NULL, "FILE", "certificate of the cluster's authority"},
    {"embed-certs", 0, OPTION_FLAG, NULL, NULL, NULL, "put what is in the file into the configuration"},
    {"insecure-skip-tls-verify", 0, OPTION_MAYBE, NULL, "true", NULL, NULL},
};

static int run_set_cluster(struct rctl *r)
{
    struct error err = {0};
    const char *servers = opt(r, "server"), *ca = opt(r, "certificate-authority");
    if (r->args.words_count != 1 || (servers == NULL && ca == NULL)) {
        return rctl_usage(r, "a name, and --server or --certificate-authority, are needed");
    }
    if (opt_flag(r, "insecure-skip-tls-verify")) {
        return rctl_usage(r, "masters' certificates are always verified; give --certificate-authority");
    }
    if (load(r, true, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const char *name = r->args.words[0];
    struct value *c = config_ensure_entry(&r->arena, &r->config, "clusters", "cluster", name);
    char *save_at = NULL;
    if (servers != NULL) {
        struct value *list = value_list(&r->arena);
        for (char *p = strtok_r(arena_strdup(&r->arena, servers), ",", &save_at); p != NULL;
             p = strtok_r(NULL, ",", &save_at)) {
            value_append(&r->arena, list, value_cstr(&r->arena, p));
        }
        value_set(&r->arena, c, "servers", list);
        value_remove(c, "server");
    }
    if (set_file(r, c, "certificate-authority", ca, opt_flag(r, "embed-certs"), &err) != 0) {
        return rctl_fail(r, &err);
    }
    return save(r, "Cluster \"%s\" set.\n", name);
}

const struct command config_set_cluster = {
    .name = "set-cluster",
    .usage = "NAME [--server HOST:PORT,...] [--certificate-authority FILE [--embed-certs]]",
    .summary = "Change a cluster, or make one",
    .examples = "  rctl config set-cluster far --server=10.0.0.2:7400,10.0.0.3:7400 --certificate-authority=ca.crt "
                "--embed-certs\n",
    .options = set_cluster_options,
    .options_count = ARRAY_SIZE(set_cluster_options),
    .run = run_set_cluster,
};

static const struct option_row set_credentials_options[] = {
    {"client-certificate", 0, OPTION_VALUE, NULL, NULL, "FILE", "certificate of the user"},
    {"client-key", 0, OPTION_VALUE, NULL, NULL, "FILE", "its key"},
    {"embed-certs", 0, OPTION_FLAG, NULL, NULL, NULL, "put what is in the files into the configuration"},
    {"token", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    {"username", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    {"password", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
};

static int run_set_credentials(struct rctl *r)
{
    struct error err = {0};
    const char *cert = opt(r, "client-certificate"), *key = opt(r, "client-key");
    if (opt(r, "token") != NULL || opt(r, "username") != NULL || opt(r, "password") != NULL) {
        return rctl_usage(r, "users are known by certificates only: --client-certificate and --client-key");
    }
    if (r->args.words_count != 1 || (cert == NULL && key == NULL)) {
        return rctl_usage(r, "a name, and --client-certificate or --client-key, are needed");
    }
    if (load(r, true, &err) != 0) {
        return rctl_fail(r, &err);
    }
    bool embed = opt_flag(r, "embed-certs");
    struct value *u = config_ensure_entry(&r->arena, &r->config, "users", "user", r->args.words[0]);
    if (set_file(r, u, "client-certificate", cert, embed, &err) != 0 ||
        set_file(r, u, "client-key", key, embed, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return save(r, "User \"%s\" set.\n", r->args.words[0]);
}

const struct command config_set_credentials = {
    .name = "set-credentials",
    .usage = "NAME [--client-certificate FILE] [--client-key FILE] [--embed-certs]",
    .summary = "Change a user, or make one",
    .examples = "  rctl config set-credentials ann --client-certificate=ann.crt --client-key=ann.key --embed-certs\n",
    .options = set_credentials_options,
    .options_count = ARRAY_SIZE(set_credentials_options),
    .run = run_set_credentials,
};

/* ---- rename-context, delete-* ---- */

static int no_such(struct rctl *r, const char *what, const char *name)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND, "%s: there is no %s called \"%s\"", r->config.path, what, name);
    return rctl_fail(r, &err);
}

static int run_rename_context(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count != 2) {
        return rctl_usage(r, "the present and the new name are needed");
    }
    const char *from = r->args.words[0], *to = r->args.words[1];
    if (load(r, false, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct value *entry = config_entry(&r->config, "contexts", from);
    if (entry == NULL) {
        return no_such(r, "context", from);
    }
    if (config_entry(&r->config, "contexts", to) != NULL) {
        error_set(&err, ERR_EXISTS, "%s: there is a context called \"%s\" already", r->config.path, to);
        return rctl_fail(r, &err);
    }
    set(r, entry, "name", to);
    if (strcmp(config_current(&r->arena, &r->config), from) == 0) {
        set(r, r->config.doc, "current-context", to);
    }
    return save(r, arena_printf(&r->arena, "Context \"%s\" renamed to \"%%s\".\n", from), to);
}

const struct command config_rename_context = {
    .name = "rename-context",
    .usage = "NAME NEW-NAME",
    .summary = "Give a context another name",
    .examples = "  rctl config rename-context reeve production\n",
    .run = run_rename_context,
};

static int delete_entry(struct rctl *r, const char *list, const char *what)
{
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "the name of one %s is needed", what);
    }
    const char *name = r->args.words[0];
    if (load(r, false, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (!config_remove_entry(&r->config, list, name)) {
        return no_such(r, what, name);
    }
    if (strcmp(what, "context") == 0 && strcmp(config_current(&r->arena, &r->config), name) == 0) {
        rctl_note(r, "warning: this was the current context; use \"rctl config use-context\" to choose another");
        value_remove(r->config.doc, "current-context");
    }
    return save(r, arena_printf(&r->arena, "deleted %s %%s from %s\n", what, r->config.path), name);
}

static int run_delete_context(struct rctl *r)
{
    return delete_entry(r, "contexts", "context");
}

static int run_delete_cluster(struct rctl *r)
{
    return delete_entry(r, "clusters", "cluster");
}

static int run_delete_user(struct rctl *r)
{
    return delete_entry(r, "users", "user");
}

#define DELETE_COMMAND(what)                                                                                           \
    const struct command config_delete_##what = {.name = "delete-" #what,                                              \
                                                 .usage = "NAME",                                                      \
                                                 .summary = "Take a " #what " out of the configuration",               \
                                                 .examples = "  rctl config delete-" #what " old\n",                   \
                                                 .run = run_delete_##what}
DELETE_COMMAND(context);
DELETE_COMMAND(cluster);
DELETE_COMMAND(user);

/* ---- set, unset ---- */

/* current-context; contexts.NAME.namespace; users.NAME. Names may have dots: the longest that exists counts. *map: what
 * holds the key; *key NULL: the whole entry is meant. */
static int find_property(struct rctl *r, const char *path, const char **list, const char **name, struct value **map,
                         const char **key, struct error *err)
{
    static const char *const lists[][2] = {{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}};
    *list = *name = *key = NULL;
    *map = r->config.doc;
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        size_t n = strlen(lists[i][0]);
        if (strncmp(path, lists[i][0], n) != 0 || path[n] != '.') {
            continue;
        }
        *list = lists[i][0];
        const struct value *entries = value_get(r->config.doc, lists[i][0]);
        size_t best = 0;
        VALUE_FOR(k, entries)
        {
            struct str own = value_to_str(value_get(value_item(entries, k), "name"));
            const char *rest = path + n + 1;
            if (own.n > best && strncmp(rest, own.p, own.n) == 0 && (rest[own.n] == '.' || rest[own.n] == '\0')) {
                best = own.n;
                *name = arena_strndup(&r->arena, own.p, own.n);
                *map = value_get(value_item(entries, k), lists[i][1]);
                *key = rest[own.n] == '.' ? rest + own.n + 1 : NULL;
            }
        }
        return *name != NULL ? 0
                             : error_set(err, ERR_NOT_FOUND, "%s: there is no %s called \"%s\"", r->config.path,
                                         lists[i][1], path + n + 1);
    }
    *key = path;
    return strchr(path, '.') == NULL
               ? 0
               : error_set(
                     err, ERR_USAGE,
                     "\"%s\" is no property: current-context, clusters.NAME.KEY, users.NAME.KEY or contexts.NAME.KEY",
                     path);
}

static int run_set(struct rctl *r)
{
    struct error err = {0};
    const char *list, *name, *key;
    struct value *map;
    if (r->args.words_count != 2) {
        return rctl_usage(r, "a property and its value are needed");
    }
    if (load(r, true, &err) != 0 || find_property(r, r->args.words[0], &list, &name, &map, &key, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (key == NULL || !value_is_map(map)) {
        return rctl_usage(r, "which property of %s?", r->args.words[0]);
    }
    set(r, map, key, r->args.words[1]);
    return save(r, "Property \"%s\" set.\n", r->args.words[0]);
}

const struct command config_set = {
    .name = "set",
    .usage = "PROPERTY VALUE",
    .summary = "Set one value of the configuration",
    .examples = "  rctl config set current-context reeve\n"
                "  rctl config set contexts.reeve.namespace shop\n",
    .run = run_set,
};

static int run_unset(struct rctl *r)
{
    struct error err = {0};
    const char *list, *name, *key;
    struct value *map;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "a property is needed");
    }
    if (load(r, false, &err) != 0 || find_property(r, r->args.words[0], &list, &name, &map, &key, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (key == NULL) {
        config_remove_entry(&r->config, list, name);
    } else if (!value_remove(map, key)) {
        error_set(&err, ERR_NOT_FOUND, "%s: \"%s\" is not set", r->config.path, r->args.words[0]);
        return rctl_fail(r, &err);
    }
    return save(r, "Property \"%s\" unset.\n", r->args.words[0]);
}

const struct command config_unset = {
    .name = "unset",
    .usage = "PROPERTY",
    .summary = "Remove one value of the configuration, or a whole entry",
    .examples = "  rctl config unset current-context\n"
                "  rctl config unset contexts.reeve.namespace\n"
                "  rctl config unset users.old\n",
    .run = run_unset,
};
