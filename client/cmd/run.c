/* rctl run: one pod of an image, and its terminal if asked; rctl attach: the terminal of a container that runs. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/attach.h"
#include "client/cmd/create.h"
#include "client/cmd/service.h"
#include "client/cmd/session.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

static const struct option_row run_options[] = {
    {"image", 0, OPTION_VALUE, NULL, NULL, "IMAGE", "image of the container"},
    {"env", 'e', OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a variable"},
    {"port", 0, OPTION_VALUE, NULL, NULL, "PORT", "port that the container listens on"},
    {"labels", 'l', OPTION_REPEAT, NULL, NULL, "KEY=VALUE,...", "labels of the pod; otherwise run=NAME"},
    {"annotations", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "an annotation of the pod"},
    {"command", 0, OPTION_FLAG, NULL, NULL, NULL, "words behind -- are the command, not its arguments"},
    {"restart", 0, OPTION_VALUE, "Always", NULL, "POLICY", "Always, OnFailure or Never"},
    {"image-pull-policy", 0, OPTION_VALUE, NULL, NULL, "POLICY", "Always, IfNotPresent or Never"},
    {"privileged", 0, OPTION_FLAG, NULL, NULL, NULL, "a container with all rights"},
    {"overrides", 0, OPTION_VALUE, NULL, NULL, "JSON", "merged into the pod before it is made"},
    {"override-type", 0, OPTION_VALUE, "merge", NULL, "TYPE", "of --overrides: merge, strategic or json"},
    {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, "hand over standard input"},
    {"tty", 't', OPTION_FLAG, NULL, NULL, NULL, "give the container a terminal (with -i)"},
    {"attach", 0, OPTION_FLAG, NULL, NULL, NULL, "wait for the pod and show what it prints"},
    {"leave-stdin-open", 0, OPTION_FLAG, NULL, NULL, NULL, "keep the container's input open when this ends"},
    {"rm", 0, OPTION_FLAG, NULL, NULL, NULL, "delete the pod at the end"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only what the container prints"},
    {"pod-running-timeout", 0, OPTION_VALUE, "1m", NULL, "DURATION", "how long to wait until the pod runs"},
    {"expose", 0, OPTION_FLAG, NULL, NULL, NULL, "a Service for it, with the port of --port"},
    OPTION_ROWS_CREATE,
};

/* ---- The pod ---- */

/* KEY=VALUE of a repeated option into a map; a comma belongs to the value. */
static int put_pairs(struct rctl *r, const char *option, struct value *map, struct error *err)
{
    for (unsigned i = 0; i < args_count(&r->args, option); i++) {
        const char *pair = args_at(&r->args, option, i), *eq = strchr(pair, '=');
        if (eq == NULL || eq == pair) {
            return error_set(err, ERR_USAGE, "--%s is KEY=VALUE, not \"%s\"", option, pair);
        }
        value_set(&r->arena, map, arena_strndup(&r->arena, pair, (size_t)(eq - pair)), value_cstr(&r->arena, eq + 1));
    }
    return 0;
}

static int put_container(struct rctl *r, struct value *c, const char *name, struct error *err)
{
    struct arena *a = &r->arena;
    int64_t port;
    value_set(a, c, "name", value_cstr(a, name));
    value_set(a, c, "image", value_cstr(a, opt(r, "image")));
    if (opt(r, "image-pull-policy") != NULL) {
        value_set(a, c, "imagePullPolicy", value_cstr(a, opt(r, "image-pull-policy")));
    }
    for (unsigned i = 1; i < r->args.words_count; i++) {
        value_append(a, value_ensure_list(a, c, opt_flag(r, "command") ? "command" : "args"),
                     value_cstr(a, r->args.words[i]));
    }
    struct value *env = value_map(a);
    int rc = put_pairs(r, "env", env, err);
    for (unsigned i = 0; i < env->map.count && rc == 0; i++) {
        struct value *v = value_map(a);
        value_set(a, v, "name", value_str(a, env->map.members[i].key));
        value_set(a, v, "value", env->map.members[i].value);
        value_append(a, value_ensure_list(a, c, "env"), v);
    }
    if (rc == 0 && opt(r, "port") != NULL) {
        rc = args_int("port", opt(r, "port"), 1, 65535, &port, err);
        struct value *p = value_map(a);
        value_set(a, p, "containerPort", value_int(a, port));
        value_append(a, value_ensure_list(a, c, "ports"), p);
    }
    if (opt_flag(r, "stdin")) {
        value_set(a, c, "stdin", value_bool(a, true));
        if (!opt_flag(r, "leave-stdin-open")) {
            value_set(a, c, "stdinOnce", value_bool(a, true));
        }
    }
    if (opt_flag(r, "tty")) {
        value_set(a, c, "tty", value_bool(a, true));
    }
    if (opt_flag(r, "privileged")) {
        value_set(a, value_ensure_map(a, c, "securityContext"), "privileged", value_bool(a, true));
    }
    return rc;
}

