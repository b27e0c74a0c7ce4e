/* rctl debug: a container beside those of a running pod, a copy of a pod with one more or another program, a pod that
 * sees its node.
 *
 * An ephemeral container cannot be taken back: it ends with its program or with the pod. A copy has neither the labels
 * nor the probes of the pod, so that no owner takes it for its own and nothing ends it while somebody looks.
 * Source: kubectl debug (v1.33): its options, names, and what its profiles change. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/attach.h"
#include "client/cmd/debug.h"
#include "client/cmd/session.h"

static const struct option_row debug_options[] = {
    {"image", 0, OPTION_VALUE, NULL, NULL, "IMAGE", "image of the container"},
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "its name; of a copy also one of the pod's, to change it"},
    {"target", 0, OPTION_VALUE, NULL, NULL, "CONTAINER", "see the processes of this container of the pod"},
    {"copy-to", 0, OPTION_VALUE, NULL, NULL, "NAME", "leave the pod as it is and make a copy"},
    {"replace", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: delete the pod first"},
    {"same-node", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: on the node of the pod"},
    {"share-processes", 0, OPTION_FLAG, "true", NULL, NULL, "with --copy-to: containers see each other's processes"},
    {"set-image", 0, OPTION_REPEAT, NULL, NULL, "C=IMAGE,...", "with --copy-to: other images; * is all containers"},
    {"keep-labels", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: and the pod's labels"},
    {"keep-annotations", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: and the pod's annotations"},
    {"keep-liveness", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: and liveness probes"},
    {"keep-readiness", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: and readiness probes"},
    {"keep-startup", 0, OPTION_FLAG, NULL, NULL, NULL, "with --copy-to: and startup probes"},
    {"keep-init-containers", 0, OPTION_FLAG, "true", NULL, NULL, "with --copy-to: and init containers"},
    {"env", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a variable"},
    {"image-pull-policy", 0, OPTION_VALUE, NULL, NULL, "POLICY", "Always, IfNotPresent or Never"},
    {"arguments-only", 0, OPTION_FLAG, NULL, NULL, NULL, "words behind -- are arguments, not the command"},
    {"profile", 0, OPTION_VALUE, "legacy", NULL, "NAME",
     "rights: legacy, general, baseline, restricted, netadmin or sysadmin"},
    {"custom", 0, OPTION_VALUE, NULL, NULL, "FILE", "fields of a container, merged into the new one"},
    {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, "hand over standard input"},
    {"tty", 't', OPTION_FLAG, NULL, NULL, NULL, "give the container a terminal (with -i)"},
    {"attach", 0, OPTION_FLAG, NULL, NULL, NULL, "wait for the container and join it; with -i this is the default"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only what the container prints"},
    {"pod-running-timeout", 0, OPTION_VALUE, "1m", NULL, "DURATION", "how long to wait until the container runs"},
};

/* ---- Then ---- */

static bool wants_attach(struct rctl *r)
{
    return args_given(&r->args, "attach") ? opt_flag(r, "attach") : opt_flag(r, "stdin");
}

static int join(struct rctl *r, const struct object *pod, const char *container)
{
    return attach_to(r, pod, container, opt_flag(r, "stdin"), opt_flag(r, "stdin") && session_wants_tty(r), true);
}

