#include "client/cmd/debug.h"

#include <string.h>

#include "base/env.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

/* ---- Rights ---- */

static const struct debug_profile profiles[] = {
    {.name = "legacy", .host_network = true, .host_pid = true, .host_ipc = true, .host_files = true},
    {.name = "general",
     .capabilities = "SYS_PTRACE",
     .shares = true,
     .host_network = true,
     .host_pid = true,
     .host_ipc = true,
     .host_files = true},
    {.name = "baseline", .shares = true},
    {.name = "restricted", .shares = true, .restricted = true},
    {.name = "netadmin", .capabilities = "NET_ADMIN,NET_RAW", .shares = true, .host_network = true, .host_pid = true},
    {.name = "sysadmin",
     .shares = true,
     .privileged = true,
     .host_network = true,
     .host_pid = true,
     .host_ipc = true,
     .host_files = true},
};

const struct debug_profile *debug_profile(struct rctl *r)
{
    for (unsigned i = 0; i < ARRAY_SIZE(profiles); i++) {
        if (strcmp(profiles[i].name, opt(r, "profile")) == 0) {
            return &profiles[i];
        }
    }
    return NULL;
}

void debug_set_flag(struct rctl *r, struct value *map, const char *key, bool on)
{
    value_set(&r->arena, map, key, value_bool(&r->arena, on));
}

void debug_set_text(struct rctl *r, struct value *map, const char *key, const char *text)
{
    value_set(&r->arena, map, key, value_cstr(&r->arena, text));
}

static void put_rights(struct rctl *r, struct value *container, const struct debug_profile *profile, bool on_node)
{
    struct arena *a = &r->arena;
    if (profile->privileged) {
        debug_set_flag(r, value_ensure_map(a, container, "securityContext"), "privileged", true);
    } else if (profile->restricted) {
        struct value *s = value_ensure_map(a, container, "securityContext");
        struct value *drop = value_list(a);
        value_append(a, drop, value_cstr(a, "ALL"));
        debug_set_flag(r, s, "runAsNonRoot", true);
        debug_set_flag(r, s, "allowPrivilegeEscalation", false);
        value_set(a, value_ensure_map(a, s, "capabilities"), "drop", drop);
        debug_set_text(r, value_ensure_map(a, s, "seccompProfile"), "type", "RuntimeDefault");
    } else if (profile->capabilities != NULL && !(on_node && profile->host_files)) {
        struct value *s = value_ensure_map(a, container, "securityContext");
        struct value *add = value_ensure_list(a, value_ensure_map(a, s, "capabilities"), "add");
        char *copy = arena_strdup(a, profile->capabilities), *save = NULL;
        for (char *one = strtok_r(copy, ",", &save); one != NULL; one = strtok_r(NULL, ",", &save)) {
            value_append(a, add, value_cstr(a, one));
        }
    }
}

/* ---- The container ---- */

/* PREFIX and five letters that make no words. */
const char *debug_make_name(struct rctl *r, const char *prefix)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    unsigned char bytes[5];
    char text[sizeof bytes + 1] = "";
    env_random(env_real(), bytes, sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        text[i] = letters[bytes[i] % (sizeof letters - 1)];
    }
    return arena_printf(&r->arena, "%s-%s", prefix, text);
}

int debug_split_pair(const char *option, char *pair, char **second, struct error *err)
{
    char *eq = strchr(pair, '=');
    if (eq == NULL || eq == pair) {
        return error_set(err, ERR_USAGE, "--%s is KEY=VALUE, not \"%s\"", option, pair);
    }
    *eq = '\0';
    *second = eq + 1;
    return 0;
}

