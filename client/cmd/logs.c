/* rctl logs: what containers wrote. Masters that die and agents that restart cost no line (client/api/log.c). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/common.h"

static const struct option_row logs_options[] = {
    {"container", 'c', OPTION_VALUE, NULL, NULL, "NAME", "the container; otherwise the first"},
    {"follow", 'f', OPTION_FLAG, NULL, NULL, NULL, "go on as new lines come"},
    {"previous", 'p', OPTION_FLAG, NULL, NULL, NULL, "of the container's last life, before it was restarted"},
    {"tail", 0, OPTION_VALUE, "-1", NULL, "N", "only the last N lines"},
    {"since", 0, OPTION_VALUE, NULL, NULL, "DURATION", "only lines younger than this: 10s, 5m"},
    {"since-time", 0, OPTION_VALUE, NULL, NULL, "TIME", "only lines from this time on: 2026-01-31T08:00:00Z"},
    {"timestamps", 0, OPTION_FLAG, NULL, NULL, NULL, "the time in front of each line"},
    {"limit-bytes", 0, OPTION_VALUE, "0", NULL, "N", "stop after so many bytes"},
    {"all-containers", 0, OPTION_FLAG, NULL, NULL, NULL, "of all containers, with --follow side by side"},
    {"all-pods", 0, OPTION_FLAG, NULL, NULL, NULL, "of all pods of deploy, rs or svc/NAME, not of one; with --prefix"},
    {"prefix", 0, OPTION_FLAG, NULL, NULL, NULL, "pod and container in front of each line"},
    {"max-log-requests", 0, OPTION_VALUE, "5", NULL, "N", "follow so many logs at once, not more"},
    {"ignore-errors", 0, OPTION_FLAG, NULL, NULL, NULL, "a log that cannot be had is told, and is no failure"},
    OPTION_ROW_SELECTOR,
    {"pod-running-timeout", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    {"insecure-skip-tls-verify-backend", 0, OPTION_MAYBE, NULL, "true", NULL, NULL},
};

#define SOURCES_MAX   1024u
#define SELECTED_TAIL 10 /* lines of each log, if many pods are selected and nothing else is said */

/* One container's log. */
struct source {
    struct rctl *r;
    const struct object *pod;
    const char *container, *prefix; /* prefix NULL = none */
    bool by_lines;                  /* others write between */
    struct buf line;                /* with by_lines or a prefix: begun, not ended yet */
    struct api_log *log;
};
struct sources {
    struct source *items; /* SOURCES_MAX */
    unsigned count;
    struct api_list pods; /* they are of */
};

static void print_line(struct source *s)
{
    if (s->line.size > 0) {
        fputs(s->prefix == NULL ? "" : s->prefix, s->r->raw_out);
        fwrite(s->line.data, 1, s->line.size, s->r->raw_out);
        buf_reset(&s->line);
    }
}

static void logs_text(struct str text, void *data)
{
    struct source *s = data;
    while (s->by_lines && text.n > 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl == NULL ? text.n : (size_t)(nl - text.p) + 1;
        buf_append(&s->line, text.p, n);
        text.p += n;
        text.n -= n;
        if (nl != NULL) {
            print_line(s);
        }
    }
    fwrite(text.p, 1, text.n, s->r->raw_out);
    fflush(s->r->raw_out);
}

static void logs_note(const char *text, void *data)
{
    struct source *s = data;
    rctl_note(s->r, "note: %s", text);
}

/* What is asked of every log. */
static int logs_params(struct rctl *r, bool many, struct value **out, struct error *err)
{
    static const char *const flags[] = {"follow", "previous", "timestamps"};
    struct arena *a = &r->arena;
    struct value *p = value_map(a);
    int64_t tail, limit, since_ms = 0;
    const char *since_time = opt(r, "since-time");
    if (args_int("tail", opt(r, "tail"), -1, INT32_MAX, &tail, err) != 0 ||
        args_int("limit-bytes", opt(r, "limit-bytes"), 0, INT64_MAX, &limit, err) != 0 ||
        (opt(r, "since") != NULL && args_duration_ms("since", opt(r, "since"), &since_ms, err) != 0)) {
        return err->code;
    }
    if (since_time != NULL && opt(r, "since") != NULL) {
        return error_set(err, ERR_USAGE, "either --since or --since-time");
    }
    if (since_time != NULL && !timefmt_parse(str_of(since_time), &since_ms)) {
        return error_set(err, ERR_USAGE, "--since-time is a time such as 2026-01-31T08:00:00Z, not \"%s\"", since_time);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (opt_flag(r, flags[i])) {
            value_set(a, p, flags[i], value_bool(a, true));
        }
    }
    tail = many && !args_given(&r->args, "tail") ? SELECTED_TAIL : tail;
    if (tail >= 0) {
        value_set(a, p, "tailLines", value_int(a, tail));
    }
    if (since_time != NULL) {
        value_set(a, p, "sinceTime", value_cstr(a, since_time));
    } else if (since_ms > 0) {
        value_set(a, p, "sinceSeconds", value_int(a, (since_ms + 999) / 1000));
    }
    if (limit > 0) {
        value_set(a, p, "limitBytes", value_int(a, limit));
    }
    *out = p;
    return 0;
}