/* Checked here, created, joined. */
static int create_and_join(struct rctl *r, struct value *doc, const char *container)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *made = NULL;
    if (kind_check_fields(kind_by_id(KIND_POD), &r->arena, doc, 0, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    if (common_create(r, doc, DRY_RUN_NONE, &made, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (container != NULL && wants_attach(r)) {
        return join(r, made, container);
    }
    if (!opt_flag(r, "quiet")) {
        fprintf(r->out, "pod/%.*s created\n", STR_ARG(made->name));
    }
    return EXIT_DONE;
}

/* ---- A copy ---- */

static int set_images(struct rctl *r, struct value *containers, struct error *err)
{
    for (unsigned i = 0; i < args_count(&r->args, "set-image"); i++) {
        char *copy = arena_strdup(&r->arena, args_at(&r->args, "set-image", i)), *save = NULL;
        for (char *name = strtok_r(copy, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
            char *image = NULL;
            if (debug_split_pair("set-image", name, &image, err) != 0) {
                return err->code;
            }
            bool all = strcmp(name, "*") == 0, found = false;
            for (unsigned k = 0; k < value_count(containers); k++) {
                struct value *c = value_item(containers, k);
                if (all || str_is(value_to_str(value_get(c, "name")), name)) {
                    debug_set_text(r, c, "image", image);
                    if (str_is(value_to_str(value_get(c, "imagePullPolicy")), "Always")) {
                        value_remove(c, "imagePullPolicy"); /* the default of the former image, not a wish */
                    }
                    found = true;
                }
            }
            if (!found) {
                return error_set(err, ERR_NOT_FOUND, "--set-image: the pod has no container \"%s\"", name);
            }
        }
    }
    return 0;
}

static void drop_probes(struct rctl *r, struct value *containers)
{
    static const struct {
        const char *option, *field;
    } probes[] = {
        {"keep-liveness", "livenessProbe"}, {"keep-readiness", "readinessProbe"}, {"keep-startup", "startupProbe"}};
    for (unsigned i = 0; i < value_count(containers); i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(probes); k++) {
            if (!opt_flag(r, probes[k].option)) {
                value_remove(value_item(containers, i), probes[k].field);
            }
        }
    }
}

/* *container: the one to join; NULL: only images were changed. */
static int make_copy(struct rctl *r, const struct object *pod, struct value **out, const char **container,
                     struct error *err)
{
    struct arena *a = &r->arena;
    const struct debug_profile *profile = debug_profile(r);
    struct value *old = object_to_value(a, pod), *doc = value_map(a), *spec = value_copy(a, value_get(old, "spec"));
    static const char *const kept[] = {"labels", "annotations"};
    debug_set_text(r, doc, "apiVersion", "v1");
    debug_set_text(r, doc, "kind", "Pod");
    struct value *meta = value_ensure_map(a, doc, "metadata");
    debug_set_text(r, meta, "name", opt(r, "copy-to"));
    value_set(a, meta, "namespace", value_str(a, pod->ns));
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        const struct value *map = value_at(old, "metadata", kept[i], NULL);
        if (map != NULL && opt_flag(r, i == 0 ? "keep-labels" : "keep-annotations")) {
            value_set(a, meta, kept[i], value_copy(a, map));
        }
    }
    value_set(a, doc, "spec", spec);
    value_remove(spec, "ephemeralContainers");
    if (!opt_flag(r, "same-node")) {
        value_remove(spec, "nodeName");
    }
    if (!opt_flag(r, "keep-init-containers")) {
        value_remove(spec, "initContainers");
    }
    if (args_given(&r->args, "share-processes") || profile->shares) {
        debug_set_flag(r, spec, "shareProcessNamespace", opt_flag(r, "share-processes"));
    }
    struct value *containers = value_ensure_list(a, spec, "containers");
    drop_probes(r, containers);
    drop_probes(r, value_get(spec, "initContainers"));
    int rc = set_images(r, containers, err);
    if (rc != 0) {
        return rc;
    }
    const char *name = opt(r, "container");
    struct value *c = name == NULL ? NULL : value_find(containers, "name", str_of(name));
    if (c == NULL && opt(r, "image") == NULL) {
        *out = doc;
        return args_count(&r->args, "set-image") > 0
                   ? 0
                   : error_set(err, ERR_USAGE, "you must specify image when creating new container: --image=IMAGE");
    }
    if (c == NULL) {
        name = debug_container_name(r);
        c = debug_container_new(r, name);
        value_append(a, containers, c);
    }
    *out = doc;
    *container = name;
    return debug_container_fill(r, c, false, err);
}

static int debug_copy(struct rctl *r, const struct object *pod)
{
    struct error err = {0};
    struct value *doc = NULL;
    const char *container = NULL;
    if (make_copy(r, pod, &doc, &container, &err) != 0) {
        return err.code == ERR_USAGE ? common_fail(r, &err) : rctl_fail_here(r, &err);
    }
    if (opt_flag(r, "replace")) {
        struct delete_options d = {.grace_s = 0};
        CLEANUP_OBJECT struct object *o = NULL;
        const char *ns = common_cstr(r, pod->ns), *name = common_cstr(r, pod->name);
        bool gone = false;
        int rc = common_delete(r, pod->kind, ns, name, &d, &o, &gone, &err);
        if (rc == 0 && !gone && strcmp(name, opt(r, "copy-to")) == 0) { /* the name must be free */
            rc = common_wait_gone(r, pod->kind, ns, name, pod->uid, 60000, &err);
        }
        if (rc != 0 && rc != ERR_NOT_FOUND) {
            return rctl_fail(r, &err);
        }
    }
    return create_and_join(r, doc, container);
}

/* ---- Beside the containers of a running pod ---- */

static void append_name(struct rctl *r, struct value *list, struct str name)
{
    struct value *item = value_map(&r->arena);
    value_set(&r->arena, item, "name", value_str(&r->arena, name));
    value_append(&r->arena, list, item);
}

/* Said before the container is joined: the node's event would come too late for the user. */
static void note_target(struct rctl *r, const struct object *pod)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "status.containerStatuses")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "name")), opt(r, "target")) && !opt_flag(r, "quiet") &&
            mp_type(mp_path(it.value, "state.running")) != MP_MAP) {
            rctl_note(r, "note: container \"%s\" does not run now; its processes may not be seen", opt(r, "target"));
        }
    }
}

