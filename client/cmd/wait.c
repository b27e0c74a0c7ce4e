/* rctl wait: until objects are in a state. */
#include <string.h>

#include "client/cmd/common.h"
#include "client/ui/jsonpath.h"

static const struct option_row wait_options[] = {
    {"for", 0, OPTION_VALUE, NULL, NULL, "WHAT",
     "condition=NAME[=STATUS], delete, create, or jsonpath={.path}[=VALUE]"},
    {"timeout", 0, OPTION_VALUE, "30s", NULL, "DURATION",
     "how long to wait for each; 0: only look, negative: for ever"},
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE,
};

enum wait_for { WAIT_CONDITION, WAIT_DELETE, WAIT_CREATE, WAIT_JSONPATH };
struct wait {
    struct rctl *r;
    enum wait_for what;
    const char *name;  /* of the condition, or the path */
    const char *value; /* wanted status or text; NULL: the path leads to anything */
    bool seen, met;
    bool forever; /* no --timeout */
    struct error err;
};

static int parse_for(struct rctl *r, struct wait *w, struct error *err)
{
    const char *text = opt(r, "for");
    if (text == NULL) {
        return error_set(err, ERR_USAGE,
                         "what for? --for=condition=Ready, --for=delete, --for=jsonpath='{.status.phase}'=Running");
    }
    if (strcmp(text, "delete") == 0 || strcmp(text, "create") == 0) {
        w->what = text[0] == 'd' ? WAIT_DELETE : WAIT_CREATE;
        return 0;
    }
    if (strncmp(text, "condition=", 10) == 0 && text[10] != '\0') {
        const char *eq = strchr(text + 10, '=');
        w->what = WAIT_CONDITION;
        w->name = eq == NULL ? text + 10 : arena_strndup(&r->arena, text + 10, (size_t)(eq - text - 10));
        w->value = eq == NULL ? "True" : eq + 1;
        return 0;
    }
    if (strncmp(text, "jsonpath=", 9) == 0) {
        const char *end = strchr(text, '}'), *begin = strchr(text, '{');
        const char *eq = end == NULL ? strrchr(text + 9, '=') : end[1] == '=' ? end + 1 : NULL;
        w->what = WAIT_JSONPATH;
        w->value = eq == NULL ? NULL : eq + 1;
        w->name = begin != NULL && end != NULL ? arena_strndup(&r->arena, begin + 1, (size_t)(end - begin - 1))
                  : eq != NULL                 ? arena_strndup(&r->arena, text + 9, (size_t)(eq - text - 9))
                                               : text + 9;
        return 0;
    }
    return error_set(err, ERR_USAGE, "--for is condition=NAME, delete, create or jsonpath={.path}=VALUE, not \"%s\"",
                     text);
}

static bool condition_holds(const struct wait *w, const struct object *o)
{
    int64_t observed = mp_int(mp_path(object_mp(o), "status.observedGeneration"), 0);
    if (observed > 0 && observed < o->generation) {
        return false; /* what the status says is about an older spec */
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.conditions")); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type"));
        if (type.n == strlen(w->name) && strncasecmp(type.p, w->name, type.n) == 0) {
            struct str status = mp_str(mp_get(it.value, "status"));
            return status.n == strlen(w->value) && strncasecmp(status.p, w->value, status.n) == 0;
        }
    }
    return false;
}

static bool path_holds(struct wait *w, const struct object *o)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct value **found;
    unsigned count;
    if (jsonpath_find(&a, object_to_value(&a, o), w->name, &found, &count, &w->err) != 0 || count == 0) {
        return false;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    jsonpath_write_value(&b, found[0]);
    return w->value == NULL || str_is(buf_str(&b), w->value);
}

static bool wait_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct wait *w = data;
    if (type == API_SYNCED) {
        w->met = w->met || (w->what == WAIT_DELETE && !w->seen);
        if (!w->seen && w->what != WAIT_DELETE && w->what != WAIT_CREATE) {
            w->err.code = ERR_NOT_FOUND;
        }
    } else if (type == API_DELETED) {
        w->met = w->what == WAIT_DELETE;
        if (!w->met) {
            w->err.code = ERR_NOT_FOUND;
        }
    } else {
        w->seen = true;
        w->met = w->what == WAIT_CREATE || (w->what == WAIT_CONDITION && condition_holds(w, o)) ||
                 (w->what == WAIT_JSONPATH && path_holds(w, o));
    }
    return !w->met && w->err.code == 0;
}

