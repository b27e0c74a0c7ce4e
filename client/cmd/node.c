/* rctl cordon, uncordon, taint: what may run on a node. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/node.h"

/* Words are names of nodes ("nodes/n1" as well). A node that is missing is told; the others are handled. */
static int select_nodes(struct rctl *r, struct api_list *out, int *code, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_NODE);
    const char *selector = opt(r, "selector");
    if (r->args.words_count == 0 && selector == NULL) {
        return error_set(err, ERR_USAGE, "which node? Give names, or -l SELECTOR");
    }
    if (r->args.words_count > 0 && selector != NULL) {
        return error_set(err, ERR_USAGE, "names cannot be combined with -l");
    }
    if (r->args.words_count == 0) {
        struct api_list_query q = {.kind = k, .label_selector = selector};
        int rc = api_list(r->api, &q, out, err);
        if (rc == 0 && out->count == 0) {
            rctl_note(r, "No resources found");
        }
        return rc;
    }
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *slash = strchr(r->args.words[i], '/');
        struct error why = {0};
        struct object *o;
        int rc = api_get(r->api, k, "", slash == NULL ? r->args.words[i] : slash + 1, false, &o, &why);
        if (rc == ERR_NOT_FOUND) {
            int one = rctl_fail(r, &why);
            *code = *code == EXIT_DONE ? one : *code;
            continue;
        }
        if (rc != 0) {
            *err = why;
            return rc;
        }
        common_add_object(out, o);
    }
    if (out->count > 0 && *code == EXIT_NOT_FOUND) {
        *code = EXIT_FAILED; /* in part */
    }
    return 0;
}

/* ---- cordon, uncordon ---- */

static const struct option_row cordon_options[] = {OPTION_ROW_SELECTOR, OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT};

