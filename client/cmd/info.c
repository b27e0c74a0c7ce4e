/* rctl api-resources, api-versions, explain, version, options, completion: about the language and the program
 * itself. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/complete.h"
#include "client/cmd/get_raw.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

/* ---- api-resources, api-versions ---- */

#define RESOURCE_COLUMNS 7u

static const struct option_row resources_options[] = {
    {"namespaced", 0, OPTION_MAYBE, NULL, "true", "BOOL", "only those that live in namespaces (false: the others)"},
    {"verbs", 0, OPTION_VALUE, NULL, NULL, "VERB,...", "only those with which all of this can be done: list,get"},
    {"api-group", 0, OPTION_VALUE, NULL, NULL, "GROUP", "only those of one group: apps"},
    {"categories", 0, OPTION_VALUE, NULL, NULL, "CATEGORY", "only those that the word stands for: all"},
    {"sort-by", 0, OPTION_VALUE, NULL, NULL, "COLUMN", "name or kind"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "wide or name"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    {"cached", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
};

static bool has_verb(struct str verb)
{
    for (unsigned i = 0; get_raw_verbs[i] != NULL; i++) {
        if (str_is(verb, get_raw_verbs[i])) {
            return true;
        }
    }
    return false;
}

/* All verbs of a list "get,list". */
static bool has_verbs(const char *list)
{
    for (const char *p = list; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, ",");
        if (!has_verb((struct str){p, n})) {
            return false;
        }
        p += n + (p[n] == ',');
    }
    return true;
}

static bool is_listed(struct rctl *r, const struct kind *k)
{
    const char *namespaced = opt(r, "namespaced"), *group = opt(r, "api-group"), *category = opt(r, "categories");
    return (namespaced == NULL || (strcmp(namespaced, "true") == 0) == k->namespaced) && has_verbs(opt(r, "verbs")) &&
           (group == NULL || str_is(get_raw_group(k), group)) &&
           (category == NULL || (strcmp(category, "all") == 0 && k->in_all));
}

static int compare_plurals(const void *x, const void *y)
{
    return strcmp((*(const struct kind *const *)x)->plural, (*(const struct kind *const *)y)->plural);
}

static int compare_kinds(const void *x, const void *y)
{
    return strcmp((*(const struct kind *const *)x)->name, (*(const struct kind *const *)y)->name);
}

/* "deployments.apps" */
static const char *full_plural(struct rctl *r, const struct kind *k)
{
    struct str group = get_raw_group(k);
    return group.n == 0 ? k->plural : arena_printf(&r->arena, "%s.%.*s", k->plural, STR_ARG(group));
}

static void print_resources(struct rctl *r, const struct kind *const *kinds, unsigned count, bool wide)
{
    static const char *const head[] = {"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"};
    unsigned columns = wide ? RESOURCE_COLUMNS : RESOURCE_COLUMNS - 2, rows = 0;
    const char **cells = arena_alloc(&r->arena, columns * ((size_t)count + 1) * sizeof(*cells));
    CLEANUP_BUF struct buf verbs = BUF_INIT, out = BUF_INIT;
    for (unsigned i = 0; get_raw_verbs[i] != NULL; i++) {
        buf_printf(&verbs, "%s%s", i > 0 ? "," : "", get_raw_verbs[i]);
    }
    if (!opt_flag(r, "no-headers")) {
        memcpy(cells, head, columns * sizeof(*cells));
        rows = 1;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct kind *k = kinds[i];
        const char *row[RESOURCE_COLUMNS] = {
            k->plural, k->short_names,   k->api_version,        k->namespaced ? "true" : "false",
            k->name,   buf_cstr(&verbs), k->in_all ? "all" : ""};
        memcpy(cells + columns * (size_t)rows++, row, columns * sizeof(*cells));
    }
    grid_print(&out, cells, columns, rows);
    rctl_write(r, &out);
}

static int run_api_resources(struct rctl *r)
{
    const char *form = opt(r, "output"), *order = opt(r, "sort-by");
    bool by_name = form != NULL && strcmp(form, "name") == 0, wide = form != NULL && strcmp(form, "wide") == 0;
    if (form != NULL && !by_name && !wide) {
        return rctl_usage(r, "--output is wide or name, not \"%s\"", form);
    }
    if (order != NULL && strcmp(order, "name") != 0 && strcmp(order, "kind") != 0) {
        return rctl_usage(r, "--sort-by is name or kind, not \"%s\"", order);
    }
    const struct kind **kinds = arena_alloc(&r->arena, (kinds_count() + 1) * sizeof(struct kind *));
    unsigned count = 0;
    for (unsigned i = 0; i < kinds_count(); i++) {
        if (is_listed(r, kinds_at(i))) {
            kinds[count++] = kinds_at(i);
        }
    }
    bool by_kind = order != NULL && order[0] == 'k';
    qsort(kinds, count, sizeof(struct kind *), by_kind ? compare_kinds : compare_plurals);
    for (unsigned i = 0; i < count && by_name; i++) {
        fprintf(r->out, "%s\n", full_plural(r, kinds[i]));
    }
    if (!by_name) {
        print_resources(r, kinds, count, wide);
    }
    return EXIT_DONE;
}

const struct command command_api_resources = {
    .name = "api-resources",
    .usage = "[--namespaced=BOOL] [--verbs=VERB,...] [-o wide|name]",
    .summary = "List the types of objects",
    .examples = "  rctl api-resources\n"
                "  rctl api-resources --namespaced=false\n"
                "  # whatever can be listed and deleted\n"
                "  rctl api-resources --verbs=list,delete -o name\n",
    .options = resources_options,
    .options_count = ARRAY_SIZE(resources_options),
    .run = run_api_resources,
    .wordless = true,
};

static int run_api_versions(struct rctl *r)
{
    const struct kind *last = NULL;
    const struct kind **kinds = arena_alloc(&r->arena, (kinds_count() + 1) * sizeof(struct kind *));
    unsigned count = 0;
    for (unsigned i = 0; i < kinds_count(); i++) { /* each version once, in order */
        unsigned at = count;
        bool known = false;
        for (unsigned k = 0; k < count; k++) {
            int c = strcmp(kinds[k]->api_version, kinds_at(i)->api_version);
            known = known || c == 0;
            at = c > 0 && k < at ? k : at;
        }
        if (!known) {
            memmove(kinds + at + 1, kinds + at, (count - at) * sizeof(*kinds));
            kinds[at] = kinds_at(i);
            count++;
        }
    }
    for (unsigned i = 0; i < count; last = kinds[i++]) {
        assert(last == NULL || strcmp(last->api_version, kinds[i]->api_version) < 0);
        fprintf(r->out, "%s\n", kinds[i]->api_version);
    }
    return EXIT_DONE;
}

const struct command command_api_versions = {
    .name = "api-versions",
    .usage = "",
    .summary = "List the versions of the API, GROUP/VERSION",
    .examples = "  rctl api-versions\n",
    .run = run_api_versions,
    .wordless = true,
};

/* ---- explain ---- */

static const struct option_row explain_options[] = {
    {"recursive", 0, OPTION_FLAG, NULL, NULL, NULL, "all fields below, without their texts"},
    {"api-version", 0, OPTION_VALUE, NULL, NULL, "VERSION", NULL}, /* of each kind there is one */
};

static int run_explain(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "which type or field? For example: rctl explain pods.spec.containers");
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (kind_explain(&out, str_of(r->args.words[0]), opt_flag(r, "recursive"), &err) != 0) {
        return rctl_fail(r, &err);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_explain = {
    .name = "explain",
    .usage = "TYPE[.FIELD...] [--recursive]",
    .summary = "What a type of object, or a field of it, means",
    .examples = "  rctl explain pods\n"
                "  rctl explain deploy.spec.strategy.rollingUpdate\n"
                "  rctl explain pods.spec.containers --recursive\n",
    .options = explain_options,
    .options_count = ARRAY_SIZE(explain_options),
    .run = run_explain,
};

/* ---- version ---- */

static const struct option_row version_options[] = {
    {"client", 0, OPTION_FLAG, NULL, NULL, NULL, "only this program's; no connection"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
    {"short", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
};

/* "0.1.0" -> {major, minor, gitVersion} */
static struct value *version_document(struct arena *a, struct str v)
{
    struct value *doc = value_map(a);
    int64_t parts[2] = {0, 0};
    for (size_t i = 0, at = 0; i < v.n && at < 2; i++) {
        if (v.p[i] == '.') {
            at++;
        } else if (v.p[i] >= '0' && v.p[i] <= '9') {
            parts[at] = parts[at] * 10 + (v.p[i] - '0');
        }
    }
    value_set(a, doc, "gitVersion", value_strf(a, "v%.*s", STR_ARG(v)));
    value_set(a, doc, "major", value_strf(a, "%" PRId64, parts[0]));
    value_set(a, doc, "minor", value_strf(a, "%" PRId64, parts[1]));
    return doc;
}

static int run_version(struct rctl *r)
{
    struct error err = {0};
    struct arena *a = &r->arena;
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    bool document = opt(r, "output") != NULL;
    struct value *doc = value_map(a);
    value_set(a, doc, "clientVersion", version_document(a, STR(REEVE_VERSION)));
    if (!document) {
        fprintf(r->out, "Client Version: %s\n", REEVE_VERSION);
    }
    if (!opt_flag(r, "client")) {
        CLEANUP_REPLY struct api_reply reply = {0};
        struct value *params = value_map(a);
        value_set(a, params, "version", value_cstr(a, REEVE_VERSION));
        if (rctl_connect(r, &err) != 0 || api_read(r->api, "hello", params, &reply, &err) != 0) {
            return rctl_fail(r, &err);
        }
        struct str v = mp_str(mp_get(reply.result, "version"));
        value_set(a, doc, "serverVersion", version_document(a, v));
        if (!document) {
            fprintf(r->out, "Server Version: %.*s\n", STR_ARG(v));
        }
        struct mp level = mp_get(reply.result, "featureLevel"); /* an older master has none */
        if (mp_type(level) == MP_INT && document) {
            value_set(a, doc, "featureLevel", value_int(a, mp_int(level, 0)));
        } else if (mp_type(level) == MP_INT) {
            fprintf(r->out, "Feature Level: %" PRId64 "\n", mp_int(level, 0));
        }
    }
    if (document) {
        common_print_form(r, doc);
    }
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .usage = "[--client] [-o json|yaml]",
    .summary = "Versions of this program and of the cluster",
    .examples = "  rctl version\n"
                "  rctl version --client\n"
                "  rctl version -o json\n",
    .options = version_options,
    .options_count = ARRAY_SIZE(version_options),
    .run = run_version,
    .wordless = true,
};

/* ---- options ---- */

static int run_options(struct rctl *r)
{
    fputs("These options can be given to every command:\n\n", r->out);
    rctl_print_options(r->out);
    return EXIT_DONE;
}

const struct command command_options = {
    .name = "options",
    .usage = "",
    .summary = "List the options of all commands",
    .examples = "  rctl options\n",
    .run = run_options,
};

/* ---- completion ---- */

static int run_completion(struct rctl *r)
{
    const char *script = r->args.words_count == 1 ? complete_script(r->args.words[0]) : NULL;
    if (script == NULL) {
        return rctl_usage(r, "which shell? bash, zsh and fish are known");
    }
    fputs(script, r->out);
    return EXIT_DONE;
}

const struct command command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "Print the completion script of a shell",
    .examples = "  source <(rctl completion bash)\n"
                "  # for all later shells\n"
                "  rctl completion bash > /etc/bash_completion.d/rctl\n"
                "  rctl completion zsh > \"${fpath[1]}/_rctl\"\n"
                "  rctl completion fish > ~/.config/fish/completions/rctl.fish\n",
    .run = run_completion,
};