static int wait_one(struct wait *w, const struct kind *k, const char *ns, const char *name, int64_t timeout_ms)
{
    struct rctl *r = w->r;
    struct error err = {0};
    struct api_list_query q = {.kind = k,
                               .ns = k->namespaced ? ns : NULL,
                               .field_selector = arena_printf(&r->arena, "metadata.name=%s", name)};
    w->seen = w->met = false;
    w->err = (struct error){0};
    int rc = api_watch(r->api, &q, w->forever ? 0 : MAX(timeout_ms, 1), wait_event, w, &err);
    const char *title = resource_title(&r->arena, k, str_of(name));
    if (rc == ERR_TIMEOUT) {
        error_set(&err, ERR_TIMEOUT, "timed out waiting for the condition on %s", title);
    } else if (rc == 0 && w->err.code == ERR_NOT_FOUND) {
        error_set(&err, ERR_NOT_FOUND, "%s \"%s\" not found", k->plural, name);
    } else if (rc == 0 && w->err.code != 0) {
        err = w->err;
    } else if (rc == 0) {
        fprintf(r->out, "%s %s\n", title, w->what == WAIT_DELETE ? "deleted" : "condition met");
        fflush(r->out);
        return EXIT_DONE;
    }
    fflush(r->out);
    fprintf(r->err_out, "error: %s\n", err.message);
    return (int)exit_code_of(err.code);
}

static int wait_listed(struct wait *w, const struct resource *res, int64_t timeout_ms)
{
    struct rctl *r = w->r;
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = res->kind,
                               .ns = opt_flag(r, "all-namespaces") ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector")};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list.count == 0 && w->what != WAIT_DELETE) {
        rctl_note(r, "error: no matching resources found");
        return EXIT_FAILED;
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        int one = wait_one(w, o->kind, arena_strndup(&r->arena, o->ns.n ? o->ns.p : "", o->ns.n),
                           arena_strndup(&r->arena, o->name.p, o->name.n), timeout_ms);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_wait(struct rctl *r)
{
    struct error err = {0};
    struct wait w = {.r = r};
    struct resources res = {0};
    struct manifest m = {0};
    int64_t timeout_ms;
    bool files = args_given(&r->args, "filename");
    const char *timeout = opt(r, "timeout");
    w.forever = timeout[0] == '-';
    if (parse_for(r, &w, &err) != 0 ||
        args_duration_ms("timeout", timeout + (w.forever ? 1 : 0), &timeout_ms, &err) != 0 ||
        (files ? common_manifests(r, &m, &err)
               : resource_parse(&r->arena, r->args.words, r->args.words_count, &res, &err)) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < m.count; i++) {
        int one = wait_one(&w, m.items[i].kind, m.items[i].ns, m.items[i].name, timeout_ms);
        code = code == EXIT_DONE ? one : code;
    }
    for (unsigned i = 0; i < res.count; i++) {
        const struct resource *one = &res.items[i];
        if (one->name == NULL && opt(r, "selector") == NULL && !opt_flag(r, "all")) {
            return rctl_usage(r, "which %s? Give names, -l SELECTOR or --all", one->kind->plural);
        }
        int rc = one->name == NULL ? wait_listed(&w, one, timeout_ms)
                                   : wait_one(&w, one->kind, rctl_namespace(r), one->name, timeout_ms);
        code = code == EXIT_DONE ? rc : code;
    }
    return code;
}

const struct command command_wait = {
    .name = "wait",
    .usage = "TYPE NAME... | TYPE/NAME... | TYPE -l SELECTOR --for=WHAT [--timeout=DURATION]",
    .summary = "Wait until objects are in a state",
    .examples = "  rctl wait pod hello --for=condition=Ready --timeout=1m\n"
                "  rctl wait pods -l app=hello --for=condition=Ready\n"
                "  rctl wait deploy/hello --for=condition=Available\n"
                "  rctl wait pod/hello --for=jsonpath='{.status.phase}'=Running\n"
                "  rctl wait pod hello --for=delete\n",
    .options = wait_options,
    .options_count = ARRAY_SIZE(wait_options),
    .run = run_wait,
};