static int cordon_one(struct rctl *r, const struct object *node, bool cordon, enum dry_run dry)
{
    struct error err = {0};
    bool is = mp_bool(mp_path(object_mp(node), "spec.unschedulable"), false);
    if (is == cordon) {
        return common_print_object(r, node, cordon ? "already cordoned" : "already uncordoned", dry);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "unschedulable",
              cordon ? value_bool(&r->arena, true) : value_null(&r->arena));
    CLEANUP_OBJECT struct object *after = NULL;
    if (common_patch(r, node->kind, "", common_cstr(r, node->name), "merge", patch, "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, cordon ? "cordoned" : "uncordoned", dry);
}

int node_cordon_all(struct rctl *r, bool cordon, struct api_list *nodes)
{
    struct error err = {0};
    enum dry_run dry;
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    int code = EXIT_DONE;
    if (rctl_connect(r, &err) != 0 || select_nodes(r, nodes, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < nodes->count; i++) {
        int one = cordon_one(r, nodes->items[i], cordon, dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_cordon(struct rctl *r)
{
    CLEANUP_LIST struct api_list nodes = {0};
    return node_cordon_all(r, true, &nodes);
}

static int run_uncordon(struct rctl *r)
{
    CLEANUP_LIST struct api_list nodes = {0};
    return node_cordon_all(r, false, &nodes);
}

const struct command command_cordon = {
    .name = "cordon",
    .usage = "NODE...",
    .summary = "Let no new pods come to a node",
    .examples = "  rctl cordon n1\n"
                "  rctl cordon -l disk=hdd\n"
                "  rctl uncordon n1\n",
    .options = cordon_options,
    .options_count = ARRAY_SIZE(cordon_options),
    .run = run_cordon,
};
const struct command command_uncordon = {
    .name = "uncordon",
    .usage = "NODE...",
    .summary = "Let pods come to a node again",
    .examples = "  rctl uncordon n1\n"
                "  rctl uncordon n1 n2\n"
                "  rctl uncordon -l disk=hdd\n",
    .options = cordon_options,
    .options_count = ARRAY_SIZE(cordon_options),
    .run = run_uncordon,
};

/* ---- taint ---- */

static const struct option_row taint_options[] = {
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    {"overwrite", 0, OPTION_FLAG, NULL, NULL, NULL, "change taints that are there already"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

struct taint {
    const char *key, *value, *effect; /* value, effect NULL = not given */
    bool remove;
};

/* KEY=VALUE:EFFECT, KEY:EFFECT, KEY:EFFECT-, KEY- */
static int parse_taint(struct rctl *r, const char *text, struct taint *t, struct error *err)
{
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
    char *s = arena_strdup(&r->arena, text);
    size_t n = strlen(s);
    *t = (struct taint){.key = s};
    if (n > 0 && s[n - 1] == '-') {
        s[n - 1] = '\0';
        t->remove = true;
    }
    char *colon = strchr(s, ':'), *eq = strchr(s, '=');
    if (colon != NULL) {
        *colon = '\0';
        t->effect = colon + 1;
    }
    if (eq != NULL && (colon == NULL || eq < colon)) {
        *eq = '\0';
        t->value = eq + 1;
    }
    bool known = t->effect == NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(effects); i++) {
        known = known || strcmp(t->effect, effects[i]) == 0;
    }
    if (!name_is_label_key(str_of(t->key)) || !known || (!t->remove && t->effect == NULL)) {
        return error_set(err, ERR_USAGE,
                         "\"%s\" is no taint: KEY[=VALUE]:EFFECT sets one (NoSchedule, PreferNoSchedule, NoExecute), "
                         "KEY[:EFFECT]- removes",
                         text);
    }
    return 0;
}

static bool fits(const struct taint *t, const struct value *have)
{
    return str_is(value_to_str(value_get(have, "key")), t->key) &&
           (t->effect == NULL || str_is(value_to_str(value_get(have, "effect")), t->effect));
}

static int change_taints(struct rctl *r, struct value *list, const struct taint *t, struct error *err)
{
    bool found = false;
    for (unsigned i = value_count(list); i > 0; i--) {
        if (fits(t, value_item(list, i - 1))) {
            found = true;
            if (!t->remove && !opt_flag(r, "overwrite")) {
                return error_set(err, ERR_INVALID, "the node has the taint %s:%s already, and --overwrite is false",
                                 t->key, t->effect);
            }
            value_remove_at(list, i - 1);
        }
    }
    if (t->remove) {
        return found ? 0 : error_set(err, ERR_NOT_FOUND, "taint \"%s\" not found", t->key);
    }
    struct value *taint = value_map(&r->arena);
    value_set(&r->arena, taint, "key", value_cstr(&r->arena, t->key));
    if (t->value != NULL && t->value[0] != '\0') {
        value_set(&r->arena, taint, "value", value_cstr(&r->arena, t->value));
    }
    value_set(&r->arena, taint, "effect", value_cstr(&r->arena, t->effect));
    value_append(&r->arena, list, taint);
    return 0;
}

#define TAINT_TRIES 10

/* The list is written whole, so only over the version it was read from: the cluster itself sets and removes taints,
 * too. */
static int taint_once(struct rctl *r, const struct object *node, const struct taint *taints, unsigned count,
                      enum dry_run dry, struct object **after, bool *here, struct error *err)
{
    struct value *doc = object_to_value(&r->arena, node);
    struct value *now = value_path(doc, "spec.taints");
    struct value *list = now == NULL ? value_list(&r->arena) : value_copy(&r->arena, now);
    for (unsigned i = 0; i < count; i++) {
        int rc = change_taints(r, list, &taints[i], err);
        *here = rc != 0;
        if (rc != 0) {
            return rc;
        }
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "taints", list);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), "resourceVersion",
              value_strf(&r->arena, "%llu", (unsigned long long)node->revision));
    return common_patch(r, node->kind, "", common_cstr(r, node->name), "merge", patch, "",
                        dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, after, NULL, err);
}

static int taint_node(struct rctl *r, const struct object *node, const struct taint *taints, unsigned count,
                      enum dry_run dry)
{
    struct error err = {0};
    bool removed = false, here = false;
    CLEANUP_OBJECT struct object *now = object_ref((struct object *)node);
    CLEANUP_OBJECT struct object *after = NULL;
    for (unsigned i = 0; i < count; i++) {
        removed = removed || taints[i].remove;
    }
    int rc = taint_once(r, now, taints, count, dry, &after, &here, &err);
    for (unsigned tries = 0; rc == ERR_CONFLICT && tries < TAINT_TRIES; tries++) {
        struct object *newer = NULL;
        if (api_get(r->api, node->kind, "", common_cstr(r, node->name), false, &newer, &err) != 0) {
            break;
        }
        object_unref(now);
        now = newer;
        rc = taint_once(r, now, taints, count, dry, &after, &here, &err);
    }
    if (rc != 0) {
        return here ? rctl_fail_here(r, &err) : rctl_fail(r, &err);
    }
    return common_print_object(r, after, removed ? "untainted" : "tainted", dry);
}

static int run_taint(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry;
    struct taint taints[16];
    unsigned count = 0, names = 0;
    const char **words = r->args.words;
    if (r->args.words_count > 0 && kind_by_any_name(str_of(words[0])) == kind_by_id(KIND_NODE)) {
        words++;
        r->args.words_count--;
    }
    for (unsigned i = 0; i < r->args.words_count; i++) {
        bool is_taint = strchr(words[i], ':') != NULL || words[i][strlen(words[i]) - 1] == '-';
        if (!is_taint) {
            words[names++] = words[i];
        } else if (count == ARRAY_SIZE(taints) || parse_taint(r, words[i], &taints[count++], &err) != 0) {
            return rctl_usage(r, "%s", err.code == 0 ? "too many taints at once" : err.message);
        }
    }
    r->args.words = words;
    r->args.words_count = names;
    if (count == 0) {
        return rctl_usage(r, "at least one taint is needed: KEY=VALUE:EFFECT");
    }
    CLEANUP_LIST struct api_list nodes = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_NODE)};
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    int code = EXIT_DONE;
    if (rctl_connect(r, &err) != 0 ||
        (opt_flag(r, "all") ? api_list(r->api, &q, &nodes, &err) : select_nodes(r, &nodes, &code, &err)) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < nodes.count; i++) {
        int one = taint_node(r, nodes.items[i], taints, count, dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_taint = {
    .name = "taint",
    .usage = "nodes NODE... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-...",
    .summary = "Keep pods that do not tolerate it away from a node",
    .examples = "  rctl taint nodes n1 dedicated=db:NoSchedule\n"
                "  # pods that run there have to go as well\n"
                "  rctl taint nodes n1 broken:NoExecute\n"
                "  # remove\n"
                "  rctl taint nodes n1 dedicated-\n",
    .options = taint_options,
    .options_count = ARRAY_SIZE(taint_options),
    .run = run_taint,
};