static int override(struct rctl *r, struct value **doc, struct error *err)
{
    const char *text = opt(r, "overrides");
    struct value **docs;
    unsigned count = 0;
    if (text == NULL) {
        return 0;
    }
    int type = patch_type_parse(str_of(opt(r, "override-type")));
    if (type < 0) {
        return error_set(err, ERR_USAGE, "--override-type is merge, strategic or json, not \"%s\"",
                         opt(r, "override-type"));
    }
    struct value *out;
    int rc = yaml_read(&r->arena, str_of(text), "--overrides", &docs, &count, err);
    if (rc == 0 && count != 1) {
        rc = error_set(err, ERR_USAGE, "--overrides is one document");
    }
    rc = rc != 0 ? rc : patch_apply((enum patch_type)type, kind_by_id(KIND_POD), &r->arena, *doc, docs[0], &out, err);
    *doc = rc == 0 ? value_copy(&r->arena, out) : *doc;
    return rc;
}

static int make_pod(struct rctl *r, struct value **out, struct error *err)
{
    struct arena *a = &r->arena;
    const char *name = r->args.words[0];
    *out = create_document(r, "v1", "Pod", name, true);
    struct value *meta = value_get(*out, "metadata"), *labels = value_ensure_map(a, meta, "labels");
    struct value *annotations = value_map(a), *spec = value_ensure_map(a, *out, "spec"), *c = value_map(a);
    int rc = put_pairs(r, "annotations", annotations, err);
    for (unsigned i = 0; i < args_count(&r->args, "labels") && rc == 0; i++) {
        rc = common_pairs(r, "--labels", args_at(&r->args, "labels", i), labels, err);
    }
    rc = rc != 0 ? rc : put_container(r, c, name, err);
    if (labels->map.count == 0) {
        value_set(a, labels, "run", value_cstr(a, name));
    }
    if (annotations->map.count > 0) {
        value_set(a, meta, "annotations", annotations);
    }
    value_append(a, value_ensure_list(a, spec, "containers"), c);
    value_set(a, spec, "restartPolicy", value_cstr(a, opt(r, "restart")));
    return rc != 0 ? rc : override(r, out, err);
}

static int check_options(struct rctl *r, bool *attach, struct error *err)
{
    static const char *const policies[] = {"Always", "OnFailure", "Never"};
    enum dry_run dry;
    bool known = false, in = opt_flag(r, "stdin");
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
        known = known || strcmp(policies[i], opt(r, "restart")) == 0;
    }
    if (r->args.words_count < 1 || r->args.dash == 0) {
        return error_set(err, ERR_USAGE, "which name? run NAME --image=IMAGE");
    }
    if (opt(r, "image") == NULL) {
        return error_set(err, ERR_USAGE, "which image? --image=IMAGE");
    }
    if (common_image("--image", opt(r, "image"), err) != 0) {
        return err->code;
    }
    if (!known) {
        return error_set(err, ERR_USAGE, "--restart is Always, OnFailure or Never, not \"%s\"", opt(r, "restart"));
    }
    if (opt_flag(r, "expose") && opt(r, "port") == NULL) {
        return error_set(err, ERR_USAGE, "--expose makes a Service: which port? --port=PORT");
    }
    if (opt_flag(r, "tty") && !in) {
        return error_set(err, ERR_USAGE, "-t needs -i: a terminal without input is of no use");
    }
    int rc = common_dry_run(r, &dry, err);
    *attach = args_given(&r->args, "attach") ? opt_flag(r, "attach") : in;
    if (rc == 0 && opt_flag(r, "rm") && !*attach) {
        return error_set(err, ERR_USAGE, "--rm deletes the pod at the end of what is attached: give -i or --attach");
    }
    if (rc == 0 && *attach && dry != DRY_RUN_NONE) {
        return error_set(err, ERR_USAGE, "--dry-run makes no pod to attach to");
    }
    return rc;
}

/* ---- Attaching ---- */

struct settled {
    const char *container; /* NULL: the first */
    bool once;             /* its end is enough: it was made for this */
    bool running, over, gone;
    char reason[256];
};