/* ---- Which logs ---- */

static int add_source(struct rctl *r, struct sources *all, const struct object *pod, const char *container,
                      struct error *err)
{
    if (all->count == SOURCES_MAX) {
        return error_set(err, ERR_TOO_LARGE, "more than %u logs are meant; choose fewer pods", SOURCES_MAX);
    }
    bool prefix = opt_flag(r, "prefix") || opt_flag(r, "all-pods");
    struct source *s = &all->items[all->count++];
    *s = (struct source){.r = r, .pod = pod, .container = container};
    s->prefix = prefix ? arena_printf(&r->arena, "[pod/%.*s/%s] ", STR_ARG(pod->name), container) : NULL;
    return 0;
}

/* The containers asked for: -c, all, or the pod's default one (with a note if there are others, and this is the only
 * pod). */
static int add_pod(struct rctl *r, struct sources *all, const struct object *pod, bool several, struct error *err)
{
    static const char *const lists[] = {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"};
    const char *only = opt(r, "container");
    struct mp containers = mp_path(object_mp(pod), "spec.containers");
    if (only != NULL) {
        return add_source(r, all, pod, only, err);
    }
    CLEANUP_BUF struct buf names = BUF_INIT;
    struct str chosen = object_annotation(pod, "kubectl.kubernetes.io/default-container");
    bool every = opt_flag(r, "all-containers");
    for (unsigned i = every ? 0 : 1; i < (every ? ARRAY_SIZE(lists) : 2); i++) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&it);) {
            struct str name = mp_str(mp_get(it.value, "name"));
            chosen = chosen.n == 0 ? name : chosen;
            buf_printf(&names, "%s%.*s", names.size > 0 ? ", " : "", STR_ARG(name));
            int rc = opt_flag(r, "all-containers") ? add_source(r, all, pod, common_cstr(r, name), err) : 0;
            if (rc != 0) {
                return rc;
            }
        }
    }
    if (opt_flag(r, "all-containers")) {
        return 0;
    }
    if (mp_count(containers) > 1 && !several) {
        rctl_note(r, "Defaulted container \"%.*s\" out of: %s", STR_ARG(chosen), buf_cstr(&names));
    }
    return add_source(r, all, pod, common_cstr(r, chosen), err);
}

/* The selector of the pods of a workload, for --all-pods. */
static int owner_selector(struct rctl *r, const char *word, const char **selector, struct error *err)
{
    struct resource res;
    CLEANUP_OBJECT struct object *owner = NULL;
    int rc = resource_parse_pod_owner(&r->arena, word, &res, err);
    if (rc == 0 && res.kind->id == KIND_POD) {
        return error_set(err, ERR_USAGE, "--all-pods is for deploy/NAME, rs/NAME and svc/NAME, not for a pod");
    }
    rc = rc != 0 ? rc : resource_get(r, &res, rctl_namespace(r), true, &owner, err);
    if (rc == 0) {
        *selector = resource_selector(&r->arena, owner, err);
        rc = *selector == NULL ? err->code : 0;
    }
    return rc;
}

static int find_sources(struct rctl *r, struct sources *all, struct error *err)
{
    const char *selector = opt(r, "selector");
    int rc = selector == NULL && opt_flag(r, "all-pods") ? owner_selector(r, r->args.words[0], &selector, err) : 0;
    if (rc == 0 && selector == NULL) {
        struct object *pod;
        rc = resource_get_pod(r, r->args.words[0], &pod, NULL, err);
        if (rc == 0) {
            all->pods.items = xcalloc(1, sizeof(pod));
            all->pods.items[all->pods.count++] = pod;
        }
    } else if (rc == 0) {
        struct api_list_query q = {.kind = kind_by_id(KIND_POD), .ns = rctl_namespace(r), .label_selector = selector};
        rc = api_list(r->api, &q, &all->pods, err);
    }
    for (unsigned i = 0; i < all->pods.count && rc == 0; i++) {
        rc = add_pod(r, all, all->pods.items[i], selector != NULL, err);
    }
    return rc;
}

