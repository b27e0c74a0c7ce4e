/* rctl set image, resources, selector, serviceaccount: one thing of an object (env: set_env.c). */
#include <string.h>

#include "client/cmd/set_common.h"

/* ---- image ---- */

static const struct option_row image_options[] = {OPTION_ROWS_SET};

struct image_set {
    const char *container; /* "*" = all */
    const char *image;
};
struct image_sets {
    struct image_set items[64];
    unsigned count;
};

static int put_image(struct rctl *r, struct value *container, void *data, struct error *err)
{
    (void)err;
    const struct image_set *s = data;
    value_set(&r->arena, container, "image", value_cstr(&r->arena, s->image));
    return 0;
}

static int change_images(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    struct image_sets *sets = data;
    int rc = 0;
    for (unsigned i = 0; i < sets->count && rc == 0; i++) {
        rc = set_containers(r, doc, title, sets->items[i].container, put_image, &sets->items[i], err);
    }
    return rc;
}

static int run_set_image(struct rctl *r)
{
    struct image_sets sets = {.count = 0};
    struct error err = {0};
    unsigned kept = 0;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *word = r->args.words[i], *eq = strchr(word, '=');
        if (eq == NULL) {
            r->args.words[kept++] = word;
        } else if (sets.count < ARRAY_SIZE(sets.items) && eq != word && eq[1] != '\0') {
            sets.items[sets.count++] = (struct image_set){arena_strndup(&r->arena, word, (size_t)(eq - word)), eq + 1};
        } else {
            return rctl_usage(r, "\"%s\" is not CONTAINER=IMAGE", word);
        }
    }
    r->args.words_count = kept;
    if (sets.count == 0) {
        return rctl_usage(r, "which image? CONTAINER=IMAGE");
    }
    for (unsigned i = 0; i < sets.count; i++) {
        if (common_image(sets.items[i].container, sets.items[i].image, &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
    }
    return set_run(r, "image updated", change_images, &sets);
}

static const struct command set_image = {
    .name = "image",
    .usage = "TYPE/NAME CONTAINER=IMAGE...",
    .summary = "Change the image of a container",
    .examples = "  # a Deployment rolls its pods to it\n"
                "  rctl set image deploy/hello hello=hello:2.0\n"
                "  # every container of all Deployments with the label\n"
                "  rctl set image deploy -l app=hello '*=hello:2.0'\n"
                "  # in a file, without a cluster\n"
                "  rctl set image -f web.yaml '*=hello:2.0' --local -o yaml\n",
    .options = image_options,
    .options_count = ARRAY_SIZE(image_options),
    .run = run_set_image,
};

/* ---- resources ---- */

static const struct option_row resources_options[] = {
    OPTION_ROW_CONTAINERS,
    {"limits", 0, OPTION_REPEAT, NULL, NULL, "NAME=AMOUNT,...", "at most so much: cpu=200m,memory=512Mi"},
    {"requests", 0, OPTION_REPEAT, NULL, NULL, "NAME=AMOUNT,...", "so much is kept free for it"},
    OPTION_ROWS_SET,
};

struct resources_set {
    struct value *limits, *requests;
};

/* cpu=200m,memory=512Mi */
static int parse_amounts(struct rctl *r, const char *option, struct value **out)
{
    *out = value_map(&r->arena);
    for (unsigned i = 0; i < args_count(&r->args, option); i++) {
        char *copy = arena_strdup(&r->arena, args_at(&r->args, option, i)), *save = NULL;
        for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
            char *eq = strchr(part, '=');
            if (eq == NULL || eq == part || eq[1] == '\0') {
                return rctl_usage(r, "--%s is NAME=AMOUNT,..., for example cpu=200m,memory=512Mi, not \"%s\"", option,
                                  args_at(&r->args, option, i));
            }
            *eq = '\0';
            value_set(&r->arena, *out, part, value_cstr(&r->arena, eq + 1));
        }
    }
    return EXIT_DONE;
}

static void put_amounts(struct rctl *r, struct value *container, const char *which, const struct value *amounts)
{
    if (amounts->map.count == 0) {
        return;
    }
    struct value *have = value_ensure_map(&r->arena, value_ensure_map(&r->arena, container, "resources"), which);
    for (unsigned i = 0; i < amounts->map.count; i++) {
        value_set_str_key(&r->arena, have, amounts->map.members[i].key,
                          value_copy(&r->arena, amounts->map.members[i].value));
    }
}

static int put_resources(struct rctl *r, struct value *container, void *data, struct error *err)
{
    (void)err;
    const struct resources_set *s = data;
    put_amounts(r, container, "limits", s->limits);
    put_amounts(r, container, "requests", s->requests);
    return 0;
}

static int change_resources(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    return set_containers(r, doc, title, opt(r, "containers"), put_resources, data, err);
}