static int debug_running(struct rctl *r, const struct object *pod)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    if (pod->deleting || str_is(phase, "Succeeded") || str_is(phase, "Failed")) {
        error_set(&err, ERR_INVALID,
                  "pod \"%.*s\" has ended, no container is started in it any more; --copy-to=NAME makes a copy of it",
                  STR_ARG(pod->name));
        return rctl_fail_here(r, &err);
    }
    const char *name = debug_container_name(r);
    struct value *patch = value_map(a), *c = debug_container_new(r, name);
    if (debug_container_fill(r, c, false, &err) != 0) {
        return common_fail(r, &err);
    }
    if (opt(r, "target") != NULL) {
        debug_set_text(r, c, "targetContainerName", opt(r, "target"));
        note_target(r, pod);
    }
    struct value *spec = value_ensure_map(a, patch, "spec");
    value_append(a, value_ensure_list(a, spec, "ephemeralContainers"), c);
    struct value *order =
        value_ensure_list(a, spec, "$setElementOrder/ephemeralContainers"); /* the new one is the last */
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.ephemeralContainers")); mp_next(&it);) {
        append_name(r, order, mp_str(mp_get(it.value, "name")));
    }
    append_name(r, order, str_of(name));
    CLEANUP_OBJECT struct object *now = NULL;
    bool unchanged = false;
    if (common_patch(r, pod->kind, common_cstr(r, pod->ns), common_cstr(r, pod->name), "strategic", patch, "",
                     DRY_RUN_NONE, &now, &unchanged, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return wants_attach(r) ? join(r, now, name) : EXIT_DONE;
}

/* ---- A node ---- */

static int debug_node(struct rctl *r, const struct object *node)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    const struct debug_profile *profile = debug_profile(r);
    const char *container = opt(r, "container") != NULL ? opt(r, "container") : "debugger";
    const char *name = debug_make_name(r, arena_printf(a, "node-debugger-%.*s", STR_ARG(node->name)));
    struct value *doc = value_map(a), *c = debug_container_new(r, container), *everything = value_map(a);
    debug_set_text(r, doc, "apiVersion", "v1");
    debug_set_text(r, doc, "kind", "Pod");
    struct value *meta = value_ensure_map(a, doc, "metadata"), *spec = value_ensure_map(a, doc, "spec");
    debug_set_text(r, meta, "name", name);
    debug_set_text(r, meta, "namespace", rctl_namespace(r));
    debug_set_text(r, value_ensure_map(a, meta, "labels"), "app.kubernetes.io/managed-by", "rctl-debug");
    value_set(a, spec, "nodeName", value_str(a, node->name));
    debug_set_text(r, spec, "restartPolicy", "Never");
    debug_set_text(r, everything, "operator", "Exists");
    value_append(a, value_ensure_list(a, spec, "tolerations"), everything);
    debug_set_flag(r, spec, "hostNetwork", profile->host_network);
    debug_set_flag(r, spec, "hostPID", profile->host_pid);
    debug_set_flag(r, spec, "hostIPC", profile->host_ipc);
    if (profile->host_files) {
        struct value *volume = value_map(a), *mount = value_map(a);
        debug_set_text(r, volume, "name", "host-root");
        debug_set_text(r, value_ensure_map(a, volume, "hostPath"), "path", "/");
        value_append(a, value_ensure_list(a, spec, "volumes"), volume);
        debug_set_text(r, mount, "name", "host-root");
        debug_set_text(r, mount, "mountPath", "/host");
        value_append(a, value_ensure_list(a, c, "volumeMounts"), mount);
    }
    if (debug_container_fill(r, c, true, &err) != 0) {
        return common_fail(r, &err);
    }
    value_append(a, value_ensure_list(a, spec, "containers"), c);
    if (!opt_flag(r, "quiet")) {
        rctl_note(r, "Creating debugging pod %s with container %s on node %.*s.", name, container, STR_ARG(node->name));
    }
    return create_and_join(r, doc, container);
}

