/* rctl scale: how many pods. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/common.h"

static const struct option_row scale_options[] = {
    {"replicas", 0, OPTION_VALUE, NULL, NULL, "N", "how many pods there shall be"},
    {"current-replicas", 0, OPTION_VALUE, NULL, NULL, "N", "only if it is so many now"},
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    OPTION_ROWS_FILES,
    OPTION_ROWS_WRITE,
    {"timeout", 0, OPTION_VALUE, "0s", NULL, "DURATION", "wait so long until it has so many; 0: do not wait"},
    {"resource-version", 0, OPTION_VALUE, NULL, NULL, "VERSION", "only if the object still has this version"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

static bool scaled_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct mp m = type == API_SYNCED ? (struct mp){0} : object_mp(o);
    return type == API_SYNCED || type == API_DELETED ||
           mp_int(mp_path(m, "status.observedGeneration"), 0) < o->generation ||
           mp_int(mp_path(m, "status.replicas"), 0) != *(const int64_t *)data;
}

static int wait_scaled(struct rctl *r, const struct object *o, int64_t replicas, int64_t timeout_ms, struct error *err)
{
    struct api_list_query q = {.kind = o->kind,
                               .ns = common_cstr(r, o->ns),
                               .field_selector = arena_printf(&r->arena, "metadata.name=%.*s", STR_ARG(o->name))};
    return api_watch(r->api, &q, timeout_ms, scaled_event, &replicas, err);
}

static int scale_one(struct rctl *r, const struct object *o, int64_t replicas, int64_t timeout_ms, enum dry_run dry)
{
    struct error err = {0};
    const char *current = opt(r, "current-replicas");
    int64_t expected, now = mp_int(mp_path(object_mp(o), "spec.replicas"), 1);
    if (!o->kind->has_scale) {
        error_set(&err, ERR_INVALID,
                  "%s cannot be scaled; a Deployment, ReplicaSet, ReplicationController or StatefulSet can",
                  resource_title(&r->arena, o->kind, o->name));
        return rctl_fail_here(r, &err);
    }
    if (current != NULL && args_int("current-replicas", current, 0, INT32_MAX, &expected, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (current != NULL && expected != now) {
        error_set(&err, ERR_CONFLICT, "expected replicas to be %lld, was %lld", (long long)expected, (long long)now);
        return rctl_fail_here(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "replicas", value_int(&r->arena, replicas));
    if (current != NULL) { /* what was compared must still hold when it is written */
        value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), "resourceVersion",
                  value_strf(&r->arena, "%llu", (unsigned long long)o->revision));
    }
    if (opt(r, "resource-version") != NULL) {
        value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), "resourceVersion",
                  value_cstr(&r->arena, opt(r, "resource-version")));
    }
    CLEANUP_OBJECT struct object *after = NULL;
    if (common_patch(r, o->kind, common_cstr(r, o->ns), common_cstr(r, o->name), "merge", patch, "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = common_print_object(r, after, "scaled", dry);
    if (code == EXIT_DONE && timeout_ms > 0 && dry == DRY_RUN_NONE &&
        wait_scaled(r, after, replicas, timeout_ms, &err) != 0) {
        error_wrap(&err, "wait for %lld pods of %s", (long long)replicas, resource_title(&r->arena, o->kind, o->name));
        return rctl_fail_here(r, &err);
    }
    return code;
}

static int run_scale(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry;
    int64_t replicas, timeout_ms;
    CLEANUP_LIST struct api_list list = {0};
    if (opt(r, "replicas") == NULL) {
        return rctl_usage(r, "how many? --replicas=N");
    }
    if (args_int("replicas", opt(r, "replicas"), 0, INT32_MAX, &replicas, &err) != 0 ||
        args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, &err) != 0 || common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    int code = EXIT_DONE;
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        int one = scale_one(r, list.items[i], replicas, timeout_ms, dry);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_scale = {
    .name = "scale",
    .usage = "TYPE NAME... --replicas=N",
    .summary = "Set how many pods a Deployment, ReplicaSet, StatefulSet or ReplicationController has",
    .examples = "  rctl scale deploy/hello --replicas=5\n"
                "  rctl scale rs hello --replicas=0\n"
                "  # only if nobody else has scaled it meanwhile\n"
                "  rctl scale deploy/hello --current-replicas=5 --replicas=3\n",
    .options = scale_options,
    .options_count = ARRAY_SIZE(scale_options),
    .run = run_scale,
};