/* --custom: merged as a strategic patch of a pod with this container alone would be. *c becomes another one. */
static int put_custom(struct rctl *r, struct value **c, struct error *err)
{
    static const char *const given_otherwise[] = {"name", "image", "command", "lifecycle", "volumeDevices"};
    struct arena *a = &r->arena;
    const char *file = opt(r, "custom");
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    struct value **docs, *out = NULL, *of[2] = {*c, NULL};
    unsigned count = 0;
    if (file == NULL) {
        return 0;
    }
    int rc = manifest_slurp(file, OBJECT_SIZE_MAX, &text, &size, err);
    rc = rc != 0 ? rc : yaml_read(a, (struct str){text, size}, file, &docs, &count, err);
    if (rc != 0) {
        return rc;
    }
    if (count != 1 || !value_is_map(docs[0])) {
        return error_set(err, ERR_USAGE, "--custom: %s is not the fields of one container", file);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(given_otherwise); i++) {
        if (value_get(docs[0], given_otherwise[i]) != NULL) {
            return error_set(err, ERR_USAGE, "--custom: %s must not have \"%s\"", file, given_otherwise[i]);
        }
    }
    of[1] = value_copy(a, docs[0]);
    value_set(a, of[1], "name", value_get(*c, "name"));
    struct value *pods[2];
    for (unsigned i = 0; i < 2; i++) {
        pods[i] = value_map(a);
        value_append(a, value_ensure_list(a, value_ensure_map(a, pods[i], "spec"), "containers"), of[i]);
    }
    rc = patch_apply(PATCH_STRATEGIC, kind_by_id(KIND_POD), a, pods[0], pods[1], &out, err);
    *c = rc == 0 ? value_copy(a, value_item(value_at(out, "spec", "containers", NULL), 0)) : *c;
    return rc;
}

/* What the command line says of the container, over what it is. */
static int put_container(struct rctl *r, struct value *c, struct error *err)
{
    struct arena *a = &r->arena;
    if (opt(r, "image") != NULL) {
        debug_set_text(r, c, "image", opt(r, "image"));
    }
    if (opt(r, "image-pull-policy") != NULL) {
        debug_set_text(r, c, "imagePullPolicy", opt(r, "image-pull-policy"));
    }
    if (args_count(&r->args, "env") > 0) {
        struct value *env = value_list(a);
        for (unsigned i = 0; i < args_count(&r->args, "env"); i++) {
            char *key = arena_strdup(a, args_at(&r->args, "env", i)), *text = NULL;
            if (debug_split_pair("env", key, &text, err) != 0) {
                return err->code;
            }
            struct value *v = value_map(a);
            debug_set_text(r, v, "name", key);
            debug_set_text(r, v, "value", text);
            value_append(a, env, v);
        }
        value_set(a, c, "env", env);
    }
    if (r->args.dash < r->args.words_count) {
        struct value *words = value_list(a);
        for (unsigned i = r->args.dash; i < r->args.words_count; i++) {
            value_append(a, words, value_cstr(a, r->args.words[i]));
        }
        if (!opt_flag(r, "arguments-only")) {
            value_remove(c, "args");
        }
        value_set(a, c, opt_flag(r, "arguments-only") ? "args" : "command", words);
    }
    debug_set_flag(r, c, "stdin", opt_flag(r, "stdin"));
    debug_set_flag(r, c, "tty", opt_flag(r, "tty"));
    return 0;
}

struct value *debug_container_new(struct rctl *r, const char *name)
{
    struct value *c = value_map(&r->arena);
    debug_set_text(r, c, "name", name);
    debug_set_text(r, c, "terminationMessagePolicy", "FallbackToLogsOnError");
    return c;
}

const char *debug_container_name(struct rctl *r)
{
    const char *name = opt(r, "container");
    if (name == NULL) {
        name = debug_make_name(r, "debugger");
        if (!opt_flag(r, "quiet")) {
            rctl_note(r, "Defaulting debug container name to %s.", name);
        }
    }
    return name;
}

int debug_container_fill(struct rctl *r, struct value *container, bool on_node, struct error *err)
{
    struct value *with = container;
    put_rights(r, container, debug_profile(r), on_node);
    int rc = put_container(r, container, err);
    rc = rc != 0 ? rc : put_custom(r, &with, err);
    *container = *with;
    return rc;
}