/* ---- The command ---- */

static int check_copy(struct rctl *r, struct error *err)
{
    static const char *const only_copies[] = {"set-image", "same-node", "replace", "share-processes"};
    bool copy = opt(r, "copy-to") != NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(only_copies) && !copy; i++) {
        if (args_given(&r->args, only_copies[i])) {
            return error_set(err, ERR_USAGE, "--%s may only be used with --copy-to", only_copies[i]);
        }
    }
    if (copy && opt(r, "target") != NULL) {
        return error_set(err, ERR_USAGE, "--target is incompatible with --copy-to. Use --share-processes instead.");
    }
    bool words = r->args.dash < r->args.words_count;
    if (copy && opt(r, "image") == NULL && args_count(&r->args, "set-image") == 0 && !words) {
        return error_set(err, ERR_USAGE, "you must specify --image, --set-image or command arguments.");
    }
    return 0;
}

static int check_options(struct rctl *r, bool node, struct error *err)
{
    int rc = check_copy(r, err);
    if (rc != 0) {
        return rc;
    }
    if (node && (opt(r, "copy-to") != NULL || opt(r, "target") != NULL)) {
        return error_set(err, ERR_USAGE, "a node has no copy and no containers: neither --copy-to nor --target");
    }
    if (opt(r, "copy-to") == NULL && opt(r, "image") == NULL) {
        return error_set(err, ERR_USAGE, "you must specify --image when not using --copy-to.");
    }
    if (opt(r, "image") != NULL && common_image("--image", opt(r, "image"), err) != 0) {
        return err->code;
    }
    if (opt_flag(r, "tty") && !opt_flag(r, "stdin")) {
        return error_set(err, ERR_USAGE, "-i/--stdin is required for containers with -t/--tty=true");
    }
    if (debug_profile(r) == NULL) {
        return error_set(err, ERR_USAGE,
                         "--profile is legacy, general, baseline, restricted, netadmin or sysadmin, not \"%s\"",
                         opt(r, "profile"));
    }
    return 0;
}

static int run_debug(struct rctl *r)
{
    struct error err = {0};
    struct resources which = {0};
    if (r->args.words_count == 0 || r->args.dash == 0) {
        return rctl_usage(r, "which pod?");
    }
    if (MIN(r->args.dash, r->args.words_count) > 1) {
        return rctl_usage(r, "one pod or node at a time; a command comes behind --");
    }
    const char *word = r->args.words[0];
    bool node = strchr(word, '/') != NULL && resource_parse(&r->arena, &word, 1, &which, &err) == 0 &&
                which.count == 1 && which.items[0].kind->id == KIND_NODE;
    if (check_options(r, node, &err) != 0) {
        return common_fail(r, &err);
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (rctl_connect(r, &err) != 0 || (node ? resource_get(r, &which.items[0], NULL, false, &o, &err)
                                            : resource_get_pod(r, word, &o, NULL, &err)) != 0) {
        return common_fail(r, &err);
    }
    if (node) {
        return debug_node(r, o);
    }
    if (opt(r, "copy-to") != NULL) {
        return debug_copy(r, o);
    }
    return debug_running(r, o);
}

const struct command command_debug = {
    .name = "debug",
    .usage = "POD | TYPE/NAME | node/NAME --image=IMAGE [-ti] [--copy-to=NAME] [-- COMMAND...]",
    .summary = "Look into a pod or a node with a container of another image",
    .examples = "  # a shell beside the containers of a pod; one that sees the processes of a container\n"
                "  rctl debug hello -ti --image=busybox:1.35\n"
                "  rctl debug hello -ti --image=busybox:1.35 --target=nginx -- sh\n"
                "  # a copy of the pod, all of whose processes a shell can see\n"
                "  rctl debug hello -ti --image=busybox:1.35 --copy-to=hello-debug --share-processes\n"
                "  # a copy that waits instead of crashing; with another image\n"
                "  rctl debug hello -ti --copy-to=hello-debug --container=hello -- sh\n"
                "  rctl debug hello --copy-to=hello-debug --set-image=*=busybox:1.35\n"
                "  # a shell on a node, whose files are below /host\n"
                "  rctl debug node/node-1 -ti --image=busybox:1.35\n",
    .options = debug_options,
    .options_count = ARRAY_SIZE(debug_options),
    .run = run_debug,
};