/* ---- Reading them ---- */

static void open_log(struct rctl *r, struct source *s, const struct value *params, bool many)
{
    static const struct api_log_events events = {logs_text, logs_note};
    struct arena *a = &r->arena;
    struct value *p = value_copy(a, params);
    value_set(a, p, "namespace", value_str(a, s->pod->ns));
    value_set(a, p, "name", value_str(a, s->pod->name));
    value_set(a, p, "container", value_cstr(a, s->container));
    s->by_lines = many || s->prefix != NULL;
    s->log = api_log_open(r->api, p, &events, s);
}

static int close_log(struct rctl *r, struct source *s)
{
    struct error err = {0};
    api_run(r->api, api_log_ended(s->log), 0);
    int rc = api_log_close(s->log, &err);
    print_line(s);
    buf_close(&s->line);
    fflush(r->out);
    if (rc == 0) {
        return EXIT_DONE;
    }
    int code = rctl_fail(r, &err);
    return opt_flag(r, "ignore-errors") ? EXIT_DONE : code;
}

/* Followed side by side, otherwise one after the other. What fails does not keep the others from being read. */
static int read_all(struct rctl *r, struct sources *all, const struct value *params)
{
    bool follow = opt_flag(r, "follow");
    int code = EXIT_DONE;
    for (unsigned i = 0; i < all->count && follow; i++) {
        open_log(r, &all->items[i], params, all->count > 1);
    }
    for (unsigned i = 0; i < all->count; i++) {
        if (!follow) {
            open_log(r, &all->items[i], params, false);
        }
        int one = close_log(r, &all->items[i]);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_logs(struct rctl *r)
{
    struct error err = {0};
    struct value *params = NULL;
    int64_t most;
    bool selects = opt(r, "selector") != NULL;
    unsigned words = r->args.words_count;
    if (words == 2 && opt(r, "container") == NULL && strchr(r->args.words[1], '/') == NULL) {
        /* kubectl's old form: POD CONTAINER */
        r->args.values[r->args.values_count++] = (struct args_value){&logs_options[0], r->args.words[1]};
        words = 1;
    }
    if ((words == 1) == selects || words > 1) {
        return rctl_usage(r, "one pod is needed: its name, deploy/NAME, rs/NAME or svc/NAME; or -l SELECTOR%s",
                          selects ? ", not both" : "");
    }
    if (opt_flag(r, "all-containers") && opt(r, "container") != NULL) {
        return rctl_usage(r, "either --all-containers or a container by name");
    }
    if (logs_params(r, selects || opt_flag(r, "all-pods"), &params, &err) != 0 ||
        args_int("max-log-requests", opt(r, "max-log-requests"), 1, SOURCES_MAX, &most, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct sources all = {.items = arena_alloc(&r->arena, SOURCES_MAX * sizeof(struct source))};
    int code;
    if (find_sources(r, &all, &err) != 0) {
        code = common_fail(r, &err);
    } else if (all.count == 0) {
        rctl_note(r, "No resources found in %s namespace.", rctl_namespace(r));
        code = EXIT_DONE;
    } else if (opt_flag(r, "follow") && all.count > most) {
        error_set(&err, ERR_LIMIT,
                  "%u logs would be followed at once, and at most %" PRId64 " may; --max-log-requests=%u allows it",
                  all.count, most, all.count);
        code = rctl_fail_here(r, &err);
    } else {
        code = read_all(r, &all, params);
    }
    api_list_close(&all.pods);
    return code;
}

const struct command command_logs = {
    .name = "logs",
    .alias = "log",
    .usage = "POD | TYPE/NAME | -l SELECTOR [-c CONTAINER] [-f] [-p]",
    .summary = "Show what a container wrote",
    .examples = "  rctl logs hello -c nginx\n"
                "  # the last 20 lines, and going on\n"
                "  rctl logs -f --tail=20 hello -c hello\n"
                "  # of some pod of a Deployment\n"
                "  rctl logs deploy/hello -c hello\n"
                "  # of all pods of an application, side by side\n"
                "  rctl logs -f -l app=hello --all-containers --prefix --max-log-requests=20\n"
                "  # why did it crash?\n"
                "  rctl logs -p hello -c hello\n",
    .options = logs_options,
    .options_count = ARRAY_SIZE(logs_options),
    .run = run_logs,
};