static void look_at_statuses(struct settled *s, struct mp statuses)
{
    for (struct mp_iter it = mp_iter(statuses); mp_next(&it);) {
        if (s->container != NULL && !str_is(mp_str(mp_get(it.value, "name")), s->container)) {
            continue;
        }
        struct str why = mp_str(mp_path(it.value, "state.waiting.reason")),
                   text = mp_str(mp_path(it.value, "state.waiting.message"));
        s->running = mp_type(mp_path(it.value, "state.running")) == MP_MAP;
        bool ended = mp_type(mp_path(it.value, "state.terminated")) == MP_MAP ||
                     mp_type(mp_path(it.value, "lastState.terminated")) == MP_MAP; /* it waits for its next start */
        s->over = s->over || (s->once && ended);
        snprintf(s->reason, sizeof(s->reason), "%.*s%s%.*s", STR_ARG(why), text.n > 0 ? ": " : "", STR_ARG(text));
        return;
    }
}

static bool settled_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct settled *s = data;
    if (type == API_SYNCED) {
        return true;
    }
    struct mp m = object_mp(o);
    struct str phase = mp_str(mp_path(m, "status.phase"));
    s->gone = type == API_DELETED;
    s->over = str_is(phase, "Succeeded") || str_is(phase, "Failed");
    static const char *const lists[] = {"status.containerStatuses", "status.ephemeralContainerStatuses"};
    for (unsigned i = 0; i < (s->container == NULL ? 1 : ARRAY_SIZE(lists)); i++) {
        look_at_statuses(s, mp_path(m, lists[i]));
    }
    return !s->running && !s->over && !s->gone;
}

static int wait_settled(struct rctl *r, const struct object *pod, struct settled *s, struct error *err)
{
    int64_t timeout_ms;
    struct api_list_query q = {.kind = pod->kind,
                               .ns = common_cstr(r, pod->ns),
                               .field_selector = arena_printf(&r->arena, "metadata.name=%.*s", STR_ARG(pod->name))};
    int rc = args_duration_ms("pod-running-timeout", opt(r, "pod-running-timeout"), &timeout_ms, err);
    rc = rc != 0 ? rc : api_watch(r->api, &q, MAX(timeout_ms, 1), settled_event, s, err);
    if (rc == ERR_TIMEOUT) {
        return error_set(err, ERR_TIMEOUT,
                         "pod \"%.*s\" did not run in time%s%s; \"rctl describe pod %.*s\" tells more",
                         STR_ARG(pod->name), s->reason[0] != '\0' ? ": " : "", s->reason, STR_ARG(pod->name));
    }
    return rc == 0 && s->gone ? error_set(err, ERR_NOT_FOUND, "pod \"%.*s\" was deleted", STR_ARG(pod->name)) : rc;
}

static void log_data(struct mp payload, void *data)
{
    struct rctl *r = data;
    struct str bytes;
    if (mp_read_bin(&payload, &bytes)) {
        fwrite(bytes.p, 1, bytes.n, r->raw_out);
        fflush(r->raw_out);
    }
}

/* What the container prints, from its log. A user who does not type needs no more than that, and the log has it from
 * the start. */
static int show_log(struct rctl *r, const struct object *pod, const char *container, bool from_start, struct error *err)
{
    static const struct api_stream_events events = {.on_data = log_data};
    struct arena *a = &r->arena;
    struct value *p = value_map(a);
    struct api_stream *stream;
    value_set(a, p, "namespace", value_str(a, pod->ns));
    value_set(a, p, "name", value_str(a, pod->name));
    value_set(a, p, "follow", value_bool(a, true));
    if (!from_start) {
        value_set(a, p, "tailLines", value_int(a, 0));
    }
    if (container != NULL) {
        value_set(a, p, "container", value_cstr(a, container));
    }
    int rc = api_stream_open(r->api, "logs", p, &events, r, &stream, err);
    if (rc != 0) {
        return rc;
    }
    api_run(r->api, api_stream_ended(stream), 0);
    return api_stream_close(stream, err);
}

/* Exit code of the container's end, waited for a moment; -1: it goes on, or nobody knows. */
struct ended {
    const char *container;
    int code;
    char reason[256]; /* with the message: why it could not be started, or was killed */
};

