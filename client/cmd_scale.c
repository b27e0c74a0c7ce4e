/* rctl scale, rctl set image: the two changes people make most. */
#include <stdlib.h>
#include <string.h>

#include "client/common.h"

static const char *cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* ---- scale ---- */

static const struct option_row scale_options[] = {
    {"replicas", 0, OPTION_VALUE, NULL, NULL, "N", "how many pods there shall be"},
    {"current-replicas", 0, OPTION_VALUE, NULL, NULL, "N", "only if it is so many now"},
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE,
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

static int scale_one(struct rctl *r, const struct object *o, int64_t replicas, enum dry_run dry)
{
    struct error err = {0};
    const char *current = opt(r, "current-replicas");
    int64_t expected, now = mp_int(mp_path(object_mp(o), "spec.replicas"), 1);
    if (!o->kind->has_scale) {
        error_set(&err, ERR_INVALID, "%s cannot be scaled; a Deployment or ReplicaSet can",
                  resource_title(&r->arena, o->kind, o->name));
        return rctl_fail(r, &err);
    }
    if (current != NULL && args_int("current-replicas", current, 0, INT32_MAX, &expected, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (current != NULL && expected != now) {
        error_set(&err, ERR_CONFLICT, "expected replicas to be %lld, was %lld", (long long)expected, (long long)now);
        return rctl_fail(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "replicas", value_int(&r->arena, replicas));
    if (current != NULL) { /* what was compared must still hold when it is written */
        value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), "resourceVersion",
                  value_strf(&r->arena, "%llu", (unsigned long long)o->revision));
    }
    CLEANUP_OBJECT struct object *after = NULL;
    if (common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), "merge", patch, "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, "scaled", dry);
}

static int run_scale(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry;
    int64_t replicas;
    CLEANUP_LIST struct api_list list = {0};
    if (opt(r, "replicas") == NULL) {
        return rctl_usage(r, "how many? --replicas=N");
    }
    if (args_int("replicas", opt(r, "replicas"), 0, INT32_MAX, &replicas, &err) != 0 ||
        common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0 || common_select(r, &list, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        int one = scale_one(r, list.items[i], replicas, dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_scale = {
    .name = "scale",
    .usage = "TYPE NAME --replicas=N",
    .summary = "Set how many pods a Deployment or ReplicaSet has",
    .examples = "  rctl scale deploy/hello --replicas=5\n"
                "  rctl scale rs hello --replicas=0\n"
                "  # only if nobody else has scaled it meanwhile\n"
                "  rctl scale deploy/hello --current-replicas=5 --replicas=3\n",
    .options = scale_options,
    .options_count = ARRAY_SIZE(scale_options),
    .run = run_scale,
};

/* ---- set image ---- */

static const struct option_row set_options[] = {
    OPTION_ROW_SELECTOR,  OPTION_ROW_ALL,     OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE, OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT,
};

struct image_set {
    struct str container; /* "*" = all */
    const char *image;
    bool used;
};

/* Adds {name, image} for every container of `list` that a word names. */
static void add_images(struct rctl *r, struct mp containers, struct image_set *sets, unsigned count,
                       struct value *pod_spec, const char *list)
{
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name"));
        for (unsigned i = 0; i < count; i++) {
            if (!str_is(sets[i].container, "*") && !str_eq(sets[i].container, name)) {
                continue;
            }
            struct value *c = value_map(&r->arena);
            value_set(&r->arena, c, "name", value_str(&r->arena, name));
            value_set(&r->arena, c, "image", value_cstr(&r->arena, sets[i].image));
            value_append(&r->arena, value_ensure_list(&r->arena, pod_spec, list), c);
            sets[i].used = true;
        }
    }
}

static int set_image_one(struct rctl *r, const struct object *o, struct image_set *sets, unsigned count,
                         enum dry_run dry)
{
    struct error err = {0};
    bool pod = o->kind->id == KIND_POD;
    struct mp spec = mp_path(object_mp(o), pod ? "spec" : "spec.template.spec");
    if (mp_type(spec) != MP_MAP) {
        return rctl_usage(r, "%s has no containers", resource_title(&r->arena, o->kind, o->name));
    }
    struct value *patch = value_map(&r->arena), *pod_spec = value_ensure_map(&r->arena, patch, "spec");
    if (!pod) {
        pod_spec = value_ensure_map(&r->arena, value_ensure_map(&r->arena, pod_spec, "template"), "spec");
    }
    add_images(r, mp_get(spec, "containers"), sets, count, pod_spec, "containers");
    add_images(r, mp_get(spec, "initContainers"), sets, count, pod_spec, "initContainers");
    for (unsigned i = 0; i < count; i++) {
        if (!sets[i].used) {
            error_set(&err, ERR_NOT_FOUND, "unable to find container named \"%.*s\" in %s", STR_ARG(sets[i].container),
                      resource_title(&r->arena, o->kind, o->name));
            return rctl_fail(r, &err);
        }
    }
    CLEANUP_OBJECT struct object *after = NULL;
    bool unchanged = false;
    if (common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), "strategic", patch, "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, &unchanged, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return unchanged ? EXIT_DONE : common_print_object(r, after, "image updated", dry);
}

static int run_set_image(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry;
    struct image_set sets[64];
    unsigned count = 0, kept = 0;
    CLEANUP_LIST struct api_list list = {0};
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *eq = strchr(r->args.words[i], '=');
        if (eq == NULL) {
            r->args.words[kept++] = r->args.words[i];
        } else if (count < ARRAY_SIZE(sets) && eq != r->args.words[i] && eq[1] != '\0') {
            sets[count++] = (struct image_set){{r->args.words[i], (size_t)(eq - r->args.words[i])}, eq + 1, false};
        } else {
            return rctl_usage(r, "\"%s\" is not CONTAINER=IMAGE", r->args.words[i]);
        }
    }
    r->args.words_count = kept;
    if (count == 0) {
        return rctl_usage(r, "which image? CONTAINER=IMAGE");
    }
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0 || common_select(r, &list, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        int one = set_image_one(r, list.items[i], sets, count, dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static const struct command set_image = {
    .name = "image",
    .usage = "TYPE/NAME CONTAINER=IMAGE...",
    .summary = "Change the image of a container",
    .examples = "  # a Deployment rolls its pods to it\n"
                "  rctl set image deploy/hello hello=hello:2.0\n"
                "  # every container of all Deployments with the label\n"
                "  rctl set image deploy -l app=hello '*=hello:2.0'\n"
                "  rctl rollout status deploy/hello\n",
    .options = set_options,
    .options_count = ARRAY_SIZE(set_options),
    .run = run_set_image,
};
static const struct command *const set_subs[] = {&set_image, NULL};
const struct command command_set = {
    .name = "set",
    .usage = "image TYPE/NAME CONTAINER=IMAGE...",
    .summary = "Change one thing of an object: its image",
    .examples = "  rctl set image deploy/hello hello=hello:2.0\n",
    .subs = set_subs,
};
