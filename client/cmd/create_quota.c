/* rctl create quota. */
#include <string.h>

#include "client/cmd/create.h"

static const struct option_row quota_options[] = {
    {"hard", 0, OPTION_REPEAT, NULL, NULL, "RESOURCE=AMOUNT[,...]", "the most that there may be of each"},
    {"scopes", 0, OPTION_REPEAT, NULL, NULL, "SCOPE[,...]", "only pods that are all of this count"},
    OPTION_ROWS_CREATE,
};

/* The next item of a list with commas; false: there is none. */
static bool next_item(struct arena *a, const char **list, char **item)
{
    size_t n = strcspn(*list, ",");
    if (**list == '\0') {
        return false;
    }
    *item = arena_strndup(a, *list, n);
    *list += n + ((*list)[n] == ',');
    return true;
}

static int add_hard(struct rctl *r, struct value *hard, const char *list, struct error *err)
{
    char *item;
    while (next_item(&r->arena, &list, &item)) {
        char *equals = strchr(item, '=');
        if (equals == NULL || equals == item || equals[1] == '\0') {
            return error_set(err, ERR_USAGE, "--hard: \"%s\" must be RESOURCE=AMOUNT, such as pods=10", item);
        }
        *equals = '\0';
        if (value_get(hard, item) != NULL) {
            return error_set(err, ERR_USAGE, "--hard: \"%s\" is given twice", item);
        }
        value_set(&r->arena, hard, item, value_cstr(&r->arena, equals + 1));
    }
    return 0;
}

static int run_quota(struct rctl *r)
{
    struct error err = {0};
    struct arena *a = &r->arena;
    char *item;
    int rc = 0;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    struct value *doc = create_document(r, "v1", "ResourceQuota", r->args.words[0], true);
    struct value *spec = value_ensure_map(a, doc, "spec");
    for (unsigned i = 0; i < args_count(&r->args, "hard") && rc == 0; i++) {
        rc = add_hard(r, value_ensure_map(a, spec, "hard"), args_at(&r->args, "hard", i), &err);
    }
    for (unsigned i = 0; i < args_count(&r->args, "scopes"); i++) {
        const char *list = args_at(&r->args, "scopes", i);
        while (next_item(a, &list, &item)) {
            value_append(a, value_ensure_list(a, spec, "scopes"), value_cstr(a, item));
        }
    }
    return rc != 0 ? rctl_usage(r, "%s", err.message) : create_made(r, doc);
}

const struct command create_quota = {
    .name = "quota",
    .alias = "resourcequota",
    .usage = "NAME [--hard=RESOURCE=AMOUNT,...] [--scopes=SCOPE,...]",
    .summary = "Create a ResourceQuota: how much a namespace may have",
    .examples = "  rctl create quota team --hard=pods=20,requests.cpu=4,requests.memory=8Gi,services=5\n"
                "  rctl create quota jobs --hard=pods=10 --scopes=Terminating\n"
                "  rctl describe quota team\n",
    .options = quota_options,
    .options_count = ARRAY_SIZE(quota_options),
    .run = run_quota,
};