static bool ended_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct ended *e = data;
    if (type == API_SYNCED) {
        return true;
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.containerStatuses")); mp_next(&it);) {
        struct mp end = mp_path(it.value, "state.terminated");
        if (mp_type(end) != MP_MAP) {
            end = mp_path(it.value, "lastState.terminated");
        }
        if ((e->container == NULL || str_is(mp_str(mp_get(it.value, "name")), e->container)) &&
            mp_type(end) == MP_MAP) {
            struct str why = mp_str(mp_get(end, "reason")), text = mp_str(mp_get(end, "message"));
            e->code = (int)mp_int(mp_get(end, "exitCode"), 1);
            snprintf(e->reason, sizeof(e->reason), "(%.*s)%s%.*s", STR_ARG(why), text.n > 0 ? ": " : "", STR_ARG(text));
        }
        if (e->container == NULL) {
            break;
        }
    }
    return e->code < 0 && type != API_DELETED;
}

#define ENDED_WAIT_MS 5000
static int exit_code_of_container(struct rctl *r, const struct object *pod, const char *container)
{
    struct error err = {0};
    struct ended e = {.container = container, .code = -1};
    struct api_list_query q = {.kind = pod->kind,
                               .ns = common_cstr(r, pod->ns),
                               .field_selector = arena_printf(&r->arena, "metadata.name=%.*s", STR_ARG(pod->name))};
    api_watch(r->api, &q, ENDED_WAIT_MS, ended_event, &e, &err);
    if (e.code > 0 && !opt_flag(r, "quiet")) {
        rctl_note(r, "pod %.*s/%.*s terminated %s", STR_ARG(pod->ns), STR_ARG(pod->name), e.reason);
    }
    return e.code;
}

int attach_to(struct rctl *r, const struct object *pod, const char *container, bool in, bool tty, bool fresh)
{
    struct error err = {0};
    struct settled s = {.container = container, .once = fresh && container != NULL};
    struct session_end end = {.exit_code = -1};
    int rc = wait_settled(r, pod, &s, &err);
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    if (s.over || !in) {
        rc = show_log(r, pod, container, fresh, &err);
        if (rc == ERR_NOT_FOUND && fresh) { /* ended before a log was begun, or on a node that keeps none */
            rctl_note(r, "note: %s", err.message);
            rc = 0;
        }
    } else {
        if (in && tty && !opt_flag(r, "quiet")) {
            rctl_note(r, "If you don't see a command prompt, try pressing enter.");
        }
        struct value *params = session_params(r, pod, container, in, tty);
        if (fresh) {
            value_set(&r->arena, params, "fromStart", value_bool(&r->arena, true));
        }
        rc = session_run(r, "attach", params, in, tty, &end, &err);
        if (rc == ERR_USAGE && fresh) { /* it has ended between the look and the attach */
            rc = show_log(r, pod, container, true, &err);
        }
    }
    if (end.by_signal) {
        return end.exit_code;
    }
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    return EXIT_DONE;
}

static int remove_pod(struct rctl *r, const struct object *pod)
{
    struct error err = {0};
    struct delete_options d = {.grace_s = -1};
    CLEANUP_OBJECT struct object *o = NULL;
    bool gone;
    int rc = common_delete(r, pod->kind, common_cstr(r, pod->ns), common_cstr(r, pod->name), &d, &o, &gone, &err);
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        return rctl_fail(r, &err);
    }
    if (!opt_flag(r, "quiet")) {
        fprintf(r->out, "pod \"%.*s\" deleted\n", STR_ARG(pod->name));
    }
    return EXIT_DONE;
}