static int run_set_resources(struct rctl *r)
{
    struct resources_set s;
    if (parse_amounts(r, "limits", &s.limits) != EXIT_DONE || parse_amounts(r, "requests", &s.requests) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    if (s.limits->map.count + s.requests->map.count == 0) {
        return rctl_usage(r, "how much? --limits=cpu=200m,memory=512Mi or --requests=...");
    }
    return set_run(r, "resource requirements updated", change_resources, &s);
}

static const struct command set_resources = {
    .name = "resources",
    .usage = "TYPE/NAME [-c CONTAINER] --limits=cpu=N,memory=N --requests=cpu=N,memory=N",
    .summary = "Change what containers may use and what is kept for them",
    .examples = "  rctl set resources deploy/hello -c hello --limits=cpu=200m,memory=512Mi\n"
                "  rctl set resources deploy/hello --requests=cpu=100m --dry-run=server -o yaml\n",
    .options = resources_options,
    .options_count = ARRAY_SIZE(resources_options),
    .run = run_set_resources,
};

/* ---- serviceaccount ---- */

static const struct option_row account_options[] = {OPTION_ROWS_SET};

static int change_account(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    struct value *spec = set_pod_spec(doc, title, err);
    if (spec == NULL) {
        return err->code;
    }
    value_set(&r->arena, spec, "serviceAccountName", value_cstr(&r->arena, data));
    if (value_get(spec, "serviceAccount") != NULL) { /* the old spelling follows */
        value_set(&r->arena, spec, "serviceAccount", value_cstr(&r->arena, data));
    }
    return 0;
}

static int run_set_account(struct rctl *r)
{
    unsigned least = common_files_given(r) ? 1 : 2;
    if (r->args.words_count < least) {
        return rctl_usage(r, "which account? TYPE/NAME ACCOUNT");
    }
    const char *account = r->args.words[--r->args.words_count];
    return set_run(r, "serviceaccount updated", change_account, (void *)account);
}

static const struct command set_account = {
    .name = "serviceaccount",
    .alias = "sa",
    .usage = "TYPE/NAME ACCOUNT",
    .summary = "Change the account under which pods run",
    .examples = "  rctl set serviceaccount deploy/hello builder\n"
                "  rctl set sa -f web.yaml builder --local -o yaml\n",
    .options = account_options,
    .options_count = ARRAY_SIZE(account_options),
    .run = run_set_account,
};

/* ---- selector ---- */

static const struct option_row selector_options[] = {
    OPTION_ROW_ALL,
    OPTION_ROWS_FILES,
    OPTION_ROWS_WRITE,
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    {"local", 0, OPTION_FLAG, NULL, NULL, NULL, "change what -f holds and print it; ask no cluster"},
    {"resource-version", 0, OPTION_VALUE, NULL, NULL, "VERSION", "only if the object still has this version"}};

static int change_selector(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    const struct kind *k =
        kind_of_reference(value_to_str(value_get(doc, "apiVersion")), value_to_str(value_get(doc, "kind")));
    if (k == NULL || k->id != KIND_SERVICE) {
        return error_set(err, ERR_INVALID,
                         "%s: only a Service's selector can be set; those of Deployments, ReplicaSets, StatefulSets, "
                         "DaemonSets and Jobs are fixed for their life",
                         title);
    }
    const char *version = opt(r, "resource-version");
    struct str have = value_path_str(doc, "metadata.resourceVersion");
    if (version != NULL && !str_eq(have, str_of(version))) {
        return error_set(err, ERR_CONFLICT, "%s has version %.*s, not %s", title, STR_ARG(have), version);
    }
    value_set(&r->arena, value_ensure_map(&r->arena, doc, "spec"), "selector", value_copy(&r->arena, data));
    return 0;
}

static int run_set_selector(struct rctl *r)
{
    struct value *selector = value_map(&r->arena);
    struct error err = {0};
    unsigned kept = 0;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *word = r->args.words[i];
        if (strchr(word, '=') == NULL) {
            r->args.words[kept++] = word;
        } else if (common_pairs(r, "a selector", word, selector, &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
    }
    if (kept == r->args.words_count) {
        return rctl_usage(r, "which selector? KEY=VALUE,...");
    }
    r->args.words_count = kept;
    return set_run(r, "selector updated", change_selector, selector);
}

static const struct command set_selector = {
    .name = "selector",
    .usage = "TYPE/NAME KEY=VALUE,...",
    .summary = "Change which pods a Service sends to",
    .examples = "  # in place of the selector that it has\n"
                "  rctl set selector service/web app=web,tier=front\n",
    .options = selector_options,
    .options_count = ARRAY_SIZE(selector_options),
    .run = run_set_selector,
};

static const struct command *const set_subs[] = {&set_image,   &set_resources, &set_env_command,
                                                 &set_account, &set_selector,  NULL};
const struct command command_set = {
    .name = "set",
    .usage = "image|resources|env|serviceaccount|selector TYPE/NAME ...",
    .summary = "Change one thing of an object: image, env, resources, account",
    .examples = "  rctl set image deploy/hello hello=hello:2.0\n"
                "  rctl set env deploy/hello COLOR=blue OLD-\n"
                "  rctl set resources deploy/hello --limits=memory=512Mi\n",
    .subs = set_subs,
};
