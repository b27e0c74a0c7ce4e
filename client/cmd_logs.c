/* rctl logs: what containers wrote. Masters that die and agents that restart cost no line (client/api_log.c). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/common.h"

static const struct option_row logs_options[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "the container; otherwise the first"},
    {"follow", 'f', OPTION_FLAG, NULL, NULL, NULL, "go on as new lines come"},
    {"previous", 'p', OPTION_FLAG, NULL, NULL, NULL, "of the container's last life, before it was restarted"},
    {"tail", 0, OPTION_VALUE, "-1", NULL, "N", "only the last N lines"},
    {"since", 0, OPTION_VALUE, NULL, NULL, "DURATION", "only lines younger than this: 10s, 5m"},
    {"timestamps", 0, OPTION_FLAG, NULL, NULL, NULL, "the time in front of each line"},
    {"limit-bytes", 0, OPTION_VALUE, "0", NULL, "N", "stop after so many bytes"},
    {"all-containers", 0, OPTION_FLAG, NULL, NULL, NULL, "of all containers, one after another"},
    {"prefix", 0, OPTION_FLAG, NULL, NULL, NULL, "pod and container in front of each line"},
    OPTION_ROW_SELECTOR,
};

struct tail {
    struct rctl *r;
    const char *prefix; /* NULL = none */
    struct buf line;    /* with a prefix: begun, not ended yet */
};

static void print_line(struct tail *t)
{
    if (t->line.size > 0) {
        fputs(t->prefix, t->r->out);
        fwrite(t->line.data, 1, t->line.size, t->r->out);
        buf_reset(&t->line);
    }
}

static void logs_text(struct str text, void *data)
{
    struct tail *t = data;
    while (t->prefix != NULL && text.n > 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl == NULL ? text.n : (size_t)(nl - text.p) + 1;
        buf_append(&t->line, text.p, n);
        text.p += n;
        text.n -= n;
        if (nl != NULL) {
            print_line(t);
        }
    }
    fwrite(text.p, 1, text.n, t->r->out);
    fflush(t->r->out);
}

static void logs_note(const char *text, void *data)
{
    struct tail *t = data;
    rctl_note(t->r, "note: %s", text);
}

static int logs_params(struct rctl *r, const struct object *pod, const char *container, struct value **out,
                       struct error *err)
{
    struct arena *a = &r->arena;
    struct value *p = value_map(a);
    int64_t tail, limit, since_ms = 0;
    if (args_int("tail", opt(r, "tail"), -1, INT32_MAX, &tail, err) != 0 ||
        args_int("limit-bytes", opt(r, "limit-bytes"), 0, INT64_MAX, &limit, err) != 0 ||
        (opt(r, "since") != NULL && args_duration_ms("since", opt(r, "since"), &since_ms, err) != 0)) {
        return err->code;
    }
    value_set(a, p, "namespace", value_str(a, pod->ns));
    value_set(a, p, "name", value_str(a, pod->name));
    value_set(a, p, "container", value_cstr(a, container));
    static const char *const flags[] = {"follow", "previous", "timestamps"};
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (opt_flag(r, flags[i])) {
            value_set(a, p, flags[i], value_bool(a, true));
        }
    }
    if (tail >= 0) {
        value_set(a, p, "tailLines", value_int(a, tail));
    }
    if (since_ms > 0) {
        value_set(a, p, "sinceSeconds", value_int(a, (since_ms + 999) / 1000));
    }
    if (limit > 0) {
        value_set(a, p, "limitBytes", value_int(a, limit));
    }
    *out = p;
    return 0;
}

static int logs_of(struct rctl *r, const struct object *pod, const char *container, const char *prefix,
                   struct error *err)
{
    static const struct api_log_events events = {logs_text, logs_note};
    struct tail t = {.r = r, .prefix = prefix};
    struct value *params = NULL;
    int rc = logs_params(r, pod, container, &params, err);
    if (rc != 0) {
        return rc;
    }
    struct api_log *l = api_log_open(r->api, params, &events, &t);
    api_run(r->api, api_log_ended(l), 0);
    rc = api_log_close(l, err);
    print_line(&t);
    buf_close(&t.line);
    fflush(r->out);
    return rc;
}

static const char *cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* The containers asked for: -c, all, or the first (with a note if there are others). */
static int pod_logs(struct rctl *r, const struct object *pod, bool several)
{
    struct error err = {0};
    struct mp list = mp_path(object_mp(pod), "spec.containers");
    const char *only = opt(r, "container");
    bool all = opt_flag(r, "all-containers") && only == NULL;
    const char *first = NULL;
    CLEANUP_BUF struct buf names = BUF_INIT;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name"));
        first = first == NULL ? cstr(r, name) : first;
        buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", STR_ARG(name));
    }
    if (only == NULL && !all && mp_count(list) > 1 && !several) {
        rctl_note(r, "Defaulted container \"%s\" out of: %s", first, buf_cstr(&names));
    }
    int rc = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it) && rc == 0;) {
        const char *name = only != NULL ? only : all ? cstr(r, mp_str(mp_get(it.value, "name"))) : first;
        const char *prefix =
            opt_flag(r, "prefix") ? arena_printf(&r->arena, "[pod/%.*s/%s] ", STR_ARG(pod->name), name) : NULL;
        rc = logs_of(r, pod, name == NULL ? "" : name, prefix, &err);
        if (!all) {
            break;
        }
    }
    return rc == 0 ? EXIT_DONE : rctl_fail(r, &err);
}

static int run_logs(struct rctl *r)
{
    struct error err = {0};
    const char *selector = opt(r, "selector");
    unsigned words = r->args.words_count;
    if (words == 2 && opt(r, "container") == NULL && strchr(r->args.words[1], '/') == NULL) {
        /* kubectl's old form: POD CONTAINER */
        r->args.values[r->args.values_count++] = (struct args_value){&logs_options[0], r->args.words[1]};
        words = 1;
    }
    if ((words == 1) == (selector != NULL)) {
        return rctl_usage(r, "one pod is needed: its name, deploy/NAME or rs/NAME%s",
                          selector != NULL ? "; or -l SELECTOR, not both" : "");
    }
    if (selector != NULL && opt_flag(r, "follow")) {
        return rctl_usage(r, "one pod at a time can be followed; name it instead of -l");
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (selector == NULL) {
        CLEANUP_OBJECT struct object *pod = NULL;
        if (resource_get_pod(r, r->args.words[0], &pod, &err) != 0) {
            return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
        }
        return pod_logs(r, pod, false);
    }
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_POD), .ns = rctl_namespace(r), .label_selector = selector};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        int one = pod_logs(r, list.items[i], true);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_logs = {
    .name = "logs",
    .alias = "log",
    .usage = "POD | TYPE/NAME [-c CONTAINER] [-f] [-p]",
    .summary = "Show what a container wrote",
    .examples = "  rctl logs hello -c nginx\n"
                "  # the last 20 lines, and going on\n"
                "  rctl logs -f --tail=20 hello -c hello\n"
                "  # of some pod of a Deployment\n"
                "  rctl logs deploy/hello -c hello\n"
                "  # why did it crash?\n"
                "  rctl logs -p hello -c hello\n",
    .options = logs_options,
    .options_count = ARRAY_SIZE(logs_options),
    .run = run_logs,
};