/* The Service of --expose, for the pod that was made. */
static int expose(struct rctl *r, const struct value *pod)
{
    struct error err = {0};
    int64_t port;
    struct value *doc = service_document(r, r->args.words[0]), *labels = value_path(pod, "metadata.labels");
    if (args_int("port", opt(r, "port"), 1, 65535, &port, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    service_add_port(r, doc, NULL, port, NULL, "TCP");
    value_set(&r->arena, value_get(doc, "spec"), "selector", value_copy(&r->arena, labels));
    if (opt(r, "output") != NULL && strcmp(opt(r, "output"), "yaml") == 0) {
        fputs("---\n", r->out);
    }
    return create_made(r, doc);
}

static int run_run(struct rctl *r)
{
    struct error err = {0};
    struct value *doc;
    bool attach = false;
    if (check_options(r, &attach, &err) != 0 || make_pod(r, &doc, &err) != 0) {
        return common_fail(r, &err);
    }
    if (!attach) {
        int made = create_made(r, doc);
        return made == EXIT_DONE && opt_flag(r, "expose") ? expose(r, doc) : made;
    }
    bool in = opt_flag(r, "stdin"), tty = session_wants_tty(r);
    CLEANUP_OBJECT struct object *pod = NULL;
    if (kind_check_fields(kind_by_id(KIND_POD), &r->arena, doc, 0, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    common_record(r, doc, false);
    if (rctl_connect(r, &err) != 0 || common_create(r, doc, DRY_RUN_NONE, &pod, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = opt_flag(r, "expose") ? expose(r, doc) : EXIT_DONE;
    code = code != EXIT_DONE ? code : attach_to(r, pod, NULL, in, tty, true);
    if (code == EXIT_DONE && strcmp(opt(r, "restart"), "Always") != 0) {
        int ended = exit_code_of_container(r, pod, NULL);
        code = ended > 0 ? ended : code;
    }
    int removed = opt_flag(r, "rm") ? remove_pod(r, pod) : EXIT_DONE;
    return code == EXIT_DONE ? removed : code;
}

const struct command command_run = {
    .name = "run",
    .usage = "NAME --image=IMAGE [--env=K=V] [--port=P] [--restart=POLICY] [-ti [--rm]] [-- ARG...]",
    .summary = "Run one pod of an image",
    .examples = "  rctl run web --image=nginx:1.22 --port=80\n"
                "  # arguments of the image's command; another command\n"
                "  rctl run once --image=busybox:1.35 --restart=Never -- echo hello\n"
                "  rctl run once --image=busybox:1.35 --restart=Never --command -- sh -c 'echo hello'\n"
                "  # with a Service of the same name\n"
                "  rctl run web --image=nginx:1.22 --port=80 --expose\n"
                "  # a shell that is gone afterwards\n"
                "  rctl run sh --image=busybox:1.35 -ti --rm --restart=Never -- sh\n"
                "  # a manifest to begin with\n"
                "  rctl run web --image=nginx:1.22 --dry-run=client -o yaml > pod.yaml\n",
    .options = run_options,
    .options_count = ARRAY_SIZE(run_options),
    .run = run_run,
};

/* ---- attach ---- */

static const struct option_row attach_options[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "the container; otherwise the first"},
    {"stdin", 'i', OPTION_FLAG, NULL, NULL, NULL, "hand over standard input"},
    {"tty", 't', OPTION_FLAG, NULL, NULL, NULL, "standard input is a terminal"},
    {"quiet", 'q', OPTION_FLAG, NULL, NULL, NULL, "only what the container prints"},
    {"pod-running-timeout", 0, OPTION_VALUE, "1m", NULL, "DURATION", "how long to wait until the pod runs"},
};

/* The container in the pod's spec; an empty one if there is none of the name. */
static struct mp container_of(const struct object *pod, const char *name)
{
    static const char *const lists[] = {"spec.containers", "spec.ephemeralContainers"};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&it);) {
            if (name == NULL || str_is(mp_str(mp_get(it.value, "name")), name)) {
                return it.value;
            }
        }
    }
    return (struct mp){0};
}

static int run_attach(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *pod = NULL;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "which pod?");
    }
    if (rctl_connect(r, &err) != 0 || resource_get_pod(r, r->args.words[0], &pod, NULL, &err) != 0) {
        return common_fail(r, &err);
    }
    const char *container = opt(r, "container");
    struct mp spec = container_of(pod, container);
    bool in = opt_flag(r, "stdin"), tty = session_wants_tty(r);
    if (container != NULL && mp_type(spec) != MP_MAP) {
        error_set(&err, ERR_NOT_FOUND, "container %s is not valid for pod %.*s", container, STR_ARG(pod->name));
        return rctl_fail_here(r, &err);
    }
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    if (str_is(phase, "Succeeded") || str_is(phase, "Failed")) {
        error_set(&err, ERR_INVALID, "cannot attach a container in a completed pod; current phase is %.*s",
                  STR_ARG(phase));
        return rctl_fail_here(r, &err);
    }
    if (in && !mp_bool(mp_get(spec, "stdin"), false)) {
        rctl_note(r, "the container was made without stdin: true, so nothing you type reaches it");
        in = false;
    }
    if (tty && !mp_bool(mp_get(spec, "tty"), false)) {
        rctl_note(r, "Unable to use a TTY - the container was not made with one");
        tty = false;
    }
    return attach_to(r, pod, container, in, tty, false);
}

const struct command command_attach = {
    .name = "attach",
    .usage = "POD | TYPE/NAME [-c CONTAINER] [-ti]",
    .summary = "Join the input and output of a container that runs",
    .examples = "  rctl attach hello\n"
                "  # type into it\n"
                "  rctl attach -ti sh -c sh\n",
    .options = attach_options,
    .options_count = ARRAY_SIZE(attach_options),
    .run = run_attach,
};
